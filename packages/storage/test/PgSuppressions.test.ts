import { assert, layer } from "@effect/vitest"
import {
  Audit,
  Delivery,
  Event,
  IdempotencyKey,
  Ledger,
  Provider,
  Recipient,
  Suppressions,
  Tenant
} from "@waybill/core"
import { DateTime, Deferred, Effect, Option, Random } from "effect"
import { SqlClient } from "effect/sql"
import * as TestDatabase from "./TestDatabase.ts"

const tenantId = Tenant.TenantId.make("races")

const races = 2000

const erasures = 300

const person = (index: number) => Recipient.Recipient.make(`person-${index}@example.com`)

const complaint = (index: number): Event.NewEvent =>
  Event.NewEvent.make({
    type: "complained",
    occurredAt: DateTime.makeUnsafe("2026-01-02T03:04:05Z"),
    provider: Provider.Provider.make("postmark"),
    providerMessageId: Option.some(Provider.MessageId.make(`m-${index}`)),
    recipient: index % 2 === 0 ? Option.some({ address: person(index), certain: true }) : Option.none(),
    idempotencyKey: IdempotencyKey.IdempotencyKey.make(`complaint-${index}`)
  })

const delivery = (index: number) =>
  Delivery.NewDelivery.make({ tenantId, recipient: person(index), mailable: "news", stream: "bulk" })

const pages = Effect.fnUntraced(function*(operation: Audit.Audit["Service"]["verify"]) {
  let drifts = 0
  for (let after = Option.some(Option.none<string>()); Option.isSome(after);) {
    const page = yield* operation({ part: "suppressions", scope: tenantId, after: after.value, limit: 500 })
    drifts += page.drifts.length
    after = Option.map(page.next, Option.some)
  }
  return drifts
})

const rows = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  sql`
    SELECT md5(string_agg(s::text, ',' ORDER BY tenant_id, recipient_digest, id)) AS digest, count(*)::integer AS rows
    FROM waybill.suppressions s WHERE tenant_id = ${tenantId}
  `)

