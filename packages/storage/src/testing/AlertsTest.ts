/**
 * Declares the contract of the `Alerts` port as a test suite that every adapter runs.
 *
 * @since 0.2.0
 */
import { assert } from "@effect/vitest"
import { Alert, AlertRule, Alerts, type Judgement, Provider, Tenant } from "@waybill/core"
import { DateTime, Duration, Effect, type Layer, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Given from "./Given.ts"
import * as Contract from "./internal/contract.ts"

const postmark = Provider.Provider.make("postmark")

const bad = (tenantId: Tenant.Scope, fields: Partial<Judgement.Judgement> = {}): Judgement.Judgement => ({
  tenantId,
  rule: "silent_provider",
  subject: { provider: postmark },
  level: "over",
  value: 0.75,
  of: 100,
  line: 0.5,
  ...fields
})

const good = (tenantId: Tenant.Scope, fields: Partial<Judgement.Judgement> = {}): Judgement.Judgement =>
  bad(tenantId, { level: "under", value: 0.1, ...fields })

/** Settles, and returns what is told of some tenants; what other tests left open is not theirs. */
const settle = Effect.fnUntraced(function*(
  tenants: ReadonlyArray<Tenant.Scope>,
  judgements: ReadonlyArray<Judgement.Judgement>,
  judged: ReadonlyArray<AlertRule.Name> = AlertRule.Name.literals
) {
  const alerts = yield* Alerts.Alerts
  const notices = yield* alerts.settle({ judged, judgements })
  return notices.filter(({ tenantId }) => tenants.includes(tenantId))
})

const kinds = (notices: ReadonlyArray<Pick<Alert.Notice, "kind">>) => notices.map(({ kind }) => kind)

const encodeAlerts = Schema.encodeSync(Schema.Array(Alert.Alert))

const encodeNotices = Schema.encodeSync(Schema.Array(Alert.Notice))

const same = (actual: ReadonlyArray<Alert.Alert>, expected: ReadonlyArray<Alert.Alert>): void =>
  assert.deepStrictEqual(encodeAlerts(actual), encodeAlerts(expected))

const listed = (scope: Tenant.Scope, isOpen = false) =>
  Alerts.Alerts.use((alerts) => alerts.list({ scope, isOpen, limit: 10_000 }))

const first = (alerts: ReadonlyArray<Alert.Alert>): Alert.Alert => alerts[0] ?? assert.fail("there is no alert")

const opening = ({ example }: Contract.Contract<Alerts.Alerts>): void => {
  example(
    "an alert opens once, whoever judges at once",
    Effect.gen(function*() {
      const [one, other] = [yield* Given.tenant, yield* Given.tenant]
      const judgements = [bad(one), bad(one, { rule: "slow" }), bad(other)]
      const told = yield* Effect.replicateEffect(settle([one, other], judgements), 8, { concurrency: "unbounded" })
      assert.deepStrictEqual(kinds(told.flat()), ["opened", "opened", "opened"])
      assert.lengthOf(yield* listed(one, true), 2)
      assert.lengthOf(yield* listed(other), 1)
      const places = told.flat().map(({ position }) => position)
      assert.strictEqual(new Set(places).size, 3)
    })
  )

  example(
    "an alert says what it opened by, is told of again after a day and closes an hour after it was back",
    Effect.gen(function*() {
      const alerts = yield* Alerts.Alerts
      const tenantId = yield* Given.tenant
      const subject = { stream: "bulk" as const, domain: "b\u00fccher.example '; --" }
      const opened = yield* settle([tenantId], [bad(tenantId, { rule: "blocked", subject, value: 1 / 3, of: 120 })])
      const alert = first(yield* listed(tenantId))
      same([alert], [{
        id: alert.id,
        tenantId,
        rule: "blocked",
        subject,
        openedAt: Given.noon,
        toldAt: Given.noon,
        backSince: Option.none(),
        closedAt: Option.none(),
        value: 1 / 3,
        of: 120,
        line: 0.5
      }])
      yield* TestClock.adjust("24 hours")
      const again = bad(tenantId, { rule: "blocked", subject, level: "above", value: 0.6 })
      const reminded = yield* settle([tenantId], [again])
      yield* TestClock.adjust("1 hours")
      const back = yield* settle([tenantId], [])
      yield* TestClock.adjust("1 hours")
      const closed = yield* settle([tenantId], [])
      assert.deepStrictEqual([opened, reminded, back, closed].map(kinds), [["opened"], ["reminded"], [], ["closed"]])
      same(yield* listed(tenantId), [{
        ...alert,
        toldAt: DateTime.add(Given.noon, { hours: 26 }),
        backSince: Option.some(DateTime.add(Given.noon, { hours: 25 })),
        closedAt: Option.some(DateTime.add(Given.noon, { hours: 26 })),
        value: 0.6,
        of: 100
      }])
      assert.deepStrictEqual(yield* listed(tenantId, true), [])
      const history = Option.getOrThrow(yield* alerts.history(tenantId, alert.id))
      assert.deepStrictEqual(encodeNotices(history.notices), encodeNotices([...opened, ...reminded, ...closed]))
      same([history.alert], yield* listed(tenantId))
      yield* settle([tenantId], [bad(tenantId, { rule: "blocked", subject })])
      const two = yield* listed(tenantId)
      assert.lengthOf(two, 2)
      assert.notStrictEqual(first(two).id, alert.id)
    })
  )

  example(
    "an alert whose rule was not judged is left as it is",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* settle([tenantId], [bad(tenantId)])
      const before = yield* listed(tenantId)
      for (let hours = 0; hours < 3; hours++) {
        yield* TestClock.adjust("1 hours")
        assert.deepStrictEqual(yield* settle([tenantId], [good(tenantId)], ["slow"]), [])
      }
      same(yield* listed(tenantId), before)
    })
  )

  example(
    "alerts of the installation are for the scope of all alone, and a tenant's for its own",
    Effect.gen(function*() {
      const alerts = yield* Alerts.Alerts
      const [one, other] = [yield* Given.tenant, yield* Given.tenant]
      const consumer = yield* Given.tenant
      const lag = bad(Tenant.all, { rule: "feed_lag", subject: { consumer }, of: 0, value: 1000, line: 900 })
      const told = (yield* settle([one, other, Tenant.all], [bad(one), bad(other), lag]))
        .filter(({ subject, tenantId }) => tenantId !== Tenant.all || subject.consumer === consumer)
      assert.lengthOf(told, 3)
      assert.deepStrictEqual((yield* listed(one)).map(({ tenantId }) => tenantId), [one])
      const all = (yield* listed(Tenant.all, true)).filter(({ id }) => told.some(({ alertId }) => alertId === id))
      assert.sameMembers(all.map(({ tenantId }) => tenantId), [one, other, Tenant.all])
      const foreign = first(yield* listed(other)).id
      assert.isTrue(Option.isNone(yield* alerts.history(one, foreign)))
      assert.isTrue(Option.isSome(yield* alerts.history(Tenant.all, foreign)))
      const read = yield* alerts.notices({ scope: one, after: 0, limit: 100 })
      assert.deepStrictEqual(read.map(({ tenantId }) => tenantId), [one])
    })
  )
}

