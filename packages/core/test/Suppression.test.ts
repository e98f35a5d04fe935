import { assert, describe, it } from "@effect/vitest"
import { Act, Block, Delivery, Event, EventType, JsonBag, Suppression } from "@waybill/core"
import { Arbitrary, DateTime, Duration, Option, Schema } from "effect"
import * as Given from "./Given.ts"

const softness: Suppression.Softness = { count: 3, over: Duration.seconds(2), lasts: Duration.seconds(10) }

const event = (type: EventType.EventType, fields: Partial<Event.Event> & { readonly at?: number } = {}) => ({
  id: Given.eventId(0),
  type,
  occurredAt: Given.afterNoon(fields.at ?? 0),
  bounceClass: Option.none<Event.BounceClass>(),
  rejectReason: Option.none<Event.RejectReason>(),
  normalizedPayload: JsonBag.empty,
  ...fields
})

const fact = (
  type: EventType.EventType,
  fields: Partial<Event.Event> & { readonly at?: number } = {},
  stream?: Delivery.Stream
): Suppression.Fact => Option.getOrThrow(Suppression.factOf(event(type, fields), Option.fromUndefinedOr(stream)))

const soft = (at: number): Suppression.Fact =>
  fact("bounced", { at, id: Given.eventId(at), bounceClass: Option.some("soft") })

const complained = (at: number): Suppression.Fact => fact("complained", { at })

const fold = (facts: ReadonlyArray<Suppression.Fact>, resets: ReadonlyArray<number> = [], now = 0) =>
  Suppression.fold(facts, resets.map(Given.afterNoon), softness, Given.afterNoon(now))

const reasonsOf = (held: ReadonlyArray<Suppression.Held>) =>
  held.map(({ reason, stream }) => `${reason} ${Option.getOrElse(stream, () => "all")}`)

const by = { actor: "ann", because: Option.none<string>() }

const lifted = (
  facts: ReadonlyArray<Suppression.Fact>,
  reason: Suppression.Reason,
  now: number
): ReadonlyArray<Suppression.Fact> => [
  ...facts,
  ...Act.lift(
    { reason, stream: Option.none(), ...by },
    { facts, resets: [] },
    softness,
    Given.afterNoon(now)
  ).acts.map(Act.factOf)
]

const added = (
  facts: ReadonlyArray<Suppression.Fact>,
  now: number,
  fields: { readonly since?: number; readonly stream?: Delivery.Stream; readonly reason?: Suppression.Reason } = {}
): Act.Addition =>
  Act.add(
    {
      reason: fields.reason ?? "manual",
      stream: Option.fromUndefinedOr(fields.stream),
      since: Option.map(Option.fromUndefinedOr(fields.since), Given.afterNoon),
      ...by
    },
    { facts, resets: [] },
    softness,
    Given.afterNoon(now)
  )

const actOf = (addition: Act.Addition): ReadonlyArray<Suppression.Fact> =>
  addition._tag === "Added" ? [Act.factOf(addition.act)] : assert.fail(addition._tag)

describe("what an event does to the suppressions", () => {
  it("is a cause or a lift of a reason, on all streams or on one", () => {
    const bounces = (["hard", "soft", "undetermined"] as const).map((each) =>
      fact("bounced", { bounceClass: Option.some(each) }).reason
    )
    assert.deepStrictEqual(bounces, ["bounced", "soft_bounced", "soft_bounced"])
    assert.strictEqual(fact("bounced").reason, "soft_bounced")
    const rejections = Event.RejectReason.literals.map((each) =>
      Option.match(Suppression.factOf(event("rejected", { rejectReason: Option.some(each) }), Option.none()), {
        onNone: () => "",
        onSome: ({ reason, stream }) => `${reason} ${Option.getOrElse(stream, () => "all")}`
      })
    )
    assert.deepStrictEqual(rejections, [
      "invalid all",
      "bounced all",
      "",
      "",
      "complained all",
      "unsubscribed bulk",
      ""
    ])
    assert.deepStrictEqual(Option.getOrNull(fact("complained", {}, "bulk").stream), null)
    assert.isTrue(fact("subscribed").lifts)
  })

  it("is nothing for every other type", () => {
    const causing = EventType.EventType.literals.filter((type) =>
      Option.isSome(Suppression.factOf(event(type, { rejectReason: Option.some("invalid") }), Option.none()))
    )
    assert.sameMembers(causing, [...Suppression.causing])
    assert.sameMembers(causing, ["bounced", "rejected", "complained", "unsubscribed", "subscribed"])
  })

  it("is nothing where the message was refused for its size or content", () => {
    for (
      const normalizedPayload of [
        { subtype: "MessageTooLarge" },
        { subtype: "ContentRejected" },
        { subtype: "AttachmentRejected" },
        { event: "VirusNotification" },
        { status: "5.3.4" },
        { status: "4.2.3" },
        { status: "5.6.1" }
      ]
    ) {
      assert.isTrue(Option.isNone(Suppression.factOf(event("bounced", { normalizedPayload }), Option.none())))
    }
    assert.isTrue(
      Option.isSome(Suppression.factOf(event("bounced", { normalizedPayload: { status: "5.2.2" } }), Option.none()))
    )
  })

  it("is of bulk mail where somebody unsubscribes from transactional mail, or nobody knows from what", () => {
    const from = [undefined, ...Delivery.Stream.literals].map((of) =>
      Option.getOrNull(fact("unsubscribed", {}, of).stream)
    )
    assert.deepStrictEqual(from, ["bulk", "bulk", "operational", "bulk"])
  })
})

