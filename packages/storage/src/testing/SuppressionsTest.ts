/**
 * Declares the contract of the `Suppressions` port, and of what `record` asks it, as a test suite that every adapter runs.
 *
 * Every test uses tenants of its own, and the test clock for all times. The ledger is to be made with `softness`.
 *
 * @since 0.2.0
 */
import { assert } from "@effect/vitest"
import { Audit, Delivery, Event, Ledger, type Recipient, Suppression, Suppressions, type Tenant } from "@waybill/core"
import { Arbitrary, DateTime, Duration, Effect, Layer, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import type * as StoragePorts from "../internal/Ports.ts"
import * as Given from "./Given.ts"
import * as Contract from "./internal/contract.ts"

/**
 * The rule about soft bounces that the tests count on: three in a row over two seconds suppress for a minute.
 *
 * @category layers
 * @since 0.2.0
 */
export const softness: Layer.Layer<never> = Layer.succeed(Suppression.SoftBounces, {
  count: 3,
  over: Duration.seconds(2),
  lasts: Duration.minutes(1)
})

const ann = Given.recipient

const bob = Given.address("bob@example.com")

const actor = "operator"

const check = (
  tenantId: Tenant.TenantId,
  options: { readonly recipient?: Recipient.Recipient; readonly stream?: Delivery.Stream } = {}
) =>
  Suppressions.Suppressions.use((suppressions) =>
    suppressions.check({
      tenantId,
      recipients: [options.recipient ?? ann],
      stream: Option.fromUndefinedOr(options.stream)
    })
  )

const reasonsOf = (held: ReadonlyArray<Pick<Suppression.Held, "reason" | "stream">>) =>
  held.map(({ reason, stream }) => Option.isNone(stream) ? reason : `${reason} ${stream.value}`)

const reasons = (...query: Parameters<typeof check>) => Effect.map(check(...query), reasonsOf)

const add = (
  tenantId: Tenant.TenantId,
  fields: Partial<Suppressions.Addition> = {},
  because: Option.Option<string> = Option.none()
) =>
  Effect.map(
    Suppressions.Suppressions.use((suppressions) =>
      suppressions.add({
        tenantId,
        additions: [{ recipient: ann, reason: "manual", stream: Option.none(), since: Option.none(), ...fields }],
        actor,
        because
      })
    ),
    ([outcome]) => outcome
  )

const lift = (tenantId: Tenant.TenantId, fields: Partial<Suppressions.Lift> = {}) =>
  Suppressions.Suppressions.use((suppressions) =>
    suppressions.lift({
      tenantId,
      recipient: ann,
      reason: "complained",
      stream: Option.none(),
      actor,
      because: Option.some("asked by phone"),
      ...fields
    })
  )

const record = (tenantId: Tenant.TenantId, fields: Partial<Delivery.NewDelivery> = {}) =>
  Ledger.Ledger.use((ledger) => ledger.record(Given.delivery(tenantId, { stream: "bulk", ...fields })))

const blockedBy = (tenantId: Tenant.TenantId, fields: Partial<Delivery.NewDelivery> = {}) =>
  Effect.map(
    record(tenantId, fields),
    ({ suppressedBy }) => Option.getOrNull(Option.map(suppressedBy, ({ reason }) => reason))
  )

const certain = { recipient: Given.named("Ann@Example.com", true) }

const forget = (tenantId: Tenant.TenantId, recipient = ann) =>
  Ledger.Ledger.use((ledger) => ledger.forget({ tenantId, recipient }))

const list = (tenantId: Tenant.TenantId, fields: Partial<Suppressions.Query> = {}) =>
  Suppressions.Suppressions.use((suppressions) =>
    suppressions.list({
      tenantId,
      reason: Option.none(),
      stream: Option.none(),
      from: Option.none(),
      to: Option.none(),
      after: Option.none(),
      limit: 100,
      ...fields
    })
  )

/** All that is listed, page by page. */
const listed = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, fields: Partial<Suppressions.Query> = {}) {
  const found: Array<Suppression.Suppression> = []
  for (let after = Option.some(Option.none<string>()); Option.isSome(after);) {
    const page = yield* list(tenantId, { ...fields, after: after.value })
    found.push(...page.suppressions)
    after = Option.map(page.next, Option.some)
  }
  return found
})

