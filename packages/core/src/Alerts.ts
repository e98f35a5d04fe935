/**
 * Defines the port that remembers alerts: which are open, what was told of each, which rules are muted, and how webhooks were
 * answered, which a process alone would forget.
 *
 * @since 0.2.0
 */
import { Context, type Duration, type Effect, type Option, Schema } from "effect"
import * as Alert from "./Alert.ts"
import type { InvalidInput, LedgerError } from "./LedgerError.ts"
import * as Provider from "./Provider.ts"
import * as Tenant from "./Tenant.ts"
import type * as Timestamp from "./Timestamp.ts"

/**
 * How many webhooks of a tenant's provider were answered since an instant, and how many of them were refused for want of a
 * good signature.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Answered = Schema.Struct({
  tenantId: Tenant.TenantId,
  provider: Provider.Provider,
  /** All, with the refused. */
  answered: Schema.Int,
  refused: Schema.Int
})

/**
 * How many webhooks of a tenant's provider were answered.
 *
 * @category models
 * @since 0.2.0
 */
export type Answered = typeof Answered.Type

/**
 * Which alerts to list.
 *
 * @category models
 * @since 0.2.0
 */
export interface ListQuery {
  readonly scope: Tenant.Scope
  /** Whether to leave out those that are closed. */
  readonly isOpen: boolean
  readonly limit: number
}

/**
 * Which notices to read.
 *
 * @category models
 * @since 0.2.0
 */
export interface NoticesQuery {
  readonly scope: Tenant.Scope
  /** The place after which to begin; 0 for the start. */
  readonly after: number
  readonly limit: number
}

/**
 * An alert, and all that was told of it.
 *
 * @category models
 * @since 0.2.0
 */
export interface History {
  readonly alert: Alert.Alert
  /** In the order in which it was told, also what was muted. */
  readonly notices: ReadonlyArray<Alert.Notice>
}

/**
 * A notice that is to be posted, and how often that was begun.
 *
 * @category models
 * @since 0.2.0
 */
export interface Claimed {
  readonly notice: Alert.Notice
  readonly attempts: number
}

/**
 * How old a notice may be to be posted still: what is older says nothing new.
 *
 * @category constants
 * @since 0.2.0
 */
export const postedWithin = Alert.remindsAfter

/**
 * The alerts of one installation.
 *
 * @category services
 * @since 0.2.0
 */
export class Alerts extends Context.Service<Alerts, {
  /**
   * Opens, reminds of and closes alerts by a verdict, in one transaction, and returns what is told. Whatever calls it at once,
   * one alert at a time is open for a tenant, a rule and a subject, and each thing is told once.
   */
  readonly settle: (
    verdict: Alert.Verdict
  ) => Effect.Effect<ReadonlyArray<Alert.Notice>, InvalidInput | LedgerError>

  /** Returns alerts, what opened last first; the scope of all has those of the installation too. */
  readonly list: (query: ListQuery) => Effect.Effect<ReadonlyArray<Alert.Alert>, InvalidInput | LedgerError>

  /** Returns an alert with all that was told of it. */
  readonly history: (
    scope: Tenant.Scope,
    id: Alert.AlertId
  ) => Effect.Effect<Option.Option<History>, InvalidInput | LedgerError>

  /** Returns what was told and not muted, in the order of the places: a reader that goes on after the last misses none. */
  readonly notices: (query: NoticesQuery) => Effect.Effect<ReadonlyArray<Alert.Notice>, InvalidInput | LedgerError>

  /** Mutes a rule for a tenant, or for all, until an instant; one that is past ends it. */
  readonly mute: (mute: Alert.Mute) => Effect.Effect<void, InvalidInput | LedgerError>

  /** Returns the mutes of a scope that have not ended, by tenant and rule; those of all tenants with any scope. */
  readonly mutes: (scope: Tenant.Scope) => Effect.Effect<ReadonlyArray<Alert.Mute>, InvalidInput | LedgerError>

  /**
   * Claims notices that are to be posted, oldest first, for as long as the lease: no other claims them meanwhile. A muted one, and
   * one older than a day, is not posted.
   */
  readonly claim: (query: {
    readonly limit: number
    readonly lease: Duration.Duration
  }) => Effect.Effect<ReadonlyArray<Claimed>, InvalidInput | LedgerError>

  /** Notes that a claimed notice was posted, or when it is to be tried again. */
  readonly posted: (
    key: Pick<Alert.Notice, "tenantId" | "position">,
    again: Option.Option<Timestamp.Timestamp>
  ) => Effect.Effect<void, InvalidInput | LedgerError>

  /** Adds how webhooks were answered to what is known of the last five minutes; what is older than two days is deleted. */
  readonly noteAnswered: (answered: ReadonlyArray<Answered>) => Effect.Effect<void, InvalidInput | LedgerError>

  /** Returns how webhooks were answered in the last so long, which is at most a day, by tenant and provider. */
  readonly answered: (within: Duration.Duration) => Effect.Effect<ReadonlyArray<Answered>, InvalidInput | LedgerError>
}>()("@waybill/core/Alerts") {}