const telling = ({ example }: Contract.Contract<Alerts.Alerts>): void => {
  example(
    "who follows the notices reads each once, in their order",
    Effect.gen(function*() {
      const alerts = yield* Alerts.Alerts
      const tenantId = yield* Given.tenant
      const rules = AlertRule.Name.literals
      yield* Effect.forEach(rules, (rule) => settle([], [bad(tenantId, { rule })], [rule]), {
        concurrency: "unbounded",
        discard: true
      })
      const read: Array<Alert.Notice> = []
      while (true) {
        const page = yield* alerts.notices({ scope: tenantId, after: read.at(-1)?.position ?? 0, limit: 5 })
        if (page.length === 0) break
        read.push(...page)
      }
      assert.sameMembers(read.map(({ rule }) => rule), [...rules])
      assert.deepStrictEqual(
        read.map(({ position }) => position),
        read.map(({ position }) => position).toSorted((left, right) => left - right)
      )
    })
  )

  const claimed = Effect.fnUntraced(function*(tenantId: Tenant.TenantId) {
    const alerts = yield* Alerts.Alerts
    const found = yield* alerts.claim({ limit: 10_000, lease: Duration.minutes(2) })
    return found.filter(({ notice }) => notice.tenantId === tenantId)
  })

  example(
    "a notice is claimed by one at a time, tried again when it is due, and not after it was posted",
    Effect.gen(function*() {
      const alerts = yield* Alerts.Alerts
      const tenantId = yield* Given.tenant
      const [notice] = yield* settle([tenantId], [bad(tenantId)])
      assert.isDefined(notice)
      const once = yield* Effect.replicateEffect(claimed(tenantId), 4, { concurrency: "unbounded" })
      assert.deepStrictEqual(once.flat(), [{ notice, attempts: 1 }])
      yield* TestClock.adjust("119 seconds")
      assert.deepStrictEqual(yield* claimed(tenantId), [])
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(yield* claimed(tenantId), [{ notice, attempts: 2 }])
      yield* alerts.posted(notice, Option.some(DateTime.add(Given.noon, { minutes: 10 })))
      assert.deepStrictEqual(yield* claimed(tenantId), [])
      yield* TestClock.adjust("8 minutes")
      assert.deepStrictEqual(yield* claimed(tenantId), [{ notice, attempts: 3 }])
      yield* alerts.posted(notice, Option.none())
      yield* TestClock.adjust("1 hours")
      assert.deepStrictEqual(yield* claimed(tenantId), [])
    })
  )

  example(
    "a notice that is older than a day is not posted any more",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* settle([tenantId], [bad(tenantId)])
      yield* TestClock.adjust("25 hours")
      assert.deepStrictEqual(yield* claimed(tenantId), [])
    })
  )

  example(
    "a muted rule is told to nobody, for its tenant or for all, until it ends",
    Effect.gen(function*() {
      const alerts = yield* Alerts.Alerts
      const [one, other] = [yield* Given.tenant, yield* Given.tenant]
      const until = DateTime.add(Given.noon, { hours: 2 })
      const mute: Alert.Mute = { tenantId: one, rule: "silent_provider", until, actor: "ann" }
      yield* alerts.mute(mute)
      const told = yield* settle([one, other], [bad(one), bad(other), bad(one, { rule: "slow" })])
      assert.deepStrictEqual(
        told.filter(({ isMuted }) => isMuted).map(({ rule, tenantId }) => [tenantId, rule]),
        [[one, "silent_provider"]]
      )
      assert.deepStrictEqual((yield* claimed(one)).map(({ notice }) => notice.rule), ["slow"])
      const read = yield* alerts.notices({ scope: one, after: 0, limit: 10 })
      assert.deepStrictEqual(read.map(({ rule }) => rule), ["slow"])
      assert.lengthOf(yield* listed(one, true), 2)
      assert.deepStrictEqual(yield* alerts.mutes(one), [mute])
      assert.deepStrictEqual(yield* alerts.mutes(other), [])
      yield* alerts.mute({ ...mute, until: Given.noon })
      assert.deepStrictEqual(yield* alerts.mutes(one), [])
      yield* alerts.mute({ ...mute, tenantId: Tenant.all, rule: "orphans" })
      assert.deepStrictEqual((yield* alerts.mutes(other)).map(({ rule }) => rule), ["orphans"])
      const foreign = yield* settle([other], [bad(other), bad(other, { rule: "orphans" })])
      assert.deepStrictEqual(foreign.map(({ isMuted }) => isMuted), [true])
      yield* alerts.mute({ ...mute, tenantId: Tenant.all, rule: "orphans", until: Given.noon })
      yield* TestClock.adjust("2 hours")
      assert.deepStrictEqual(yield* alerts.mutes(Tenant.all), [])
    })
  )
}