const history = (tenantId: Tenant.TenantId, recipient = ann) =>
  Suppressions.Suppressions.use((suppressions) => suppressions.history({ tenantId, recipient, limit: 100 }))

const bounce = (message: string, at: number, fields: Partial<Event.NewEvent> = {}) =>
  Given.report("bounced", message, {
    occurredAt: Given.afterNoon(at),
    bounceClass: Option.some("soft"),
    idempotencyKey: Given.key(`bounced-${message}-${at}`),
    ...fields
  })

const telling = ({ example }: Contract.Contract): void => {
  example(
    "a complaint that arrives before its delivery's message id is known suppresses as soon as the link is made",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* Contract.appended(tenantId, [Given.report("complained", "m-1")])
      assert.deepStrictEqual(yield* reasons(tenantId), [])
      yield* Given.dispatched(tenantId, "m-1")
      assert.deepStrictEqual(yield* reasons(tenantId), ["complained"])
      assert.strictEqual(yield* blockedBy(tenantId), "complained")
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "a complaint that arrives after its delivery's message id is known suppresses at once",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* Given.dispatched(tenantId, "m-1")
      const { eventId } = yield* Contract.appendOne(tenantId, Given.report("complained", "m-1"))
      assert.deepStrictEqual(yield* check(tenantId), [{
        recipient: Option.some(ann),
        reason: "complained",
        stream: Option.none(),
        since: Given.noon,
        until: Option.none(),
        eventId: Option.some(eventId)
      }])
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "an event that names the address for certain suppresses before it is linked, and after it once",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* Contract.appended(tenantId, [
        Given.report("complained", "m-1", certain),
        Given.report("unsubscribed", "m-1", certain),
        Given.report("complained", "m-2", { recipient: Given.named("bob@example.com", false) })
      ])
      assert.deepStrictEqual(yield* reasons(tenantId), ["complained", "unsubscribed bulk"])
      assert.deepStrictEqual(yield* reasons(tenantId, { recipient: bob }), [])
      yield* Contract.assertLaws(tenantId)
      yield* Given.dispatched(tenantId, "m-1", { stream: "operational" })
      assert.deepStrictEqual(yield* reasons(tenantId), ["complained", "unsubscribed operational"])
      assert.lengthOf(yield* history(tenantId), 2)
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "a link by hand says whom an event is about, whomever it named",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const { eventId } = yield* Contract.appendOne(tenantId, Given.report("complained", "m-1", certain))
      const delivery = yield* Given.recorded(tenantId, { recipient: bob })
      yield* Contract.linkedTo(tenantId, eventId, delivery.id)
      assert.deepStrictEqual(yield* reasons(tenantId), [])
      assert.deepStrictEqual(yield* reasons(tenantId, { recipient: bob }), ["complained"])
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "each kind of event is a cause of its reason, on all streams or on its own",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* Given.dispatched(tenantId, "m-1", { stream: "bulk" })
      yield* Given.dispatched(tenantId, "m-2", { stream: "transactional", recipient: bob })
      yield* Contract.appended(tenantId, [
        Given.report("bounced", "m-1", { bounceClass: Option.some("hard") }),
        ...Event.RejectReason.literals.map((reason) =>
          Given.report("rejected", "m-1", {
            rejectReason: Option.some(reason),
            idempotencyKey: Given.key(`rejected-${reason}`)
          })
        ),
        Given.report("bounced", "m-2", {
          bounceClass: Option.some("hard"),
          normalizedPayload: { subtype: "MessageTooLarge" }
        }),
        Given.report("unsubscribed", "m-2")
      ])
      assert.deepStrictEqual(yield* reasons(tenantId), ["complained", "bounced", "invalid", "unsubscribed bulk"])
      assert.deepStrictEqual(yield* reasons(tenantId, { recipient: bob }), ["unsubscribed bulk"])
      assert.deepStrictEqual(yield* reasons(tenantId, { recipient: bob, stream: "transactional" }), [])
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "soft bounces in a row suppress for a while, unless the address was reached between them",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      for (const message of ["m-1", "m-2", "m-3"]) yield* Given.dispatched(tenantId, message)
      yield* Contract.appended(tenantId, [bounce("m-1", 0), bounce("m-2", 1), bounce("m-3", 2)])
      const [held] = yield* check(tenantId)
      assert.deepStrictEqual(held?.until, Option.some(Given.afterNoon(62)))
      assert.strictEqual(yield* blockedBy(tenantId, { stream: "transactional" }), "soft_bounced")
      yield* Contract.appended(tenantId, [Given.report("opened", "m-1", { occurredAt: Given.afterNoon(1) })])
      assert.deepStrictEqual(yield* reasons(tenantId), [])
      yield* Contract.appended(tenantId, [bounce("m-1", 3), bounce("m-2", 4)])
      assert.deepStrictEqual(yield* reasons(tenantId), ["soft_bounced"])
      yield* TestClock.adjust("64 seconds")
      assert.deepStrictEqual(yield* reasons(tenantId), [])
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "an event that is not linked, but names the address for certain, parts soft bounces too",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* Contract.appended(tenantId, [0, 1, 2].map((at) => bounce("m-1", at, certain)))
      assert.deepStrictEqual(yield* reasons(tenantId), ["soft_bounced"])
      yield* Contract.appended(tenantId, [
        Given.report("delivered", "m-2", { ...certain, occurredAt: Given.afterNoon(1) })
      ])
      assert.deepStrictEqual(yield* reasons(tenantId), [])
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "who subscribes again is mailed again on that stream",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* Given.dispatched(tenantId, "m-1", { stream: "bulk" })
      yield* Contract.appended(tenantId, [
        Given.report("subscribed", "m-1", { occurredAt: Given.afterNoon(1) }),
        Given.report("unsubscribed", "m-1")
      ])
      assert.deepStrictEqual(yield* reasons(tenantId), [])
      yield* Contract.appended(tenantId, [
        Given.report("unsubscribed", "m-1", { occurredAt: Given.afterNoon(2), idempotencyKey: Given.key("again") })
      ])
      assert.deepStrictEqual(yield* reasons(tenantId), ["unsubscribed bulk"])
      yield* Contract.assertLaws(tenantId)
    })
  )
}

