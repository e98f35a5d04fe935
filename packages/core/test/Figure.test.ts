import { assert, describe, it } from "@effect/vitest"
import { type Delivery, Event, Figure, Figures, Mailbox, Provider, Tenant } from "@waybill/core"
import { DateTime, Duration, Effect, Option } from "effect"
import * as Given from "./Given.ts"

const resend = Option.some(Provider.Provider.make("resend"))

const delivery: Pick<Delivery.Delivery, "id" | "tenantId" | "stream" | "provider" | "recipientDomain"> = {
  id: Event.DeliveryId.make("00000000-0000-4000-8000-000000000001"),
  tenantId: Tenant.defaultTenantId,
  stream: "bulk",
  provider: resend,
  recipientDomain: Option.some("gmail.com")
}

const fact = (type: Figure.Fact["type"], fields: Partial<Figure.Fact> = {}): Figure.Fact => ({
  ...Given.fact(type),
  ...fields
})

const of = (facts: ReadonlyArray<Figure.Fact>) => Option.getOrThrow(Figure.contributionOf(delivery, facts))

const countsOf = (facts: ReadonlyArray<Figure.Fact>) => Figure.countsOf(Figure.tallyOf(of(facts)))

describe("contribution", () => {
  it.prop(
    "is the same in any order and with repetition",
    [Given.facts, Given.turn, Given.turn],
    ([facts, turn, cut]) => {
      const counted = Figure.contributionOf(delivery, facts)
      assert.deepStrictEqual(Figure.contributionOf(delivery, Given.rotated(facts, turn)), counted)
      assert.deepStrictEqual(Figure.contributionOf(delivery, [...facts, ...facts.slice(cut)]), counted)
    },
    { arbitrary: { runs: 300 } }
  )

  it("is of the hour of the dispatch, whatever is heard before or after", () => {
    const at = DateTime.makeUnsafe("2026-03-01T12:34:56.789Z")
    const facts = [
      fact("queued", { occurredAt: DateTime.subtract(at, { hours: 3 }), provider: Option.none() }),
      fact("dispatched", { occurredAt: at, provider: Option.none() }),
      fact("complained", { occurredAt: DateTime.add(at, { days: 9 }), provider: resend })
    ]
    assert.strictEqual(DateTime.formatIso(of(facts).hour), "2026-03-01T12:00:00.000Z")
    const { complained, dispatched, silent } = countsOf(facts)
    assert.deepStrictEqual([dispatched, complained, silent], [1, 1, 0])
  })

  it("is nothing before the delivery is dispatched, given up or suppressed", () => {
    const own = { provider: Option.none() }
    assert.isTrue(Option.isNone(Figure.contributionOf(delivery, [])))
    assert.isTrue(
      Option.isNone(Figure.contributionOf(delivery, [fact("queued", own), fact("deferred", own)]))
    )
    assert.strictEqual(countsOf([fact("failed", own)]).failed, 1)
    assert.strictEqual(countsOf([fact("suppressed", own)]).suppressed, 1)
    assert.strictEqual(countsOf([fact("failed", own)]).dispatched, 0)
  })

  it("counts what is dispatched and not heard of as silent, and a machine's open and click apart", () => {
    const byMachine = { provider: resend, normalizedPayload: { machine: "apple" } }
    assert.strictEqual(countsOf([fact("dispatched", { provider: Option.none() })]).silent, 1)
    const counts = countsOf([fact("opened", byMachine), fact("clicked", byMachine)])
    assert.deepStrictEqual([counts.opened, counts.openedByMachine, counts.clicked, counts.silent], [0, 1, 0, 0])
  })

  it("counts a delivery once for whatever happened to it, and a rejection by its reason", () => {
    const soft = { provider: resend, bounceClass: Option.some("soft" as const) }
    const counts = countsOf([
      fact("bounced", soft),
      fact("bounced", soft),
      fact("bounced", { provider: resend, bounceClass: Option.some("undetermined") }),
      fact("rejected", { provider: resend, rejectReason: Option.some("spam") }),
      fact("rejected", { provider: resend, rejectReason: Option.none() })
    ])
    assert.deepStrictEqual([counts.softBounced, counts.hardBounced, counts.rejected], [1, 1, 1])
    assert.deepStrictEqual([counts.rejectedFor.spam, counts.rejectedFor.other, counts.rejectedFor.blocked], [1, 1, 0])
  })

  it("takes no time where a clock says that it was delivered before its dispatch", () => {
    const at = DateTime.makeUnsafe("2026-03-01T12:00:00.000Z")
    const delivered = (millis: number) =>
      of([
        fact("dispatched", { occurredAt: at, provider: Option.none() }),
        fact("delivered", { occurredAt: DateTime.add(at, { milliseconds: millis }), provider: resend })
      ]).part
    assert.deepStrictEqual(
      [-5000, 0, 999, 1000, 59_999, 60_000, 10 * 86_400_000].map((millis) => Option.getOrNull(delivered(millis))),
      [0, 0, 0, 1, 6, 7, Figure.bounds.length]
    )
  })
})

