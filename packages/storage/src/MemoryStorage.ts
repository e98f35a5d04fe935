/**
 * Composes all that is kept in memory: one layer that gives every port.
 *
 * @since 0.2.0
 */
import { Alerts, Ticks, Tokens } from "@waybill/core"
import { Effect, Layer } from "effect"
import type { SecureRandom } from "effect/crypto"
import * as MemoryAlerts from "./internal/alerts/Memory.ts"
import * as MemoryPorts from "./internal/memory/Ports.ts"
import * as Store from "./internal/memory/Store.ts"
import * as MemoryTicks from "./internal/memory/Ticks.ts"
import type * as StoragePorts from "./internal/Ports.ts"
import * as MemoryTokens from "./internal/tokens/Memory.ts"
import * as MemoryInbox from "./MemoryInbox.ts"

/**
 * Every port, empty, for as long as the layer lives.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer: Layer.Layer<StoragePorts.All, never, SecureRandom.SecureRandom> = Layer.mergeAll(
  Layer.provideMerge(MemoryInbox.layer, Layer.effectContext(Effect.map(Store.make, MemoryPorts.withCheckpoints))),
  Layer.effect(Ticks.Ticks, MemoryTicks.make),
  Layer.effect(Tokens.Tokens, MemoryTokens.make),
  Layer.effect(Alerts.Alerts, MemoryAlerts.make)
)
