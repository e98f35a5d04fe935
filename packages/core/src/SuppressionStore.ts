/**
 * Gives the port `Suppressions` over what an adapter stores: what it decides from it stands here, once.
 *
 * @since 0.2.0
 */
import { DateTime, Effect, Option } from "effect"
import * as Act from "./Act.ts"
import type * as Delivery from "./Delivery.ts"
import * as Input from "./Input.ts"
import { invalid, type InvalidInput, type LedgerError, LiftRefused } from "./LedgerError.ts"
import type * as Recipient from "./Recipient.ts"
import * as Suppression from "./Suppression.ts"
import * as Suppressions from "./Suppressions.ts"
import type * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import type * as Timestamp from "./Timestamp.ts"

/**
 * What a store knows of an address: the facts that are kept under its key.
 *
 * @category models
 * @since 0.2.0
 */
export interface Known {
  /** What stands for the address in the store, of a fixed order, also once it is forgotten: 64 hexadecimal digits. */
  readonly key: string
  /** The address in its canonical form; absent once forgotten. */
  readonly recipient: Option.Option<Recipient.Recipient>
  readonly facts: ReadonlyArray<Suppression.Fact>
}

/**
 * The part of the port that an adapter implements.
 *
 * @category models
 * @since 0.2.0
 */
