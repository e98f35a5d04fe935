/**
 * Declares the contract of the `Ledger` port as a test suite that every adapter runs.
 *
 * Every test uses tenants of its own, so that the store under test may be shared, and the test clock for all times; nothing
 * waits on it.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import { type Event, Ledger, Orphan, Orphans, type Tenant } from "@waybill/core"
import { Arbitrary, Context, DateTime, Effect, Layer, Option, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"
import type * as PgLedger from "../PgLedger.ts"
import * as Generators from "./Generators.ts"
import * as Given from "./Given.ts"
import * as History from "./History.ts"
import { Importer } from "./Importer.ts"
import { appending } from "./internal/appending.ts"
import { commands } from "./internal/commands.ts"
import * as Contract from "./internal/contract.ts"
import { details } from "./internal/details.ts"
import { hostile } from "./internal/hostile.ts"
import * as Laws from "./internal/laws.ts"
import { orphans } from "./internal/orphans.ts"
import { reading } from "./internal/reading.ts"
import { searching } from "./internal/searching.ts"
import { sending } from "./internal/sending.ts"

/** For what runs a history more than once, or much after it. */
const fewer = { runs: 12 }

/**
 * Declares what holds for every ledger.
 *
 * @category suites
 * @since 0.1.0
 */
export const suite = <E>(name: string, ledger: Layer.Layer<PgLedger.Ports, E>): void =>
  Contract.declare(name, ledger, (contract) => {
    commands(contract)
    sending(contract)
    appending(contract)
    orphans(contract)
    reading(contract)
    details(contract)
    searching(contract)
    hostile(contract)
    contract.histories("the laws hold after whatever happened", Generators.history, Laws.assertHistory)
    contract.histories(
      "a tenant sees the same without the others",
      Generators.history,
      (history) => Laws.assertApart(history, compare),
      fewer
    )
  })

const imported = Effect.fnUntraced(function*(
  tenantId: Tenant.TenantId,
  message: string,
  recipient = Given.recipient
) {
  const { importDelivery } = yield* Importer
  const id = yield* Given.deliveryId
  const row = { tenantId, id, recipient, provider: Given.provider, providerMessageId: Given.messageId(message) }
  assert.isTrue(yield* importDelivery(row))
  return { tenantId, id }
})

const day = { days: 1 }

const sweep = (scope: Tenant.Scope, options: { readonly limit?: number } = {}) =>
  Effect.gen(function*() {
    const orphans = yield* Orphans.Orphans
    const now = yield* DateTime.now
    return yield* orphans.link({
      scope,
      limit: options.limit ?? 100,
      insertedFrom: DateTime.subtract(now, day),
      insertedTo: now
    })
  })

