import { assert, describe, it } from "@effect/vitest"
import { Delivery, Event, IdempotencyKey, Ledger, Orphans, Provider, Recipient, Tenant } from "@waybill/core"
import { Reconciler } from "@waybill/runtime"
import { Importer } from "@waybill/storage/testing"
import { Context, DateTime, Effect, Fiber, Layer, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"

const postmark = Provider.Provider.make("postmark")
const acme = Tenant.TenantId.make("acme")
const globex = Tenant.TenantId.make("globex")

const deliveryId = (n: number) => Event.DeliveryId.make(`00000000-0000-7000-8000-${String(n).padStart(12, "0")}`)

/** Inserts a delivery past the ledger, so that only a sweep links what waits for it. */
class Writer extends Context.Service<Writer, {
  readonly insert: (tenantId: Tenant.TenantId, n: number) => Effect.Effect<boolean>
}>()("test/Writer") {}

const layer = Layer.provideMerge(
  Reconciler.layer,
  Layer.effect(
    Writer,
    Effect.map(Importer.Importer, ({ importDelivery }) =>
      Writer.of({
        insert: (tenantId, n) =>
          Effect.orDie(importDelivery({
            tenantId,
            id: deliveryId(n),
            recipient: Recipient.Recipient.make(`reader-${n}@example.com`),
            provider: postmark,
            providerMessageId: Provider.MessageId.make(`message-${n}`)
          }))
      }))
  ).pipe(Layer.provideMerge(Importer.layerMemory), Layer.provide(SecureRandom.layerWebCrypto))
)

/** A report on message `n`, appended now. */
const report = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, n: number) {
  const ledger = yield* Ledger.Ledger
  const [outcome] = yield* ledger.append(tenantId, [
    Event.NewEvent.make({
      type: "delivered",
      occurredAt: yield* DateTime.now,
      provider: postmark,
      providerMessageId: Option.some(Provider.MessageId.make(`message-${n}`)),
      idempotencyKey: IdempotencyKey.IdempotencyKey.make(`postmark:${n}`)
    })
  ])
  if (outcome === undefined || Ledger.isConflict(outcome)) return assert.fail("the report was not appended")
  return outcome.eventId
})

const reportAll = (tenantId: Tenant.TenantId, count: number) =>
  Effect.forEach(Array.from({ length: count }, (_, n) => n), (n) => report(tenantId, n))

const insertAll = (tenantId: Tenant.TenantId, count: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, n) => n),
    (n) => Writer.use((writer) => writer.insert(tenantId, n))
  )

const sweep = (options?: Reconciler.SweepOptions) => Reconciler.Reconciler.use(({ sweep }) => sweep(options))

const lastEventType = (tenantId: Tenant.TenantId, n: number) =>
  Ledger.Ledger.use((ledger) => ledger.delivery({ tenantId, deliveryId: deliveryId(n) })).pipe(
    Effect.map(Option.flatMap(({ lastEventType }) => lastEventType)),
    Effect.map(Option.getOrUndefined)
  )