const answering = ({ example }: Contract.Contract<Alerts.Alerts>): void =>
  example(
    "how webhooks were answered adds up over all processes, within the time that is asked for",
    Effect.gen(function*() {
      const alerts = yield* Alerts.Alerts
      const [one, other] = [yield* Given.tenant, yield* Given.tenant]
      const resend = Provider.Provider.make("resend")
      const of = (tenantId: Tenant.TenantId, provider: Provider.Provider, answered: number, refused: number) => ({
        tenantId,
        provider,
        answered,
        refused
      })
      const own = (within: Duration.Duration) =>
        Effect.map(
          alerts.answered(within),
          (all) => all.filter(({ tenantId }) => [one, other].includes(tenantId)).toSorted(byName)
        )
      const byName = (left: Alerts.Answered, right: Alerts.Answered) => left.tenantId < right.tenantId ? -1 : 1
      const note = alerts.noteAnswered([of(one, postmark, 3, 1), of(other, resend, 5, 0), of(one, postmark, 1, 1)])
      yield* Effect.replicateEffect(note, 4, { concurrency: "unbounded" })
      yield* alerts.noteAnswered([])
      yield* TestClock.adjust("20 minutes")
      yield* alerts.noteAnswered([of(one, postmark, 1, 0)])
      assert.deepStrictEqual(
        yield* own(Duration.minutes(30)),
        [of(one, postmark, 17, 8), of(other, resend, 20, 0)].toSorted(byName)
      )
      assert.deepStrictEqual(yield* own(Duration.minutes(15)), [of(one, postmark, 1, 0)])
      yield* TestClock.adjust("3 days")
      yield* alerts.noteAnswered([])
      yield* TestClock.adjust("-3 days")
      assert.deepStrictEqual(yield* own(Duration.minutes(30)), [])
    })
  )