const linking = ({ example }: Contract.Contract<PgLedger.Ports | Importer>): void => {
  example(
    "a sweep links the orphans of a delivery that another writer inserted, once",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const orphans = yield* Orphans.Orphans
      const tenantId = yield* Given.tenant
      const outcomes = yield* Contract.appended(tenantId, [
        Given.report("delivered", "m-1", { occurredAt: Given.afterNoon(-60) }),
        Given.report("opened", "m-1"),
        Given.report("opened", "m-2")
      ])
      const delivery = yield* imported(tenantId, "m-1")
      assert.lengthOf(yield* Contract.pending(tenantId), 3)
      const attempt = yield* orphans.attemptLink({ tenantId, id: outcomes[0]?.eventId ?? assert.fail("no event") })
      assert.strictEqual(attempt.delivery.id, delivery.id)
      assert.deepStrictEqual(
        yield* orphans.explain({ tenantId, eventId: attempt.event.id }),
        { _tag: "Linkable", deliveryId: delivery.id }
      )
      const updates = yield* ledger.updates
      yield* TestClock.adjust("1 minute")
      const { failed, links, scanned } = yield* sweep(tenantId)
      assert.deepStrictEqual([scanned, failed], [2, 0])
      assert.deepStrictEqual(
        links.map(({ deliveryId, eventId, tenantId, type }) => ({ deliveryId, eventId, tenantId, type })),
        outcomes.slice(0, 2).map(({ eventId }, index) => ({
          deliveryId: delivery.id,
          eventId,
          tenantId,
          type: index === 0 ? "delivered" as const : "opened" as const
        }))
      )
      for (const { insertedAt } of links) {
        assert.strictEqual(insertedAt.epochMilliseconds, Given.noon.epochMilliseconds)
      }
      const stored = yield* Contract.fetch(delivery)
      assert.deepStrictEqual([stored.lockVersion, stored.status, stored.terminal], [2, "sent", true])
      assert.strictEqual(stored.updatedAt.epochMilliseconds, Given.afterNoon(60).epochMilliseconds)
      assert.sameDeepMembers(
        [...yield* Contract.told(updates, tenantId)],
        links.map(({ deliveryId, eventId, type }) => ({ tenantId, deliveryId, eventId, type, cause: "reconciled" }))
      )
      const again = yield* sweep(tenantId)
      assert.deepStrictEqual([again.scanned, again.links.length], [0, 0])
      Contract.sameDelivery(yield* Contract.fetch(delivery), stored)
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "a sweep takes the oldest first and at most so many, until none is left",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const expected: Array<Event.EventId> = []
      for (let index = 0; index < 5; index++) {
        expected.push((yield* Contract.appendOne(tenantId, Given.report("delivered", `m-${index}`))).eventId)
        yield* TestClock.adjust("1 second")
      }
      for (const index of [4, 2, 0, 3, 1]) yield* imported(tenantId, `m-${index}`)
      const found: Array<Event.EventId> = []
      for (const size of [2, 2, 1, 0]) {
        const { links, scanned } = yield* sweep(tenantId, { limit: 2 })
        assert.strictEqual(scanned, size)
        found.push(...links.map(({ eventId }) => eventId))
      }
      assert.deepStrictEqual(found, expected)
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "a sweep leaves alone what is younger than grace or older than the horizon",
    Effect.gen(function*() {
      const orphans = yield* Orphans.Orphans
      const tenantId = yield* Given.tenant
      const ids: Array<Event.EventId> = []
      for (let second = 0; second < 5; second++) {
        ids.push((yield* Contract.appendOne(tenantId, Given.report("delivered", `m-${second}`))).eventId)
        yield* imported(tenantId, `m-${second}`)
        yield* TestClock.adjust("1 second")
      }
      const { links } = yield* orphans.link({
        scope: tenantId,
        limit: 10,
        insertedFrom: Given.afterNoon(1),
        insertedTo: Given.afterNoon(3)
      })
      assert.deepStrictEqual(links.map(({ eventId }) => eventId), ids.slice(1, 4))
      assert.lengthOf(yield* Contract.pending(tenantId), 2)
    })
  )

  example(
    "a linkable orphan is linked by the next sweep whatever junk waits before it",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* imported(tenantId, "shared")
      yield* imported(tenantId, "shared", Given.address("bob@example.com"))
      const junk = (index: number): ReadonlyArray<Event.NewEvent> => [
        Given.report("sent", `stray-${index}`),
        Given.report("sent", undefined, { idempotencyKey: Given.key(`malformed-${index}`) }),
        Given.report("sent", "shared", { idempotencyKey: Given.key(`ambiguous-${index}`) }),
        Given.report("sent", "late", {
          recipient: Given.named("eve@example.com", true),
          idempotencyKey: Given.key(`other-${index}`)
        })
      ]
      yield* Contract.appended(tenantId, Array.from({ length: 40 }, (_, index) => junk(index)).flat())
      yield* TestClock.adjust("1 minute")
      const { eventId } = yield* Contract.appendOne(tenantId, Given.report("delivered", "late"))
      const delivery = yield* imported(tenantId, "late")
      const { links, scanned } = yield* sweep(tenantId, { limit: 1 })
      assert.strictEqual(scanned, 1)
      assert.deepStrictEqual(links.map((link) => [link.eventId, link.deliveryId]), [[eventId, delivery.id]])
      assert.strictEqual((yield* sweep(tenantId)).scanned, 0)
      assert.lengthOf(yield* Contract.pending(tenantId), 160)
    })
  )

  example(
    "a sweep of one tenant leaves the others alone, a sweep of all reaches each",
    Effect.gen(function*() {
      const tenants = yield* Effect.replicateEffect(Given.tenant, 2)
      for (const tenantId of tenants) {
        yield* Contract.appended(tenantId, [Given.report("delivered", "m-1")])
        yield* imported(tenantId, "m-1")
      }
      const [one, other] = tenants
      if (one === undefined || other === undefined) throw new Error("no tenants")
      assert.deepStrictEqual((yield* sweep(one)).links.map(({ tenantId }) => tenantId), [one])
      assert.lengthOf(yield* Contract.pending(other), 1)
      yield* sweep("*", { limit: 10_000 })
      assert.lengthOf(yield* Contract.pending(other), 0)
      for (const tenantId of tenants) yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "a sweep of all tells its links tenant by tenant, the oldest orphan of each first",
    Effect.gen(function*() {
      const tenants = (yield* Effect.replicateEffect(Given.tenant, 2)).toSorted((left, right) => left < right ? -1 : 1)
      const expected = new Map<Tenant.TenantId, ReadonlyArray<Event.EventId>>()
      for (const message of ["m-1", "m-2"]) {
        for (const tenantId of tenants.toReversed()) {
          const { eventId } = yield* Contract.appendOne(tenantId, Given.report("delivered", message))
          expected.set(tenantId, [...expected.get(tenantId) ?? [], eventId])
          yield* imported(tenantId, message)
          yield* TestClock.adjust("1 second")
        }
      }
      const { links } = yield* sweep("*", { limit: 10_000 })
      assert.deepStrictEqual(
        links.filter(({ tenantId }) => tenants.includes(tenantId)).map(({ eventId }) => eventId),
        tenants.flatMap((tenantId) => expected.get(tenantId) ?? [])
      )
    })
  )
}

const racing = ({ example, property }: Contract.Contract<PgLedger.Ports | Importer>): void => {
  property(
    "sweeps, dispatches and webhooks at the same time link every orphan exactly once",
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 }))),
    (size) =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const tenantId = yield* Given.tenant
        const messages = Array.from({ length: size }, (_, index) => `m-${index}`)
        const batch = messages.flatMap((message) => [
          Given.report("delivered", message),
          Given.report("opened", message, { recipient: Given.named("ann@example.com", true) })
        ])
        yield* Contract.appended(tenantId, batch)
        const deliveries = yield* Effect.forEach(messages, (message) => imported(tenantId, message))
        const swept = Effect.map(sweep(tenantId, { limit: 3 }), ({ links }) => links.length)
        const dispatched = (index: number) =>
          Effect.map(
            ledger.dispatch(Given.dispatch(deliveries[index] ?? assert.fail("no delivery"), `m-${index}`)),
            ({ linked }) => linked
          )
        const counts = yield* Effect.all([
          swept,
          swept,
          dispatched(0),
          Effect.as(Contract.appended(tenantId, batch.toReversed()), 0),
          swept
        ], { concurrency: "unbounded" })
        let linked = counts.reduce((total, count) => total + count, 0)
        // What one of them found in the hands of another rests for a while.
        yield* TestClock.adjust(Orphan.heldRest)
        for (let more = yield* swept; more > 0; more = yield* swept) linked += more
        assert.strictEqual(linked, batch.length)
        assert.lengthOf(yield* Contract.pending(tenantId), 0)
        yield* Contract.assertLaws(tenantId)
      })
  )

  example(
    "a dispatch of a delivery that another writer inserted links what waits for it",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      yield* Contract.appended(tenantId, [Given.report("delivered", "m-1")])
      const delivery = yield* imported(tenantId, "m-1")
      const result = yield* ledger.dispatch(Given.dispatch(delivery, "m-1"))
      assert.strictEqual(result.linked, 1)
      assert.strictEqual(result.delivery.lockVersion, 2)
      assert.isTrue(Option.isSome(result.delivery.dispatchedAt))
      assert.strictEqual((yield* sweep(tenantId)).scanned, 0)
      yield* Contract.assertLaws(tenantId)
    })
  )
}