describe("sweep", () => {
  it.effect("links an orphan whose delivery was written by another program", () =>
    Effect.gen(function*() {
      yield* report(acme, 1)
      yield* Writer.use((writer) => writer.insert(acme, 1))
      yield* TestClock.adjust("61 seconds")

      assert.deepStrictEqual(yield* sweep(), { scanned: 1, linked: 1, failed: 0, remaining: 0 })
      assert.strictEqual(yield* lastEventType(acme, 1), "delivered")
    }).pipe(Effect.provide(layer)))

  it.effect("changes nothing the second time", () =>
    Effect.gen(function*() {
      yield* report(acme, 1)
      yield* Writer.use((writer) => writer.insert(acme, 1))
      yield* TestClock.adjust("61 seconds")
      yield* sweep()
      const ledger = yield* Ledger.Ledger
      const before = yield* ledger.delivery({ tenantId: acme, deliveryId: deliveryId(1) })
      yield* TestClock.adjust("5 minutes")

      assert.deepStrictEqual(yield* sweep(), { scanned: 0, linked: 0, failed: 0, remaining: 0 })
      assert.deepStrictEqual(yield* ledger.delivery({ tenantId: acme, deliveryId: deliveryId(1) }), before)
    }).pipe(Effect.provide(layer)))

  it.effect("leaves an orphan alone until its grace has passed", () =>
    Effect.gen(function*() {
      yield* report(acme, 1)
      yield* Writer.use((writer) => writer.insert(acme, 1))

      yield* TestClock.adjust("59999 millis")
      assert.strictEqual((yield* sweep()).scanned, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* sweep()).linked, 1)
    }).pipe(Effect.provide(layer)))

  it.effect("takes a grace of nothing", () =>
    Effect.gen(function*() {
      yield* report(acme, 1)
      yield* Writer.use((writer) => writer.insert(acme, 1))

      assert.strictEqual((yield* sweep({ grace: "0 seconds" })).linked, 1)
    }).pipe(Effect.provide(layer)))

  it.effect("leaves an orphan alone beyond the horizon", () =>
    Effect.gen(function*() {
      yield* report(acme, 1)
      yield* TestClock.adjust("1 millis")
      yield* report(acme, 2)
      yield* insertAll(acme, 3)
      yield* TestClock.adjust("7 days")

      assert.deepStrictEqual(yield* sweep(), { scanned: 1, linked: 1, failed: 0, remaining: 0 })
      assert.strictEqual(yield* lastEventType(acme, 1), undefined)
      assert.strictEqual(yield* lastEventType(acme, 2), "delivered")
      assert.strictEqual((yield* sweep({ maxAgeMinutes: 10_081 })).linked, 1)
    }).pipe(Effect.provide(layer)))

  it.effect("drains in batches until none is left", () =>
    Effect.gen(function*() {
      yield* reportAll(acme, 25)
      yield* insertAll(acme, 25)
      yield* TestClock.adjust("2 minutes")

      assert.deepStrictEqual(yield* sweep({ batchSize: 10 }), { scanned: 25, linked: 25, failed: 0, remaining: 0 })
    }).pipe(Effect.provide(layer)))

  it.effect("links what is linkable, however many older orphans wait for nothing", () =>
    Effect.gen(function*() {
      yield* reportAll(acme, 30)
      yield* Writer.use((writer) => writer.insert(acme, 29))
      yield* TestClock.adjust("2 minutes")

      assert.deepStrictEqual(yield* sweep({ batchSize: 1 }), { scanned: 1, linked: 1, failed: 0, remaining: 0 })
    }).pipe(Effect.provide(layer)))

  it.effect("computes its window once, so that it ends however long it takes", () =>
    Effect.gen(function*() {
      const windows: Array<readonly [number, number]> = []
      let left = 3
      const slow = Layer.effect(
        Orphans.Orphans,
        Orphans.Orphans.use((orphans) =>
          Effect.succeed(Orphans.Orphans.of({
            ...orphans,
            link: Effect.fnUntraced(function*(query) {
              windows.push([query.insertedFrom.epochMilliseconds, query.insertedTo.epochMilliseconds])
              yield* TestClock.adjust("1 hours")
              left -= 1
              return { scanned: left, held: 0, links: [], failed: left }
            })
          }))
        )
      ).pipe(Layer.provide(layer))
      yield* TestClock.setTime(Date.UTC(2026, 0, 2))

      const swept = yield* sweep({ grace: "1 hours", maxAgeMinutes: 1440 }).pipe(
        Effect.provide(Layer.provide(Layer.fresh(Reconciler.layer), slow))
      )

      assert.deepStrictEqual(swept, { scanned: 3, linked: 0, failed: 3, remaining: 0 })
      assert.deepStrictEqual(windows, Array.from({ length: 3 }, () => [Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 1, 23)]))
    }))

  it.effect("comes back for orphans whose delivery another transaction holds, for ten seconds", () =>
    Effect.gen(function*() {
      const holding = (batches: number) => {
        let left = batches
        return Layer.effect(
          Orphans.Orphans,
          Orphans.Orphans.use((orphans) =>
            Effect.succeed(Orphans.Orphans.of({
              ...orphans,
              // It holds two orphans in every other batch, which is what a pass sees once.
              link: () =>
                Effect.sync(() => {
                  left -= 1
                  return left > 0 && left % 2 === 1
                    ? { scanned: 0, held: 2, links: [], failed: 0 }
                    : { scanned: 0, held: 0, links: [], failed: 0 }
                })
            }))
          )
        ).pipe(Layer.provide(layer))
      }
      const during = (batches: number) =>
        Effect.gen(function*() {
          const fiber = yield* sweep().pipe(
            Effect.provide(Layer.provide(Layer.fresh(Reconciler.layer), holding(batches))),
            Effect.forkChild
          )
          yield* TestClock.adjust("10 seconds")
          return yield* Fiber.join(fiber)
        })

      assert.deepStrictEqual(yield* during(8), { scanned: 0, linked: 0, failed: 0, remaining: 0 })
      assert.deepStrictEqual(yield* during(1000), { scanned: 0, linked: 0, failed: 0, remaining: 2 })
    }))

  it.effect("keeps to one tenant where it is named and reaches all where none is", () =>
    Effect.gen(function*() {
      yield* report(acme, 1)
      yield* report(globex, 1)
      yield* Writer.use((writer) => writer.insert(acme, 1))
      yield* Writer.use((writer) => writer.insert(globex, 1))
      yield* TestClock.adjust("2 minutes")

      assert.strictEqual((yield* sweep({ tenantId: globex })).linked, 1)
      assert.strictEqual(yield* lastEventType(acme, 1), undefined)
      assert.strictEqual((yield* sweep()).linked, 1)
      assert.strictEqual(yield* lastEventType(acme, 1), "delivered")
    }).pipe(Effect.provide(layer)))

  it.effect("does not let a tenant's backlog delay the orphans of another", () =>
    Effect.gen(function*() {
      yield* reportAll(acme, 500)
      yield* insertAll(acme, 500)
      yield* TestClock.adjust("1 hours")
      yield* reportAll(globex, 2)
      yield* insertAll(globex, 2)
      yield* TestClock.adjust("2 minutes")
      const seen: Array<string | undefined> = []

      const swept = yield* sweep({
        batchSize: 10,
        onBatch: Effect.fnUntraced(function*() {
          seen.push(yield* Effect.orDie(lastEventType(globex, 1)))
        }, Effect.provide(yield* Effect.context<Ledger.Ledger>()))
      })

      assert.strictEqual(swept.linked, 502)
      assert.strictEqual(seen[0], "delivered")
    }).pipe(Effect.provide(layer)))

  it.effect("tells after each batch what it has done so far", () =>
    Effect.gen(function*() {
      yield* reportAll(acme, 25)
      yield* insertAll(acme, 25)
      yield* TestClock.adjust("2 minutes")
      const told: Array<Reconciler.Swept> = []
      yield* sweep({ batchSize: 10, onBatch: (sofar) => Effect.sync(() => told.push(sofar)) })
      assert.deepStrictEqual(told.map(({ linked }) => linked), [10, 20, 25])
    }).pipe(Effect.provide(layer)))

  it.effect("links each orphan once when two sweeps run at once", () =>
    Effect.gen(function*() {
      yield* reportAll(acme, 40)
      yield* insertAll(acme, 40)
      yield* TestClock.adjust("2 minutes")

      const swept = yield* Effect.all([sweep({ batchSize: 7 }), sweep({ batchSize: 3 })], { concurrency: "unbounded" })
      assert.strictEqual(swept.reduce((sum, { linked }) => sum + linked, 0), 40)

      const ledger = yield* Ledger.Ledger
      for (const n of Array.from({ length: 40 }, (_, index) => index)) {
        const timeline = yield* ledger.timeline({ tenantId: acme, deliveryId: deliveryId(n) })
        assert.deepStrictEqual(timeline.map(({ event }) => event.type), ["delivered", "reconciled"])
      }
    }).pipe(Effect.provide(layer)))

  for (
    const [field, options] of [
      ["maxAgeMinutes", { maxAgeMinutes: 0 }],
      ["maxAgeMinutes", { maxAgeMinutes: 1.5 }],
      ["maxAgeMinutes", { maxAgeMinutes: Infinity }],
      ["grace", { grace: "-1 seconds" }],
      ["grace", { grace: "Infinity" }],
      ["limit", { batchSize: 0 }],
      ["limit", { batchSize: 10_001 }]
    ] satisfies ReadonlyArray<readonly [string, Reconciler.SweepOptions]>
  ) {
    it.effect(`refuses ${JSON.stringify(options)}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(sweep(options))
        assert.strictEqual(error._tag, "InvalidInput")
        assert.include(error.message, `${field}:`)
      }).pipe(Effect.provide(layer)))
  }
})

describe("findOrphans", () => {
  const find = (options?: Reconciler.OrphanOptions) =>
    Reconciler.Reconciler.use(({ findOrphans }) => findOrphans(options)).pipe(
      Effect.map((events) => events.map(({ id }) => id))
    )

  it.effect("gives the oldest first, as many as asked for", () =>
    Effect.gen(function*() {
      const ids: Array<Event.EventId> = []
      for (const n of [1, 2, 3]) {
        ids.push(yield* report(acme, n))
        yield* TestClock.adjust("1 seconds")
      }
      assert.deepStrictEqual(yield* find(), ids)
      assert.deepStrictEqual(yield* find({ limit: 2 }), ids.slice(0, 2))
    }).pipe(Effect.provide(layer)))

  it.effect("gives 100 where no limit is named", () =>
    Effect.gen(function*() {
      yield* reportAll(acme, 101)
      assert.lengthOf(yield* find(), 100)
    }).pipe(Effect.provide(layer)))

  it.effect("leaves out those beyond the horizon and those of other tenants", () =>
    Effect.gen(function*() {
      const old = yield* report(acme, 1)
      yield* TestClock.adjust("1 minutes")
      const other = yield* report(globex, 2)
      yield* TestClock.adjust("10080 minutes")

      assert.deepStrictEqual(yield* find(), [other])
      assert.deepStrictEqual(yield* find({ maxAgeMinutes: 10_081 }), [old, other])
      assert.deepStrictEqual(yield* find({ maxAgeMinutes: 20_000, tenantId: acme }), [old])
    }).pipe(Effect.provide(layer)))

  it.effect("refuses numbers that mean nothing", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(find({ limit: 0 })))._tag, "InvalidInput")
      assert.strictEqual((yield* Effect.flip(find({ maxAgeMinutes: -1 })))._tag, "InvalidInput")
    }).pipe(Effect.provide(layer)))
})

describe("attemptLink", () => {
  const attempt = (tenantId: Tenant.TenantId, id: Event.EventId) =>
    Reconciler.Reconciler.use(({ attemptLink }) => attemptLink({ tenantId, id }))

  it.effect("gives event and delivery and changes nothing", () =>
    Effect.gen(function*() {
      const id = yield* report(acme, 1)
      yield* Writer.use((writer) => writer.insert(acme, 1))
      const ledger = yield* Ledger.Ledger
      const before = yield* ledger.delivery({ tenantId: acme, deliveryId: deliveryId(1) })

      const { delivery, event } = yield* attempt(acme, id)

      assert.strictEqual(event.id, id)
      assert.strictEqual(delivery.id, deliveryId(1))
      assert.deepStrictEqual(yield* ledger.delivery({ tenantId: acme, deliveryId: deliveryId(1) }), before)
      assert.lengthOf(yield* Reconciler.Reconciler.use(({ findOrphans }) => findOrphans()), 1)
    }).pipe(Effect.provide(layer)))

  it.effect("says that the delivery is not there", () =>
    Effect.gen(function*() {
      const id = yield* report(acme, 1)
      yield* Writer.use((writer) => writer.insert(globex, 1))
      assert.strictEqual((yield* Effect.flip(attempt(acme, id)))._tag, "DeliveryNotFound")
    }).pipe(Effect.provide(layer)))

  it.effect("says that the event names nothing to meet on", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      yield* ledger.append(acme, [
        Event.NewEvent.make({
          type: "unknown",
          occurredAt: yield* DateTime.now,
          provider: postmark,
          idempotencyKey: IdempotencyKey.IdempotencyKey.make("postmark:nothing")
        })
      ])
      const orphans = yield* Reconciler.Reconciler.use(({ findOrphans }) => findOrphans())
      const errors = yield* Effect.forEach(orphans, ({ id }) => Effect.flip(attempt(acme, id)))
      assert.deepStrictEqual(errors.map(({ _tag }) => _tag), ["MalformedPayload"])
    }).pipe(Effect.provide(layer)))

  it.effect("says that the tenant has no such event", () =>
    Effect.gen(function*() {
      const id = yield* report(acme, 1)
      assert.strictEqual((yield* Effect.flip(attempt(globex, id)))._tag, "EventNotFound")
    }).pipe(Effect.provide(layer)))

  it.effect("gives the delivery of an orphan that was linked since", () =>
    Effect.gen(function*() {
      const id = yield* report(acme, 1)
      const ledger = yield* Ledger.Ledger
      const { delivery } = yield* ledger.record(
        Delivery.NewDelivery.make({
          tenantId: acme,
          recipient: Recipient.Recipient.make("reader@example.com"),
          mailable: "welcome",
          stream: "transactional"
        })
      )
      yield* ledger.dispatch(
        Delivery.Dispatch.make({
          tenantId: acme,
          deliveryId: delivery.id,
          provider: postmark,
          providerMessageId: "message-1"
        })
      )
      assert.strictEqual((yield* attempt(acme, id)).delivery.id, delivery.id)
    }).pipe(Effect.provide(layer)))
})
