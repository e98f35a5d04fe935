/**
 * Opens all that Waybill keeps, where the settings say.
 *
 * Only the storage adapters of the named database are loaded.
 *
 * @since 0.1.0
 */
import type { Checkpoints, Inbox, Ledger, Ticks } from "@waybill/core"
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
export type Kept = Ledger.Ledger | Inbox.Inbox | Ticks.Ticks | Checkpoints.Checkpoints | Database.Database

const keptInMemory = Effect.gen(function*() {
  const [MemoryCheckpoints, MemoryInbox, MemoryLedger, MemoryTicks] = yield* Effect.promise(() =>
    Promise.all([
      import("@waybill/storage/MemoryCheckpoints"),
      import("@waybill/storage/MemoryInbox"),
      import("@waybill/storage/MemoryLedger"),
      import("@waybill/storage/MemoryTicks")
    ])
  )
  return Layer.mergeAll(MemoryCheckpoints.layer, MemoryInbox.layer, MemoryLedger.layer, MemoryTicks.layer)
})

const keptInPostgres = Effect.fnUntraced(function*(schema: string) {
  const [PgCheckpoints, PgInbox, PgLedger, PgTicks] = yield* Effect.promise(() =>
    Promise.all([
      import("@waybill/storage/PgCheckpoints"),
      import("@waybill/storage/PgInbox"),
      import("@waybill/storage/PgLedger"),
      import("@waybill/storage/PgTicks")
    ])
  )
  const rowLevelSecurity = yield* Setting.read(Settings.rowLevelSecurity)
  return Layer.mergeAll(
    PgCheckpoints.layer({ schema }),
    PgInbox.layer({ schema, rowLevelSecurity }),
    PgLedger.layer({ schema, rowLevelSecurity }),
    PgTicks.layer({ schema })
  )
})

/**
 * All that is kept where the settings say.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Kept, Database.OpenError> = Database.layerWith({
  memory: keptInMemory,
  postgres: keptInPostgres
}).pipe(Layer.provide(SecureRandom.layerWebCrypto))
