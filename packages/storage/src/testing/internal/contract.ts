/** Declares tests of a contract, and gives them what they share. */
import { assert, layer } from "@effect/vitest"
import {
  Audit,
  Cursor,
  Delivery,
  DeliveryUpdate,
  Event,
  Figure,
  Figures,
  Ledger,
  Orphans,
  Projection,
  type Tenant
} from "@waybill/core"
import {
  Arbitrary,
  Cause,
  Config,
  Console,
  DateTime,
  Effect,
  Equal,
  Layer,
  Option,
  PubSub,
  Random,
  Schema,
  type Scope
} from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"
import type * as PgLedger from "../../PgLedger.ts"
import * as Generators from "../Generators.ts"
import * as Given from "../Given.ts"
import * as History from "../History.ts"

/** What a test may use: what is under test and a random source for names that no other test has. */
export type Services<R> = R | SecureRandom.SecureRandom | Scope.Scope

/** How the tests of a contract are declared; each begins at noon of 2026-03-01 by the test clock. */
export interface Contract<R = PgLedger.Ports> {
  readonly example: (name: string, body: Effect.Effect<unknown, unknown, Services<R>>) => void
  readonly property: <A>(
    name: string,
    arbitrary: Arbitrary.Arbitrary<A>,
    body: (value: A) => Effect.Effect<unknown, unknown, Services<R>>,
    runs?: number
  ) => void
  /** A property of generated histories, whose seed is printed and may be given, as may the number of runs. */
  readonly histories: (
    name: string,
    arbitrary: Arbitrary.Arbitrary<History.History>,
    body: (history: History.History) => Effect.Effect<unknown, unknown, Services<R>>,
    options?: { readonly runs?: number; readonly maxShrinks?: number }
  ) => void
}

const timeout = 120_000

/** What one of many histories may take. */
const timeoutEach = 500

const fewRuns = 25

const longShrinks = 2000

const drawnSeed = Effect.map(Random.nextIntBetween(0, 1_000_000_000), String)

/** Looks for a history that falsifies a property, prints the seed it draws them from, and dies with the shortest found. */
const falsify = Effect.fnUntraced(function*<E, R>(
  arbitrary: Arbitrary.Arbitrary<History.History>,
  property: (history: History.History) => Effect.Effect<unknown, E, R>,
  runs: number,
  maxShrinks: number
) {
  const given = yield* Effect.orDie(Config.option(Config.String("WAYBILL_TEST_SEED")))
  const seed = Option.isSome(given) ? given.value : yield* drawnSeed
  yield* Console.log(`${runs} histories of seed ${seed}`)
  const result = yield* Arbitrary.checkEffect(
    arbitrary,
    (history) =>
      Effect.as(property(history), true).pipe(
        Effect.catchCause((cause): Effect.Effect<never, Cause.Cause<E>> =>
          Cause.hasInterrupts(cause) ? Effect.interrupt : Effect.fail(cause)
        )
      ),
    { runs, seed, size: Generators.size, maxShrinks }
  )
  if (result._tag === "Passed") return undefined
  if (result._tag !== "Falsified") return yield* Effect.die(new Error(Arbitrary.formatCheckFailure(result)))
  return yield* Effect.die(
    new Error([
      `a history fails, found as number ${result.runs} and made shorter ${result.shrinks} times`,
      `const history: History.History = ${History.toSource(result.shrunkInput)}`,
      result.failure._tag === "PropertyError" ? Cause.pretty(result.failure.error) : "",
      `once more: WAYBILL_TEST_SEED=${seed} WAYBILL_TEST_RUNS=${runs}`
    ].join("\n"))
  )
})

/** Declares the tests of a contract; the layer is built once and lives by the real clock, so that its timers run. */
export const declare = <R, E>(
  name: string,
  services: Layer.Layer<R, E>,
  define: (contract: Contract<R>) => void
): void =>
  layer(Layer.merge(services, SecureRandom.layerWebCrypto), { excludeTestServices: true, timeout })(name, (it) => {
    const givenRuns = Effect.runSync(Effect.orDie(Config.option(Config.Int("WAYBILL_TEST_RUNS"))))
    const atNoon = <A, E2, R2>(body: Effect.Effect<A, E2, R2>) =>
      Effect.andThen(TestClock.setTime(Given.noon.epochMilliseconds), body).pipe(
        Effect.asVoid,
        Effect.scoped,
        Effect.provide(TestClock.layer())
      )
    define({
      example: (name, body) => it.effect(name, () => atNoon(body), timeout),
      property: (name, arbitrary, body, runs = fewRuns) =>
        it.effect.prop(name, { value: arbitrary }, ({ value }) => atNoon(body(value)), {
          timeout,
          arbitrary: { runs, size: Generators.size, maxShrinks: longShrinks }
        }),
      histories: (name, arbitrary, body, { maxShrinks = longShrinks, runs: few = fewRuns } = {}) => {
        const runs = Option.getOrElse(givenRuns, () => few)
        it.effect(
          name,
          () => falsify(arbitrary, (history) => atNoon(body(history)), runs, maxShrinks),
          Math.max(timeout, runs * timeoutEach)
        )
      }
    })
  })

