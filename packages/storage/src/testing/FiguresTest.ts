/**
 * Declares the contract of the `Figures` port as a test suite that every adapter runs. That figures equal a count of the ledger after
 * any history is asserted with the other laws, by the suite of the ledger.
 *
 * @since 0.2.0
 */
import { assert } from "@effect/vitest"
import { Audit, type Delivery, Event, Figures, Ledger, Tenant } from "@waybill/core"
import { Array as Arr, DateTime, Effect, type Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import type * as PgLedger from "../PgLedger.ts"
import * as Generators from "./Generators.ts"
import * as Given from "./Given.ts"
import * as History from "./History.ts"
import { appended, assertFigures, type Contract, declare, linkedTo, timeline } from "./internal/contract.ts"

/** Follows the feed until it has shown so many events of a tenant, and returns the figures of the days around noon. */
const figuresOf = Effect.fnUntraced(function*(
  tenantId: Tenant.TenantId,
  events: number,
  by: ReadonlyArray<Figures.Dimension>,
  fields: Partial<Figures.Query> = {}
) {
  const figures = yield* Figures.Figures
  yield* History.feedOf(tenantId, events)
  yield* Figures.followToNow()
  return yield* figures.read({
    scope: tenantId,
    from: DateTime.subtract(Given.noon, { days: 20 }),
    to: DateTime.add(Given.noon, { days: 1 }),
    by,
    limit: 100,
    ...fields
  })
})

const dispatched = (tenantId: Tenant.TenantId, message: string, recipient: string, stream: Delivery.Stream = "bulk") =>
  Given.dispatched(tenantId, message, { recipient: Given.address(recipient), stream })

const counting = ({ example }: Contract): void => {
  example(
    "what was dispatched counts by its stream, provider, mailbox and domain for what became of it",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* dispatched(tenantId, "m-1", "ann@gmail.com")
      yield* dispatched(tenantId, "m-2", "bob@example.com")
      yield* dispatched(tenantId, "m-3", "cid@example.com", "transactional")
      yield* appended(tenantId, [
        Given.report("delivered", "m-1", { occurredAt: Given.afterNoon(3) }),
        Given.report("complained", "m-1", { occurredAt: Given.afterNoon(86_400 * 2) }),
        Given.report("bounced", "m-2", { occurredAt: Given.afterNoon(5), bounceClass: Option.some("hard") })
      ])
      const { figures } = yield* figuresOf(tenantId, 9, ["stream", "provider", "mailbox", "domain"])
      const first = figures[0] ?? assert.fail("there are no figures")
      const rest = figures.slice(1)
      assert.deepStrictEqual(
        figures.map(({ counts, group }) => [
          group.stream,
          Option.getOrNull(group.provider ?? Option.none()),
          group.mailbox,
          Option.getOrNull(group.domain ?? Option.none()),
          counts.dispatched,
          counts.silent
        ]),
        [
          ["bulk", "postmark", "gmail", "gmail.com", 1, 0],
          ["bulk", "postmark", "other", "example.com", 1, 0],
          ["transactional", "postmark", "other", "example.com", 1, 1]
        ]
      )
      assert.strictEqual(first.counts.delivered, 1)
      assert.strictEqual(first.counts.deliveredWithin[2], 1)
      assert.strictEqual(first.counts.complained, 1)
      assert.isTrue(Option.isNone(first.complaints), "nobody is told of complaints at Gmail")
      assert.deepStrictEqual(rest.map(({ counts }) => counts.hardBounced), [1, 0])
      assert.deepStrictEqual(
        first.cohorts.map(({ startsAt }) => DateTime.formatIso(startsAt)),
        ["2026-03-01T00:00:00.000Z"]
      )
      const { figures: [all] } = yield* figuresOf(tenantId, 9, [])
      assert.deepStrictEqual(all?.complaints, Option.some({ complained: 0, delivered: 0 }))
      yield* assertFigures(tenantId)
    })
  )

  example(
    "nothing counts before it is followed, and following again changes nothing",
    Effect.gen(function*() {
      const figures = yield* Figures.Figures
      const tenantId = yield* Given.tenant
      const query = yield* Figures.check({
        scope: tenantId,
        from: Given.afterNoon(-3600),
        to: Given.afterNoon(3600),
        by: [],
        limit: 1
      })
      yield* figuresOf(tenantId, 0, [])
      yield* dispatched(tenantId, "m-1", "ann@example.com")
      assert.deepStrictEqual((yield* figures.read(query)).figures, [])
      yield* History.feedOf(tenantId, 2)
      while (!(yield* figures.follow({ limit: 1 })).isCurrent);
      const once = yield* figures.read(query)
      assert.strictEqual(once.grain, "hour")
      assert.deepStrictEqual(once.figures.map(({ counts }) => counts.dispatched), [1])
      assert.deepStrictEqual(
        Option.map(once.followedAt, DateTime.formatIso),
        Option.some(DateTime.formatIso(Given.noon))
      )
      yield* Figures.followToNow()
      assert.deepStrictEqual((yield* figures.read(query)).figures, once.figures)
    })
  )

  example(
    "the groups with most mail are returned where there are more than asked for, and other tenants' nowhere",
    Effect.gen(function*() {
      const [tenantId, other] = [yield* Given.tenant, yield* Given.tenant]
      for (const [index, domain] of ["a.example", "b.example", "b.example", "c.example"].entries()) {
        yield* dispatched(tenantId, `m-${index}`, `ann@${domain}`)
      }
      yield* dispatched(other, "m-1", "ann@other.example")
      yield* History.feedOf(other, 2)
      const { figures } = yield* figuresOf(tenantId, 8, ["domain"], { limit: 2 })
      assert.deepStrictEqual(
        figures.map(({ counts, group }) => [Option.getOrNull(group.domain ?? Option.none()), counts.dispatched]),
        [["b.example", 2], ["a.example", 1]]
      )
      const both = yield* figuresOf(tenantId, 8, ["tenant"], { scope: Tenant.all, limit: 10_000 })
      assert.deepStrictEqual(
        both.figures.filter(({ group }) => group.tenant === tenantId || group.tenant === other)
          .map(({ counts, group }) => [group.tenant === other, counts.dispatched]),
        [[false, 4], [true, 1]]
      )
    })
  )
}

