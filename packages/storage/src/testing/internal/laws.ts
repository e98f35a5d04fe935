/** Asserts the laws of a ledger after a history, whatever happened in it. */
import { assert } from "@effect/vitest"
import { Audit, Delivery, DeliveryError, Event, Figures, Ledger, Orphans, Projection, type Tenant } from "@waybill/core"
import { DateTime, Effect, Option, Schema } from "effect"
import * as Arr from "effect/Array"
import { TestClock } from "effect/testing"
import * as Given from "../Given.ts"
import * as History from "../History.ts"
import { Importer } from "../Importer.ts"
import { appendOne, assertLaws, deliveriesOf, fetch, pending, sameDelivery, timeline, told } from "./contract.ts"

const encodeDeliveries = Schema.encodeSync(Schema.Array(Delivery.Delivery))

const encodeEvents = Schema.encodeSync(Schema.Array(Event.Event))

/** The deliveries of a tenant, and the events that they and the queue of orphans show. */
const visible = Effect.fnUntraced(function*(tenantId: Tenant.TenantId) {
  const deliveries = yield* deliveriesOf(tenantId)
  const entries = (yield* Effect.forEach(deliveries, timeline)).flat()
  const orphans = yield* pending(tenantId)
  return {
    deliveries: encodeDeliveries(deliveries),
    links: entries.map(({ event, linkedBy }) => [event.id, Option.getOrNull(linkedBy)]),
    events: encodeEvents([...entries.map(({ event }) => event), ...orphans])
  }
}, Effect.orDie)

/** Takes a step that appends again what was appended, and asserts that it changes nothing at all and tells no one. */
const unchanged = <A, E, R>(tenantId: Tenant.TenantId, take: Effect.Effect<A, E, R>) =>
  Effect.scoped(Effect.gen(function*() {
    const ledger = yield* Ledger.Ledger
    const before = yield* visible(tenantId)
    const updates = yield* ledger.updates
    const answer = yield* take
    assert.deepStrictEqual(yield* visible(tenantId), before, "a repeated append changed something")
    assert.deepStrictEqual(yield* told(updates, tenantId), [], "a repeated append was told")
    return answer
  }))

/** How many steps are taken between two looks at all events. */
const looks = 4

/** How many steps are taken before the figures follow the feed by some events. */
const follows = 15

/** Appends again all that each tenant appended. */
const repeats: History.History = Array.from(
  { length: History.tenants },
  (_, tenant) => ({ _tag: "Repeat", tenant, latest: 1000, reversed: tenant === 0 })
)

/**
 * Runs a history and all of its appends again, and asserts that repeated appends change nothing, that no event that was seen
 * ever changes or goes, and what else holds for its tenants afterwards.
 */
export const assertHistory = Effect.fnUntraced(function*(history: History.History) {
  const seen = new Map<string, typeof Event.Event.Encoded>()
  const look = Effect.fnUntraced(function*(tenantId: Tenant.TenantId) {
    for (const event of (yield* visible(tenantId)).events) {
      const known = seen.get(event.id)
      if (known === undefined) seen.set(event.id, event)
      else assert.deepStrictEqual(event, known, "an event changed")
    }
  })
  let steps = 0
  const around: History.Around = Effect.fnUntraced(function*(step, tenants, take) {
    const tenantId = step._tag === "Repeat" ? tenants[step.tenant] : undefined
    const answer = yield* tenantId === undefined ? take : unchanged(tenantId, take)
    if (++steps % looks === 0) yield* Effect.forEach(tenants, look)
    if (steps % follows === 0) yield* Effect.orDie(Figures.Figures.use((figures) => figures.follow({ limit: 5 })))
    return answer
  })
  const { tenants } = yield* History.run([...history, ...repeats], around)
  for (const tenantId of tenants) {
    yield* look(tenantId)
    const own = Array.from(seen.values()).filter((event) => event.tenantId === tenantId)
    const fed = new Map(encodeEvents(yield* History.feedOf(tenantId, own.length)).map((event) => [event.id, event]))
    for (const event of own) assert.deepStrictEqual(fed.get(event.id), event, "an event changed or went")
    yield* assertLaws(tenantId)
  }
})

/** What an explanation alone may say of another tenant, so that an operator finds a webhook that went astray. */
const aboutOthers = /"otherTenant":(?:true|false)/g

/** A step as another tenant takes it. */
const takenBy = (tenant: number) => (step: History.Step): History.Step =>
  step._tag === "Wait" ? step : Object.assign({}, step, { tenant })

/**
 * Runs a history that one tenant takes forwards and another one backwards, with equal ids and keys, and again for each tenant
 * without the steps of the other, and asserts that the tenant sees the same.
 */
export const assertApart = Effect.fnUntraced(function*(
  steps: History.History,
  compare: (left: ReadonlyArray<string>, right: ReadonlyArray<string>) => void
) {
  const backwards = steps.toReversed().map(takenBy(1))
  const history = Arr.zip(steps.map(takenBy(0)), backwards).flat()
  const together = yield* History.run(history)
  for (const tenant of together.tenants.keys()) {
    const alone = yield* History.run(history.filter((step) => step._tag === "Wait" || step.tenant === tenant))
    const [left = [], right = []] = [alone, together].map(({ transcriptOf }) =>
      transcriptOf(tenant).map((line) => line.replace(aboutOthers, ""))
    )
    compare(left, right)
  }
})

