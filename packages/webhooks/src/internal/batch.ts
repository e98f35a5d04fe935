/**
 * Reads the bodies that hold several items, in the forms in which providers send them: an array, one object alone, an object
 * with an array in it, lines of JSON.
 */
import type { Provider } from "@waybill/core"
import { Option, Result, Schema } from "effect"
import type * as Row from "../Row.ts"
import type * as Webhook from "../Webhook.ts"
import * as Json from "./json.ts"
import * as Report from "./report.ts"

/** The items of a body. */
export type Items = Result.Result<ReadonlyArray<unknown>, Webhook.MalformedBody>

const array = Json.decoder(() => Schema.Array(Schema.Unknown))

/** The items of a JSON value that is to be an array of them. */
export const arrayOf = (provider: Provider.Provider, value: unknown): Items =>
  Option.match(array(value), { onNone: () => Report.malformed(provider, "NotAnArray"), onSome: Result.succeed })

/** The items of a JSON value that is an array of them, or one of them. */
export const several = (value: unknown): ReadonlyArray<unknown> => Option.getOrElse(array(value), () => [value])

/** The JSON values of a text that has one in each line; a line that is none is an item that cannot be understood. */
const lines = (text: string): ReadonlyArray<unknown> =>
  text.split(/\r?\n/).flatMap((line) => line.trim() === "" ? [] : [Option.getOrUndefined(Json.parse(line))])

/** The items of a body that is one JSON value, opened by `open`, or lines of JSON. */
export const jsonOrLines = (
  provider: Provider.Provider,
  received: Webhook.Request,
  open: (value: unknown) => ReadonlyArray<unknown>
): Items =>
  Result.orElse(Result.map(Report.json(provider, received), open), (error) => {
    const values = lines(Json.decodeText(received.body))
    return values.length > 1 && values[0] !== undefined ? Result.succeed(values) : Result.fail(error)
  })

/** Reads a body of several items, a thousand at a time. */
export const reader = (
  items: (received: Webhook.Received) => Items,
  item: (value: unknown, received: Webhook.Received) => Report.Item
): Row.Row["normalize"] =>
(received) => Result.map(items(received), (values) => Report.pieces(values, (value) => item(value, received)))

/** Reads a body of JSON that is a list of items. */
export const list = (
  provider: Provider.Provider,
  item: (value: unknown, received: Webhook.Received) => Report.Item
): Row.Row["normalize"] =>
  reader((received) => Result.flatMap(Report.json(provider, received), (value) => arrayOf(provider, value)), item)

/** Reads a body of JSON that is one item or a list of items. */
export const oneOrMany = (
  provider: Provider.Provider,
  item: (value: unknown, received: Webhook.Received) => Report.Item
): Row.Row["normalize"] => reader((received) => Result.map(Report.json(provider, received), several), item)
