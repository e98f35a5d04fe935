import { assert, describe, it } from "@effect/vitest"
import {
  Delivery,
  Event,
  IdempotencyKey,
  Ledger,
  type Orphan,
  Orphans,
  Provider,
  Recipient,
  Tenant
} from "@waybill/core"
import { PgMigrations, PgServer } from "@waybill/storage"
import { Clock, DateTime, Deferred, type Duration, Effect, Fiber, Option, Random } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import * as TestDatabase from "./TestDatabase.ts"

const provider = Provider.Provider.make("postmark")
const address = Recipient.Recipient.make("someone@example.com")

const freshId = Effect.flatMap(SecureRandom.SecureRandom, (random) => random.uuidV7())

const delivered = (messageId: string, key: string, options: Partial<Event.NewEvent> = {}): Event.NewEvent => ({
  ...Event.NewEvent.make({
    type: "delivered",
    occurredAt: DateTime.makeUnsafe("2026-01-02T03:04:05Z"),
    provider,
    providerMessageId: Option.some(Provider.MessageId.make(messageId)),
    recipient: Option.some({ address, certain: true }),
    idempotencyKey: IdempotencyKey.IdempotencyKey.make(`webhook:${key}`)
  }),
  ...options
})

const queued = (tenantId: Tenant.TenantId, id: Event.DeliveryId) =>
  Delivery.NewDelivery.make({
    id: Option.some(id),
    tenantId,
    recipient: address,
    mailable: "welcome",
    stream: "transactional"
  })

/** Holds a transaction open for a moment, or not at all. */
const hold = Effect.flatMap(
  Random.nextIntBetween(0, 4),
  (millis) => millis === 0 ? Effect.void : Effect.sleep(`${millis} millis`)
)

/** Runs in a transaction that the test keeps open before and after. */
const held = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* hold
    return yield* sql.withTransaction(Effect.gen(function*() {
      yield* sql`SELECT 1`
      yield* hold
      const result = yield* effect
      yield* hold
      return result
    }))
  })

const assertLinked = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, deliveryId: Event.DeliveryId) {
  const ledger = yield* Ledger.Ledger
  const orphans = yield* Orphans.Orphans
  const pending = yield* orphans.find({
    scope: tenantId,
    limit: 100,
    insertedFrom: Option.none(),
    failedOnly: false
  })
  assert.strictEqual(pending.length, 0, "an orphan is pending although its delivery is there")
  const delivery = yield* Effect.flatMap(ledger.delivery({ tenantId, deliveryId }), Effect.fromOption)
  assert.isTrue(Option.isSome(delivery.deliveredAt))
  const timeline = yield* ledger.timeline({ tenantId, deliveryId })
  assert.strictEqual(timeline.filter(({ event }) => event.type === "delivered").length, 1)
  assert.isAtMost(timeline.filter(({ event }) => event.type === "reconciled").length, 1)
})

/** A delivery of a message that another program writes. */
const imported = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, messageId: string) {
  const sql = yield* SqlClient.SqlClient
  const id = Event.DeliveryId.make(yield* freshId)
  yield* sql`
    INSERT INTO waybill.deliveries (id, tenant_id, mailable, stream, recipient, provider, provider_message_id)
    VALUES (${id}, ${tenantId}, 'welcome', 'transactional', ${address}, ${provider}, ${messageId})
  `
  return id
})

/** Holds a delivery in a transaction until the effect that it gives is run. */
const holding = Effect.fnUntraced(function*(id: Event.DeliveryId) {
  const sql = yield* SqlClient.SqlClient
  const isHeld = yield* Deferred.make<void>()
  const isDone = yield* Deferred.make<void>()
  const holder = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
    yield* sql`UPDATE waybill.deliveries SET metadata = '{"held": true}' WHERE id = ${id}`
    yield* Deferred.succeed(isHeld, undefined)
    yield* Deferred.await(isDone)
  })))
  yield* Deferred.await(isHeld)
  return Effect.andThen(Deferred.succeed(isDone, undefined), Fiber.join(holder))
})

