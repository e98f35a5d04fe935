/** What PostgreSQL adds to figures: kills, other programs that write, and what was written past the ledger. */
import { assert, describe, it } from "@effect/vitest"
import { Audit, type Drift, Figures, Ledger, type Tenant } from "@waybill/core"
import { Given } from "@waybill/storage/testing"
import { DateTime, Effect, Option } from "effect"
import { SqlClient } from "effect/sql"
import * as TestDatabase from "./TestDatabase.ts"

const parts = ["contributions", "figures"] as const

const audit = Effect.fnUntraced(function*(operation: "verify" | "rebuild", scope: Tenant.Scope) {
  const stored = yield* Audit.Audit
  const pages = yield* Effect.forEach(
    parts,
    (part) => stored[operation]({ part, scope, after: Option.none(), limit: 1000 })
  )
  return pages.flatMap(({ drifts }): ReadonlyArray<Drift.Drift> => drifts)
})

const names = (drifts: ReadonlyArray<Drift.Drift>) => drifts.map(({ _tag }) => _tag)

/** All rows of the figures, as text. */
const stored = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(
    sql<{ readonly row: string }>`
      SELECT c::text AS row FROM waybill.contributions c UNION ALL SELECT f::text FROM waybill.figures f ORDER BY row
    `,
    (rows) => rows.map(({ row }) => row)
  ))

/** Follows the feed until it shows nothing more that counts: an open transaction elsewhere in the cluster may hold it back. */
const followed = (contributions: number) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.repeat(
      Effect.andThen(
        Figures.followToNow(),
        sql<{ readonly count: number }>`SELECT count(*)::integer AS count FROM waybill.contributions`
      ),
      { until: ([row]) => row?.count === contributions }
    ))

/** Deliveries to addresses of a domain, each of which was delivered. */
const sent = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, count: number, prefix = "m") {
  const ledger = yield* Ledger.Ledger
  const indexes = Array.from({ length: count }, (_, index) => index)
  const deliveries = yield* Effect.forEach(
    indexes,
    (index) => Given.dispatched(tenantId, `${prefix}-${index}`, { recipient: Given.address(`r${index}@example.com`) }),
    { concurrency: 4 }
  )
  const now = yield* DateTime.now
  const reports = indexes.map((index) => Given.report("delivered", `${prefix}-${index}`, { occurredAt: now }))
  yield* ledger.append(tenantId, reports)
  return deliveries
})