/**
 * Declares what holds for the sweeps of every ledger past which another writer can insert deliveries.
 *
 * @category suites
 * @since 0.1.0
 */
export const sweeps = <E>(name: string, ledger: Layer.Layer<PgLedger.Ports | Importer, E>): void =>
  Contract.declare(name, ledger, (contract) => {
    linking(contract)
    racing(contract)
    contract.histories(
      "the laws hold whatever another writer inserted",
      Generators.historyWithImports,
      Laws.assertHistory
    )
    contract.histories(
      "the next sweep links what has its delivery, whatever else waits",
      Generators.historyWithImports,
      (history) => Laws.assertNotStarved(history, 1 + history.length % 3),
      fewer
    )
    contract.histories(
      "a rebuild restores every projection, and touches nothing that has not drifted",
      Generators.historyWithImports,
      Laws.assertRebuilt,
      fewer
    )
  })

interface Runner {
  readonly run: (history: History.History) => Effect.Effect<ReadonlyArray<string>, unknown>
}

class Left extends Context.Service<Left, Runner>()("@waybill/storage/testing/Left") {}

class Right extends Context.Service<Right, Runner>()("@waybill/storage/testing/Right") {}

/** Runs histories on a ledger. */
const runner = Effect.gen(function*() {
  const context = yield* Effect.context<PgLedger.Ports | Importer | SecureRandom.SecureRandom>()
  return {
    run: (history: History.History) =>
      Effect.map(History.run(history), ({ transcript }) => transcript).pipe(Effect.provide(context))
  }
})