layer(TestDatabase.ledger, { excludeTestServices: true, timeout: 240_000 })("suppressions on PostgreSQL", (it) => {
  it.effect(
    "a record that begins after a complaint has committed is refused, whichever way the link's race goes",
    () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const race = Effect.fnUntraced(function*(index: number) {
          const committed = yield* Deferred.make<void>()
          const before = yield* ledger.record(delivery(index))
          const dispatch = ledger.dispatch(Delivery.Dispatch.make({
            tenantId,
            deliveryId: before.delivery.id,
            provider: Provider.Provider.make("postmark"),
            providerMessageId: `m-${index}`
          }))
          const pause = Effect.flatMap(Random.nextIntBetween(0, 3), (millis) => Effect.sleep(`${millis} millis`))
          const complain = Effect.andThen(pause, ledger.append(tenantId, [complaint(index)]))
          const [, , after, during] = yield* Effect.all([
            // The cause is committed once both have ended; one that names the address is committed by itself.
            index % 2 === 0
              ? Effect.andThen(complain, Deferred.succeed(committed, undefined))
              : Effect.andThen(
                Effect.all([complain, Effect.andThen(pause, dispatch)], { concurrency: "unbounded" }),
                Deferred.succeed(committed, undefined)
              ),
            index % 2 === 0 ? Effect.andThen(pause, dispatch) : Effect.void,
            Effect.andThen(Deferred.await(committed), ledger.record(delivery(index))),
            Effect.andThen(pause, ledger.record(delivery(index)))
          ], { concurrency: "unbounded" })
          assert.deepStrictEqual(Option.map(after.suppressedBy, ({ reason }) => reason), Option.some("complained"))
          assert.strictEqual(after.delivery.status, "suppressed")
          const expected = Option.isSome(during.suppressedBy) ? "suppressed" : "queued"
          assert.strictEqual(during.delivery.status, expected)
        })
        yield* Effect.forEach(Array.from({ length: races }, (_, index) => index), race, {
          concurrency: 8,
          discard: true
        })
        const audit = yield* Audit.Audit
        assert.strictEqual(yield* pages(audit.verify), 0)
      }),
    240_000
  )

  it.effect(
    "an append that races the erasure of the address that it names leaves nothing that an audit finds",
    () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const audit = yield* Audit.Audit
        const one = Tenant.TenantId.make("erasures")
        const address = Recipient.Recipient.make("erased@example.com")
        const complain = (index: number) =>
          ledger.append(one, [
            Event.NewEvent.make({ ...complaint(index), recipient: Option.some({ address, certain: true }) })
          ])
        const pause = Effect.flatMap(Random.nextIntBetween(0, 3), (millis) => Effect.sleep(`${millis} millis`))
        for (let index = 0; index < erasures; index++) {
          yield* complain(2 * index)
          yield* Effect.all([
            Effect.andThen(pause, complain(2 * index + 1)),
            Effect.andThen(pause, ledger.forget({ tenantId: one, recipient: address }))
          ], { concurrency: "unbounded" })
          const after = yield* ledger.record(
            Delivery.NewDelivery.make({ tenantId: one, recipient: address, mailable: "news", stream: "bulk" })
          )
          assert.strictEqual(after.delivery.status, "suppressed")
        }
        for (const part of ["deliveries", "orphans", "suppressions"] as const) {
          const { drifts } = yield* audit.verify({ part, scope: one, after: Option.none(), limit: 10_000 })
          assert.deepStrictEqual(drifts, [])
        }
      }),
    240_000
  )

  it.effect("dropped or spoilt, a rebuild makes what is kept byte for byte the same", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const audit = yield* Audit.Audit
      const ledger = yield* Ledger.Ledger
      const suppressions = yield* Suppressions.Suppressions
      const by = { actor: "operator", because: Option.some("asked by phone") }
      yield* suppressions.lift({ tenantId, recipient: person(0), reason: "complained", stream: Option.none(), ...by })
      yield* ledger.forget({ tenantId, recipient: person(1) })
      yield* ledger.forget({ tenantId, recipient: person(0) })
      const before = yield* rows
      yield* sql`DELETE FROM waybill.suppressions WHERE tenant_id = ${tenantId}`
      assert.isAbove(yield* pages(audit.verify), races - 1)
      assert.strictEqual(yield* pages(audit.rebuild), races)
      assert.deepStrictEqual(yield* rows, before)
      yield* sql`
        UPDATE waybill.suppressions SET reason = 'manual', lifts = NOT lifts
        WHERE tenant_id = ${tenantId} AND get_byte(recipient_digest, 0) < 128
      `
      yield* sql`
        INSERT INTO waybill.suppressions (tenant_id, recipient_digest, id, reason, lifts, happened_at, rank, by_hand)
        VALUES (${tenantId}, '\\x00', gen_random_uuid(), 'manual', false, now(), 98, true)
      `
      assert.isAbove(yield* pages(audit.rebuild), 1)
      assert.deepStrictEqual(yield* rows, before)
      assert.strictEqual(yield* pages(audit.rebuild), 0)
    }), 240_000)

  it.effect("a link of another tenant tells nothing and takes nothing away", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const ledger = yield* Ledger.Ledger
      const [outcome] = yield* ledger.append(tenantId, [{
        ...complaint(races),
        recipient: Option.some({ address: person(races), certain: true })
      }])
      const eventId = outcome?._tag === "Appended" ? outcome.eventId : assert.fail("not appended")
      const before = yield* rows
      yield* sql`
        INSERT INTO waybill.events (id, tenant_id, type, occurred_at, inserted_at, source_event_id, idempotency_key)
        VALUES (gen_random_uuid(), 'stranger', 'reconciled', now(), now(), ${eventId}, 'stranger')
      `
      assert.deepStrictEqual(yield* rows, before)
    }))

  it.effect("the name of a recipient goes with its pseudonym, whatever program erases it", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const digest = sql`waybill.recipient_digest(${tenantId}, ${person(races)})`
      const named = sql`
        SELECT FROM waybill.suppressed_recipients WHERE tenant_id = ${tenantId} AND recipient_digest = ${digest}
      `
      assert.lengthOf(yield* named, 1)
      yield* sql`DELETE FROM waybill.recipients WHERE tenant_id = ${tenantId} AND digest = ${digest}`
      assert.lengthOf(yield* named, 0)
    }))
})
