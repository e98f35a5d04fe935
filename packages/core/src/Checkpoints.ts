/**
 * Defines the port that keeps how far each consumer of the feed has come; a consumer's name has 1 to 255 characters.
 *
 * @since 0.1.0
 */
import { Context, type Effect, type Option, Schema } from "effect"
import * as Cursor from "./Cursor.ts"
import type { Change } from "./Ledger.ts"
import type { InvalidInput, LedgerError } from "./LedgerError.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

/**
 * How far a consumer has come.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Checkpoint = Schema.Struct({
  consumer: Schema.String,
  cursor: Cursor.Cursor,
  savedAt: Timestamp.Timestamp
})

/**
 * How far a consumer has come.
 *
 * @category models
 * @since 0.2.0
 */
export type Checkpoint = typeof Checkpoint.Type

/**
 * Orders checkpoints by the names of their consumers.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compare = (left: Checkpoint, right: Checkpoint): number => Text.compare(left.consumer, right.consumer)

/**
 * Where a consumer is to begin again: at the start of the feed, after all that is in it, or at an instant.
 *
 * @category models
 * @since 0.2.0
 */
export type Beginning =
  | { readonly _tag: "Start" }
  | { readonly _tag: "Now" }
  | { readonly _tag: "At"; readonly instant: Timestamp.Timestamp }

/**
 * The place of a feed at which a consumer begins, by all changes in their order and the transaction that comes next.
 *
 * @category getters
 * @since 0.2.0
 */
export const placeOf = (beginning: Beginning, changes: ReadonlyArray<Change>, next: bigint): Cursor.Cursor => {
  if (beginning._tag === "Start") return Cursor.start
  const first = beginning._tag === "Now" ?
    undefined :
    changes.find(({ event }) => event.insertedAt.epochMilliseconds >= beginning.instant.epochMilliseconds)
  return Cursor.of(first === undefined ? next : Cursor.parts(first.cursor)[0], 0n)
}

/**
 * The checkpoints of one installation.
 *
 * @category services
 * @since 0.1.0
 */
export class Checkpoints extends Context.Service<Checkpoints, {
  /** Returns the place up to which a consumer has handled the feed. */
  readonly load: (consumer: string) => Effect.Effect<Option.Option<Cursor.Cursor>, InvalidInput | LedgerError>

  /** Keeps the place up to which a consumer has handled the feed. */
  readonly save: (consumer: string, cursor: Cursor.Cursor) => Effect.Effect<void, InvalidInput | LedgerError>

  /** Returns all consumers and how far each has come, by their names. */
  readonly list: Effect.Effect<ReadonlyArray<Checkpoint>, LedgerError>

  /**
   * Moves a consumer to another place, whether it has one or not, and returns the place. From an instant every event follows
   * that was appended at or after it, also one that is still being written, and perhaps some of before.
   */
  readonly reset: (
    consumer: string,
    beginning: Beginning
  ) => Effect.Effect<Cursor.Cursor, InvalidInput | LedgerError>
}>()("@waybill/core/Checkpoints") {}