const encodeDelivery = Schema.encodeSync(Delivery.Delivery)

const encodeEvent = Schema.encodeSync(Event.Event)

/** Asserts that two deliveries are equal in all that is stored. */
export const sameDelivery = (actual: Delivery.Delivery, expected: Delivery.Delivery): void =>
  assert.deepStrictEqual(encodeDelivery(actual), encodeDelivery(expected))

/** Asserts that two events are equal in all that is stored. */
export const sameEvent = (actual: Event.Event, expected: Event.Event): void =>
  assert.deepStrictEqual(encodeEvent(actual), encodeEvent(expected))

/** A delivery that is there. */
export const fetch = Effect.fnUntraced(function*(delivery: Pick<Delivery.Delivery, "tenantId" | "id">) {
  const ledger = yield* Ledger.Ledger
  const found = yield* ledger.delivery({ tenantId: delivery.tenantId, deliveryId: delivery.id })
  return Option.getOrThrow(found)
})

/** The timeline of a delivery. */
export const timeline = Effect.fnUntraced(function*(delivery: Pick<Delivery.Delivery, "tenantId" | "id">) {
  const ledger = yield* Ledger.Ledger
  return yield* ledger.timeline({ tenantId: delivery.tenantId, deliveryId: delivery.id })
})

/** The pending orphans of a tenant. */
export const pending = Effect.fnUntraced(function*(tenantId: Tenant.TenantId) {
  const orphans = yield* Orphans.Orphans
  const found = yield* orphans.find({
    scope: tenantId,
    limit: 10_000,
    insertedFrom: Option.none(),
    failedOnly: false
  })
  return found.map(({ event }) => event)
})

/** All deliveries of a tenant. */
export const deliveriesOf = Effect.fnUntraced(function*(tenantId: Tenant.TenantId) {
  const ledger = yield* Ledger.Ledger
  return yield* ledger.deliveries({ tenantId, after: Option.none(), limit: 10_000 })
})

/** The outcomes of appending, none of which is a conflict. */
export const appended = Effect.fnUntraced(function*(
  tenantId: Tenant.TenantId,
  reports: ReadonlyArray<Event.NewEvent>
) {
  const ledger = yield* Ledger.Ledger
  const outcomes = yield* ledger.append(tenantId, reports)
  return outcomes.map((outcome) => {
    if (Ledger.isConflict(outcome)) throw new Error("a report was taken for another one of the same key")
    return outcome
  })
})

/** Appends one report and gives its outcome. */
export const appendOne = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, report: Event.NewEvent) {
  const [outcome] = yield* appended(tenantId, [report])
  return outcome ?? assert.fail("an append gave no outcome")
})

/** Links an event to a delivery by hand. */
export const linkedTo = (tenantId: Tenant.TenantId, eventId: Event.EventId, deliveryId: Event.DeliveryId) =>
  Orphans.Orphans.use((orphans) => orphans.linkTo({ tenantId, eventId, deliveryId, expectedVersion: Option.none() }))

/** Asserts that a call is refused with an error of a tag, and gives it. */
export const refused = <const Tag extends string, A, E extends { readonly _tag: string }, R>(
  effect: Effect.Effect<A, E, R>,
  tag: Tag
): Effect.Effect<Extract<E, { readonly _tag: Tag }>, A, R> =>
  Effect.map(Effect.flip(effect), (error) => {
    const isOfTag = (each: E): each is Extract<E, { readonly _tag: Tag }> => each._tag === tag
    return isOfTag(error) ? error : assert.fail(`expected ${tag}, was ${error._tag}`)
  })

