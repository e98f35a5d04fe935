/** Appending and sweeping in the embedded database, for the figures alone. */
import { Ledger, Tenant } from "@waybill/core"
import { Reconciler } from "@waybill/runtime"
import { PgLedger, PgLite, PgMigrations } from "@waybill/storage"
import { Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Bench } from "../harness/Bench.ts"
import * as Given from "../harness/Given.ts"
import * as Report from "../harness/Report.ts"
import * as Rounds from "../harness/Rounds.ts"

const tenantId = Tenant.defaultTenantId

const layer = (directory: string) =>
  Reconciler.layer.pipe(
    Layer.provideMerge(PgLedger.layer()),
    Layer.provide(Layer.effectDiscard(PgMigrations.migrate())),
    Layer.provideMerge(PgLite.layer({ directory })),
    Layer.provideMerge(SecureRandom.layerWebCrypto)
  )

const measured = Effect.fnUntraced(function*(events: number, singles: number, orphans: number, rounds: number) {
  const sql = yield* SqlClient.SqlClient
  const ledger = yield* Ledger.Ledger
  const reconciler = yield* Reconciler.Reconciler
  const deliveries = (prefix: string, count: number) =>
    sql`
      INSERT INTO waybill.deliveries (mailable, stream, recipient, provider, provider_message_id)
      SELECT 'welcome', 'transactional', ${prefix}::text || n || '@example.com', 'postmark', ${prefix}::text || n
      FROM generate_series(1, ${count}::integer) n
    `
  yield* deliveries("a-", events)
  yield* deliveries("b-", singles)
  yield* sql`VACUUM (ANALYZE)`
  const batches: Array<number> = []
  const ones: Array<number> = []
  const links: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    const given = Given.chunks(Given.events("a-", round, 1, events).map(Given.newEvent), 500)
    const batch = yield* Rounds.timed(Effect.forEach(given, (each) => ledger.append(tenantId, each), { discard: true }))
    batches.push(events / batch.seconds)
    const each = Given.events("b-", round, 1, singles).map(Given.newEvent)
    const one = yield* Rounds.timed(
      Effect.forEach(each, (event) => ledger.append(tenantId, [event]), { concurrency: 64, discard: true })
    )
    ones.push(singles / one.seconds)
    const waiting = Given.events(`o-${round}-`, 0, 1, orphans)
    yield* Effect.forEach(Given.chunks(waiting.map(Given.newEvent), 500), (part) => ledger.append(tenantId, part))
    yield* deliveries(`o-${round}-`, orphans)
    const sweep = yield* Rounds.timed(reconciler.sweep({ grace: 0 }))
    if (sweep.result.linked !== orphans) return yield* Effect.die(new Error(`linked ${sweep.result.linked}`))
    links.push(orphans / sweep.seconds)
  }
  return { batches, ones, links }
})

export const bench: Bench = {
  name: "embedded",
  sizes: { events: 2_000, singles: 1_000, orphans: 2_000, rounds: 3 },
  run: Effect.fnUntraced(function*(size) {
    const directory = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "waybill-embedded-"))),
      (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
    )
    const { batches, links, ones } = yield* measured(
      size("events"),
      size("singles"),
      size("orphans"),
      size("rounds")
    ).pipe(Effect.provide(layer(directory), { local: true }))
    return {
      name: "embedded",
      summary:
        `PGlite in a directory, in this process: ${size("events")} events in batches of 500, ${
          size("singles")
        } single ` +
        `events by 64 callers at once, and a sweep of ${size("orphans")} linkable orphans.`,
      rows: [
        Report.row("append, batches of 500", "events/s", Rounds.figures(batches)),
        Report.row("append, 64 at once", "events/s", Rounds.figures(ones)),
        Report.row("sweep", "links/s", Rounds.figures(links))
      ],
      ratios: [],
      notes: [],
      plots: []
    }
  })
}
