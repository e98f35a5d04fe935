/**
 * Keeps the ledger in PostgreSQL: an event and the projection it moves are written in one transaction, or not at all.
 *
 * Two writers that race meet on the row of their correlation: an append that finds no delivery holds the row while it
 * stores the orphan, and a delivery that gets its message id holds it while it looks for orphans, so that whichever commits
 * second links. An append takes its locks in one order: correlations, idempotency keys and shares of addresses, deliveries, each
 * sorted; who forgets a recipient takes correlations, the address, deliveries, and orphans last. A dispatch and a record lock
 * their one delivery before the keys of its own events, which no append writes. A deadlock or a serialization failure is
 * retried, a bounded number of times.
 *
 * Called inside a transaction of the same client, every operation joins it and disappears with its rollback.
 *
 * @since 0.1.0
 */
import {
  Audit as CoreAudit,
  Directory as CoreDirectory,
  type Event,
  Figures as CoreFigures,
  Input,
  Ledger,
  type LedgerError,
  Orphans as CoreOrphans,
  Suppressions as CoreSuppressions,
  type Tenant,
  Unsent as CoreUnsent
} from "@waybill/core"
import { Context, DateTime, Effect, Layer } from "effect"
import { type SecureRandom } from "effect/crypto"
import { type SqlClient } from "effect/sql"
import * as Append from "./internal/pg/append/Append.ts"
import * as Audit from "./internal/pg/Audit.ts"
import * as Commands from "./internal/pg/Commands.ts"
import * as Database from "./internal/pg/Database.ts"
import * as Deliveries from "./internal/pg/Deliveries.ts"
import * as Details from "./internal/pg/Details.ts"
import * as Directory from "./internal/pg/Directory.ts"
import * as Events from "./internal/pg/Events.ts"
import * as Changes from "./internal/pg/feed/Changes.ts"
import * as Epochs from "./internal/pg/feed/Epochs.ts"
import * as FiguresAudit from "./internal/pg/figures/Audit.ts"
import * as Follow from "./internal/pg/figures/Follow.ts"
import * as Figures from "./internal/pg/figures/Read.ts"
import * as Recount from "./internal/pg/figures/Recount.ts"
import * as Meeting from "./internal/pg/Meeting.ts"
import * as Acts from "./internal/pg/orphans/Acts.ts"
import * as Links from "./internal/pg/orphans/Links.ts"
import * as Orphans from "./internal/pg/orphans/Orphans.ts"
import * as Sweep from "./internal/pg/orphans/Sweep.ts"
import * as Reads from "./internal/pg/Reads.ts"
import * as SuppressionsAudit from "./internal/pg/suppressions/Audit.ts"
import * as Suppressions from "./internal/pg/suppressions/Store.ts"
import * as Unsent from "./internal/pg/Unsent.ts"
import * as Updates from "./internal/pg/Updates.ts"
import type * as StoragePorts from "./internal/Ports.ts"
import * as PgMigrations from "./PgMigrations.ts"

const make = Effect.fnUntraced(function*(options: Database.Options) {
  const database = yield* Database.make(options)
  const updates = yield* Updates.make(database)
  const events = yield* Events.make(database)
  const deliveries = Deliveries.make(database)
  const meeting = Meeting.make(database, events)
  const links = Links.make(database, events, updates)
  const unsent = Unsent.make(database, deliveries)
  const details = Details.make(database)
  const suppressions = yield* Suppressions.make(database, events)
  const recount = Recount.make(database)
  const { forget, ...byHand } = Acts.make(
    database,
    events,
    deliveries,
    links,
    details,
    meeting,
    suppressions,
    recount
  )
  const write = yield* Append.make(database, events, deliveries, meeting, details, updates, suppressions)

  const append = Effect.fn("Ledger.append")(function*(
    tenantId: Tenant.TenantId,
    given: ReadonlyArray<Event.NewEvent>
  ) {
    yield* Input.events(tenantId, given)
    if (given.length === 0) return []
    const now = yield* DateTime.now
    return yield* write(tenantId, given, now)
  })

  yield* PgMigrations.ensure(database.schema)

  const ledger = Ledger.Ledger.of({
    ...Commands.make(database, events, deliveries, meeting, links, unsent, updates, suppressions),
    append,
    ...Reads.make(database, events, deliveries),
    ...Changes.make(database, events),
    forget,
    pruneDetails: details.prune,
    updates: updates.subscribe
  })
  const orphans = CoreOrphans.Orphans.of({
    ...Orphans.make(database, events, deliveries, meeting),
    ...Sweep.make(database, events, updates),
    ...byHand
  })
  const audit = CoreAudit.Audit.of({
    ...Audit.make(
      database,
      events,
      deliveries,
      SuppressionsAudit.make(database),
      FiguresAudit.make(database, events, deliveries, recount)
    ),
    ...Epochs.make(database)
  })

  return Context.make(Ledger.Ledger, ledger).pipe(
    Context.add(CoreOrphans.Orphans, orphans),
    Context.add(CoreAudit.Audit, audit),
    Context.add(CoreDirectory.Directory, Directory.make(database)),
    Context.add(
      CoreFigures.Figures,
      CoreFigures.Figures.of({ follow: Follow.make(database, recount), read: Figures.make(database) })
    ),
    Context.add(CoreUnsent.Unsent, CoreUnsent.Unsent.of({ claim: unsent.claim })),
    Context.add(CoreSuppressions.Suppressions, suppressions.port)
  )
})

/**
 * The ports that a ledger gives: what is told to it, what waits in it, how it is compared, searched and counted.
 *
 * @category models
 * @since 0.2.0
 */
export type Ports = StoragePorts.OfLedger

/**
 * The ledger with all that is of it (orphans, audit, directory, suppressions, figures, what is unsent) in the schema of a migrated
 * database, `waybill` by default.
 *
 * With `rowLevelSecurity` every transaction says which tenant it is for (`waybill.tenant_id`), as the policies of
 * `PgMigrations.enableRowLevelSecurity` ask.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Database.Options = {}
): Layer.Layer<Ports, LedgerError.LedgerError, SqlClient.SqlClient | SecureRandom.SecureRandom> =>
  Layer.effectContext(make(options))