const recording = ({ example }: Contract.Contract): void => {
  example(
    "a delivery to a suppressed address is stored as suppressed with an event of its own, and tells the same again",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* add(tenantId, { stream: Option.some("bulk") })
      const idempotencyKey = Option.some(Given.key("once"))
      const first = yield* record(tenantId, { idempotencyKey })
      const { delivery } = first
      assert.deepStrictEqual(
        [first.created, delivery.status, delivery.terminal, delivery.suppressedAt],
        [true, "suppressed", true, Option.some(Given.noon)]
      )
      const block = { reason: "manual" as const, stream: Option.some("bulk" as const), since: Given.noon }
      assert.deepStrictEqual(first.suppressedBy, Option.some(block))
      const timeline = yield* Contract.timeline(delivery)
      assert.deepStrictEqual(timeline.map(({ event }) => event.type), ["queued", "suppressed"])
      yield* lift(tenantId, { reason: "manual" })
      const again = yield* record(tenantId, { idempotencyKey })
      assert.deepStrictEqual([again.created, again.suppressedBy], [false, Option.some(block)])
      Contract.sameDelivery(again.delivery, delivery)
      assert.deepStrictEqual((yield* record(tenantId)).suppressedBy, Option.none())
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "a delivery that ignores suppressions is queued, and its event notes what it ignored",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* add(tenantId)
      const { delivery, suppressedBy } = yield* record(tenantId, { ignoreSuppression: true })
      assert.deepStrictEqual([delivery.status, suppressedBy], ["queued", Option.none()])
      const [queued] = yield* Contract.timeline(delivery)
      assert.deepStrictEqual(queued?.event.metadata, {
        ignored_suppression: { reason: "manual", stream: null, since: DateTime.formatIso(Given.noon) }
      })
      const free = yield* record(tenantId, { ignoreSuppression: true, recipient: bob })
      assert.deepStrictEqual((yield* Contract.timeline(free.delivery))[0]?.event.metadata, {})
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "mail of another stream, to another address and of another tenant goes out",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* add(tenantId, { stream: Option.some("bulk") })
      assert.strictEqual(yield* blockedBy(tenantId, { recipient: Given.address("ANN@example.COM") }), "manual")
      assert.isNull(yield* blockedBy(tenantId, { stream: "operational" }))
      assert.isNull(yield* blockedBy(tenantId, { recipient: bob }))
      assert.isNull(yield* blockedBy(yield* Given.tenant))
      yield* add(tenantId, { reason: "unsubscribed", recipient: bob })
      assert.isNull(yield* blockedBy(tenantId, { recipient: bob, stream: "transactional" }))
      assert.strictEqual(yield* blockedBy(tenantId, { recipient: bob, stream: "operational" }), "unsubscribed")
    })
  )
}

