import { assert, describe, it } from "@effect/vitest"
import { Alert, AlertBook, AlertRule, Judgement, Provider, Tenant } from "@waybill/core"
import { DateTime, Duration, Effect, Option, Random } from "effect"

const acme = Tenant.TenantId.make("acme")
const bulk = "bulk" as const
const about = { tenantId: acme, subject: { stream: bulk } }
const at = (hours: number) => DateTime.makeUnsafe(1_772_366_400_000 + hours * 3_600_000)
const idOf = (n: number) => Alert.AlertId.make(`018f0000-0000-7000-8000-${String(n).padStart(12, "0")}`)

const bounces = (part: number, of: number) => Judgement.judgeShare(AlertRule.defaults.hard_bounces, about, { part, of })

const verdict = (...judgements: ReadonlyArray<Judgement.Judgement>): Alert.Verdict => ({
  judged: AlertRule.Name.literals,
  judgements
})

/** What is told when a book is judged again and again, at some hours. */
const told = (timed: ReadonlyArray<readonly [hours: number, verdict: Alert.Verdict]>) => {
  let book = AlertBook.empty
  let next = 0
  return timed.map(([hours, verdict]) => {
    const [notices, after] = AlertBook.settle(book, verdict, verdict.judgements.map(() => idOf(next++)), at(hours))
    book = after
    return notices.map(({ kind }) => kind).join(" ")
  })
}

describe("rules", () => {
  it("say nothing of three bounces of ten, nor of six of a hundred, and do of three hundred of a thousand", () => {
    assert.strictEqual(bounces(3, 10).level, "under")
    assert.strictEqual(bounces(6, 100).level, "above")
    assert.strictEqual(bounces(300, 1000).level, "over")
    assert.strictEqual(bounces(0, 0).level, "under")
    const complaints = (part: number) => Judgement.judgeShare(AlertRule.defaults.complaints, about, { part, of: 250 })
    assert.isAbove(Judgement.atLeast({ part: 2, of: 250 }), AlertRule.defaults.complaints.line)
    assert.strictEqual(complaints(2).level, "above")
    assert.strictEqual(complaints(3).level, "over")
  })

  it.effect("are never sure of a share that is above the one that was measured", () =>
    Effect.gen(function*() {
      for (let n = 0; n < 2000; n++) {
        const of = yield* Random.nextIntBetween(0, 5000)
        const part = yield* Random.nextIntBetween(0, of)
        const least = Judgement.atLeast({ part, of })
        assert.isAtLeast(least, 0)
        assert.isAtMost(least, of === 0 ? 0 : part / of + 1e-12)
        assert.isAtMost(least, Judgement.atLeast({ part: part * 2, of: of * 2 }) + 1e-12, "more mail, surer")
      }
    }))

  it("name the subject and the measure, and nobody's address", () => {
    assert.strictEqual(
      Judgement.sentence(bounces(300, 1000)),
      "stream=bulk: 30 % of the dispatched mail bounced for good (300 of 1000), above 5 %"
    )
    const lag = Judgement.judgeNumber(AlertRule.defaults.feed_lag, { ...about, subject: { consumer: "crm" } }, 1000.7)
    assert.strictEqual(
      Judgement.sentence(lag),
      "consumer=crm: time that the consumer is behind the feed: 16m 40s, above 15m"
    )
  })

  it("have each its own name, and a place where the line comes from", () => {
    for (const name of AlertRule.Name.literals) {
      const rule = AlertRule.defaults[name]
      assert.strictEqual(rule.name, name)
      assert.isAbove(rule.source.length, 10)
      assert.strictEqual(rule.measure === "share", rule.least > 0, name)
    }
  })
})

