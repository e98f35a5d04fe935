/** Declares that hostile input is refused or stored exactly as it was. */
import { assert } from "@effect/vitest"
import { Delivery, Event, JsonBag, Ledger, LedgerError, Provider, Recipient, Tenant } from "@waybill/core"
import { Arbitrary, DateTime, Duration, Effect, Option, Schema } from "effect"
import * as Given from "../Given.ts"
import { appendOne, type Contract, deliveriesOf, fetch, pending, refused, timeline } from "./contract.ts"

const injection = "'; DROP TABLE events; -- \" $1 $$ \\ %s {{x}} \u0001\u007f\u2028\u{1f4a9}"

const printable = "';DROP/**/TABLE/**/events;--\"$1$$\\%"

const nested = (depth: number): JsonBag.JsonBag => {
  let bag: JsonBag.JsonBag = {}
  for (let level = 1; level < depth; level++) bag = { deeper: bag }
  return bag
}

const bags: ReadonlyArray<JsonBag.JsonBag> = [
  { [injection]: injection, "": "", constructor: "x", toString: "y", prototype: { hasOwnProperty: 1 } },
  { numbers: [0, 0.1, -1e-7, 1e308, 5e-324, Number.MAX_SAFE_INTEGER, 1.7976931348623157e308, 123456789.12345679] },
  { empty: {}, list: [], null: null, texts: ["\ud83d\udca9", "\uffff", "\u0000".replace("\u0000", "\u0008")] },
  nested(JsonBag.maxDepth),
  { long: "x".repeat(JsonBag.maxLength - "{\"long\":\"\"}".length) }
]

const badBags: ReadonlyArray<JsonBag.JsonBag> = [
  { nul: "a\u0000b" },
  { "a\u0000b": 1 },
  { list: [{ deep: "\ud800" }] },
  { "\udc00": 1 },
  { zero: -0 },
  { number: NaN },
  { number: Infinity },
  nested(JsonBag.maxDepth + 1),
  { long: "x".repeat(JsonBag.maxLength) },
  Object.fromEntries([["__proto__", 1]]),
  { inner: Object.fromEntries([["__proto__", { polluted: true }]]) }
]

const badTexts = ["", "a\u0000b", "\ud800", "x\udfff"]

const storing = ({ example, property }: Contract): void => {
  example(
    "hostile text, odd bags and the ends of time are read back exactly",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = Tenant.TenantId.make(`${printable}${yield* Given.tenant}`)
      const recipient = Recipient.Recipient.make("o'brien\";DROP TABLE x;--%\\<b>@example.com")
      for (const [index, metadata] of bags.entries()) {
        const given = Given.delivery(tenantId, {
          recipient,
          mailable: injection,
          metadata,
          idempotencyKey: Option.some(Given.key(`${printable}${index}`))
        })
        const { delivery } = yield* ledger.record(given)
        const messageId = `${printable}${index}`
        yield* ledger.dispatch(Given.dispatch(delivery, messageId))
        for (const time of ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"]) {
          const report = Given.report("opened", messageId, {
            occurredAt: DateTime.makeUnsafe(time),
            providerEventId: Option.some(injection),
            traceId: Option.some(injection),
            recipient: Given.named(recipient, true),
            metadata,
            normalizedPayload: metadata,
            idempotencyKey: Given.key(`${printable}${index}-${time}`)
          })
          const outcome = yield* appendOne(tenantId, report)
          assert.deepStrictEqual(outcome.deliveryId, Option.some(delivery.id))
          assert.strictEqual((yield* appendOne(tenantId, report))._tag, "Duplicate")
          const entry = (yield* timeline(delivery)).find(({ event }) => event.id === outcome.eventId)
          assert.deepStrictEqual(entry?.event.metadata, metadata)
          assert.deepStrictEqual(entry?.event.normalizedPayload, metadata)
          assert.deepStrictEqual(entry?.event.providerEventId, Option.some(injection))
          assert.deepStrictEqual(entry?.event.traceId, Option.some(injection))
          assert.strictEqual(entry?.event.idempotencyKey, report.idempotencyKey)
          assert.strictEqual(entry?.event.occurredAt.epochMilliseconds, report.occurredAt.epochMilliseconds)
        }
        const stored = yield* fetch(delivery)
        assert.deepStrictEqual(stored.metadata, metadata)
        assert.strictEqual(stored.mailable, injection)
        assert.deepStrictEqual(stored.recipient, Option.some(recipient))
        assert.deepStrictEqual(stored.idempotencyKey, given.idempotencyKey)
        assert.deepStrictEqual(stored.providerMessageId, Option.some(Given.messageId(messageId)))
        assert.strictEqual(DateTime.formatIso(Option.getOrThrow(stored.openedAt)), "0001-01-01T00:00:00.000Z")
        assert.strictEqual(DateTime.formatIso(Option.getOrThrow(stored.lastEventAt)), "9999-12-31T23:59:59.999Z")
      }
    })
  )

  property(
    "whatever text and JSON comes is read back exactly or refused with nothing written",
    Arbitrary.all({ text: Arbitrary.schema(Schema.String), json: Arbitrary.schema(Schema.Json) }),
    ({ json, text }) =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const tenantId = yield* Given.tenant
        const given = Given.delivery(tenantId, { mailable: text, metadata: { text, json } })
        const result = yield* Effect.result(ledger.record(given))
        if (result._tag === "Failure") {
          assert.instanceOf(result.failure, LedgerError.InvalidInput)
          assert.isFalse(Schema.is(Schema.toType(Delivery.NewDelivery))(given))
          assert.lengthOf(yield* deliveriesOf(tenantId), 0)
          return
        }
        const stored = yield* fetch(result.success.delivery)
        assert.strictEqual(stored.mailable, text)
        assert.strictEqual(JSON.stringify(stored.metadata["text"]), JSON.stringify(text))
        assert.deepStrictEqual(stored.metadata["json"], json)
      })
  )
}