const acting = ({ example }: Contract.Contract): void => {
  example(
    "a lift holds against what happened before it, and never against what comes after",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* Given.dispatched(tenantId, "m-1")
      yield* Contract.appended(tenantId, [Given.report("complained", "m-1", { occurredAt: Given.afterNoon(-60) })])
      const lifted = yield* lift(tenantId)
      assert.deepStrictEqual(reasonsOf(lifted), ["complained"])
      assert.deepStrictEqual(yield* reasons(tenantId), [])
      const late = (at: number) =>
        Given.report("complained", "m-1", { occurredAt: Given.afterNoon(at), idempotencyKey: Given.key(`late-${at}`) })
      yield* Contract.appended(tenantId, [late(-1)])
      assert.deepStrictEqual(yield* reasons(tenantId), [])
      yield* Contract.appended(tenantId, [late(1)])
      assert.deepStrictEqual(yield* reasons(tenantId), ["complained"])
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "a complaint is lifted only by saying why, and nothing where nothing is suppressed",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const nothing = yield* Contract.refused(lift(tenantId), "LiftRefused")
      assert.strictEqual(nothing.reason, "nothing-to-lift")
      yield* Contract.appended(tenantId, [Given.report("complained", "m-1", certain)])
      const refused = yield* Contract.refused(lift(tenantId, { because: Option.none() }), "LiftRefused")
      assert.strictEqual(refused.reason, "no-reason-given")
      yield* Contract.refused(lift(tenantId, { stream: Option.some("bulk") }), "LiftRefused")
      assert.deepStrictEqual(yield* reasons(tenantId), ["complained"])
      assert.lengthOf(yield* history(tenantId), 1)
      yield* lift(tenantId)
      yield* Contract.refused(lift(tenantId), "LiftRefused")
      yield* add(tenantId)
      yield* lift(tenantId, { reason: "manual", because: Option.none() })
      assert.deepStrictEqual(yield* reasons(tenantId), [])
    })
  )

  example(
    "what is added by hand holds at once, again and again, and is written only where it says something new",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      assert.strictEqual(yield* add(tenantId), "Added")
      assert.strictEqual(yield* add(tenantId), "Held")
      yield* lift(tenantId, { reason: "manual" })
      assert.strictEqual(yield* add(tenantId, { since: Option.some(Given.afterNoon(-9)) }), "Lapsed")
      assert.deepStrictEqual(yield* reasons(tenantId), [])
      assert.strictEqual(yield* add(tenantId), "Added")
      assert.deepStrictEqual(yield* reasons(tenantId), ["manual"])
      assert.lengthOf(yield* history(tenantId), 3)
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "an import adds many at once, one of them twice",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const suppressions = yield* Suppressions.Suppressions
      const additions = [ann, bob, ann].map((recipient, index): Suppressions.Addition => ({
        recipient,
        reason: "bounced",
        stream: Option.none(),
        since: Option.some(Given.afterNoon(-index))
      }))
      const command = { tenantId, additions, actor, because: Option.some("from the old system") }
      assert.deepStrictEqual(yield* suppressions.add({ ...command, dryRun: true }), ["Added", "Added", "Held"])
      assert.deepStrictEqual(yield* suppressions.check({ tenantId, recipients: [ann, bob], stream: Option.none() }), [])
      assert.deepStrictEqual(yield* history(tenantId), [])
      assert.deepStrictEqual(yield* suppressions.add(command), ["Added", "Added", "Held"])
      const found = yield* suppressions.check({ tenantId, recipients: [bob, ann, bob], stream: Option.none() })
      assert.deepStrictEqual(found.map(({ recipient }) => Option.getOrNull(recipient)), [bob, ann, bob])
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "the history of an address tells its causes, and who did what, when and why",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const { eventId } = yield* Contract.appendOne(tenantId, Given.report("complained", "m-1", certain))
      yield* TestClock.adjust("5 seconds")
      yield* lift(tenantId)
      assert.deepStrictEqual(
        (yield* history(tenantId)).map(({ act, at, eventId, lifts }) => ({
          at,
          lifts,
          eventId: Option.getOrNull(eventId),
          by: Option.getOrNull(Option.map(act, ({ actedAt, actor, because, kind }) => [
            kind,
            actedAt,
            Option.getOrNull(actor),
            Option.getOrNull(because)
          ]))
        })),
        [
          {
            at: Given.afterNoon(5),
            lifts: true,
            eventId: null,
            by: ["lift", Given.afterNoon(5), actor, "asked by phone"]
          },
          { at: Given.noon, lifts: false, eventId, by: null }
        ]
      )
      assert.lengthOf(
        yield* Suppressions.Suppressions.use((each) => each.history({ tenantId, recipient: ann, limit: 1 })),
        1
      )
    })
  )
}