export interface Store {
  /** Runs for a tenant in one transaction. */
  readonly atomic: <A, E>(
    tenantId: Tenant.TenantId,
    effect: Effect.Effect<A, E | LedgerError>
  ) => Effect.Effect<A, E | LedgerError>
  /** What is known of some addresses, in their order, by one query. */
  readonly ofRecipients: (
    tenantId: Tenant.TenantId,
    recipients: ReadonlyArray<Recipient.Recipient>
  ) => Effect.Effect<ReadonlyArray<Known>, LedgerError>
  /** What is known of the next addresses of a tenant by their keys; of those alone that have a fact of the reason, if given. */
  readonly next: (query: {
    readonly tenantId: Tenant.TenantId
    readonly reason: Option.Option<Suppression.Reason>
    /** The key to begin at; absent for the first. */
    readonly from: Option.Option<string>
    /** Whether that key is left out. */
    readonly isExclusive: boolean
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<Known>, LedgerError>
  /** When addresses were delivered to, opened or clicked (`EventType.resets`) between two instants, by their keys. */
  readonly resets: (
    tenantId: Tenant.TenantId,
    asked: ReadonlyArray<
      { readonly key: string; readonly from: Timestamp.Timestamp; readonly to: Timestamp.Timestamp }
    >
  ) => Effect.Effect<ReadonlyMap<string, ReadonlyArray<Timestamp.Timestamp>>, LedgerError>
  /** The acts of an address. */
  readonly acts: (
    tenantId: Tenant.TenantId,
    recipient: Recipient.Recipient
  ) => Effect.Effect<ReadonlyArray<Act.Act>, LedgerError>
  /** Writes acts, each with the address that it is about, and its key as `ofRecipients` gave it. */
  readonly write: (
    tenantId: Tenant.TenantId,
    acts: ReadonlyArray<{ readonly recipient: Recipient.Recipient; readonly key: string; readonly act: Act.Act }>
  ) => Effect.Effect<void, LedgerError>
}

/**
 * The resets that the folds of some addresses ask for, by their keys.
 *
 * @category getters
 * @since 0.2.0
 */
export const resetsOf = (
  tenantId: Tenant.TenantId,
  known: ReadonlyArray<Pick<Known, "facts" | "key">>,
  softness: Suppression.Softness,
  resets: Store["resets"]
): Effect.Effect<(key: string) => ReadonlyArray<Timestamp.Timestamp>, LedgerError> => {
  const asked = known.flatMap(({ facts, key }) =>
    Option.toArray(Suppression.asksForResets(facts, softness)).map(({ from, to }) => ({ key, from, to }))
  )
  if (asked.length === 0) return Effect.succeed(() => [])
  return Effect.map(resets(tenantId, asked), (found) => (key) => found.get(key) ?? [])
}

/**
 * What keeps mail of a stream from an address now, by what is known of it; `OwnHalf.record` asks.
 *
 * @category decisions
 * @since 0.2.0
 */
export const blockOf = Effect.fnUntraced(function*(
  { recipient, stream, tenantId }: Pick<Delivery.NewDelivery, "recipient" | "stream" | "tenantId">,
  { ofRecipients, resets }: Pick<Store, "ofRecipients" | "resets">,
  softness: Suppression.Softness,
  now: Timestamp.Timestamp
) {
  const known = yield* ofRecipients(tenantId, [recipient])
  const found = yield* resetsOf(tenantId, known, softness, resets)
  return Suppression.blockOf(
    known.flatMap(({ facts, key }) => Suppression.fold(facts, found(key), softness, now)),
    stream
  )
})

/**
 * What is kept of an address that is forgotten, by its key; `Commit.forget` asks.
 *
 * @category decisions
 * @since 0.2.0
 */
export const keptOf = Effect.fnUntraced(function*(
  { recipient, tenantId }: { readonly tenantId: Tenant.TenantId; readonly recipient: Recipient.Recipient },
  { ofRecipients, resets }: Pick<Store, "ofRecipients" | "resets">,
  softness: Suppression.Softness,
  now: Timestamp.Timestamp
) {
  const known = yield* ofRecipients(tenantId, [recipient])
  const found = yield* resetsOf(tenantId, known, softness, resets)
  return known.flatMap(({ facts, key }) =>
    Act.kept(facts, found(key), softness, now).map((act) => ({ tenantId, key, act }))
  )
})

/** The part of a place that tells the listing that it is of. */
const listing = ({ from, reason, stream, tenantId, to }: Suppressions.Query): string =>
  [
    encodeURIComponent(tenantId),
    Option.getOrElse(reason, () => ""),
    Option.getOrElse(stream, () => ""),
    ...[from, to].map(Option.match({ onNone: () => "", onSome: ({ epochMilliseconds }) => String(epochMilliseconds) }))
  ].join("~")

/** One suppression of a listing, and its place. */
interface Item {
  readonly key: string
  readonly suppression: Suppression.Suppression
}

/** Where a listing goes on: the key, and the suppression of it that was shown last. */
interface Place extends Pick<Suppression.Held, "reason" | "stream"> {
  readonly key: string
}

const placeOf = (query: Suppressions.Query, { key, reason, stream }: Place): string =>
  [listing(query), key, reason, Option.getOrElse(stream, () => "")].join("~")

/** The place after all that an address may have: the last by `Suppression.order`. */
const endOf = (key: string): Place => ({ key, reason: "soft_bounced", stream: Option.some("bulk") })

const after = (query: Suppressions.Query): Effect.Effect<Option.Option<Place>, InvalidInput> => {
  if (Option.isNone(query.after)) return Effect.succeedNone
  const [stream = "", reason = "", key = "", ...of] = query.after.value.split("~").toReversed()
  const known = Input.scope({ reason, stream: stream === "" ? null : stream })
  const isPlace = of.toReversed().join("~") === listing(query) && Input.isDigest(key) && Option.isSome(known)
  return isPlace && Option.isSome(known)
    ? Effect.succeedSome({ key, ...known.value })
    : Effect.fail(invalid("query", "after: must be the next of a page of this very listing"))
}

const isBetween = ({ from, to }: Suppressions.Query, { since }: Suppression.Suppression): boolean =>
  (Option.isNone(from) || since.epochMilliseconds >= from.value.epochMilliseconds) &&
  (Option.isNone(to) || since.epochMilliseconds <= to.value.epochMilliseconds)

const isAsked = (query: Suppressions.Query, suppression: Suppression.Suppression): boolean =>
  (Option.isNone(query.reason) || query.reason.value === suppression.reason) &&
  (Option.isNone(query.stream) || Suppression.blocks(suppression, query.stream.value)) &&
  isBetween(query, suppression)

const isAfter = (place: Option.Option<Place>, { key, suppression }: Item): boolean =>
  Option.isNone(place) || Text.compare(key, place.value.key) > 0 || Suppression.order(suppression, place.value) > 0

/** How many addresses one step of a listing reads at least: those that it asks for may be few among them. */
const step = 100

const shown = (recipient: Option.Option<Recipient.Recipient>) => (held: Suppression.Held): Suppression.Suppression => ({
  recipient,
  ...held
})

/**
 * The port over an adapter, by a rule about soft bounces: that of `Suppression.SoftBounces` where the adapter is made.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (
  { acts, atomic, next, ofRecipients, resets, write }: Store,
  softness: Suppression.Softness
): Suppressions.Suppressions["Service"] => {
  const foldOf = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, known: ReadonlyArray<Known>) {
    const now = yield* DateTime.now
    const found = yield* resetsOf(tenantId, known, softness, resets)
    return ({ facts, key }: Known) => Suppression.fold(facts, found(key), softness, now)
  })

  const check = Effect.fn("Suppressions.check")(function*(query: Suppressions.Check) {
    yield* Effect.fromResult(Input.recipients(query))
    const { recipients, stream, tenantId } = query
    if (recipients.length === 0) return []
    return yield* atomic(
      tenantId,
      Effect.gen(function*() {
        const known = yield* ofRecipients(tenantId, recipients)
        const fold = yield* foldOf(tenantId, known)
        return known.flatMap((each, index) =>
          fold(each)
            .filter((held) => Option.isNone(stream) || Suppression.blocks(held, stream.value))
            .map(shown(Option.fromUndefinedOr(recipients[index])))
        )
      })
    )
  })

  const list = Effect.fn("Suppressions.list")(function*(query: Suppressions.Query) {
    yield* Input.limit(query.limit)
    yield* Effect.fromResult(Input.listing(query))
    const place = yield* after(query)
    const { limit, reach = Suppressions.defaultReach, reason, tenantId } = query
    yield* Input.limit(reach)
    const items: Array<Item> = []
    let looked = 0
    let end = Option.none<Place>()
    let from = Option.map(place, ({ key }) => key)
    // Where nothing of the address is left, it is not looked at again: a page that looks at few would not get on.
    let isExclusive = Option.exists(place, (last) => Suppression.isAlike(last, endOf(last.key)))
    while (items.length <= limit) {
      const size = Math.min(Math.max(step, Math.min(limit, Suppressions.maxRecipients)), reach - looked)
      const known = yield* atomic(tenantId, next({ tenantId, reason, from, isExclusive, limit: size }))
      const fold = yield* foldOf(tenantId, known)
      items.push(
        ...known.flatMap((each) =>
          fold(each).map((held): Item => ({ key: each.key, suppression: shown(each.recipient)(held) }))
        ).filter((item) => isAsked(query, item.suppression) && isAfter(place, item))
      )
      const last = known.at(-1)
      if (last === undefined || known.length < size) break
      looked += size
      if (looked >= reach) {
        end = Option.some(endOf(last.key))
        break
      }
      from = Option.some(last.key)
      isExclusive = true
    }
    const page = items.slice(0, limit)
    const last = page.at(-1)
    return {
      suppressions: page.map(({ suppression }) => suppression),
      next: Option.map(
        items.length > limit && last !== undefined
          ? Option.some({ key: last.key, reason: last.suppression.reason, stream: last.suppression.stream })
          : end,
        (place) => placeOf(query, place)
      )
    }
  })

  const add = Effect.fn("Suppressions.add")(function*(command: Suppressions.Add) {
    const now = yield* DateTime.now
    yield* Effect.fromResult(Input.additions(command, now))
    const { actor, additions, because, dryRun = false, tenantId } = command
    if (additions.length === 0) return []
    return yield* atomic(
      tenantId,
      Effect.gen(function*() {
        const known = yield* ofRecipients(tenantId, additions.map(({ recipient }) => recipient))
        const found = yield* resetsOf(tenantId, known, softness, resets)
        // What is added to one address twice is added after what came before it.
        const facts = new Map(known.map((each) => [each.key, each.facts]))
        const written: Array<Parameters<Store["write"]>[1][number]> = []
        const outcomes: Array<Suppressions.Outcome> = []
        for (const [index, { key }] of known.entries()) {
          const addition = additions[index]
          if (addition === undefined) continue
          const of = { facts: facts.get(key) ?? [], resets: found(key) }
          const decided = Act.add({ ...addition, actor, because }, of, softness, now)
          outcomes.push(decided._tag)
          if (decided._tag !== "Added") continue
          written.push({ recipient: addition.recipient, key, act: decided.act })
          facts.set(key, [...of.facts, Act.factOf(decided.act)])
        }
        if (written.length > 0 && !dryRun) yield* write(tenantId, written)
        return outcomes
      })
    )
  })

  const lift = Effect.fn("Suppressions.lift")(function*(command: Suppressions.Lift) {
    yield* Effect.fromResult(Input.lift(command))
    const { because, reason, recipient, tenantId } = command
    if (reason === "complained" && Option.isNone(because)) {
      return yield* new LiftRefused({ tenantId, reason: "no-reason-given" })
    }
    const now = yield* DateTime.now
    return yield* atomic<ReadonlyArray<Suppression.Suppression>, LiftRefused>(
      tenantId,
      Effect.gen(function*() {
        const known = yield* ofRecipients(tenantId, [recipient])
        const found = yield* resetsOf(tenantId, known, softness, resets)
        const decided = known.map(({ facts, key }) => ({
          key,
          of: Act.lift(command, { facts, resets: found(key) }, softness, now)
        }))
        const lifted = decided.flatMap(({ of }) => of.lifted)
        if (lifted.length === 0) return yield* new LiftRefused({ tenantId, reason: "nothing-to-lift" })
        yield* write(tenantId, decided.flatMap(({ key, of }) => of.acts.map((act) => ({ recipient, key, act }))))
        return lifted.map(shown(Option.some(recipient)))
      })
    )
  })

  const history = Effect.fn("Suppressions.history")(function*(query: {
    readonly tenantId: Tenant.TenantId
    readonly recipient: Recipient.Recipient
    readonly limit: number
  }) {
    yield* Input.limit(query.limit)
    const { limit, recipient, tenantId } = query
    yield* Effect.fromResult(Input.recipients({ tenantId, recipients: [recipient], stream: Option.none() }))
    return yield* atomic(
      tenantId,
      Effect.gen(function*() {
        const known = yield* ofRecipients(tenantId, [recipient])
        const events = known.flatMap(({ facts }) => facts).filter(({ isAct }) => !isAct)
        const done = yield* acts(tenantId, recipient)
        return [
          ...events.map((fact) => ({ fact, act: Option.none<Act.Act>() })),
          ...done.map((act) => ({ fact: Act.factOf(act), act: Option.some(act) }))
        ].toSorted((left, right) => Suppression.compare(right.fact, left.fact)).slice(0, limit).map((
          { act, fact: { at, eventId, lifts, reason, stream } }
        ): Suppressions.Entry => ({ reason, stream, lifts, at, eventId, act }))
      })
    )
  })

  return Suppressions.Suppressions.of({ check, list, add, lift, history })
}
