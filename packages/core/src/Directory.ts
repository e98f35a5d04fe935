/**
 * Defines the port that finds deliveries: by whom they are for, by any id that anybody has of them, by what became of them.
 *
 * A listing is newest first, by when a delivery was recorded, and goes on at a cursor. Following it while others write shows
 * no delivery twice and misses none that matched throughout.
 *
 * @since 0.2.0
 */
import { Context, DateTime, Effect, Hash, Option, Result, Schema, Struct } from "effect"
import type * as Delivery from "./Delivery.ts"
import * as Event from "./Event.ts"
import * as Input from "./Input.ts"
import * as Ledger from "./Ledger.ts"
import { invalid, type InvalidInput, type LedgerError } from "./LedgerError.ts"
import * as Provider from "./Provider.ts"
import * as Recipient from "./Recipient.ts"
import * as Search from "./Search.ts"
import type * as Suppression from "./Suppression.ts"
import * as Suppressions from "./Suppressions.ts"
import type * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

const isTimestamp = Schema.is(Timestamp.Timestamp)

/** Whether a cursor names an instant that is stored; a place has microseconds, an instant milliseconds. */
const isStored = (cursor: string): boolean =>
  isTimestamp(DateTime.makeUnsafe(Math.floor(Number(cursor.split(".")[1]) / 1000)))

/**
 * Where the next page of a listing begins: opaque, kept and given back as it is. It belongs to the query that gave it.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Cursor = Schema.String.check(
  Schema.isPattern(new RegExp(`^[0-9a-z]{1,8}\\.-?[0-9]{1,18}\\.${uuid}$`), {
    message: "must be the next of a page"
  }).abort(),
  Schema.makeFilter((text: string) => isStored(text) ? undefined : "must be the next of a page")
).pipe(Schema.brand("DirectoryCursor"))

/**
 * Where the next page of a listing begins.
 *
 * @category models
 * @since 0.2.0
 */
export type Cursor = typeof Cursor.Type

/**
 * The cursor was given by another query; nothing was searched.
 *
 * @category errors
 * @since 0.2.0
 */
export class ForeignCursor extends Schema.TaggedError<ForeignCursor>("@waybill/core/ForeignCursor")(
  "ForeignCursor",
  {}
) {
  override get message(): string {
    return "the cursor belongs to another query: give the same filters with it, or begin without it"
  }
}

/**
 * A place in a listing: a delivery that was passed, and when it was recorded, in microseconds since 1970.
 *
 * @category models
 * @since 0.2.0
 */
export interface Place {
  readonly micros: bigint
  readonly id: Event.DeliveryId
}

/**
 * The place of a delivery whose time of recording is known to the millisecond.
 *
 * @category getters
 * @since 0.2.0
 */
export const placeOf = ({ id, insertedAt }: Pick<Delivery.Delivery, "id" | "insertedAt">): Place => ({
  micros: BigInt(insertedAt.epochMilliseconds) * 1000n,
  id
})

/** Orders places as a listing shows them: newest first. */
const comparePlaces = (left: Place, right: Place): number =>
  left.micros === right.micros ? Text.compare(right.id, left.id) : left.micros > right.micros ? -1 : 1

/**
 * How many deliveries one page looks at at most, so that a filter which matches few of them costs a bounded time.
 *
 * @category constants
 * @since 0.2.0
 */
export const defaultReach = 10_000

/**
 * Which deliveries of a tenant to find.
 *
 * @category models
 * @since 0.2.0
 */
export interface Query {
  readonly tenantId: Tenant.TenantId
  readonly filter: Search.Filter
  /** The `next` of the page before. */
  readonly after: Option.Option<Cursor>
  /** How many deliveries the page may have, 1 to 10,000. */
  readonly limit: number
  /** How many deliveries the page looks at at most, 1 to 10,000; `defaultReach` by default. */
  readonly reach?: number
}

/**
 * A page of a listing, newest first. One that has a `next` may be short, or empty: it looked as far as it may.
 *
 * @category models
 * @since 0.2.0
 */
export interface Page {
  readonly deliveries: ReadonlyArray<Delivery.Delivery>
  /** Where the next page begins; absent where there is none. */
  readonly next: Option.Option<Cursor>
}

/** The names of the fields of a filter, in one order. */
const named = Struct.keys(Search.Filter.fields)

/** Tells queries apart in a few letters; the spellings of one recipient make one query. */
const nameOf = ({ filter, tenantId }: Pick<Query, "tenantId" | "filter">): string => {
  const canonical = { ...filter, recipient: Option.map(filter.recipient, Recipient.canonical) }
  const text = JSON.stringify([tenantId, ...named.map((name) => Option.getOrNull<unknown>(canonical[name]))])
  return (Hash.string(text) >>> 0).toString(36)
}

const cursorOf = (query: Pick<Query, "tenantId" | "filter">, { id, micros }: Place): Cursor =>
  Cursor.make(`${nameOf(query)}.${micros}.${id}`)

const isCursor = Schema.is(Cursor)

/** The place that a cursor of the same query names. */
const placeAfter = (query: Query): Result.Result<Option.Option<Place>, InvalidInput | ForeignCursor> => {
  if (Option.isNone(query.after)) return Result.succeed(Option.none())
  if (!isCursor(query.after.value)) return Result.fail(invalid("query", "after: must be the next of a page"))
  const [name, micros = "", id = ""] = query.after.value.split(".")
  return name === nameOf(query)
    ? Result.succeed(Option.some({ micros: BigInt(micros), id: Event.DeliveryId.make(id) }))
    : Result.fail(new ForeignCursor())
}

