/**
 * Lists the senders, one of each provider: a provider's row and its sender meet by the provider's name.
 *
 * Nothing of this is loaded by whoever takes webhooks in.
 *
 * @since 0.1.0
 */
import { Effect, Option } from "effect"
import type * as Row from "../Row.ts"
import * as MailgunSender from "./MailgunSender.ts"
import * as PostmarkSender from "./PostmarkSender.ts"
import * as ResendSender from "./ResendSender.ts"
import type { Kind, Sender } from "./Sender.ts"
import * as SendGridSender from "./SendGridSender.ts"
import * as SesSender from "./SesSender.ts"

/**
 * How senders are made, of every provider.
 *
 * @category constants
 * @since 0.2.0
 */
export const kinds: ReadonlyArray<Kind> = [
  PostmarkSender.kind,
  SendGridSender.kind,
  ResendSender.kind,
  SesSender.kind,
  MailgunSender.kind
]

/**
 * How senders of a provider are made; none where there is none.
 *
 * @category getters
 * @since 0.2.0
 */
export const get = (name: string): Option.Option<Kind> =>
  Option.fromUndefinedOr(kinds.find(({ provider }) => provider === name))

/**
 * A sender of every provider.
 *
 * @category models
 * @since 0.1.0
 */
export interface Senders {
  readonly all: ReadonlyArray<Sender>
  /** The providers' rows, which believe the keys of these senders: a table for `Providers`. */
  readonly rows: ReadonlyArray<Row.Row>
}

/**
 * Makes the keys and the senders that use them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const generate: Effect.Effect<Senders> = Effect.sync(() => {
  const generated = kinds.map(({ generate }) => generate())
  return { all: generated.map(({ sender }) => sender), rows: generated.map(({ row }) => row) }
})