describe("a suppression", () => {
  it("holds where its latest cause is later than its latest lift", () => {
    const facts = lifted([complained(0)], "complained", 5)
    assert.deepStrictEqual(fold(facts), [])
    assert.deepStrictEqual(fold([...facts, complained(4)]), [])
    assert.deepStrictEqual(reasonsOf(fold([...facts, complained(6)])), ["complained all"])
  })

  it("is lifted by a subscription on the same stream alone, which comes before an unsubscription of its instant", () => {
    const off = [fact("unsubscribed", {}, "bulk"), fact("unsubscribed", {}, "operational")]
    assert.deepStrictEqual(reasonsOf(fold([...off, fact("subscribed", { at: 1 }, "transactional")])), [
      "unsubscribed operational"
    ])
    assert.deepStrictEqual(reasonsOf(fold([...off, fact("subscribed", {}, "bulk")])), [
      "unsubscribed operational",
      "unsubscribed bulk"
    ])
  })

  it("never keeps transactional mail from somebody who unsubscribed", () => {
    const everywhere = { reason: "unsubscribed", stream: Option.none() } as const
    assert.deepStrictEqual(Delivery.Stream.literals.map((of) => Suppression.blocks(everywhere, of)), [
      false,
      true,
      true
    ])
    assert.isTrue(Suppression.blocks({ reason: "bounced", stream: Option.none() }, "transactional"))
    assert.isFalse(Suppression.blocks({ reason: "manual", stream: Option.some("bulk") }, "operational"))
  })

  it("tells the gravest of several reasons", () => {
    const held = fold([soft(0), soft(1), soft(2), complained(0), fact("unsubscribed", { at: 9 })])
    assert.deepStrictEqual(reasonsOf(held), ["complained all", "unsubscribed bulk", "soft_bounced all"])
    const block = Suppression.blockOf(held, "bulk")
    assert.strictEqual(Option.getOrThrow(block).reason, "complained")
    const told = { metadata: Block.toMetadata(Option.getOrThrow(block), false) }
    assert.deepStrictEqual(Block.ofMetadata(told), block)
    assert.isTrue(Option.isNone(Block.ofMetadata({ metadata: {} })))
  })
})

describe("soft bounces", () => {
  it("suppress where so many are in a row over so long, and for so long", () => {
    assert.deepStrictEqual(fold([soft(0), soft(2)]), [])
    assert.deepStrictEqual(fold([soft(0), fact("bounced", { at: 0, id: Given.eventId(9) }), soft(1)]), [])
    const [held] = fold([soft(0), soft(1), soft(2)])
    assert.deepStrictEqual(held?.until, Option.some(Given.afterNoon(12)))
    assert.deepStrictEqual(fold([soft(0), soft(1), soft(2)], [], 12), [])
    assert.deepStrictEqual(fold([soft(0), soft(1), soft(2), soft(5)], [], 12).map(({ since }) => since), [
      Given.afterNoon(5)
    ])
  })

  it("are not in a row where the address was reached between them, or a lift said so", () => {
    assert.deepStrictEqual(fold([soft(0), soft(1), soft(2)], [1]), [])
    assert.lengthOf(fold([soft(0), soft(1), soft(2)], [0, 3]), 1)
    const facts = lifted([soft(0), soft(1), soft(2)], "soft_bounced", 3)
    assert.deepStrictEqual(fold([...facts, soft(4)], [], 4), [])
    assert.lengthOf(fold([...facts, soft(4), soft(5), soft(6)], [], 6), 1)
  })

  it("ask for what resets them only where they would suppress", () => {
    assert.isTrue(Option.isNone(Suppression.asksForResets([soft(0), soft(1), complained(0)], softness)))
    assert.deepStrictEqual(
      Option.getOrNull(Suppression.asksForResets([soft(0), soft(1), soft(2)], softness)),
      { from: Given.noon, to: Given.afterNoon(2) }
    )
  })
})

