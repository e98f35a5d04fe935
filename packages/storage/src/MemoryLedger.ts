/**
 * Keeps the ledger in memory, for tests and for trying things out: the same answers as PostgreSQL, gone with the process.
 *
 * Writers take turns, and readers see all of what an operation changes or nothing.
 *
 * @since 0.1.0
 */
import { Effect, Layer } from "effect"
import type { SecureRandom } from "effect/crypto"
import * as Ports from "./internal/memory/Ports.ts"
import * as Store from "./internal/memory/Store.ts"
import type * as StoragePorts from "./internal/Ports.ts"

/**
 * An empty ledger in memory, its orphans and its audit.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<StoragePorts.OfLedger, never, SecureRandom.SecureRandom> = Layer.effectContext(
  Effect.map(Store.make, Ports.over)
)
