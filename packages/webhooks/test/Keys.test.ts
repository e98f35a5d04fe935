/** Brings events that differ in one detail into a ledger: each is there once, however often and in whatever batch it comes. */
import { assert, describe, it } from "@effect/vitest"
import { EventName, Tenant } from "@waybill/core"
import { Ingestion, Mailgun, Postmark, Row, Secrets, SendGrid } from "@waybill/webhooks"
import type { Sender } from "@waybill/webhooks/testing"
import { Arbitrary, Effect, Layer, Option, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import * as Edge from "./Edge.ts"
import { bytes, receivedAt } from "./Reading.ts"
import * as Signing from "./Signing.ts"

const table = Edge.table([Mailgun.row, Postmark.row, SendGrid.row])

const ledger = Ingestion.layer.pipe(
  Layer.provide([table, Secrets.layer({})]),
  Layer.provideMerge(Edge.memory),
  Layer.provide(FetchHttpClient.layer)
)

const tenantId = Tenant.TenantId.make("acme")

const post = (provider: Row.Row, body: unknown) =>
  Ingestion.Ingestion.use((ingestion) =>
    ingestion.ingest({ tenantId, provider, headers: {}, body: bytes(JSON.stringify(body)), token: Option.none() })
  )

/** What became of the events of some bodies, one after the other. */
const outcomes = (provider: Row.Row, bodies: ReadonlyArray<unknown>) =>
  Effect.map(
    Effect.forEach(bodies, (body) => post(provider, body)),
    (receipts) => receipts.flatMap(({ events }) => events.map(({ outcome }) => outcome._tag))
  )

const stored = Effect.map(Edge.orphans(tenantId), (events) => events.map((event) => EventName.of(event)))

const mailgun = (change: object) => ({
  signature: { timestamp: "1772619970", token: "a".repeat(50), signature: "00" },
  "event-data": {
    event: "delivered",
    id: "hK7mQ2vZRf6c",
    timestamp: 1772619967.908181,
    recipient: "ada@reader.example",
    message: { headers: { "message-id": "1@mg.shop.example" } },
    ...change
  }
})

const group = (asm_group_id: unknown, change: object = {}) => ({
  email: "ada@reader.example",
  event: "group_unsubscribe",
  timestamp: 1772619967,
  sg_message_id: "14c5d75ce93.dfd.64b469.filter0001",
  asm_group_id,
  ...change
})

const suppression = (SuppressionReason: string) => ({
  RecordType: "SubscriptionChange",
  MessageID: "883953f4-6105-42a2-a16a-77a8eac79483",
  Recipient: "ada@reader.example",
  ChangedAt: "2026-03-04T10:00:03Z",
  SuppressSending: true,
  Origin: "Recipient",
  SuppressionReason
})

const kinds: ReadonlyArray<readonly [string, Row.Row, ReadonlyArray<unknown>]> = [
  [
    "events of several names to which Mailgun gave one id",
    Mailgun.row,
    ["accepted", "delivered", "opened", "clicked", "unsubscribed", "complained"].map((event) => mailgun({ event }))
  ],
  ["groups of SendGrid left in one second", SendGrid.row, [10, 11, "12"].map((id) => [group(id)])],
  ["groups left and joined", SendGrid.row, [[group(10)], [group(10, { event: "group_resubscribe" })]]],
  [
    "suppressions of Postmark of one instant and several reasons",
    Postmark.row,
    ["HardBounce", "SpamComplaint", "ManualSuppression", "Unheard", "UnheardToo"].map(suppression)
  ]
]

describe("events that differ in one detail", () => {
  for (const [about, provider, bodies] of kinds) {
    const choice = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: bodies.length - 1 })))

    it.effect.prop(
      `are as many events, in whatever order and however often they come: ${about}`,
      [Arbitrary.array(choice, { minLength: 1, maxLength: 12 })],
      ([chosen]) =>
        Effect.gen(function*() {
          const tags = yield* outcomes(provider, chosen.map((index) => bodies[index]))
          const seen = new Set<number>()
          const expected = chosen.map((index) => {
            const isNew = !seen.has(index)
            seen.add(index)
            return isNew ? "Appended" : "Duplicate"
          })
          assert.deepStrictEqual(tags, expected)
          assert.lengthOf(yield* stored, seen.size)
        }).pipe(Effect.provide(ledger, { local: true })),
      { arbitrary: { runs: 40 } }
    )
  }

  it.effect("are told apart within one batch, too", () =>
    Effect.gen(function*() {
      const both = [group(10), group(11), group(10)]
      assert.deepStrictEqual(yield* outcomes(SendGrid.row, [both]), ["Appended", "Appended", "Duplicate"])
      const shared = ["open", "click", "open", "bounce"].map((event) => group(1, { event, sg_event_id: "one" }))
      const expected = ["Appended", "Appended", "Duplicate", "Appended"]
      assert.deepStrictEqual(yield* outcomes(SendGrid.row, [shared]), expected)
      assert.deepStrictEqual(yield* outcomes(SendGrid.row, [shared.toReversed()]), expected.map(() => "Duplicate"))
    }).pipe(Effect.provide(ledger)))

  it.effect("stay a conflict where they have one name", () =>
    Effect.gen(function*() {
      const failed = (severity: string) => mailgun({ event: "failed", severity, reason: "generic" })
      assert.deepStrictEqual(yield* outcomes(Mailgun.row, [failed("temporary"), failed("permanent")]), [
        "Appended",
        "IdempotencyConflict"
      ])
    }).pipe(Effect.provide(ledger)))
})