const refusing = ({ example }: Contract.Contract<Alerts.Alerts>): void =>
  example(
    "what cannot be kept exactly is refused, and nothing is written",
    Effect.gen(function*() {
      const alerts = yield* Alerts.Alerts
      const tenantId = yield* Given.tenant
      const hostile = [
        bad(tenantId, { value: Number.NaN }),
        bad(tenantId, { subject: { domain: "a\u0000b" } }),
        bad(tenantId, { subject: { consumer: "\ud800" } })
      ]
      for (const judgement of hostile) {
        yield* Contract.refused(settle([tenantId], [bad(tenantId), judgement]), "InvalidInput")
      }
      const mute = { tenantId, rule: "slow" as const, until: DateTime.add(Given.noon, { days: 1 }), actor: "" }
      yield* Contract.refused(alerts.mute(mute), "InvalidInput")
      for (const limit of [0, -1, 1.5, 10_001]) {
        yield* Contract.refused(alerts.list({ scope: tenantId, isOpen: false, limit }), "InvalidInput")
        yield* Contract.refused(alerts.notices({ scope: tenantId, after: 0, limit }), "InvalidInput")
        yield* Contract.refused(alerts.claim({ limit, lease: Duration.minutes(1) }), "InvalidInput")
      }
      assert.deepStrictEqual(yield* listed(tenantId), [])
      assert.deepStrictEqual(yield* alerts.mutes(tenantId), [])
    })
  )

/**
 * Declares what holds for all alerts.
 *
 * @category suites
 * @since 0.2.0
 */
export const suite = <E>(name: string, alerts: Layer.Layer<Alerts.Alerts, E>): void =>
  Contract.declare(name, alerts, (contract) => {
    opening(contract)
    telling(contract)
    answering(contract)
    refusing(contract)
  })