describe("figures on PostgreSQL", () => {
  it.live(
    "a follower that is killed at any write has counted nothing, and the next counts all",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const figures = yield* Figures.Figures
        const tenantId = yield* Given.tenant
        yield* sent(tenantId, 3)
        yield* followed(3)
        // What is corrected and what is new: a follow writes to each of the tables.
        yield* sent(tenantId, 2, "late")
        yield* sql`UPDATE waybill.deliveries SET stream = 'bulk' WHERE provider_message_id LIKE 'm-%'`
        const before = yield* stored
        yield* sql`
        CREATE FUNCTION waybill.die() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          PERFORM pg_terminate_backend(pg_backend_pid());
          RETURN NULL;
        END $$
      `
        const places = [
          "INSERT OR UPDATE ON waybill.contributions",
          "INSERT OR UPDATE ON waybill.figures",
          "DELETE ON waybill.figures_due",
          "DELETE ON waybill.figures",
          "INSERT OR UPDATE ON waybill.checkpoints"
        ]
        for (const place of places) {
          yield* sql.unsafe(`CREATE TRIGGER dies AFTER ${place} FOR EACH STATEMENT EXECUTE FUNCTION waybill.die()`)
          const killed = yield* Effect.flip(figures.follow({ limit: 1000 }))
          assert.strictEqual(killed._tag, "LedgerUnavailable", place)
          yield* sql.unsafe(`DROP TRIGGER dies ON ${place.split(" ON ")[1] ?? ""}`)
          assert.deepStrictEqual(yield* stored, before, place)
        }
        yield* followed(5)
        assert.deepStrictEqual(yield* audit("verify", tenantId), [])
      }).pipe(Effect.provide(TestDatabase.ledger)),
    60_000
  )

  it.live(
    "a rebuild makes every row as following made it, and touches nothing that has not drifted",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const tenantId = yield* Given.tenant
        const [first] = yield* sent(tenantId, 4)
        yield* followed(4)
        const all = yield* stored
        const versions = sql`
        SELECT xmin::text, tenant_id FROM waybill.contributions
        UNION ALL SELECT xmin::text, tenant_id FROM waybill.figures ORDER BY 1
      `
        const untouched = yield* versions
        assert.deepStrictEqual(yield* audit("rebuild", tenantId), [])
        assert.deepStrictEqual(yield* versions, untouched)

        const id = first?.id ?? assert.fail("there is no delivery")
        const wrong: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
          [`UPDATE waybill.contributions SET bits = bits | 32 WHERE delivery_id = '${id}'`, [
            "Contribution",
            "Figures"
          ]],
          [`DELETE FROM waybill.contributions WHERE delivery_id = '${id}'`, ["Contribution", "Figures"]],
          [
            `INSERT INTO waybill.contributions SELECT tenant_id, gen_random_uuid(), hour, stream, provider, domain, bits, part
            FROM waybill.contributions WHERE delivery_id = '${id}'`,
            ["Contribution", "Figures"]
          ],
          ["UPDATE waybill.figures SET complained = 7 WHERE cohort = 'domain'", ["Figures"]],
          ["DELETE FROM waybill.figures WHERE cohort = 'hour'", ["Figures"]],
          ["UPDATE waybill.figures SET starts_at = starts_at - interval '400 days' WHERE cohort = 'day'", [
            "Figures",
            "Figures"
          ]],
          ["TRUNCATE waybill.figures, waybill.contributions", [
            "Contribution",
            "Contribution",
            "Contribution",
            "Contribution"
          ]]
        ]
        for (const [statement, expected] of wrong) {
          yield* sql.unsafe(statement)
          assert.deepStrictEqual(names(yield* audit("verify", tenantId)), expected, statement)
          yield* audit("rebuild", tenantId)
          assert.deepStrictEqual(yield* stored, all, statement)
          assert.deepStrictEqual(yield* audit("verify", tenantId), [])
        }
      }).pipe(Effect.provide(TestDatabase.ledger)),
    60_000
  )

  it.live(
    "what another program changes of a delivery, or deletes, is counted so by the next follow",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const figures = yield* Figures.Figures
        const tenantId = yield* Given.tenant
        const [first, second, third] = yield* sent(tenantId, 3)
        yield* followed(3)
        yield* sql`UPDATE waybill.deliveries SET recipient = 'r@gmail.com' WHERE id = ${first?.id ?? ""}`
        yield* sql`UPDATE waybill.deliveries SET provider = 'ses' WHERE id = ${second?.id ?? ""}`
        yield* sql`DELETE FROM waybill.deliveries WHERE id = ${third?.id ?? ""}`
        // What is due is no drift.
        assert.deepStrictEqual(yield* audit("verify", tenantId), [])
        yield* Figures.followToNow()
        const to = yield* DateTime.now
        const { figures: found } = yield* figures.read({
          scope: tenantId,
          from: DateTime.subtract(to, { hours: 2 }),
          to: DateTime.add(to, { hours: 1 }),
          by: ["mailbox", "provider"],
          limit: 10
        })
        assert.deepStrictEqual(
          found.map(({ counts, group: { mailbox, provider = Option.none() } }) =>
            [mailbox, Option.getOrNull(provider), counts.delivered].join(" ")
          ),
          ["gmail postmark 1", "other ses 1"]
        )
        assert.deepStrictEqual(yield* audit("verify", tenantId), [])
        assert.lengthOf(yield* sql`SELECT FROM waybill.figures_due`, 0)
      }).pipe(Effect.provide(TestDatabase.ledger)),
    30_000
  )

  it.live("the rows of a day are as many for much mail as for little", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const tenantId = yield* Given.tenant
      // All in one hour, whenever the test runs.
      const rows = Effect.gen(function*() {
        yield* sql`UPDATE waybill.contributions SET hour = '2026-03-01T12:00:00Z'`
        yield* audit("rebuild", tenantId)
        return yield* sql`SELECT count(DISTINCT (cohort, stream, provider, mailbox, domain)) AS rows FROM waybill.figures`
      })
      yield* sent(tenantId, 3)
      yield* followed(3)
      const few = yield* rows
      yield* sent(tenantId, 60, "more")
      yield* followed(63)
      assert.deepStrictEqual(yield* rows, few)
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live("a recipient is forgotten while the feed is followed, whichever comes first", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const ledger = yield* Ledger.Ledger
      const figures = yield* Figures.Figures
      const tenantId = yield* Given.tenant
      yield* sent(tenantId, 20)
      yield* Effect.all([
        Effect.forEach(
          Array.from({ length: 20 }, (_, index) => Given.address(`r${index}@example.com`)),
          (recipient) => ledger.forget({ tenantId, recipient }),
          { concurrency: 4 }
        ),
        Effect.replicateEffect(figures.follow({ limit: 5 }), 12, { concurrency: 3 })
      ], { concurrency: 2 })
      yield* followed(20)
      assert.lengthOf(yield* sql`SELECT FROM waybill.contributions WHERE domain <> ''`, 0)
      assert.lengthOf(yield* sql`SELECT FROM waybill.figures WHERE domain <> ''`, 0)
      assert.deepStrictEqual(yield* audit("verify", tenantId), [])
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)
})