describe("keys of events that were stored before", () => {
  const key = (provider: Row.Row, body: unknown) =>
    Effect.map(post(provider, body), ({ events }) => events.map(({ event }) => String(event.idempotencyKey)))

  it.effect("are as they were, but for groups and for reasons that are not known", () =>
    Effect.gen(function*() {
      const same = [
        [Mailgun.row, mailgun({ event: "opened" }), "webhook:mailgun:id:hK7mQ2vZRf6c:1772619967.908181"],
        [
          SendGrid.row,
          [group(7, { event: "delivered" })],
          "webhook:sendgrid:digest:aeeba6a86e8feb8c68605d5c2836b6fae5ecafb6e83a2525f327454e3f897d6f"
        ],
        [
          SendGrid.row,
          [group(undefined)],
          "webhook:sendgrid:digest:dfcd2b51f5b61b546becc4070573514cd79c55d82ce8407a3074976616da0fb2"
        ],
        [
          Postmark.row,
          suppression("SpamComplaint"),
          "webhook:postmark:digest:94a402a78396c6989eef23aa5fc07fbbc5978604aa6fd8cd25f2e744f66e74f0"
        ]
      ] as const
      for (const [provider, body, expected] of same) {
        assert.deepStrictEqual(yield* key(provider, body), [expected])
      }
    }).pipe(Effect.provide(ledger)))
})

describe("keys of what is reported", () => {
  for (const { provider, send, types } of Signing.senders) {
    it.effect(`of ${provider} are one for each event, alone and in a batch, and come again with it`, () =>
      Effect.gen(function*() {
        const row = Signing.rows.find(({ name }) => name === provider) ?? assert.fail("there is no row")
        const keysOf = Effect.fnUntraced(function*(reports: ReadonlyArray<Sender.Report>) {
          const keys: Array<string> = []
          for (const request of send(reports, receivedAt)) {
            for (const piece of yield* Row.read(row, { ...request, receivedAt })) {
              keys.push(...piece.events.map(({ idempotencyKey }) => String(idempotencyKey)))
            }
          }
          return keys
        })
        const reports = types.flatMap((type, index) => [Edge.report(type, index * 2), Edge.report(type, index * 2 + 1)])
        const batch = yield* keysOf(reports)
        assert.isAtLeast(batch.length, reports.length)
        assert.lengthOf([...new Set(batch)], batch.length)
        assert.sameMembers((yield* Effect.forEach(reports, (report) => keysOf([report]))).flat(), batch)
        assert.sameMembers(yield* keysOf(reports.toReversed()), batch)
      }))
  }
})
