/**
 * Composes all that is kept in PostgreSQL: one layer that gives every port, and one that migrates the schema.
 *
 * @since 0.2.0
 */
import { Checkpoints, type Inbox, type LedgerError, Ticks } from "@waybill/core"
import { Effect, Layer } from "effect"
import type { SecureRandom } from "effect/crypto"
import type { SqlClient } from "effect/sql"
import * as PgCheckpoints from "./internal/pg/feed/Checkpoints.ts"
import * as Places from "./internal/pg/feed/Places.ts"
import * as Scope from "./internal/pg/Scope.ts"
import * as PgTicks from "./internal/pg/Ticks.ts"
import * as PgInbox from "./PgInbox.ts"
import * as PgLedger from "./PgLedger.ts"
import * as PgMigrations from "./PgMigrations.ts"

/**
 * Every port of the core.
 *
 * @category models
 * @since 0.2.0
 */
export type Ports = PgLedger.Ports | Inbox.Inbox | Ticks.Ticks | Checkpoints.Checkpoints

/**
 * Where and how all is kept.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options {
  /** The schema of the tables, `waybill` by default. */
  readonly schema?: string
  /** Whether each transaction names its tenant to the policies of row-level security; not by default. */
  readonly rowLevelSecurity?: boolean
}

/**
 * Every port, in the schema of a migrated database; without the migrations it fails with `SchemaNotMigrated`, and with
 * `SchemaTooNew` where a newer program has migrated it in a way that this one must not write to.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (
  options: Options = {}
): Layer.Layer<Ports, LedgerError.LedgerError, SqlClient.SqlClient | SecureRandom.SecureRandom> => {
  const scoped = {
    schema: options.schema ?? PgMigrations.defaultSchema,
    rowLevelSecurity: options.rowLevelSecurity ?? false
  }
  return Layer.mergeAll(
    PgLedger.layer(options),
    PgInbox.layer(options),
    Layer.effect(Ticks.Ticks, PgTicks.make(scoped)),
    Layer.effect(
      Checkpoints.Checkpoints,
      Effect.map(Scope.make(scoped), (scope) => PgCheckpoints.make(scope, Places.make(scope)))
    )
  )
}

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