/** Runs a history and asserts that the next sweep links an orphan whose delivery another writer inserts then. */
export const assertNotStarved = Effect.fnUntraced(function*(history: History.History, limit: number) {
  const orphans = yield* Orphans.Orphans
  const { importDelivery } = yield* Importer
  const { tenants: [tenantId = Given.nobody] } = yield* History.run(history)
  const { eventId } = yield* appendOne(tenantId, Given.report("delivered", "late"))
  const id = yield* Given.deliveryId
  const row = { tenantId, id, recipient: Given.recipient, provider: Given.provider }
  assert.isTrue(yield* importDelivery({ ...row, providerMessageId: Given.messageId("late") }))
  yield* TestClock.adjust("61 seconds")
  const now = yield* DateTime.now
  const query = {
    scope: tenantId,
    limit,
    insertedFrom: DateTime.subtract(now, { days: 7 }),
    insertedTo: DateTime.subtract(now, { seconds: 60 })
  }
  const waiting = yield* pending(tenantId)
  for (let left = waiting.length; (yield* orphans.link(query)).scanned > 0; left--) {
    assert.isAbove(left, 0, "a sweep does not end")
  }
  assert.deepStrictEqual(yield* orphans.explain({ tenantId, eventId }), { _tag: "Linked", deliveryId: id })
  for (const orphan of yield* pending(tenantId)) {
    if (orphan.insertedAt.epochMilliseconds > query.insertedTo.epochMilliseconds) continue
    const explanation = yield* orphans.explain({ tenantId, eventId: orphan.id })
    assert.notStrictEqual(explanation._tag, "Linkable", "an orphan is left by a sweep")
  }
  yield* assertLaws(tenantId)
})

/** What no events fold to. */
const wrong: Projection.Projection = {
  ...Projection.empty,
  status: "suppressed",
  terminal: true,
  lastEventType: Option.some("clicked"),
  lastEventAt: Option.some(Given.noon),
  lastEventId: Option.some(Event.EventId.make("00000000-0000-7000-8000-000000000000")),
  lastEventOwn: false,
  lastError: Option.some(
    DeliveryError.ofEvent({
      rejectReason: Option.some("spam"),
      bounceClass: Option.none(),
      normalizedPayload: { smtpStatus: 554 }
    })
  ),
  lastErrorType: Option.some("rejected"),
  lastErrorAt: Option.some(Given.noon),
  lastErrorId: Option.some(Event.EventId.make("00000000-0000-7000-8000-000000000000")),
  lastErrorOwn: false,
  openedAt: Option.some(Given.noon)
}

const rebuilt = Effect.fnUntraced(function*(tenantId: Tenant.TenantId) {
  const audit = yield* Audit.Audit
  const drifted: Array<Event.DeliveryId> = []
  for (let after = Option.some(Option.none<string>()); Option.isSome(after);) {
    const page = yield* audit.rebuild({ part: "deliveries", scope: tenantId, after: after.value, limit: 2 })
    drifted.push(...page.drifts.flatMap((drift) => drift._tag === "Projection" ? [drift.deliveryId] : []))
    after = Option.map(page.next, Option.some)
  }
  return drifted
})

/** Runs a history, spoils every projection, and asserts that a rebuild restores them and that another one touches nothing. */
export const assertRebuilt = Effect.fnUntraced(function*(history: History.History) {
  const { setProjections } = yield* Importer
  const { tenants } = yield* History.run(history)
  for (const tenantId of tenants) {
    const stored = yield* deliveriesOf(tenantId)
    for (const spoilt of [Projection.empty, wrong]) {
      yield* setProjections(tenantId, spoilt)
      const before = yield* deliveriesOf(tenantId)
      for (const delivery of before) assert.deepStrictEqual(Projection.differences(delivery, spoilt), [])
      const drifted = stored.filter((delivery) => Projection.differences(delivery, spoilt).length > 0)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* rebuilt(tenantId), drifted.map(({ id }) => id))
      const after = yield* deliveriesOf(tenantId)
      for (const [index, { lockVersion, updatedAt, ...delivery }] of after.entries()) {
        const expected = stored[index] ?? assert.fail("a delivery is new")
        sameDelivery({ ...delivery, lockVersion: expected.lockVersion, updatedAt: expected.updatedAt }, expected)
        const isDrifted = drifted.some(({ id }) => id === delivery.id)
        assert.strictEqual(lockVersion, (before[index]?.lockVersion ?? 0) + (isDrifted ? 1 : 0))
        if (isDrifted) assert.deepStrictEqual(updatedAt, yield* DateTime.now)
      }
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* rebuilt(tenantId), [])
      for (const delivery of after) sameDelivery(yield* fetch(delivery), delivery)
    }
    yield* assertLaws(tenantId)
  }
})