const forgetting = ({ example }: Contract.Contract): void => {
  example(
    "what suppresses an address stays when it is forgotten, without the address",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      for (const message of ["m-1", "m-2", "m-3"]) yield* Given.dispatched(tenantId, message, { stream: "bulk" })
      yield* Contract.appended(tenantId, [
        Given.report("complained", "m-1"),
        Given.report("unsubscribed", "m-9", certain),
        bounce("m-1", 0),
        bounce("m-2", 1),
        bounce("m-3", 2)
      ])
      yield* add(tenantId)
      const before = yield* check(tenantId)
      assert.deepStrictEqual(reasonsOf(before), ["complained", "unsubscribed bulk", "manual", "soft_bounced"])
      assert.deepStrictEqual(
        (yield* list(tenantId)).suppressions,
        before.map((each) => ({
          ...each,
          recipient: Option.some(ann)
        }))
      )
      yield* forget(tenantId)
      assert.deepStrictEqual(yield* check(tenantId), before)
      assert.deepStrictEqual((yield* list(tenantId)).suppressions.map(({ recipient }) => recipient), [
        Option.none(),
        Option.none(),
        Option.none(),
        Option.none()
      ])
      yield* Contract.assertLaws(tenantId)
      assert.strictEqual(yield* blockedBy(tenantId), "complained")
      yield* lift(tenantId)
      assert.deepStrictEqual(yield* reasons(tenantId), ["unsubscribed bulk", "manual", "soft_bounced"])
      yield* Contract.assertLaws(tenantId)
    })
  )

  example(
    "a forgotten address that is named again is the same one",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* Contract.appended(tenantId, [Given.report("complained", "m-1", certain)])
      yield* forget(tenantId)
      yield* lift(tenantId)
      yield* forget(tenantId)
      yield* Contract.appended(tenantId, [
        Given.report("complained", "m-2", { ...certain, occurredAt: Given.afterNoon(1) })
      ])
      assert.deepStrictEqual(yield* reasons(tenantId), ["complained"])
      yield* Contract.assertLaws(tenantId)
    })
  )
}

