import { assert, describe, it } from "@effect/vitest"
import { DeliveryError, EventType, Projection } from "@waybill/core"
import { Option } from "effect"
import * as Given from "./Given.ts"

const same = (left: Projection.Projection, right: Projection.Projection): void =>
  assert.deepStrictEqual(Projection.differences(left, right), [])

const runs = { arbitrary: { runs: 300 } }

describe("merge", () => {
  it.prop("is associative", [Given.facts, Given.facts, Given.facts], ([a, b, c]) => {
    const [x, y, z] = [Projection.fold(a), Projection.fold(b), Projection.fold(c)]
    same(Projection.merge(Projection.merge(x, y), z), Projection.merge(x, Projection.merge(y, z)))
  }, runs)

  it.prop("is commutative", [Given.facts, Given.facts], ([a, b]) => {
    const [x, y] = [Projection.fold(a), Projection.fold(b)]
    same(Projection.merge(x, y), Projection.merge(y, x))
  }, runs)

  it.prop("is idempotent and has an identity", [Given.facts], ([facts]) => {
    const projection = Projection.fold(facts)
    same(Projection.merge(projection, projection), projection)
    same(Projection.merge(projection, Projection.empty), projection)
    same(Projection.merge(Projection.empty, projection), projection)
  }, runs)
})

describe("fold", () => {
  it.prop(
    "gives the same in any order, with repetition, in parts and one by one",
    [Given.facts, Given.turn, Given.turn],
    ([facts, turn, cut]) => {
      const folded = Projection.fold(facts)
      same(Projection.fold(Given.rotated(facts, turn)), folded)
      same(Projection.fold([...facts, ...facts.slice(cut)]), folded)
      same(Projection.evolve(Projection.fold(facts.slice(cut)), facts.slice(0, cut)), folded)
      same(
        Given.rotated(facts, turn).map(Projection.ofEvent).reduce(Projection.merge, Projection.empty),
        folded
      )
    },
    runs
  )

  it("of nothing is empty", () => {
    same(Projection.fold([]), Projection.empty)
    same(Projection.ofEvent(Given.fact("reconciled")), Projection.empty)
    assert.isTrue(Projection.isSame(Projection.empty, Projection.fold([])))
  })

  it.prop("never lets one of our own events hide a provider's", [Given.facts], ([facts]) => {
    const { lastEventId, lastEventOwn } = Projection.fold(facts)
    const reported = facts.filter(({ provider, type }) => type !== "reconciled" && Option.isSome(provider))
    const last = facts.find(({ id }) => Option.contains(lastEventId, id))
    if (reported.length > 0) assert.isTrue(last !== undefined && Option.isSome(last.provider))
    assert.strictEqual(lastEventOwn, reported.length === 0)
  }, runs)

  it.prop("keeps the latest event, and the first time of each kind", [Given.facts], ([facts]) => {
    const projection = Projection.fold(facts)
    for (const name of EventType.firstTimes) {
      const times = facts.flatMap(({ occurredAt, type }) =>
        EventType.impacts[type].firstTime === name ? [occurredAt.epochMilliseconds] : []
      )
      const stored = Option.map(projection[name], ({ epochMilliseconds }) => epochMilliseconds)
      assert.deepStrictEqual(stored, times.length === 0 ? Option.none() : Option.some(Math.min(...times)))
    }
    const counted = facts.filter(({ provider, type }) =>
      type !== "reconciled" && Option.isNone(provider) === projection.lastEventOwn
    )
    const latest = Math.max(...counted.map(({ occurredAt }) => occurredAt.epochMilliseconds))
    const at = Option.map(projection.lastEventAt, ({ epochMilliseconds }) => epochMilliseconds)
    assert.deepStrictEqual(at, counted.length === 0 ? Option.none() : Option.some(latest))
  }, runs)

  it.prop("latches terminal and only raises the status", [Given.facts, Given.facts], ([before, more]) => {
    const height = (projection: Projection.Projection): number => EventType.Status.literals.indexOf(projection.status)
    const earlier = Projection.fold(before)
    const later = Projection.evolve(earlier, more)
    assert.isTrue(later.terminal || !earlier.terminal)
    assert.isAtLeast(height(later), height(earlier))
  }, runs)

  it("orders the events of an instant by a life, then by id", () => {
    const last = (...facts: ReadonlyArray<Projection.Fact>) => Option.getOrThrow(Projection.fold(facts).lastEventType)
    assert.strictEqual(last(Given.fact("opened"), Given.fact("delivered"), Given.fact("sent")), "opened")
    assert.strictEqual(last(Given.fact("unknown"), Given.fact("queued")), "queued")
    assert.strictEqual(last(Given.fact("unknown")), "unknown")
    assert.strictEqual(last(Given.fact("suppressed", { at: -1 }), Given.fact("unknown")), "unknown")
    const twice = Projection.fold([Given.fact("opened", { id: 2 }), Given.fact("opened", { id: 1 })])
    assert.deepStrictEqual(twice.lastEventId, Option.some(Given.eventId(2)))
  })

  it("does not let a dispatch that is noted later hide what the provider reported", () => {
    const { lastEventAt, lastEventType } = Projection.fold([
      Given.fact("delivered", { at: 1 }),
      Given.fact("dispatched", { at: 9, own: true })
    ])
    assert.deepStrictEqual([lastEventType, lastEventAt], [Option.some("delivered"), Option.some(Given.afterNoon(1))])
  })

  it.prop("keeps the error of the latest event that carries one", [Given.facts], ([facts]) => {
    const errors = facts.filter(({ type }) => EventType.impacts[type].error)
    const { lastError, lastErrorAt, lastErrorId, lastErrorOwn, lastErrorType } = Projection.fold(facts)
    const alone = Projection.fold(errors)
    const latest = errors.find(({ id }) => Option.contains(lastErrorId, id))
    assert.deepStrictEqual([lastErrorAt, lastErrorId, lastErrorOwn, lastErrorType], [
      alone.lastEventAt,
      alone.lastEventId,
      alone.lastEventOwn,
      alone.lastEventType
    ])
    assert.deepStrictEqual(lastError, Option.map(Option.fromUndefinedOr(latest), DeliveryError.ofEvent))
  }, runs)

  it("reads an error off its event, and nothing off what is not of its type", () => {
    const payload = { code: "smtp", message: "gone", smtpStatus: 550, status: "5.1.1", event: "bounce" }
    const { lastError } = Projection.fold([
      Given.fact("bounced", { bounce: "hard", reject: "bounced", payload }),
      Given.fact("delivered", { at: 1, id: 1, payload: { smtpStatus: 250 } })
    ])
    assert.deepStrictEqual(Option.getOrThrow(lastError), {
      code: Option.some("smtp"),
      message: Option.some("gone"),
      rejectReason: Option.some("bounced"),
      bounceClass: Option.some("hard"),
      smtpStatus: Option.some(550),
      enhancedStatus: Option.some("5.1.1")
    })
    const odd = { code: 1, message: null, smtpStatus: "550", status: ["5.1.1"] }
    const none = Option.getOrThrow(Projection.fold([Given.fact("deferred", { payload: odd })]).lastError)
    for (const part of Object.values(none)) assert.isTrue(Option.isNone<unknown>(part))
  })

  it("names the fields in which two projections differ", () => {
    const left = Projection.fold([Given.fact("delivered", { id: 1 })])
    const right = Projection.fold([Given.fact("delivered", { id: 1 }), Given.fact("opened", { id: 2, at: 1 })])
    assert.deepStrictEqual(Projection.differences(left, right), [
      "lastEventType",
      "lastEventAt",
      "lastEventId",
      "openedAt"
    ])
  })
})

