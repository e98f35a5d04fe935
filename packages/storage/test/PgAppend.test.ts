import { assert, describe, it } from "@effect/vitest"
import { Delivery, Event, IdempotencyKey, Ledger, Orphans, Provider, Recipient, Tenant } from "@waybill/core"
import { DateTime, Deferred, Effect, Exit, Fiber, Option, PubSub } from "effect"
import { SqlClient } from "effect/sql"
import * as TestDatabase from "./TestDatabase.ts"

const tenantId = Tenant.defaultTenantId
const provider = Provider.Provider.make("postmark")

const opened = (messageId: string, key: string, millis = 0): Event.NewEvent =>
  Event.NewEvent.make({
    type: "opened",
    occurredAt: DateTime.makeUnsafe(Date.UTC(2026, 0, 1) + millis),
    provider,
    providerMessageId: Option.some(Provider.MessageId.make(messageId)),
    idempotencyKey: IdempotencyKey.IdempotencyKey.make(key)
  })

const dispatched = Effect.fnUntraced(function*(messageId: string) {
  const ledger = yield* Ledger.Ledger
  const { delivery } = yield* ledger.record(Delivery.NewDelivery.make({
    recipient: Recipient.Recipient.make("someone@example.com"),
    mailable: "welcome",
    stream: "transactional"
  }))
  return (yield* ledger.dispatch(
    Delivery.Dispatch.make({ deliveryId: delivery.id, provider, providerMessageId: messageId })
  )).delivery
})

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

const all = { concurrency: "unbounded" } as const