/** What was told of a tenant since the last time. */
export const told = (
  subscription: PubSub.Subscription<DeliveryUpdate.DeliveryUpdate>,
  tenantId: Tenant.TenantId
): Effect.Effect<ReadonlyArray<DeliveryUpdate.DeliveryUpdate>> =>
  Effect.map(
    PubSub.takeUpTo(subscription, DeliveryUpdate.capacity),
    (updates) => updates.filter((update) => update.tenantId === tenantId)
  )

/** Each of all dimensions alone, a few together, and each window: by the hour and by the day. */
const asked: ReadonlyArray<{ readonly by: ReadonlyArray<Figures.Dimension>; readonly days: number }> = [
  { by: ["stream", "provider", "mailbox"], days: 2 },
  { by: ["tenant", "mailbox", "stream"], days: 30 },
  { by: ["domain", "provider"], days: 30 },
  { by: [], days: 30 }
]

/** Asserts that the figures of a tenant, once they have followed its events, are what counting its ledger gives. */
export const assertFigures = Effect.fnUntraced(function*(tenantId: Tenant.TenantId) {
  const figures = yield* Figures.Figures
  const entries = yield* Effect.forEach(
    yield* deliveriesOf(tenantId),
    (delivery) => Effect.map(timeline(delivery), (of) => ({ delivery, facts: of.map(({ event }) => event) }))
  )
  const contributions = entries.flatMap(({ delivery, facts }) => Option.toArray(Figure.contributionOf(delivery, facts)))
  const now = yield* DateTime.now
  const compared = Effect.forEach(asked, ({ by, days }) =>
    Effect.gen(function*() {
      const query = yield* Figures.check({
        scope: tenantId,
        from: DateTime.subtract(Given.noon, { days: days - 1 }),
        to: DateTime.add(Given.noon, { days: 1 }),
        by,
        limit: 100
      })
      const found = yield* figures.read(query)
      return { found, counted: Figures.tableOf(query, Figures.rowsOf(query, contributions), found.followedAt, now) }
    }))
  yield* Figures.followToNow()
  if ((yield* compared).some(({ counted, found }) => !Equal.equals(found.figures, counted.figures))) {
    // A transaction elsewhere in the cluster that is open still may hold the feed back.
    const ledger = yield* Ledger.Ledger
    yield* ledger.changes({ scope: tenantId, after: Cursor.start, limit: 10_000 }).pipe(
      Effect.tap(TestClock.withLive(Effect.sleep("5 millis"))),
      Effect.map((changes) => new Set(changes.map(({ event }) => event.id))),
      Effect.repeat({ until: (fed) => entries.every(({ facts }) => facts.every(({ id }) => fed.has(id))), times: 4000 })
    )
    yield* Figures.followToNow()
  }
  for (const { counted, found } of yield* compared) {
    assert.deepStrictEqual(found, counted, "the figures are not what counting the ledger gives")
  }
})

/**
 * Asserts what holds for a tenant after whatever happened: every projection is the fold of its timeline, every orphan is
 * either pending or linked once, and nothing has drifted.
 */
export const assertLaws = Effect.fnUntraced(function*(tenantId: Tenant.TenantId) {
  const audit = yield* Audit.Audit
  const linked: Array<Event.EventId> = []
  for (const delivery of yield* deliveriesOf(tenantId)) {
    const entries = yield* timeline(delivery)
    const folded = Projection.fold(entries.map(({ event }) => event))
    assert.deepStrictEqual(Projection.differences(delivery, folded), [], "a projection is not the fold of its events")
    assert.deepStrictEqual(entries.toSorted((left, right) => Event.compare(left.event, right.event)), entries)
    for (const { event, linkedBy } of entries) {
      assert.strictEqual(Option.isSome(linkedBy), event.needsReconciliation)
      if (Option.isNone(linkedBy)) {
        assert.deepStrictEqual(event.deliveryId, Option.some(delivery.id))
        continue
      }
      linked.push(event.id)
      const links = entries.filter((each) => Option.contains(each.event.sourceEventId, event.id))
      assert.strictEqual(links.length, 1, "an orphan has not exactly one link")
      assert.strictEqual(links[0]?.event.type, "reconciled")
    }
  }
  assert.strictEqual(new Set(linked).size, linked.length, "an orphan is linked to two deliveries")
  for (const orphan of yield* pending(tenantId)) assert.notInclude(linked, orphan.id)
  yield* assertFigures(tenantId)
  for (const part of ["deliveries", "orphans", "suppressions", "contributions", "figures"] as const) {
    const { drifts } = yield* audit.verify({ part, scope: tenantId, after: Option.none(), limit: 10_000 })
    assert.deepStrictEqual(drifts, [])
  }
})
