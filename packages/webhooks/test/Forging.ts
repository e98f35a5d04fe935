/** Forges requests: each differs from a good one by one bit of what proves who sent it. */
import { assert } from "@effect/vitest"
import { Mandrill, type Row, type Scheme, type Webhook } from "@waybill/webhooks"
import { Schema } from "effect"
import { bytes } from "./Reading.ts"
import { textOf } from "./Signing.ts"

const eventsField = "mandrill_events"

const flipped = (value: string, index: number, bit: number): string =>
  value.slice(0, index) + String.fromCharCode(value.charCodeAt(index) ^ (1 << bit)) + value.slice(index + 1)

const withHeader = (request: Webhook.Request, name: string, index: number, bit: number, from = 0): Webhook.Request => {
  const value = request.headers[name] ?? assert.fail(`there is no header ${name}`)
  return {
    ...request,
    headers: { ...request.headers, [name]: flipped(value, from + index % (value.length - from), bit) }
  }
}

const withBody = (request: Webhook.Request, index: number, bit: number, length = request.body.length) => {
  const body = request.body.slice()
  body[index % length] = (body[index % length] ?? 0) ^ (1 << bit)
  return { ...request, body }
}

const JsonText = Schema.fromJsonString(Schema.Record(Schema.String, Schema.String))

const withField = (request: Webhook.Request, field: string, index: number, bit: number): Webhook.Request => {
  const envelope = Schema.decodeSync(JsonText)(textOf(request.body))
  const value = envelope[field] ?? assert.fail(`there is no field ${field}`)
  const changed = { ...envelope, [field]: flipped(value, index % value.length, bit) }
  return { ...request, body: bytes(Schema.encodeSync(JsonText)(changed)) }
}

type Forge = (request: Webhook.Request, index: number, bit: number) => ReadonlyArray<Webhook.Request>

/** The requests that differ from a good one by one bit of what the signature covers, where it is not all of the request. */
const forgeries: Readonly<Record<string, Forge>> = {
  ses: (request, index, bit) =>
    ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type", "Signature"].map((field) =>
      withField(request, field, index, bit)
    ),
  scaleway: (request, index, bit) =>
    ["Message", "MessageId", "Timestamp", "TopicArn", "Type", "Signature"].map((field) =>
      withField(request, field, index, bit)
    ),
  mailgun: (request, index, bit) => [withBody(request, index, bit, textOf(request.body).indexOf(`,"event-data"`))],
  mandrill: (request, index, bit) => {
    const events = new URLSearchParams(textOf(request.body)).get(eventsField) ?? assert.fail("there are none")
    const changed = new URLSearchParams({ [eventsField]: flipped(events, index % events.length, bit) })
    return [
      { ...request, body: bytes(changed.toString()) },
      { ...request, publicUrl: flipped(Mandrill.unknownUrl, index % Mandrill.unknownUrl.length, bit) },
      withHeader(request, "x-mandrill-signature", index, bit)
    ]
  }
}

/** Changes the secret that a request carries. */
const ofSecret: Forge = (request, index, bit) => {
  const { authorization = "" } = request.headers
  return [withHeader(request, "authorization", index, bit, authorization.indexOf(" ") + 1)]
}

/** Changes the body and every header beside its type. */
const ofWhole: Forge = (request, index, bit) => {
  const names = Object.keys(request.headers).filter((name) => name !== "content-type")
  return [withBody(request, index, bit), ...names.map((name) => withHeader(request, name, index, bit))]
}

/** The forgeries of a request, each of one bit of what proves it by a scheme, the first by default. */
export const forge = (
  { name, schemes }: Pick<Row.Row, "name" | "schemes">,
  request: Webhook.Request,
  index: number,
  bit: number,
  { proof }: Pick<Scheme.Scheme, "proof"> = schemes[0]
): ReadonlyArray<Webhook.Request> => (proof === "secret" ? ofSecret : forgeries[name] ?? ofWhole)(request, index, bit)
