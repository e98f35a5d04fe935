/**
 * Reads the words by which a provider names an event, which tell apart several events of one id.
 *
 * @since 0.2.0
 */
import { Schema } from "effect"
import type * as Event from "./Event.ts"

const word = Schema.String.check(Schema.isPattern(/^[A-Za-z][A-Za-z0-9 _.-]{0,63}$/))

/**
 * The words by which a provider names an event: its own type, and what further divides it. Neither can hold an address.
 *
 * @category schemas
 * @since 0.2.0
 */
export const EventName = Schema.Struct({ event: Schema.optionalKey(word), subtype: Schema.optionalKey(word) })

/**
 * The words by which a provider names an event.
 *
 * @category models
 * @since 0.2.0
 */
export type EventName = typeof EventName.Type

const isWord = Schema.is(word)

/**
 * The words by which a provider named an event, as its payload has them.
 *
 * @category getters
 * @since 0.2.0
 */
export const of = (
  { normalizedPayload: { event, subtype } }: Pick<Event.NewEvent, "normalizedPayload">
): EventName => ({
  ...isWord(event) && { event },
  ...isWord(subtype) && { subtype }
})

/**
 * Whether two names are of two events: a word that both have differs. A word that one of them lacks tells nothing.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isApart = (left: EventName, right: EventName): boolean =>
  (left.event !== undefined && right.event !== undefined && left.event !== right.event) ||
  (left.subtype !== undefined && right.subtype !== undefined && left.subtype !== right.subtype)