describe("an alert", () => {
  const [bad, fair, good] = [verdict(bounces(300, 1000)), verdict(bounces(6, 100)), verdict(bounces(1, 100))]

  it("opens once, is told of again after a day, and closes when it was back for an hour", () => {
    assert.deepStrictEqual(
      told([[0, good], [1, bad], [1, bad], [2, bad], [24.9, bad], [25, bad], [26, good], [26.5, good], [27, good]]),
      ["", "opened", "", "", "", "reminded", "", "", "closed"]
    )
  })

  it("does not open while it is only above the line, and stays open while it is", () => {
    assert.deepStrictEqual(told([[0, fair], [1, bad], [2, fair], [4, fair], [5, good], [6, good]]), [
      "",
      "opened",
      "",
      "",
      "",
      "closed"
    ])
  })

  it("does not close while it comes back within the hour", () => {
    assert.deepStrictEqual(told([[0, bad], [1, good], [1.5, bad], [2, good], [2.9, good], [3, good]]), [
      "opened",
      "",
      "",
      "",
      "",
      "closed"
    ])
  })

  it("closes where nothing is left to be judged, but not where its rule was not judged", () => {
    const nothing: Alert.Verdict = { judged: AlertRule.Name.literals, judgements: [] }
    const unknown: Alert.Verdict = { judged: [], judgements: [] }
    assert.deepStrictEqual(told([[0, bad], [1, unknown], [9, unknown], [10, nothing], [11, nothing]]), [
      "opened",
      "",
      "",
      "",
      "closed"
    ])
  })

  it("opens again as another one", () => {
    assert.deepStrictEqual(told([[0, bad], [1, good], [2, good], [3, bad]]), ["opened", "", "closed", "opened"])
  })

  it("is one for each tenant, rule and subject", () => {
    const other = { ...bounces(300, 1000), subject: { stream: "transactional" as const } }
    const foreign = { ...bounces(300, 1000), tenantId: Tenant.TenantId.make("other") }
    const two = { ...bounces(300, 1000), rule: "blocked" as const }
    assert.deepStrictEqual(told([[0, verdict(bounces(300, 1000), other, foreign, two, bounces(400, 1000))]]), [
      "opened opened opened opened"
    ])
  })

  it("that is muted is kept and told to nobody", () => {
    const mute: Alert.Mute = { tenantId: Tenant.all, rule: "hard_bounces", until: at(2), actor: "ann" }
    const muted = AlertBook.mute(AlertBook.empty, mute)
    const [notices, book] = AlertBook.settle(muted, bad, [idOf(1)], at(1))
    assert.deepStrictEqual(notices.map(({ isMuted, kind }) => [kind, isMuted]), [["opened", true]])
    const all = { scope: Tenant.all, after: 0, limit: 10 }
    assert.lengthOf(AlertBook.notices(book, all), 0)
    assert.lengthOf(AlertBook.claim(book, { limit: 10, lease: Duration.minutes(1) }, at(1))[0], 0)
    const [reminded] = AlertBook.settle(book, bad, [], at(25))
    assert.deepStrictEqual(reminded.map(({ isMuted, kind }) => [kind, isMuted]), [["reminded", false]])
    const postmark = { ...mute, rule: "silent_provider" as const }
    assert.isFalse(Alert.isMuted({ tenantId: acme, rule: "hard_bounces" }, [postmark], at(1)))
  })
})

describe("answers", () => {
  it("are summed by tenant and provider for as long as is asked", () => {
    const postmark = Provider.Provider.make("postmark")
    const answered = { tenantId: acme, provider: postmark, answered: 10, refused: 4 }
    let book = AlertBook.noteAnswered(AlertBook.empty, [answered, answered], at(0))
    book = AlertBook.noteAnswered(book, [answered], at(0.01))
    book = AlertBook.noteAnswered(book, [answered], at(1))
    assert.lengthOf(book.tallies, 2)
    const sum = (minutes: number) =>
      AlertBook.answered(book, Duration.minutes(minutes), at(1)).map(({ answered, refused }) => [answered, refused])
    assert.deepStrictEqual(sum(30), [[10, 4]])
    assert.deepStrictEqual(sum(90), [[40, 16]])
    assert.deepStrictEqual(AlertBook.answered(book, Duration.minutes(30), at(3)), [])
    assert.lengthOf(AlertBook.noteAnswered(book, [], at(100)).tallies, 0)
    assert.isTrue(Option.isNone(AlertBook.history(book, Tenant.all, idOf(1))))
  })
})
