/**
 * Makes the port of alerts of what an adapter keeps: what is given is checked, the clock read and ids drawn here, the same for all.
 */
import { Alert, type Alerts, Input, Tenant } from "@waybill/core"
import { DateTime, type Duration, Effect, type Option } from "effect"
import { SecureRandom } from "effect/crypto"

type Port = Alerts.Alerts["Service"]

/** What an adapter keeps of the alerts: each does what the function of the same name of `AlertBook` does, atomically. */
export interface Kept<E> {
  readonly settle: (
    verdict: Alert.Verdict,
    ids: ReadonlyArray<Alert.AlertId>,
    now: DateTime.Utc
  ) => Effect.Effect<ReadonlyArray<Alert.Notice>, E>
  readonly list: (query: Alerts.ListQuery) => Effect.Effect<ReadonlyArray<Alert.Alert>, E>
  readonly history: (scope: Tenant.Scope, id: Alert.AlertId) => Effect.Effect<Option.Option<Alerts.History>, E>
  readonly notices: (query: Alerts.NoticesQuery) => Effect.Effect<ReadonlyArray<Alert.Notice>, E>
  readonly mute: (mute: Alert.Mute) => Effect.Effect<void, E>
  readonly mutes: (scope: Tenant.Scope, now: DateTime.Utc) => Effect.Effect<ReadonlyArray<Alert.Mute>, E>
  readonly claim: (
    query: { readonly limit: number; readonly lease: Duration.Duration },
    now: DateTime.Utc
  ) => Effect.Effect<ReadonlyArray<Alerts.Claimed>, E>
  readonly posted: (
    key: Pick<Alert.Notice, "tenantId" | "position">,
    again: Option.Option<DateTime.Utc>
  ) => Effect.Effect<void, E>
  readonly noteAnswered: (answered: ReadonlyArray<Alerts.Answered>, now: DateTime.Utc) => Effect.Effect<void, E>
  readonly answered: (
    within: Duration.Duration,
    now: DateTime.Utc
  ) => Effect.Effect<ReadonlyArray<Alerts.Answered>, E>
}

const reach = (scope: Tenant.Scope) =>
  scope === Tenant.all ? Effect.void : Effect.asVoid(Effect.fromResult(Input.tenant({ tenantId: scope })))

/** The alerts of what an adapter keeps. */
export const over = Effect.fnUntraced(function*<E>(kept: Kept<E>) {
  const random = yield* SecureRandom.SecureRandom

  const settle = Effect.fn("Alerts.settle")(function*(given: Parameters<Port["settle"]>[0]) {
    const verdict = yield* Effect.fromResult(Input.verdict(given))
    const over = verdict.judgements.filter(({ level }) => level === "over")
    const ids = yield* Effect.forEach(over, () => Effect.map(random.uuidV7(), (id) => Alert.AlertId.make(id)))
    return yield* kept.settle(verdict, ids, yield* DateTime.now)
  })

  const list = Effect.fn("Alerts.list")(function*(query: Alerts.ListQuery) {
    yield* reach(query.scope)
    yield* Input.limit(query.limit)
    return yield* kept.list(query)
  })

  const history = Effect.fn("Alerts.history")(function*(scope: Tenant.Scope, id: Alert.AlertId) {
    yield* reach(scope)
    return yield* kept.history(scope, id)
  })

  const notices = Effect.fn("Alerts.notices")(function*(query: Alerts.NoticesQuery) {
    yield* reach(query.scope)
    yield* Input.limit(query.limit)
    return yield* kept.notices(query)
  })

  const mute = Effect.fn("Alerts.mute")(function*(given: Alert.Mute) {
    yield* kept.mute(yield* Effect.fromResult(Input.mute(given)))
  })

  const mutes = Effect.fn("Alerts.mutes")(function*(scope: Tenant.Scope) {
    yield* reach(scope)
    return yield* kept.mutes(scope, yield* DateTime.now)
  })

  const claim = Effect.fn("Alerts.claim")(function*(query: Parameters<Port["claim"]>[0]) {
    yield* Input.limit(query.limit)
    return yield* kept.claim(query, yield* DateTime.now)
  })

  const posted = Effect.fn("Alerts.posted")(function*(
    key: Pick<Alert.Notice, "tenantId" | "position">,
    again: Option.Option<DateTime.Utc>
  ) {
    yield* kept.posted(key, again)
  })

  const noteAnswered = Effect.fn("Alerts.noteAnswered")(function*(given: ReadonlyArray<Alerts.Answered>) {
    const { answered } = yield* Effect.fromResult(Input.answered({ answered: given }))
    yield* kept.noteAnswered(answered, yield* DateTime.now)
  })

  const answered = Effect.fn("Alerts.answered")(function*(within: Duration.Duration) {
    return yield* kept.answered(within, yield* DateTime.now)
  })

  return { settle, list, history, notices, mute, mutes, claim, posted, noteAnswered, answered }
})
