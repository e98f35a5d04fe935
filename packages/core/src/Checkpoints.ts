/**
 * Defines the port that keeps how far each consumer of the feed has come; a consumer's name has 1 to 255 characters.
 *
 * @since 0.1.0
 */
import { Context, type Effect, type Option } from "effect"
import type * as Cursor from "./Cursor.ts"
import type { InvalidInput, LedgerError } from "./LedgerError.ts"

/**
 * The checkpoints of one installation.
 *
 * @category services
 * @since 0.1.0
 */
export class Checkpoints extends Context.Service<Checkpoints, {
  /** Returns the place up to which a consumer has handled the feed. */
  readonly load: (consumer: string) => Effect.Effect<Option.Option<Cursor.Cursor>, InvalidInput | LedgerError>

  /** Remembers the place up to which a consumer has handled the feed. */
  readonly save: (consumer: string, cursor: Cursor.Cursor) => Effect.Effect<void, InvalidInput | LedgerError>
}>()("@waybill/core/Checkpoints") {}