describe("the effect of each type", () => {
  const rows: ReadonlyArray<
    readonly [EventType.EventType, rank: number, firstTime: string, terminal: boolean, status: EventType.Status]
  > = [
    ["unknown", -1, "", false, "queued"],
    ["reconciled", -1, "", false, "queued"],
    ["queued", 0, "", false, "queued"],
    ["dispatched", 1, "dispatchedAt", false, "dispatched"],
    ["sent", 2, "", false, "sent"],
    ["deferred", 3, "", false, "queued"],
    ["delivered", 4, "deliveredAt", true, "sent"],
    ["opened", 5, "openedAt", false, "sent"],
    ["clicked", 6, "clickedAt", false, "sent"],
    ["autoresponded", 7, "", false, "sent"],
    ["subscribed", 8, "", false, "sent"],
    ["unsubscribed", 9, "unsubscribedAt", false, "sent"],
    ["bounced", 10, "bouncedAt", true, "failed"],
    ["rejected", 11, "failedAt", true, "failed"],
    ["failed", 12, "failedAt", true, "failed"],
    ["complained", 13, "complainedAt", true, "sent"],
    ["suppressed", 14, "suppressedAt", true, "suppressed"]
  ]

  it.each(rows)("%s", (type, rank, firstTime, terminal, status) => {
    assert.strictEqual(EventType.impacts[type].rank, rank)
    const projection = Projection.ofEvent(Given.fact(type, { at: 3, id: 7 }))
    const set = EventType.firstTimes.filter((name) => Option.isSome(projection[name]))
    assert.deepStrictEqual(set, EventType.firstTimes.filter((name) => name === firstTime))
    for (const name of set) assert.deepStrictEqual(projection[name], Option.some(Given.afterNoon(3)))
    assert.strictEqual(projection.terminal, terminal)
    assert.strictEqual(projection.status, status)
    assert.deepStrictEqual(projection.lastEventType, type === "reconciled" ? Option.none() : Option.some(type))
  })

  it("is listed for every type", () => {
    assert.sameMembers(rows.map(([type]) => type), [...EventType.EventType.literals])
    assert.sameMembers(rows.map(([type]) => type), Object.keys(EventType.impacts))
  })

  it("an error is carried by what did not get on", () => {
    const errors = EventType.EventType.literals.filter((type) => EventType.impacts[type].error)
    assert.sameMembers(errors, ["deferred", "bounced", "rejected", "failed"])
    assert.isTrue(Option.isSome(Projection.ofEvent(Given.fact("bounced", { bounce: "soft" })).lastError))
  })

  it("a soft bounce neither ends a delivery nor raises its status", () => {
    const soft = Projection.ofEvent(Given.fact("bounced", { bounce: "soft", at: 1 }))
    assert.deepStrictEqual([soft.terminal, soft.status], [false, "queued"])
    assert.deepStrictEqual(soft.bouncedAt, Option.some(Given.afterNoon(1)))
    for (const bounce of ["hard", "undetermined"] as const) {
      const final = Projection.ofEvent(Given.fact("bounced", { bounce }))
      assert.deepStrictEqual([final.terminal, final.status], [true, "failed"])
    }
    assert.isTrue(Projection.ofEvent(Given.fact("failed", { bounce: "soft" })).terminal)
  })

  it("a provider reports all but what only the ledger writes", () => {
    const own = EventType.EventType.literals.filter((type) =>
      !EventType.ReportedType.literals.some((each) => each === type)
    )
    assert.sameMembers([...own], ["dispatched", "reconciled"])
    assert.notInclude(EventType.LastEventType.literals, "reconciled")
  })
})
