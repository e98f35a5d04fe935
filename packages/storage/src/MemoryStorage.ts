/**
 * Composes all that is kept in memory: one layer that gives every port.
 *
 * @since 0.2.0
 */
import { Layer } from "effect"
import type { SecureRandom } from "effect/crypto"
import * as MemoryCheckpoints from "./MemoryCheckpoints.ts"
import * as MemoryInbox from "./MemoryInbox.ts"
import * as MemoryLedger from "./MemoryLedger.ts"
import * as MemoryTicks from "./MemoryTicks.ts"
import type { Ports } from "./PgStorage.ts"

/**
 * Every port, empty, for as long as the layer lives.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer: Layer.Layer<Ports, never, SecureRandom.SecureRandom> = Layer.mergeAll(
  MemoryLedger.layer,
  MemoryInbox.layer,
  MemoryTicks.layer,
  MemoryCheckpoints.layer
)
