/**
 * Writes deliveries past the ledger, as an import or another application would.
 *
 * Through the port alone every orphan is linked by the call that makes it linkable; what another writer inserts is what
 * leaves work to a sweep.
 *
 * @since 0.1.0
 */
import {
  Delivery,
  type Event,
  JsonBag,
  type LedgerError,
  Projection,
  type Provider,
  Recipient,
  type Tenant,
  type Timestamp
} from "@waybill/core"
import { Context, DateTime, Effect, Layer, Option } from "effect"
import type { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import * as Book from "../internal/memory/Book.ts"
import * as Ports from "../internal/memory/Ports.ts"
import * as Store from "../internal/memory/Store.ts"
import * as Database from "../internal/pg/Database.ts"
import * as Parameters from "../internal/pg/Parameters.ts"
import * as Rows from "../internal/pg/Rows.ts"
import * as MemoryStorage from "../MemoryStorage.ts"
import * as PgError from "../PgError.ts"
import * as PgMigrations from "../PgMigrations.ts"
import type * as PgStorage from "../PgStorage.ts"

/**
 * A delivery that another writer inserts, without any event.
 *
 * @category models
 * @since 0.1.0
 */
export interface Imported {
  readonly tenantId: Tenant.TenantId
  readonly id: Event.DeliveryId
  readonly recipient: Recipient.Recipient
  readonly provider: Provider.Provider
  readonly providerMessageId: Provider.MessageId
}

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
  readonly importDelivery: (row: Imported) => Effect.Effect<boolean, LedgerError.LedgerError>

  /** Writes one projection over that of every delivery of a tenant, and changes nothing else. */
  readonly setProjections: (
    tenantId: Tenant.TenantId,
    projection: Projection.Projection
  ) => Effect.Effect<void, LedgerError.LedgerError>
}>()("@waybill/storage/testing/Importer") {}

/**
 * The row that an import inserts.
 *
 * @category constructors
 * @since 0.2.0
 */
export const imported = (row: Imported, now: Timestamp.Timestamp): Delivery.Delivery => ({
  id: row.id,
  tenantId: row.tenantId,
  mailable: "imported",
  stream: "transactional",
  recipient: Option.some(row.recipient),
  recipientDomain: Option.some(Recipient.domain(row.recipient)),
  provider: Option.some(row.provider),
  providerMessageId: Option.some(row.providerMessageId),
  ...Projection.empty,
  metadata: JsonBag.empty,
  lockVersion: 1,
  idempotencyKey: Option.none(),
  insertedAt: now,
  updatedAt: now
})

/**
 * Whether an import is refused, among the deliveries that have one of its keys: its id is taken, or its message id by a
 * delivery to the same recipient.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isRefused = (delivery: Delivery.Delivery, sharing: ReadonlyArray<Delivery.Delivery>): boolean =>
  sharing.some(({ id }) => id === delivery.id) || Delivery.isTaken(delivery, sharing)

const overStore = ({ bookOf, commit, turn }: Store.Store): Importer["Service"] =>
  Importer.of({
    importDelivery: Effect.fnUntraced(function*(row: Imported) {
      const delivery = imported(row, yield* DateTime.now)
      const book = bookOf(row.tenantId)
      if (isRefused(delivery, Delivery.keys(delivery).flatMap((key) => Book.sharing(book, key)))) return false
      yield* commit({ at: delivery.insertedAt, deliveries: [delivery] })
      return true
    }, turn),
    setProjections: Effect.fnUntraced(function*(tenantId: Tenant.TenantId, projection: Projection.Projection) {
      const deliveries = Array.from(bookOf(tenantId).deliveries.values())
      yield* commit({
        at: yield* DateTime.now,
        deliveries: deliveries.map((delivery) => Object.assign({}, delivery, projection))
      })
    }, turn)
  })

/**
 * Every port in memory, with a way to write past the ledger.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<PgStorage.Ports | Importer, never, SecureRandom.SecureRandom> = Layer.merge(
  MemoryStorage.layer,
  Layer.effectContext(
    Effect.map(Store.make, (store) => Context.add(Ports.withCheckpoints(store), Importer, overStore(store)))
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
          const now = Parameters.instant(yield* DateTime.now)
          const inserted = yield* sql`
            INSERT INTO ${sql(`${schema}.deliveries`)} (
              tenant_id, id, mailable, stream, recipient, provider, provider_message_id, inserted_at, updated_at
            ) VALUES (
              ${row.tenantId}, ${row.id}, 'imported', 'transactional', ${row.recipient}, ${row.provider},
              ${row.providerMessageId}, ${now}, ${now}
            )
            ON CONFLICT DO NOTHING
            RETURNING id
          `.pipe(PgError.refine(schema), Effect.retry(Database.contention))
          return inserted.length > 0
        }),
        setProjections: (tenantId, projection) =>
          sql.unsafe(
            `
              UPDATE "${schema.replaceAll("\"", "\"\"")}".deliveries d
              SET ${Rows.projectionAssignments("u")}
              FROM unnest(${Parameters.placeholders(2, Rows.writtenProjectionColumns.length)})
                AS u (${Rows.writtenProjectionColumns.join(", ")})
              WHERE d.tenant_id = $1
            `,
            [tenantId, ...Rows.projectionParameters([projection])]
          ).pipe(PgError.refine(schema), Effect.asVoid)
      }))
  )