const correcting = ({ example }: Contract): void => {
  example(
    "what comes late corrects the cohort of the dispatch",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* dispatched(tenantId, "m-1", "ann@yahoo.com")
      yield* figuresOf(tenantId, 2, [])
      yield* TestClock.adjust("9 days")
      yield* appended(tenantId, [
        Given.report("complained", "m-1", { occurredAt: Given.afterNoon(86_400 * 9) }),
        Given.report("delivered", "m-1", { occurredAt: Given.afterNoon(60) })
      ])
      const { figures } = yield* figuresOf(tenantId, 4, ["mailbox"])
      assert.deepStrictEqual(
        figures.map(({ cohorts, complaints, counts, isRipe }) => [
          cohorts.map(({ startsAt }) => DateTime.formatIso(startsAt)),
          complaints,
          counts.complained,
          counts.silent,
          isRipe
        ]),
        [[["2026-03-01T00:00:00.000Z"], Option.some({ complained: 1, delivered: 1 }), 1, 0, true]]
      )
      yield* assertFigures(tenantId)
    })
  )

  example(
    "an orphan counts once it is linked, and moves its delivery to the cohort of the dispatch",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const delivery = yield* Given.recorded(tenantId)
      const [orphan] = yield* appended(tenantId, [
        Given.report("delivered", "m-1", { occurredAt: Given.afterNoon(-86_400 * 3) })
      ])
      assert.lengthOf((yield* figuresOf(tenantId, 2, [])).figures, 0)
      yield* linkedTo(tenantId, orphan?.eventId ?? Event.EventId.make(delivery.id), delivery.id)
      const linked = yield* figuresOf(tenantId, 3, ["provider"])
      assert.deepStrictEqual(
        linked.figures.flatMap(({ cohorts }) => cohorts.map(({ startsAt }) => DateTime.formatIso(startsAt))),
        ["2026-02-26T00:00:00.000Z"]
      )
      const ledger = yield* Ledger.Ledger
      yield* ledger.dispatch(Given.dispatch(delivery, "m-2"))
      const { figures } = yield* figuresOf(tenantId, 4, ["provider"])
      assert.deepStrictEqual(
        figures.flatMap(({ cohorts }) =>
          cohorts.map(({ counts, startsAt }) => [DateTime.formatIso(startsAt), counts.delivered])
        ),
        [["2026-03-01T00:00:00.000Z", 1]]
      )
      yield* assertFigures(tenantId)
    })
  )

  example(
    "who is forgotten counts without a domain at once, and in full",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const figures = yield* Figures.Figures
      const tenantId = yield* Given.tenant
      yield* dispatched(tenantId, "m-1", "ann@ann.example")
      yield* dispatched(tenantId, "m-2", "ann@gmail.com")
      yield* appended(tenantId, [Given.report("delivered", "m-1"), Given.report("delivered", "m-2")])
      const before = yield* figuresOf(tenantId, 6, ["domain"])
      assert.lengthOf(before.figures, 2)
      yield* ledger.forget({ tenantId, recipient: Given.address("ann@ann.example") })
      yield* ledger.forget({ tenantId, recipient: Given.address("ann@gmail.com") })
      const { figures: found } = yield* figures.read({
        scope: tenantId,
        from: before.from,
        to: before.to,
        by: ["domain", "mailbox"],
        limit: 10
      })
      assert.deepStrictEqual(
        found.map(({ counts, group }) => [group, counts.delivered]),
        [[{ mailbox: "other", domain: Option.none() }, 2]]
      )
      yield* assertFigures(tenantId)
    })
  )
}

