/**
 * Reads what a provider echoes of the data that the app gave to it with a message, our own delivery id among them.
 */
import { Option, Schema } from "effect"
import * as Json from "./json.ts"

/** The app's own data, by name. */
export type Own = Readonly<Record<string, unknown>> | undefined

const Named = Schema.Record(Schema.String, Schema.Unknown)

/** A field that holds the app's own data. */
export const own = Json.lenient(Named)

const decode = Json.decoder(() => Named)

/** The app's own data in a text that is JSON. */
export const inText = (text: string | undefined): Own =>
  text === undefined ? undefined : Option.getOrUndefined(Option.flatMap(Json.parse(text), decode))

/** Our delivery id among the app's own data. */
export const idIn = (own: Own): string | undefined => {
  const id = own?.["waybill_delivery_id"]
  return typeof id === "string" ? id : undefined
}

const written = Option.liftThrowable((value: unknown) => JSON.stringify(value))

/** The app's own data as texts; what is nested too deep to be written is left out. */
export const words = (own: Own): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(own ?? {}).flatMap(([name, value]) => {
      const text = typeof value === "string" ? value : Option.getOrUndefined(written(value))
      return text === undefined ? [] : [[name, text] as const]
    })
  )

const tag = /^waybill(?:_delivery_id)?[:=](.+)$/

/** Our delivery id among tags, as `waybill_delivery_id:<id>` or `waybill:<id>`; for providers that echo nothing else. */
export const idInTags = (tags: ReadonlyArray<string>): string | undefined => {
  for (const each of tags) {
    const id = tag.exec(each)?.[1]
    if (id !== undefined) return id
  }
  return undefined
}
