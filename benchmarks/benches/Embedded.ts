/**
 * Opening the embedded database, a new one and an old one, beside PGlite alone; appending and sweeping in it, for the figures
 * alone.
 */
import { Ledger, Tenant } from "@waybill/core"
import { Reconciler } from "@waybill/runtime"
import { PgLedger, PgLite, PgMigrations } from "@waybill/storage"
import { Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import { execFile } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { execPath } from "node:process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
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

const program = fileURLToPath(new URL("../harness/openEmbedded.ts", import.meta.url))

/** How many milliseconds a process of its own takes to open a database. */
const opening = (side: "waybill" | "pglite", directory: string) =>
  Effect.map(
    Effect.promise(() => promisify(execFile)(execPath, ["--conditions=@waybill/source", program, side, directory])),
    ({ stdout }) => Number(stdout)
  )

/** How long it takes to open a new database, and again, on each side. */
const opened = Effect.fnUntraced(function*(directory: string, rounds: number) {
  const first = yield* Rounds.alternate(rounds, {
    waybill: (round) => opening("waybill", join(directory, `waybill-${round}`)),
    pglite: (round) => opening("pglite", join(directory, `pglite-${round}`))
  })
  const again = yield* Rounds.alternate(rounds * 3, {
    waybill: () => opening("waybill", join(directory, "waybill-0")),
    pglite: () => opening("pglite", join(directory, "pglite-0"))
  })
  return [["first", first], ["again", again]] as const
})

export const bench: Bench = {
  name: "embedded",
  sizes: { events: 2_000, singles: 1_000, orphans: 2_000, rounds: 3, opens: 3 },
  run: Effect.fnUntraced(function*(size) {
    const directory = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "waybill-embedded-"))),
      (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
    )
    const opens = yield* opened(directory, size("opens"))
    const { batches, links, ones } = yield* measured(
      size("events"),
      size("singles"),
      size("orphans"),
      size("rounds")
    ).pipe(Effect.provide(layer(join(directory, "work")), { local: true }))
    return {
      name: "embedded",
      summary:
        "Opening, from the call to the first answer, in a process of its own: every port of Waybill on the embedded " +
        "database; PGlite alone, which does not synchronize. " +
        `Then PGlite in a directory, in this process: ${size("events")} events in batches of 500, ${
          size("singles")
        } single ` +
        `events by 64 callers at once, and a sweep of ${size("orphans")} linkable orphans.`,
      rows: [
        ...opens.flatMap(([when, of]) => [
          Report.row(`open ${when}, waybill`, "ms", Rounds.figures(of("waybill"))),
          Report.row(`open ${when}, PGlite alone`, "ms", Rounds.figures(of("pglite")))
        ]),
        Report.row("append, batches of 500", "events/s", Rounds.figures(batches)),
        Report.row("append, 64 at once", "events/s", Rounds.figures(ones)),
        Report.row("sweep", "links/s", Rounds.figures(links))
      ],
      ratios: opens.map(([when, of]) =>
        Report.atMost(`embedded/open-${when}`, Rounds.median(of("waybill")) / Rounds.median(of("pglite")), 1.5)
      ),
      notes: [],
      plots: []
    }
  })
}