const following = ({ example, histories }: Contract): void => {
  histories(
    "three that follow at once, while others write, count nothing twice and miss nothing",
    Generators.history,
    (history) =>
      Effect.gen(function*() {
        const figures = yield* Figures.Figures
        const follower = Effect.orDie(figures.follow({ limit: 2 }))
        const seen = yield* Effect.raceFirst(
          History.runConcurrently(history, 2),
          Effect.forever(
            Effect.all(Arr.replicate(follower, 3), { concurrency: 3 }).pipe(Effect.andThen(Effect.yieldNow))
          )
        )
        yield* Effect.forEach(seen, ({ tenantId }) => assertFigures(tenantId))
      }),
    { runs: 6 }
  )

  example(
    "a query of no sense is refused",
    Effect.gen(function*() {
      const figures = yield* Figures.Figures
      const audit = yield* Audit.Audit
      const query = { scope: Given.nobody, from: Given.noon, to: Given.afterNoon(1), by: [], limit: 1 }
      for (
        const wrong of [{ limit: 0 }, { to: Given.noon }, { from: DateTime.subtract(Given.noon, { days: 401 }) }]
      ) {
        assert.strictEqual((yield* Effect.flip(figures.read({ ...query, ...wrong })))._tag, "InvalidInput")
      }
      assert.strictEqual((yield* Effect.flip(figures.follow({ limit: 0 })))._tag, "InvalidInput")
      const wrong = { part: "figures" as const, scope: Tenant.all, after: Option.some("yesterday acme"), limit: 1 }
      assert.strictEqual((yield* Effect.flip(audit.verify(wrong)))._tag, "InvalidInput")
    })
  )

  example(
    "what is compared goes page by page, of deliveries and of days",
    Effect.gen(function*() {
      const audit = yield* Audit.Audit
      const tenantId = yield* Given.tenant
      for (const message of ["m-1", "m-2", "m-3"]) {
        const delivery = yield* dispatched(tenantId, message, "ann@example.com")
        assert.lengthOf(yield* timeline(delivery), 2)
        yield* TestClock.adjust("1 days")
      }
      yield* figuresOf(tenantId, 6, [])
      for (const part of ["contributions", "figures"] as const) {
        let after = Option.none<string>()
        let checked = 0
        do {
          const page = yield* audit.rebuild({ part, scope: tenantId, after, limit: 1 })
          assert.deepStrictEqual(page.drifts, [])
          checked += page.checked
          after = page.next
        } while (Option.isSome(after))
        assert.strictEqual(checked, 3, part)
      }
    })
  )
}

/**
 * Declares what holds for all figures.
 *
 * @category suites
 * @since 0.2.0
 */
export const suite = <E>(name: string, ledger: Layer.Layer<PgLedger.Ports, E>): void =>
  declare(name, ledger, (contract) => {
    counting(contract)
    correcting(contract)
    following(contract)
  })