const unchecked = { disableChecks: true }

const refusing = ({ example }: Contract): void => {
  const invalidEvents: ReadonlyArray<Partial<Event.NewEvent>> = [
    ...badBags.flatMap((bag) => [{ metadata: bag }, { normalizedPayload: bag }]),
    ...badTexts.flatMap((text) => [{ providerEventId: Option.some(text) }, { traceId: Option.some(text) }]),
    { providerEventId: Option.some("x".repeat(513)) },
    { traceId: Option.some("x".repeat(129)) },
    { occurredAt: DateTime.makeUnsafe(-62_135_596_800_001) },
    { occurredAt: DateTime.makeUnsafe(253_402_300_800_000) },
    { occurredAt: DateTime.addDuration(Given.noon, Duration.millis(0.25)) },
    { provider: Provider.Provider.make("Not A Provider", unchecked) },
    { providerMessageId: Option.some(Provider.MessageId.make("with space", unchecked)) },
    { providerMessageId: Option.some(Provider.MessageId.make("x".repeat(513), unchecked)) },
    { idempotencyKey: Given.key("dispatched:mine") },
    { echoedDeliveryId: Option.some(Event.DeliveryId.make("not-a-uuid", unchecked)) },
    {
      recipient: Option.some({ address: Recipient.Recipient.make("no address", unchecked), certain: true })
    }
  ]

  example(
    "an event that cannot be stored exactly is refused with its place in the batch, and nothing of the batch is written",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const good = Given.report("delivered", "m-1")
      for (const fields of invalidEvents) {
        const bad = Given.report("opened", "m-1", fields)
        const error = yield* refused(ledger.append(tenantId, [good, bad, good]), "InvalidInput")
        assert.deepStrictEqual([error.what, error.index], ["event", 1])
        const [field] = Object.keys(fields)
        assert.isTrue(error.issue.startsWith(field ?? "nothing"), error.issue)
      }
      assert.lengthOf(yield* pending(tenantId), 0)
      assert.strictEqual((yield* appendOne(tenantId, good))._tag, "Appended")
    })
  )

  example(
    "a delivery that cannot be stored exactly is refused",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const invalid: ReadonlyArray<Partial<Omit<Delivery.NewDelivery, "tenantId">>> = [
        ...badBags.map((metadata) => ({ metadata })),
        ...badTexts.map((mailable) => ({ mailable })),
        { mailable: "x".repeat(256) },
        { id: Option.some(Event.DeliveryId.make("00000000-0000-4000-8000-00000000000A", unchecked)) },
        { recipient: Recipient.Recipient.make("nobody", unchecked) },
        { recipient: Recipient.Recipient.make("a\u0000@example.com", unchecked) }
      ]
      for (const fields of invalid) {
        const error = yield* refused(ledger.record(Given.delivery(tenantId, fields)), "InvalidInput")
        assert.strictEqual(error.what, "delivery")
        const [field] = Object.keys(fields)
        assert.isTrue(error.issue.startsWith(field ?? "nothing"), error.issue)
      }
      assert.lengthOf(yield* deliveriesOf(tenantId), 0)
    })
  )

  example(
    "a dispatch without a usable message id is refused",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const delivery = yield* Given.recorded(tenantId)
      const commands = [
        ...[...badTexts, " ", "a b", "\u00fc", "x".repeat(513), "x".repeat(1001)].map((text) =>
          Given.dispatch(delivery, text)
        ),
        Given.dispatch(delivery, "filter0001", { provider: Given.sendGrid })
      ]
      for (const command of commands) {
        const error = yield* refused(ledger.dispatch(command), "InvalidInput")
        assert.deepStrictEqual([error.what, error.index], ["dispatch", 0])
        assert.match(error.issue, /^providerMessageId: /)
      }
      assert.strictEqual((yield* fetch(delivery)).lockVersion, 1)
    })
  )

  example(
    "a name that is no tenant's is refused",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      for (const text of ["", "*", "a b", "a\u0000", "\u00fc", "x".repeat(256)]) {
        const tenantId = Tenant.TenantId.make(text, unchecked)
        yield* refused(ledger.record(Given.delivery(tenantId)), "InvalidInput")
        yield* refused(ledger.append(tenantId, [Given.report("sent", "m-1")]), "InvalidInput")
        yield* refused(ledger.append(tenantId, []), "InvalidInput")
      }
    })
  )
}

/** What the port promises of content that is made to break it. */
export const hostile = (contract: Contract): void => {
  storing(contract)
  refusing(contract)
}