const compare = (left: ReadonlyArray<string>, right: ReadonlyArray<string>): void => {
  const at = left.findIndex((line, index) => line !== right[index])
  const index = at === -1 && right.length > left.length ? left.length : at
  if (index === -1) return
  const common = left.slice(0, index).filter((line) => !line.startsWith("   "))
  assert.fail(
    `the transcripts part after\n${common.join("\n")}\nleft:  ${left[index] ?? "nothing"}\nright: ${
      right[index] ?? "nothing"
    }`
  )
}

/**
 * Declares that two ledgers give the same answers to the same calls, errors included; a failure shows the shortest history
 * found in which they part.
 *
 * @category suites
 * @since 0.1.0
 */
export const twins = <E1, E2>(
  name: string,
  left: Layer.Layer<PgLedger.Ports | Importer, E1>,
  right: Layer.Layer<PgLedger.Ports | Importer, E2>
): void => {
  const services = Layer.merge(
    Layer.effect(Left, runner).pipe(Layer.provide(left)),
    Layer.effect(Right, runner).pipe(Layer.provide(right))
  ).pipe(Layer.provide(SecureRandom.layerWebCrypto))
  Contract.declare(name, services, ({ histories }) => {
    histories(
      "the same history gives the same answers",
      Generators.historyWithImports,
      (history) =>
        Effect.gen(function*() {
          const one = yield* Left
          const other = yield* Right
          compare(yield* one.run(history), yield* other.run(history))
        }),
      { runs: 200 }
    )
  })
}