/**
 * A delivery that a search looked at, as the search has it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Looked<A> {
  readonly found: A
  readonly place: Place
  readonly isMatch: boolean
  /** Whether it is the last that the page may look at. */
  readonly isLast: boolean
}

/**
 * The page of a query, by the deliveries that it looked at, in their order; those that do not match and are not the last may
 * be left out, and so may what comes after one more match than the page may have.
 *
 * @category decisions
 * @since 0.2.0
 */
export const pageOf = <A>(
  query: Query,
  looked: ReadonlyArray<Looked<A>>
): { readonly found: ReadonlyArray<A>; readonly next: Page["next"] } => {
  const matches = looked.filter(({ isMatch }) => isMatch)
  const page = matches.slice(0, query.limit)
  const end = matches.length > query.limit ? page.at(-1) : looked.find(({ isLast }) => isLast)
  return {
    found: page.map(({ found }) => found),
    next: Option.map(Option.fromUndefinedOr(end), ({ place }) => cursorOf(query, place))
  }
}

/**
 * A query that was checked: where its page begins, how far it reaches, and by what it goes.
 *
 * @category models
 * @since 0.2.0
 */
export interface Checked extends Query {
  readonly place: Option.Option<Place>
  readonly reach: number
  readonly path: Search.Path
}

const isFilter = Schema.decodeUnknownResult(Schema.toType(Search.Filter))

/** Whether a message id has a canonical form, by its provider or by any. */
const hasForm = ({ provider, providerMessageId }: Search.Filter): boolean =>
  Search.holds(providerMessageId, (raw) => Provider.canonicalForms(raw, provider).length > 0)

/**
 * Checks a query, and that its cursor is its own.
 *
 * @category validation
 * @since 0.2.0
 */
export const check = Effect.fnUntraced(
  function*(query: Query): Effect.fn.Return<Checked, InvalidInput | ForeignCursor> {
    const { filter, limit, reach = defaultReach, tenantId } = query
    yield* Effect.fromResult(Input.tenant({ tenantId }))
    yield* Effect.fromResult(Input.filter(isFilter(filter)))
    yield* Input.limit(limit)
    yield* Input.limit(reach)
    if (!hasForm(filter)) yield* invalid("query", "providerMessageId: must be the id that the provider gave")
    return { ...query, reach, place: yield* Effect.fromResult(placeAfter(query)), path: Search.pathOf(filter) }
  }
)

/**
 * The page of a query among all the deliveries of its tenant.
 *
 * @category decisions
 * @since 0.2.0
 */
export const select = (query: Checked, subjects: ReadonlyArray<Search.Subject>, now: Timestamp.Timestamp): Page => {
  const { filter, path, place, reach } = query
  const looked = subjects
    .map((subject) => ({ subject, place: placeOf(subject.delivery) }))
    .filter((each) =>
      Search.holds(place, (after) => comparePlaces(each.place, after) > 0) &&
      Search.isOn(path, filter, each.subject, now)
    )
    .toSorted((left, right) => comparePlaces(left.place, right.place))
    .slice(0, reach)
  const { found, next } = pageOf(
    query,
    looked.map(({ place, subject }, index) => ({
      found: subject.delivery,
      place,
      isMatch: Search.matches(filter, subject, now),
      isLast: index + 1 === reach
    }))
  )
  return { deliveries: found, next }
}

/**
 * Finds the deliveries of one installation.
 *
 * @category services
 * @since 0.2.0
 */
export class Directory extends Context.Service<Directory, {
  /**
   * Returns one page of a tenant's deliveries that match, newest first. It looks at no more than `reach` deliveries, so that
   * a page may be short and still have a `next`.
   */
  readonly search: (query: Query) => Effect.Effect<Page, InvalidInput | ForeignCursor | LedgerError>
}>()("@waybill/core/Directory") {}

/**
 * A delivery and all that happened to it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Story {
  readonly delivery: Delivery.Delivery
  readonly timeline: ReadonlyArray<Ledger.TimelineEntry>
}

/**
 * One page of the history of a recipient.
 *
 * @category models
 * @since 0.2.0
 */
export interface History {
  /** What keeps mail from the recipient as of now, whichever page it is. */
  readonly suppressions: ReadonlyArray<Suppression.Suppression>
  /** Newest first. */
  readonly stories: ReadonlyArray<Story>
  /** Where the next page begins; absent where there is none. */
  readonly next: Option.Option<Cursor>
}

/**
 * Returns one page of the history of a recipient, in any spelling, over all its deliveries, and what suppresses it.
 *
 * @category reading
 * @since 0.2.0
 */
export const history = Effect.fn("Directory.history")(function*(
  { recipient, ...query }: Pick<Query, "tenantId" | "after" | "limit"> & { readonly recipient: Recipient.Recipient }
) {
  const directory = yield* Directory
  const ledger = yield* Ledger.Ledger
  const suppressions = yield* Suppressions.Suppressions
  const page = yield* directory.search({ ...query, filter: Search.Filter.make({ recipient: Option.some(recipient) }) })
  const stories = yield* Effect.forEach(page.deliveries, (delivery) =>
    Effect.map(
      ledger.timeline({ tenantId: delivery.tenantId, deliveryId: delivery.id }),
      (timeline): Story => ({ delivery, timeline })
    ))
  const suppressed = yield* suppressions.check({
    tenantId: query.tenantId,
    recipients: [recipient],
    stream: Option.none()
  })
  return { suppressions: suppressed, stories, next: page.next } satisfies History
})
