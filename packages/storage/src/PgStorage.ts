/**
 * Composes all that is kept in PostgreSQL: one layer that gives every port, and one that migrates the schema.
 *
 * @since 0.2.0
 */
import { Alerts, Checkpoints, type LedgerError, Ticks, Tokens } from "@waybill/core"
import { Context, Effect, Layer } from "effect"
import type { SecureRandom } from "effect/crypto"
import type { SqlClient } from "effect/sql"
import * as PgAlerts from "./internal/alerts/Pg.ts"
import * as Database from "./internal/pg/Database.ts"
import * as PgCheckpoints from "./internal/pg/feed/Checkpoints.ts"
import * as Places from "./internal/pg/feed/Places.ts"
import * as PgTicks from "./internal/pg/Ticks.ts"
import type * as StoragePorts from "./internal/Ports.ts"
import * as PgTokens from "./internal/tokens/Pg.ts"
import * as PgInbox from "./PgInbox.ts"
import * as PgLedger from "./PgLedger.ts"
import * as PgMigrations from "./PgMigrations.ts"

/**
 * Every port of the core.
 *
 * @category models
 * @since 0.2.0
 */
export type Ports = StoragePorts.All

/**
 * Where and how all is kept.
 *
 * @category models
 * @since 0.2.0
 */
export type Options = Database.Options

/**
 * Every port, in the schema of a migrated database; without the migrations it fails with `SchemaNotMigrated`, and with
 * `SchemaTooNew` where a newer program has migrated it in a way that this one must not write to.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (
  options: Options = {}
): Layer.Layer<Ports, LedgerError.LedgerError, SqlClient.SqlClient | SecureRandom.SecureRandom> =>
  Layer.mergeAll(
    Layer.provideMerge(PgInbox.layer(options), PgLedger.layer(options)),
    Layer.effectContext(Effect.gen(function*() {
      const database = yield* Database.make(options)
      return Context.make(Ticks.Ticks, PgTicks.make(database)).pipe(
        Context.add(Checkpoints.Checkpoints, PgCheckpoints.make(database, Places.make(database))),
        Context.add(Tokens.Tokens, yield* PgTokens.make(database)),
        Context.add(Alerts.Alerts, yield* PgAlerts.make(database))
      )
    }))
  )

/**
 * Applies the migrations that the schema lacks when it is built. Provide it to `layer`, so that they are applied first.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerMigrations = (
  options: Pick<Options, "schema"> = {}
): Layer.Layer<never, LedgerError.LedgerError, SqlClient.SqlClient> =>
  Layer.effectDiscard(PgMigrations.migrate(options.schema))