describe("by hand", () => {
  it("an addition holds at once, also at the instant of a lift, and again changes nothing", () => {
    const facts = actOf(added([], 0))
    assert.strictEqual(added(facts, 0)._tag, "Held")
    const without = lifted(facts, "manual", 0)
    assert.deepStrictEqual(fold(without), [])
    assert.deepStrictEqual(reasonsOf(fold([...without, ...actOf(added(without, 0))])), ["manual all"])
  })

  it("an addition of before a lift, or that has ended, says nothing of today", () => {
    const facts = lifted([complained(0)], "complained", 5)
    assert.strictEqual(added(facts, 9, { since: 4, reason: "complained" })._tag, "Lapsed")
    assert.strictEqual(added(facts, 9, { since: 6, reason: "complained" })._tag, "Added")
    assert.strictEqual(added([], 20, { since: 4, reason: "soft_bounced" })._tag, "Lapsed")
    assert.strictEqual(added([], 9, { since: 4, reason: "soft_bounced" })._tag, "Added")
  })

  it("a lift reaches what a provider's clock has put into the future", () => {
    assert.deepStrictEqual(fold(lifted([complained(60)], "complained", 0)), [])
  })

  it("a lift of unsubscriptions from transactional mail is one from bulk mail, as they are", () => {
    const facts = [fact("unsubscribed", {}, "transactional")]
    const { acts } = Act.lift(
      { reason: "unsubscribed", stream: Option.some("transactional"), ...by },
      { facts, resets: [] },
      softness,
      Given.afterNoon(1)
    )
    assert.deepStrictEqual(fold([...facts, ...acts.map(Act.factOf)]), [])
  })

  it("what is kept of an address ends its rows of soft bounces where a lift by hand did", () => {
    const all = [...lifted([soft(0), soft(1), soft(2)], "soft_bounced", 3), soft(4)]
    const kept = Act.kept(all, [], softness, Given.afterNoon(5)).map(Act.factOf)
    assert.deepStrictEqual(kept.map(({ at }) => at), [Given.afterNoon(2)])
    assert.deepStrictEqual(fold([...all.filter(({ isAct }) => isAct), ...kept]), fold(all))
  })

  it("what is kept of a forgotten address folds to the same", () => {
    const facts = [
      complained(0),
      complained(3),
      soft(0),
      soft(1),
      soft(2),
      fact("subscribed", { at: 2 }, "bulk"),
      fact("unsubscribed", { at: 1 }, "bulk"),
      fact("unsubscribed", { at: 2 }, "operational")
    ]
    const kept = Act.kept(facts, [], softness, Given.noon)
    assert.lengthOf(kept, 5)
    assert.deepStrictEqual(fold(kept.map(Act.factOf)), fold(facts))
  })
})

const small = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const arbitraryFact: Arbitrary.Arbitrary<(id: number, after?: number) => Suppression.Fact> = Arbitrary.all({
  type: Arbitrary.schema(Schema.Literals(["bounced", "rejected", "complained", "unsubscribed", "subscribed"])),
  at: small(-3, 4),
  bounce: Arbitrary.schema(Event.BounceClass),
  reject: Arbitrary.schema(Schema.Literals(["invalid", "bounced", "spam", "unsubscribed"])),
  stream: Arbitrary.schema(Delivery.Stream)
}).pipe(
  Arbitrary.map(({ at, bounce, reject, stream, type }) => (id, after = 0) =>
    fact(
      type,
      { at: at + after, id: Given.eventId(id), bounceClass: Option.some(bounce), rejectReason: Option.some(reject) },
      stream
    )
  )
)

describe("the fold of suppressions", () => {
  it.prop(
    "is the same in any order and with any repetition, also of what is kept of it",
    [
      Arbitrary.array(arbitraryFact, { maxLength: 14 }),
      Arbitrary.array(arbitraryFact, { maxLength: 6 }),
      Arbitrary.array(small(-3, 9), { maxLength: 3 }),
      Given.turn
    ],
    ([made, more, resets, turn]) => {
      const facts = made.map((make, id) => make(id))
      const byHand = ["complained", "soft_bounced", "unsubscribed"] as const
      const later = more.map((make, id) => make(made.length + id, 5))
      const all = [
        ...byHand.reduce<ReadonlyArray<Suppression.Fact>>((sofar, reason) => lifted(sofar, reason, turn - 5), facts),
        ...later
      ]
      const expected = fold(all, resets)
      assert.deepStrictEqual(fold(Given.rotated([...all, ...all.slice(0, turn)], turn), resets.toReversed()), expected)
      const instants = resets.map(Given.afterNoon)
      const kept = Act.kept(Given.rotated(all, turn), instants, softness, Given.noon).map(Act.factOf)
      const after = [...all.filter(({ isAct }) => isAct), ...kept]
      const plain = (held: ReadonlyArray<Suppression.Held>) =>
        held.map(({ reason, since, stream }) => [reason, Option.getOrNull(stream), DateTime.formatIso(since)])
      assert.deepStrictEqual(plain(fold(after, [])), plain(expected))
    }
  )
})