describe("percentile", () => {
  it("lies within the part of the histogram that holds it", () => {
    const histogram = Figure.countsOf(Figure.noTally).deliveredWithin.map((_, part) =>
      part === 3 ? 90 : part === 7 ? 10 : 0
    )
    const seconds = (share: number) => Option.map(Figure.percentile(histogram, share), Duration.toSeconds)
    assert.deepStrictEqual(seconds(0.5), Option.some(7.778))
    assert.deepStrictEqual(seconds(0.95), Option.some(90))
    assert.isTrue(Option.isNone(Figure.percentile([0, 0], 0.5)))
  })
})

describe("mailbox", () => {
  it("is known by the domain of the recipient, also of a country", () => {
    const mailboxes = [
      "gmail.com",
      "googlemail.com",
      "yahoo.co.uk",
      "ymail.com",
      "hotmail.fr",
      "outlook.com",
      "live.com.mx",
      "icloud.com",
      "yahoo.example.com",
      "notgmail.com"
    ].map((domain) => Mailbox.ofDomain(Option.some(domain)))
    assert.deepStrictEqual(mailboxes, [
      "gmail",
      "gmail",
      "yahoo",
      "yahoo",
      "microsoft",
      "microsoft",
      "microsoft",
      "apple",
      "other",
      "other"
    ])
    assert.strictEqual(Mailbox.ofDomain(Option.none()), "other")
  })

  it("tells of no complaints where nobody is told of them", () => {
    assert.isFalse(Mailbox.tellsComplaints(resend, "gmail"))
    assert.isFalse(Mailbox.tellsComplaints(Option.none(), "apple"))
    assert.isTrue(Mailbox.tellsComplaints(resend, "yahoo"))
    assert.isFalse(Mailbox.tellsComplaints(Option.some(Provider.Provider.make("azure")), "yahoo"))
  })
})

describe("table", () => {
  const noon = DateTime.makeUnsafe("2026-03-10T12:00:00.000Z")

  const tableOf = (by: ReadonlyArray<Figures.Dimension>, days: number, all: ReadonlyArray<Figure.Contribution>) =>
    Effect.gen(function*() {
      const query = yield* Figures.check({
        scope: Tenant.all,
        from: DateTime.subtract(noon, { days }),
        to: noon,
        by,
        limit: 10
      })
      return Figures.tableOf(query, Figures.rowsOf(query, all), Option.none(), noon)
    })

  const complained = (domain: string) =>
    Option.getOrThrow(Figure.contributionOf({ ...delivery, recipientDomain: Option.some(domain) }, [
      fact("delivered", { occurredAt: DateTime.subtract(noon, { days: 5 }), provider: resend }),
      fact("complained", { occurredAt: noon, provider: resend })
    ]))

  it.effect("judges complaints by the mail of mailboxes that tell of them", () =>
    Effect.gen(function*() {
      const all = [complained("gmail.com"), complained("gmail.com"), complained("yahoo.com")]
      const { figures, grain } = yield* tableOf(["mailbox"], 30, all)
      assert.strictEqual(grain, "day")
      assert.deepStrictEqual(figures.map(({ complaints, counts, group }) => [group, counts.complained, complaints]), [
        [{ mailbox: "gmail" }, 2, Option.none()],
        [{ mailbox: "yahoo" }, 1, Option.some({ complained: 1, delivered: 1 })]
      ])
      const [sum] = (yield* tableOf([], 30, all)).figures
      assert.deepStrictEqual(sum?.complaints, Option.some({ complained: 1, delivered: 1 }))
      assert.isTrue(sum?.isRipe)
    }))

  it.effect("tells a short window by the hour, and what is young as not ripe", () =>
    Effect.gen(function*() {
      const at = DateTime.subtract(noon, { hours: 1 })
      const young = of([fact("dispatched", { occurredAt: at, provider: Option.none() })])
      const { figures, grain } = yield* tableOf(["stream"], 1, [young, complained("yahoo.com")])
      assert.strictEqual(grain, "hour")
      assert.deepStrictEqual(
        figures.map(({ cohorts, isRipe }) => [isRipe, cohorts.map(({ startsAt }) => DateTime.formatIso(startsAt))]),
        [[false, ["2026-03-10T11:00:00.000Z"]]]
      )
    }))

  it.effect("is refused for a window that ends before it begins or is too long, and for what deliveries do not have", () =>
    Effect.gen(function*() {
      for (const days of [-1, 0, 401]) {
        const refused = yield* Effect.flip(tableOf([], days, []))
        assert.strictEqual(refused._tag, "InvalidInput")
      }
      const twice = yield* Effect.flip(tableOf(["stream", "stream"], 1, []))
      assert.include(twice.message, "by: must be any of tenant, stream, provider, mailbox, domain, each once")
    }))
})