const listing = ({ example, property }: Contract.Contract): void => {
  example(
    "a listing shows what holds by reason, stream and age, in the same order from page to page",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const addresses = Array.from({ length: 7 }, (_, index) => Given.address(`person-${index}@example.com`))
      for (const [index, recipient] of addresses.entries()) {
        const since = Option.some(Given.afterNoon(-index))
        yield* add(tenantId, { recipient, since })
        if (index % 2 === 0) yield* add(tenantId, { recipient, reason: "bounced", since })
        if (index % 3 === 0) yield* add(tenantId, { recipient, reason: "unsubscribed", stream: Option.some("bulk") })
      }
      yield* lift(tenantId, { recipient: addresses[6] ?? ann, reason: "bounced" })
      const all = (yield* list(tenantId)).suppressions
      assert.lengthOf(all, 13)
      for (const limit of [1, 2, 3, 13]) assert.deepStrictEqual(yield* listed(tenantId, { limit }), all)
      assert.lengthOf(yield* listed(tenantId, { limit: 2, reason: Option.some("bounced") }), 3)
      assert.lengthOf(yield* listed(tenantId, { limit: 2, stream: Option.some("transactional") }), 10)
      for (const reach of [1, 2, 7]) {
        assert.deepStrictEqual(yield* listed(tenantId, { reach }), all)
        const few = yield* listed(tenantId, { reach, stream: Option.some("transactional"), limit: 2 })
        assert.lengthOf(few, 10)
      }
      assert.isTrue(Option.isSome((yield* list(tenantId, { reach: 3 })).next))
      yield* Contract.refused(list(tenantId, { reach: 0 }), "InvalidInput")
      const aged = { from: Option.some(Given.afterNoon(-3)), to: Option.some(Given.afterNoon(-2)) }
      assert.lengthOf(yield* listed(tenantId, { ...aged, limit: 1 }), 3)
      assert.lengthOf((yield* list(yield* Given.tenant)).suppressions, 0)
    })
  )

  example(
    "a place of another listing is refused, and so is what cannot be kept",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* add(tenantId)
      yield* add(tenantId, { reason: "bounced" })
      const { next } = yield* list(tenantId, { limit: 1 })
      assert.isTrue(Option.isSome(next))
      for (
        const call of [
          Effect.asVoid(list(tenantId, { after: next, reason: Option.some("manual") })),
          Effect.asVoid(list(yield* Given.tenant, { after: next })),
          Effect.asVoid(list(tenantId, { after: Option.some("elsewhere") })),
          Effect.asVoid(list(tenantId, { after: Option.map(next, (place) => place.replace(/[0-9a-f]~/, "~")) })),
          Effect.asVoid(list(tenantId, { limit: 0 })),
          Effect.asVoid(add(tenantId, {}, Option.some("asked by ann@example.com"))),
          Effect.asVoid(lift(tenantId, { actor: "" })),
          Effect.asVoid(add(tenantId, { since: Option.some(DateTime.addDuration(Given.noon, Duration.millis(0.5))) })),
          Effect.asVoid(add(tenantId, { since: Option.some(DateTime.add(Given.noon, { days: 1, milliseconds: 1 })) }))
        ]
      ) {
        yield* Contract.refused(call, "InvalidInput")
      }
      const suppressions = yield* Suppressions.Suppressions
      const recipients = Array.from({ length: Suppressions.maxRecipients + 1 }, () => ann)
      yield* Contract.refused(suppressions.check({ tenantId, recipients, stream: Option.none() }), "InvalidInput")
      assert.lengthOf(
        yield* suppressions.check({ tenantId, recipients: recipients.slice(1), stream: Option.none() }),
        2000
      )
    })
  )

  property(
    "a listing that is followed while others write misses nothing and shows nothing twice",
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 }))),
    (limit) =>
      Effect.gen(function*() {
        const tenantId = yield* Given.tenant
        const person = (index: number) => Given.address(`person-${index}@example.com`)
        for (let index = 0; index < 8; index++) yield* add(tenantId, { recipient: person(index) })
        const seen: Array<string> = []
        let writes = 8
        for (let after = Option.some(Option.none<string>()); Option.isSome(after);) {
          const page = yield* list(tenantId, { after: after.value, limit })
          seen.push(...page.suppressions.flatMap(({ recipient }) => Option.toArray(recipient)))
          after = Option.map(page.next, Option.some)
          yield* TestClock.adjust("1 second")
          yield* add(tenantId, { recipient: person(writes++) })
          yield* add(tenantId, { recipient: person(writes % 8), since: Option.some(yield* DateTime.now) })
        }
        assert.strictEqual(new Set(seen).size, seen.length)
        for (let index = 0; index < 8; index++) assert.include(seen, person(index))
      }),
    10
  )
}

