/**
 * Writes deliveries past the ledger, as an import or another application would.
 *
 * Through the port alone every orphan is linked by the call that makes it linkable; what another writer inserts is what
 * leaves work to a sweep.
 *
 * @since 0.1.0
 */
import { Ledger, type LedgerError, type Projection, type Tenant } from "@waybill/core"
import { Context, DateTime, Effect, Layer } from "effect"
import type { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import * as PgScope from "../internal/PgScope.ts"
import { placeholders } from "../internal/PgSession.ts"
import * as MemoryLedger from "../MemoryLedger.ts"
import * as PgError from "../PgError.ts"
import * as PgMigrations from "../PgMigrations.ts"
import * as PgRows from "../PgRows.ts"

/**
 * A way to write past the ledger under test.
 *
 * @category services
 * @since 0.1.0
 */
export class Importer extends Context.Service<Importer, {
  /**
   * Inserts a delivery that has a message id and no event, at the time of the clock: mailable `imported`, stream
   * `transactional`, version 1, the projection of no event. False where its id is taken, or its message id by a delivery
   * to the same recipient. What loses a deadlock with the ledger is tried again.
   */
  readonly importDelivery: (row: MemoryLedger.Imported) => Effect.Effect<boolean, LedgerError.LedgerError>

  /** Writes one projection over that of every delivery of a tenant, and changes nothing else. */
  readonly setProjections: (
    tenantId: Tenant.TenantId,
    projection: Projection.Projection
  ) => Effect.Effect<void, LedgerError.LedgerError>
}>()("@waybill/storage/testing/Importer") {}

/**
 * The ledger in memory, with a way to write past it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<Ledger.Ledger | Importer, never, SecureRandom.SecureRandom> = Layer.effectContext(
  Effect.map(
    MemoryLedger.make,
    ({ ledger, ...importer }) => Context.make(Ledger.Ledger, ledger).pipe(Context.add(Importer, Importer.of(importer)))
  )
)

/**
 * Plain SQL into the schema of a PostgreSQL ledger, `waybill` unless another is named.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerPg = (
  schema: string = PgMigrations.defaultSchema
): Layer.Layer<Importer, never, SqlClient.SqlClient> =>
  Layer.effect(
    Importer,
    Effect.map(SqlClient.SqlClient, (sql) =>
      Importer.of({
        importDelivery: Effect.fnUntraced(function*(row) {
          const now = PgRows.instant(yield* DateTime.now)
          const inserted = yield* sql`
            INSERT INTO ${sql(`${schema}.deliveries`)} (
              tenant_id, id, mailable, stream, recipient, provider, provider_message_id, inserted_at, updated_at
            ) VALUES (
              ${row.tenantId}, ${row.id}, 'imported', 'transactional', ${row.recipient}, ${row.provider},
              ${row.providerMessageId}, ${now}, ${now}
            )
            ON CONFLICT DO NOTHING
            RETURNING id
          `.pipe(PgError.refine(schema), Effect.retry({ schedule: PgScope.contention, while: PgScope.isContended }))
          return inserted.length > 0
        }),
        setProjections: (tenantId, projection) =>
          sql.unsafe(
            `
              UPDATE "${schema.replaceAll("\"", "\"\"")}".deliveries d
              SET ${PgRows.projectionAssignments("u")}
              FROM unnest(${placeholders(2, PgRows.writtenProjectionColumns.length)})
                AS u (${PgRows.writtenProjectionColumns.join(", ")})
              WHERE d.tenant_id = $1
            `,
            [tenantId, ...PgRows.projectionParameters([projection])]
          ).pipe(PgError.refine(schema), Effect.asVoid)
      }))
  )