describe("appends at once on PostgreSQL", () => {
  it.live("share transactions, and each caller gets its own outcome", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const ledger = yield* Ledger.Ledger
      const orphans = yield* Orphans.Orphans
      yield* Effect.forEach(numbers(20), (index) => dispatched(`m-${index}`))
      const outcomes = yield* Effect.forEach(
        numbers(200),
        (index) => ledger.append(tenantId, [opened(`m-${index % 25}`, `key-${index}`)]),
        all
      )
      const ids = outcomes.flat().map((outcome) => outcome._tag === "Appended" ? outcome.eventId : undefined)
      assert.strictEqual(new Set(ids).size, 200)
      const rows = yield* sql<{ readonly id: string; readonly key: string }>`
        SELECT id, idempotency_key AS key FROM waybill.events WHERE type = 'opened'
      `
      const keys = new Map(rows.map(({ id, key }) => [id, key]))
      assert.deepStrictEqual(ids.map((id) => keys.get(id ?? "")), numbers(200).map((index) => `key-${index}`))
      const [counted] = yield* sql<{ readonly transactions: number }>`
        SELECT count(DISTINCT transaction_id::text)::integer AS transactions FROM waybill.events WHERE type = 'opened'
      `
      assert.isBelow(counted?.transactions ?? 200, 100)
      const pending = yield* orphans.find({
        scope: tenantId,
        limit: 100,
        failedOnly: false,
        insertedFrom: Option.none()
      })
      assert.strictEqual(pending.length, 40)
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live("move a delivery once a caller", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      // Each type sets a time of its own, so that each call moves its delivery, in whatever order they commit.
      const types = [
        "delivered",
        "opened",
        "clicked",
        "unsubscribed",
        "bounced",
        "complained",
        "failed",
        "suppressed"
      ] as const
      const deliveries = yield* Effect.forEach(numbers(7), (index) => dispatched(`m-${index}`))
      const calls = numbers(7).flatMap((index) =>
        types.map((type, at) => ({ ...opened(`m-${index}`, `key-${index}-${at}`, at), type }))
      )
      yield* Effect.forEach(calls, (event) => ledger.append(tenantId, [event]), all)
      for (const { id, lockVersion } of deliveries) {
        const moved = yield* Effect.flatMap(ledger.delivery({ tenantId, deliveryId: id }), Effect.fromOption)
        assert.strictEqual(moved.lockVersion, lockVersion + types.length)
        assert.strictEqual(Option.getOrThrow(moved.lastEventAt).epochMilliseconds, Date.UTC(2026, 0, 1) + 7)
      }
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live("of the same event store it once, and all callers learn its id", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      yield* dispatched("m")
      const outcomes = (yield* Effect.forEach(
        numbers(50),
        () => ledger.append(tenantId, [opened("m", "once"), opened("m", "once")]),
        all
      )).flat()
      assert.strictEqual(new Set(outcomes.map((outcome) => "eventId" in outcome ? outcome.eventId : "")).size, 1)
      assert.isTrue(outcomes.every(({ _tag }) => _tag === "Appended" || _tag === "Duplicate"))
      assert.isAtLeast(outcomes.filter(({ _tag }) => _tag === "Duplicate").length, 98)
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live("fail alone", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const ledger = yield* Ledger.Ledger
      yield* sql`
        CREATE FUNCTION waybill.fail_some() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.idempotency_key LIKE 'bad-%' THEN RAISE EXCEPTION 'no' USING ERRCODE = '22000'; END IF; RETURN NEW; END $$
      `
      yield* sql`CREATE TRIGGER fail_some BEFORE INSERT ON waybill.events FOR EACH ROW EXECUTE FUNCTION waybill.fail_some()`
      yield* Effect.forEach(numbers(10), (index) => dispatched(`m-${index}`))
      const exits = yield* Effect.forEach(
        numbers(60),
        (index) =>
          Effect.exit(
            index % 20 === 7
              ? ledger.append(tenantId, [opened("m-0", `bad-${index}`)])
              : index % 20 === 9
              ? ledger.append(tenantId, [{ ...opened("m-0", `key-${index}`), traceId: Option.some("") }])
              : ledger.append(tenantId, [opened(`m-${index % 12}`, `key-${index}`)])
          ),
        all
      )
      const failed = exits.flatMap((exit, index) => Exit.isSuccess(exit) ? [] : [index])
      assert.deepStrictEqual(failed, [7, 9, 27, 29, 47, 49])
      const [counted] = yield* sql<{ readonly events: number }>`
        SELECT count(*)::integer AS events FROM waybill.events WHERE type = 'opened'
      `
      assert.strictEqual(counted?.events, 54)
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live("take back what its caller no longer wants, while it waits", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const ledger = yield* Ledger.Ledger
      const { id } = yield* dispatched("m")
      const locked = yield* Deferred.make<void>()
      const release = yield* Deferred.make<void>()
      const holding = yield* sql.withTransaction(Effect.gen(function*() {
        yield* sql`SELECT 1 FROM waybill.deliveries WHERE id = ${id} FOR UPDATE`
        yield* Deferred.succeed(locked, undefined)
        yield* Deferred.await(release)
      })).pipe(Effect.forkChild)
      yield* Deferred.await(locked)
      const append = (key: string) => Effect.forkChild(ledger.append(tenantId, [opened("m", key)]))
      const running = yield* Effect.forEach(["a", "b", "c"], append)
      const unwanted = yield* append("unwanted")
      yield* Effect.sleep("100 millis")
      yield* Fiber.interrupt(unwanted)
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(holding)
      yield* Effect.forEach(running, Fiber.join)
      const timeline = yield* ledger.timeline({ tenantId, deliveryId: id })
      const keys = timeline.map(({ event }) => String(event.idempotencyKey))
      assert.includeMembers(keys, ["a", "b", "c"])
      assert.notInclude(keys, "unwanted")
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live("that are interrupted are stored and told of, or neither", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const ledger = yield* Ledger.Ledger
      yield* Effect.forEach(numbers(60), (index) => dispatched(`m-${index}`))
      yield* Effect.scoped(Effect.gen(function*() {
        const updates = yield* ledger.updates
        yield* Effect.forEach(numbers(60), (index) =>
          ledger.append(tenantId, [opened(`m-${index}`, `key-${index}`)]).pipe(
            Effect.timeoutOption(index % 6 / 2)
          ))
        const told: Array<string> = []
        let stored: ReadonlyArray<string> = []
        for (let index = 0; index < 100 && (stored.length === 0 || told.length < stored.length); index++) {
          yield* Effect.sleep("20 millis")
          const rows = yield* sql<{ readonly id: string }>`SELECT id FROM waybill.events WHERE type = 'opened'`
          stored = rows.map(({ id }) =>
            id
          ).toSorted()
          told.push(...(yield* PubSub.takeUpTo(updates, 100)).map(({ eventId }) => eventId))
        }
        assert.deepStrictEqual(told.toSorted(), stored)
      }))
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)
})