/** Asserts that every key has one event, whoever appended it how often, and that no update was lost or told twice. */
const assertOnce = Effect.fnUntraced(function*({ answers, tenantId, updates }: History.Seen) {
  const orphans = yield* Orphans.Orphans
  for (const [key, own] of Map.groupBy(answers, ({ key }) => key)) {
    const ids = own.map(({ outcome }) => Ledger.isConflict(outcome) ? outcome.storedEventId : outcome.eventId)
    assert.lengthOf(own.filter(({ outcome }) => outcome._tag === "Appended"), 1, `appended once: ${key}`)
    assert.strictEqual(new Set(ids).size, 1, `one event: ${key}`)
    const [eventId] = ids
    if (eventId !== undefined) yield* orphans.explain({ tenantId, eventId })
  }
  const timelines = yield* Effect.forEach(yield* Contract.deliveriesOf(tenantId), Contract.timeline)
  const facts = timelines.flat().filter(({ event }) => event.type !== "reconciled").map(({ event }) => event.id)
  const stored = [...facts, ...(yield* Contract.pending(tenantId)).map(({ id }) => id)]
  assert.strictEqual(new Set(stored).size, stored.length, "an event is in two places")
  assert.deepStrictEqual(updates.map(({ eventId }) => eventId).toSorted(), facts.toSorted(), "what was told")
})

/** The pending orphans of a tenant that could be linked, each with its delivery. */
const linkable = Effect.fnUntraced(function*(tenantId: Tenant.TenantId) {
  const orphans = yield* Orphans.Orphans
  const found = yield* Effect.forEach(
    yield* Contract.pending(tenantId),
    (event) => Effect.map(orphans.explain({ tenantId, eventId: event.id }), (explanation) => ({ event, explanation }))
  )
  return yield* Effect.forEach(
    found.flatMap(({ event, explanation }) => explanation._tag === "Linkable" ? [{ event, ...explanation }] : []),
    ({ deliveryId, event }) =>
      Effect.map(Contract.fetch({ tenantId, id: deliveryId }), (delivery) => ({ delivery, event }))
  )
})

/** Asserts that no orphan was left to a sweep but those whose delivery another writer inserted, and none by a sweep. */
const assertMet = Effect.fnUntraced(function*(tenantId: Tenant.TenantId) {
  const orphans = yield* Orphans.Orphans
  const missed = (yield* linkable(tenantId)).filter(({ delivery, event }) =>
    Option.isSome(event.echoedDeliveryId) ? delivery.mailable !== "imported" : Option.isSome(delivery.dispatchedAt)
  )
  assert.deepStrictEqual(missed, [], "an orphan is left to a sweep")
  // What rests because its delivery was held, by whichever clock, is released.
  for (const { event } of yield* linkable(tenantId)) yield* orphans.retry({ tenantId, eventId: event.id })
  const wide = { insertedFrom: Given.afterNoon(-36_000), insertedTo: Given.afterNoon(36_000) }
  for (let left = 1; left > 0;) {
    const { held, scanned } = yield* orphans.link({ scope: tenantId, limit: 100, ...wide })
    left = held + scanned
  }
  assert.deepStrictEqual(yield* linkable(tenantId), [], "an orphan is left by a sweep")
})

/**
 * Declares that the laws hold where the calls of a history come from several fibers at once, on as many connections as the
 * ledger has.
 *
 * @category suites
 * @since 0.1.0
 */
export const concurrent = <E>(
  name: string,
  ledger: Layer.Layer<PgLedger.Ports | Importer, E>,
  options: { readonly runs?: number } = {}
): void =>
  Contract.declare(name, ledger, ({ histories }) => {
    histories(
      "the laws hold where calls come from several fibers at once",
      Generators.historyWithImports,
      (history) =>
        Effect.flatMap(
          History.runConcurrently(history, 4),
          Effect.forEach((seen) =>
            Effect.gen(function*() {
              yield* assertOnce(seen)
              yield* Contract.assertLaws(seen.tenantId)
              yield* assertMet(seen.tenantId)
              yield* Contract.assertLaws(seen.tenantId)
            })
          )
        ),
      // What fails by a race may pass the next time: more tries say no more.
      { runs: 25, maxShrinks: 300, ...options }
    )
  })