/** Links in batches until none is left, and gives the links. */
const sweep = Effect.fnUntraced(function*(limit: number) {
  const orphans = yield* Orphans.Orphans
  const links: Array<Orphan.Link> = []
  while (true) {
    const now = yield* DateTime.now
    const batch = yield* orphans.link({
      scope: Tenant.all,
      limit,
      insertedFrom: DateTime.subtract(now, { days: 7 }),
      insertedTo: now
    })
    if (batch.scanned + batch.held === 0) return links
    links.push(...batch.links)
  }
})

describe("races on PostgreSQL", () => {
  it.live("links an event whose webhook overlaps with the dispatch, without a sweep", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      yield* Effect.forEach(
        Array.from({ length: 1500 }, (_, index) => index),
        (index) =>
          Effect.gen(function*() {
            const tenantId = Tenant.TenantId.make(`race-${index}`)
            const deliveryId = Event.DeliveryId.make(yield* freshId)
            yield* ledger.record(queued(tenantId, deliveryId))
            yield* Effect.all([
              held(ledger.append(tenantId, [delivered(`m-${index}`, "a")])),
              held(
                ledger.dispatch(
                  Delivery.Dispatch.make({ tenantId, deliveryId, provider, providerMessageId: `m-${index}` })
                )
              )
            ], { concurrency: "unbounded" })
            yield* assertLinked(tenantId, deliveryId)
          }),
        { concurrency: 5, discard: true }
      )
    }).pipe(Effect.provide(TestDatabase.ledger)), 120_000)

  it.live("links an event that echoes the id of a delivery that is being recorded", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      yield* Effect.forEach(
        Array.from({ length: 500 }, (_, index) => index),
        (index) =>
          Effect.gen(function*() {
            const tenantId = Tenant.TenantId.make(`echo-${index}`)
            const deliveryId = Event.DeliveryId.make(yield* freshId)
            yield* Effect.all([
              held(
                ledger.append(tenantId, [
                  delivered("unheard-of", "a", { echoedDeliveryId: Option.some(deliveryId) })
                ])
              ),
              held(ledger.record(queued(tenantId, deliveryId)))
            ], { concurrency: "unbounded" })
            yield* assertLinked(tenantId, deliveryId)
          }),
        { concurrency: 5, discard: true }
      )
    }).pipe(Effect.provide(TestDatabase.ledger)), 120_000)

  it.live(
    "lets no deadlock escape where batches, dispatches and sweeps meet on the same keys",
    () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const orphans = yield* Orphans.Orphans
        const size = 12
        for (let round = 0; round < 25; round++) {
          const tenantId = Tenant.TenantId.make(`busy-${round}`)
          const ids: Array<Event.DeliveryId> = []
          for (let index = 0; index < size; index++) {
            const id = Event.DeliveryId.make(yield* freshId)
            yield* ledger.record(queued(tenantId, id))
            ids.push(id)
          }
          const batch = Effect.map(
            Random.shuffle(ids.map((_, index) => delivered(`m-${index}`, `${index}`))),
            (events) => Array.from(events)
          )
          yield* Effect.all([
            ...Array.from({ length: 4 }, () => Effect.flatMap(batch, (events) => ledger.append(tenantId, events))),
            ...ids.map((deliveryId, index) =>
              ledger.dispatch(
                Delivery.Dispatch.make({ tenantId, deliveryId, provider, providerMessageId: `m-${index}` })
              )
            ),
            ...Array.from({ length: 2 }, () =>
              Effect.flatMap(DateTime.now, (now) =>
                orphans.link({
                  scope: tenantId,
                  limit: 5,
                  insertedFrom: DateTime.subtract(now, { days: 1 }),
                  insertedTo: DateTime.add(now, { days: 1 })
                })))
          ], { concurrency: "unbounded" })
          for (const id of ids) yield* assertLinked(tenantId, id)
        }
      }).pipe(Effect.provide(TestDatabase.ledger)),
    120_000
  )

  it.live(
    "takes locks in one order, so that calls in transactions of the caller, where nothing is retried, never deadlock",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const tenantId = Tenant.TenantId.make("ordered")
        const numbers = Array.from({ length: 300 }, (_, index) => index)
        yield* Effect.forEach(numbers, (number) =>
          Effect.gen(function*() {
            const deliveryId = Event.DeliveryId.make(yield* freshId)
            yield* ledger.record(queued(tenantId, deliveryId))
            yield* ledger.dispatch(
              Delivery.Dispatch.make({ tenantId, deliveryId, provider, providerMessageId: `known-${number}` })
            )
          }), { concurrency: 8, discard: true })
        const kinds: ReadonlyArray<(round: number, caller: number, number: number) => Event.NewEvent> = [
          (round, caller, number) =>
            delivered(`unknown-${round}-${number}`, `correlation-${round}-${caller}-${number}`),
          (round, _, number) => ({
            ...delivered("none", `key-${round}-${number}`),
            providerMessageId: Option.none()
          }),
          (round, _, number) => delivered(`known-${number}`, `bound-key-${round}-${number}`),
          (round, caller, number) => delivered(`known-${number}`, `delivery-${round}-${caller}-${number}`)
        ]
        for (const round of [0, 1, 2, 3]) {
          for (const kind of kinds) {
            const results = yield* Effect.all(
              [0, 1, 2].map((caller) =>
                Effect.flatMap(Random.shuffle(numbers), (order) =>
                  sql.withTransaction(
                    ledger.append(tenantId, Array.from(order, (number) => kind(round, caller, number)))
                  ))
              ),
              { concurrency: "unbounded" }
            )
            assert.strictEqual(results.flat().length, 3 * numbers.length)
          }
        }
      }).pipe(Effect.provide(TestDatabase.ledger)),
    120_000
  )

  it.live("a dispatch waits for its correlation before it holds its delivery", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const ledger = yield* Ledger.Ledger
      const tenantId = Tenant.TenantId.make("crossing")
      const deliveryId = Event.DeliveryId.make(yield* freshId)
      yield* ledger.record(queued(tenantId, deliveryId))
      const isWaiting = yield* Deferred.make<void>()
      const appending = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
        yield* ledger.append(tenantId, [delivered("m", "a")])
        yield* Deferred.succeed(isWaiting, undefined)
        yield* Effect.sleep("200 millis")
        yield* ledger.append(tenantId, [delivered("other", "b", { echoedDeliveryId: Option.some(deliveryId) })])
      })))
      yield* Deferred.await(isWaiting)
      const dispatch = Delivery.Dispatch.make({ tenantId, deliveryId, provider, providerMessageId: "m" })
      const { linked } = yield* sql.withTransaction(ledger.dispatch(dispatch))
      yield* Fiber.join(appending)
      assert.strictEqual(linked, 1)
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live(
    "tries again what lost a deadlock or a serialization conflict, a bounded number of times",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const tenantId = Tenant.TenantId.make("unlucky")
        yield* sql`CREATE SEQUENCE waybill.tries`
        yield* sql`CREATE TABLE waybill.luck AS SELECT 3 AS needed`
        yield* sql.unsafe(`
        CREATE FUNCTION waybill.lose() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
          tries bigint := nextval('waybill.tries');
        BEGIN
          IF tries < (SELECT needed FROM waybill.luck) THEN
            RAISE EXCEPTION 'lost' USING ERRCODE = (ARRAY['40P01', '40001'])[1 + tries % 2];
          END IF;
          RETURN NULL;
        END $$
      `)
        yield* sql`
        CREATE TRIGGER lose BEFORE INSERT ON waybill.events FOR EACH STATEMENT EXECUTE FUNCTION waybill.lose()
      `
        const restart = sql`ALTER SEQUENCE waybill.tries RESTART`
        const tries = Effect.map(
          sql<{ readonly tries: number }>`
        SELECT last_value::integer AS tries FROM waybill.tries
      `,
          ([row]) => row?.tries
        )
        const deliveryId = Event.DeliveryId.make(yield* freshId)
        const calls: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
          ledger.append(tenantId, [delivered("m", "orphan")]),
          ledger.record(queued(tenantId, deliveryId)),
          ledger.dispatch(Delivery.Dispatch.make({ tenantId, deliveryId, provider, providerMessageId: "m" })),
          ledger.append(tenantId, [delivered("m", "bound")])
        ]
        for (const call of calls) {
          yield* restart
          yield* call
          assert.isAtLeast((yield* tries) ?? 0, 3)
        }
        yield* sql`UPDATE waybill.luck SET needed = 1000000`
        yield* restart
        const error = yield* Effect.flip(ledger.append(tenantId, [delivered("m", "never")]))
        assert.deepInclude(error, { _tag: "LedgerUnavailable", reason: "contention" })
        assert.strictEqual(yield* tries, 11)
        yield* restart
        yield* Effect.flip(sql.withTransaction(ledger.append(tenantId, [delivered("m", "never")])))
        assert.strictEqual(yield* tries, 1)
      }).pipe(Effect.provide(TestDatabase.ledger)),
    60_000
  )

  it.live(
    "appends to a delivery that another transaction holds delay no others of the tenant",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const tenantId = Tenant.TenantId.make("held")
        const heldId = yield* imported(tenantId, "held")
        yield* Effect.forEach(["m-0", "m-1", "m-2", "m-3"], (messageId) => imported(tenantId, messageId))
        const release = yield* holding(heldId)
        const append = (messageId: string, key: string) => ledger.append(tenantId, [delivered(messageId, key)])
        const waiting = yield* Effect.forEach(
          Array.from({ length: 8 }, (_, index) => `held-${index}`),
          (key) => Effect.forkChild(append("held", key))
        )
        const began = yield* Clock.currentTimeMillis
        yield* Effect.forEach(
          Array.from({ length: 20 }, (_, index) => index),
          (index) => Effect.andThen(Effect.sleep("5 millis"), append(`m-${index % 4}`, `free-${index}`)),
          { concurrency: 4, discard: true }
        )
        assert.isBelow((yield* Clock.currentTimeMillis) - began, 5000)
        yield* release
        for (const fiber of waiting) assert.strictEqual((yield* Fiber.join(fiber))[0]?._tag, "Appended")
        const [setting] = yield* sql<{ readonly lock_timeout: string }>`SHOW lock_timeout`
        // A session behind a pooler has no limits of its own.
        assert.strictEqual(setting?.lock_timeout, PgServer.poolerOf(sql) === "none" ? "10s" : "0")
      }).pipe(Effect.provide(TestDatabase.ledger)),
    30_000
  )

  it.live(
    "a sweep passes by a delivery that another transaction holds, and links it afterwards",
    () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const tenants = ["first", "second"].map((name) => Tenant.TenantId.make(name))
        yield* Effect.forEach(tenants, (tenantId) => ledger.append(tenantId, [delivered("m", "a")]))
        const ids = yield* Effect.forEach(tenants, (tenantId) => imported(tenantId, "m"))
        const [heldId, freeId] = ids
        const [heldTenant, freeTenant] = tenants
        if (heldId === undefined || freeId === undefined || heldTenant === undefined || freeTenant === undefined) return
        const release = yield* holding(heldId)
        const began = yield* Clock.currentTimeMillis
        const swept = yield* sweep(1)
        assert.isBelow((yield* Clock.currentTimeMillis) - began, 5000)
        assert.deepStrictEqual(swept.map(({ deliveryId }) => deliveryId), [freeId])
        yield* release
        yield* Effect.sleep("1100 millis")
        assert.deepStrictEqual((yield* sweep(1)).map(({ deliveryId }) => deliveryId), [heldId])
        yield* assertLinked(heldTenant, heldId)
        yield* assertLinked(freeTenant, freeId)
      }).pipe(Effect.provide(TestDatabase.ledger)),
    30_000
  )

  it.live(
    "a dispatch links what a sweep holds and passes by, and leaves it to another sweep where that one is frozen",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const dispatchBesideSweep = Effect.fnUntraced(function*(name: string, heldFor: Duration.Input) {
          const tenantId = Tenant.TenantId.make(name)
          yield* ledger.append(tenantId, [delivered("m", "a")])
          const deliveryId = yield* imported(tenantId, "m")
          const isHeld = yield* Deferred.make<void>()
          const sweeping = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
            yield* sql`SELECT FROM waybill.orphans WHERE tenant_id = ${tenantId} FOR UPDATE`
            yield* Deferred.succeed(isHeld, undefined)
            yield* Effect.sleep(heldFor)
          })))
          yield* Deferred.await(isHeld)
          const began = yield* Clock.currentTimeMillis
          const { linked } = yield* ledger.dispatch(
            Delivery.Dispatch.make({ tenantId, deliveryId, provider, providerMessageId: "m" })
          )
          assert.isBelow((yield* Clock.currentTimeMillis) - began, 3000)
          yield* Fiber.join(sweeping)
          yield* sweep(100)
          yield* assertLinked(tenantId, deliveryId)
          return linked
        })
        assert.strictEqual(yield* dispatchBesideSweep("passed", "100 millis"), 1)
        assert.strictEqual(yield* dispatchBesideSweep("frozen", "5 seconds"), 0)
      }).pipe(Effect.provide(TestDatabase.ledger)),
    30_000
  )

  it.live(
    "a sweep links nothing to a delivery whose message id goes to another one meanwhile",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const tenantId = Tenant.TenantId.make("moved")
        yield* ledger.append(tenantId, [delivered("m", "a", { recipient: Option.none() })])
        const before = yield* imported(tenantId, "m")
        const after = yield* imported(tenantId, "other")
        // Policies that take their time: the sweep has begun, and has not yet come to the orphan.
        const role = `slow_${globalThis.crypto.randomUUID().replaceAll("-", "")}`
        yield* PgMigrations.grant(role)
        yield* Effect.addFinalizer(() =>
          Effect.orDie(Effect.andThen(sql.unsafe(`DROP OWNED BY ${role}`), sql.unsafe(`DROP ROLE ${role}`)))
        )
        yield* sql`ALTER TABLE waybill.orphans ENABLE ROW LEVEL SECURITY`
        yield* sql`CREATE POLICY slow ON waybill.orphans USING (pg_sleep(0.4) IS NOT NULL)`
        const slowly = yield* Effect.forkChild(
          sql.withTransaction(Effect.andThen(sql.unsafe(`SET LOCAL ROLE ${role}`), sweep(100)))
        )
        yield* Effect.sleep("200 millis")
        yield* sql.withTransaction(Effect.gen(function*() {
          yield* sql`UPDATE waybill.deliveries SET provider_message_id = 'gone' WHERE id = ${before}`
          yield* sql`UPDATE waybill.deliveries SET provider_message_id = 'm' WHERE id = ${after}`
        }))
        yield* Fiber.join(slowly)
        yield* sql`DROP POLICY slow ON waybill.orphans`
        yield* Effect.sleep("1100 millis")
        yield* sweep(100)
        assert.deepStrictEqual(yield* ledger.timeline({ tenantId, deliveryId: before }), [])
        yield* assertLinked(tenantId, after)
      }).pipe(Effect.scoped, Effect.provide(TestDatabase.ledger)),
    30_000
  )

  it.live("lets exactly one of several dispatches with the same expected version win", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      for (let round = 0; round < 50; round++) {
        const tenantId = Tenant.TenantId.make(`versions-${round}`)
        const deliveryId = Event.DeliveryId.make(yield* freshId)
        const { delivery } = yield* ledger.record(queued(tenantId, deliveryId))
        const results = yield* Effect.all(
          Array.from({ length: 5 }, (_, index) =>
            Effect.result(ledger.dispatch(Delivery.Dispatch.make({
              tenantId,
              deliveryId,
              provider,
              providerMessageId: index % 2 === 0 ? "same" : `other-${index}`,
              expectedVersion: Option.some(delivery.lockVersion)
            })))),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(results.filter((result) => result._tag === "Success").length, 1)
        for (const result of results) {
          if (result._tag === "Failure") assert.strictEqual(result.failure._tag, "StaleDelivery")
        }
      }
    }).pipe(Effect.provide(TestDatabase.ledger)), 60_000)

  it.live("commits and rolls back with a transaction of the caller, updates included", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const ledger = yield* Ledger.Ledger
      const tenantId = Tenant.TenantId.make("joined")
      const deliveryId = Event.DeliveryId.make(yield* freshId)
      yield* sql.withTransaction(Effect.gen(function*() {
        yield* ledger.record(queued(tenantId, deliveryId))
        yield* ledger.append(tenantId, [delivered("m", "a")])
        return yield* Effect.fail("roll back" as const)
      })).pipe(Effect.ignore)
      assert.isTrue(Option.isNone(yield* ledger.delivery({ tenantId, deliveryId })))
      yield* sql.withTransaction(ledger.record(queued(tenantId, deliveryId)))
      assert.isTrue(Option.isSome(yield* ledger.delivery({ tenantId, deliveryId })))
      const [outcome] = yield* ledger.append(tenantId, [delivered("m", "a")])
      assert.strictEqual(outcome?._tag, "Appended")
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)
})
