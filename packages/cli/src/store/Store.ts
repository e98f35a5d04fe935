/**
 * Opens all that Waybill keeps, where the settings say.
 *
 * Only the storage adapters of the named database are loaded.
 *
 * @since 0.1.0
 */
import { Suppression } from "@waybill/core"
import type * as PgStorage from "@waybill/storage/PgStorage"
import { Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import * as Setting from "../config/Setting.ts"
import * as Settings from "../config/Settings.ts"
import * as Database from "./Database.ts"

/**
 * All that is kept: the ledger, the raw webhooks, the ticks of the schedules and the checkpoints of the feed, and the database
 * beneath them.
 *
 * @category models
 * @since 0.1.0
 */
export type Kept = PgStorage.Ports | Database.Database

const inMemory = Effect.map(
  Effect.promise(() => import("@waybill/storage/MemoryStorage")),
  (MemoryStorage) => MemoryStorage.layer
)

const inPostgres = Effect.fnUntraced(function*(schema: string) {
  const PgStorage = yield* Effect.promise(() => import("@waybill/storage/PgStorage"))
  return PgStorage.layer({ schema, rowLevelSecurity: yield* Setting.read(Settings.rowLevelSecurity) })
})

/**
 * All that is kept where the settings say.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Kept, Database.OpenError> = Database.layerWith({
  memory: inMemory,
  postgres: inPostgres
}).pipe(
  Layer.provide(Layer.effect(Suppression.SoftBounces, Setting.read(Settings.softBounces))),
  Layer.provide(SecureRandom.layerWebCrypto)
)