const permuting = ({ property }: Contract.Contract): void => {
  const kinds = ["complained", "bounced", "unsubscribed", "subscribed", "delivered"] as const
  const report = Arbitrary.all({
    kind: Arbitrary.schema(Schema.Literals(kinds)),
    at: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: -2, maximum: 3 }))),
    message: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 }))),
    bounce: Arbitrary.schema(Event.BounceClass)
  })
  const streams = Delivery.Stream.literals

  property(
    "reports in any order, repeated, linked early or late, and lifts give one answer",
    Arbitrary.all({
      reports: Arbitrary.array(report, { maxLength: 10 }),
      late: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 })))
    }),
    ({ late, reports }) => {
      const run = Effect.fnUntraced(function*(isReversed: boolean) {
        const tenantId = yield* Given.tenant
        const deliver = (from: number, to: number) =>
          Effect.forEach(
            streams.slice(from, to),
            (stream, index) => Given.dispatched(tenantId, `m-${from + index}`, { stream }),
            { discard: true }
          )
        const events = reports.map(({ at, bounce, kind, message }, index) =>
          Given.report(kind, `m-${message}`, {
            occurredAt: Given.afterNoon(at),
            bounceClass: Option.some(bounce),
            idempotencyKey: Given.key(`${index}`)
          })
        )
        // The act is the same in both: what it lifts is there before all else.
        yield* Contract.appended(tenantId, [
          Given.report("complained", "m-9", { ...certain, occurredAt: Given.afterNoon(-9) })
        ])
        yield* lift(tenantId)
        const [first, last] = isReversed ? [3, 3] : [late, 3]
        yield* deliver(0, first)
        yield* Contract.appended(tenantId, isReversed ? events.toReversed() : events)
        yield* deliver(first, last)
        yield* Contract.appended(tenantId, events)
        yield* Contract.assertLaws(tenantId)
        return (yield* check(tenantId)).map(({ reason, since, stream, until }) => ({ reason, since, stream, until }))
      })
      return Effect.gen(function*() {
        assert.deepStrictEqual(yield* run(true), yield* run(false))
      })
    },
    20
  )
}

const auditing = ({ example }: Contract.Contract): void => {
  example(
    "an audit finds every address in line with the ledger, page by page",
    Effect.gen(function*() {
      const audit = yield* Audit.Audit
      const tenantId = yield* Given.tenant
      for (const recipient of [ann, bob]) yield* add(tenantId, { recipient })
      yield* Contract.appended(tenantId, [Given.report("complained", "m-1", certain)])
      let checked = 0
      for (let after = Option.some(Option.none<string>()); Option.isSome(after);) {
        const page = yield* audit.rebuild({ part: "suppressions", scope: tenantId, after: after.value, limit: 1 })
        checked += page.checked
        assert.deepStrictEqual(page.drifts, [])
        after = Option.map(page.next, Option.some)
      }
      assert.strictEqual(checked, 2)
      yield* Contract.refused(
        audit.verify({ part: "suppressions", scope: tenantId, after: Option.some("elsewhere"), limit: 1 }),
        "InvalidInput"
      )
    })
  )
}

/**
 * Declares what holds for the suppressions of every ledger.
 *
 * @category suites
 * @since 0.2.0
 */
export const suite = <E>(name: string, ledger: Layer.Layer<StoragePorts.OfLedger, E>): void =>
  Contract.declare(`suppressions ${name}`, ledger, (contract) => {
    telling(contract)
    recording(contract)
    acting(contract)
    forgetting(contract)
    listing(contract)
    permuting(contract)
    auditing(contract)
  })
