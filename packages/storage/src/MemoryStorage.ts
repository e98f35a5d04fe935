/**
 * Composes all that is kept in memory: one layer that gives every port.
 *
 * @since 0.2.0
 */
import { Checkpoints, Ticks } from "@waybill/core"
import { Layer } from "effect"
import type { SecureRandom } from "effect/crypto"
import * as MemoryCheckpoints from "./internal/memory/Checkpoints.ts"
import * as MemoryTicks from "./internal/memory/Ticks.ts"
import * as MemoryInbox from "./MemoryInbox.ts"
import * as MemoryLedger from "./MemoryLedger.ts"
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
  Layer.effect(Ticks.Ticks, MemoryTicks.make),
  Layer.effect(Checkpoints.Checkpoints, MemoryCheckpoints.make)
)
