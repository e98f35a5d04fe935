/**
 * Defines the port that counts deliveries: what became of those that were dispatched in a window of time.
 *
 * The figures follow the feed, so that an append costs nothing for them. A delivery counts for the cohort of its dispatch, and
 * counts anew whenever something of it is followed: a late event, a link or an erasure corrects the cohort of then. Following
 * the feed again, or by several at once, counts nothing twice.
 *
 * @since 0.2.0
 */
import { Context, DateTime, Duration, Effect, Option, Schema } from "effect"
import type * as Delivery from "./Delivery.ts"
import * as Figure from "./Figure.ts"
import * as Input from "./Input.ts"
import { type CursorAhead, invalid, type InvalidInput, type LedgerError } from "./LedgerError.ts"
import * as Mailbox from "./Mailbox.ts"
import type * as Provider from "./Provider.ts"
import * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

/**
 * The name under which it is kept how far the figures have followed the feed.
 *
 * @category constants
 * @since 0.2.0
 */
export const consumer = "waybill figures"

/**
 * By what deliveries are counted apart.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Dimension = Schema.Literals(["tenant", "stream", "provider", "mailbox", "domain"])

/**
 * By what deliveries are counted apart.
 *
 * @category models
 * @since 0.2.0
 */
export type Dimension = typeof Dimension.Type

/**
 * How long a cohort is: an hour, or a day in UTC. By domain it is always a day, so that a domain has one row a day.
 *
 * @category models
 * @since 0.2.0
 */
export type Grain = "hour" | "day"

/**
 * Which deliveries to count, and by what apart.
 *
 * @category models
 * @since 0.2.0
 */
export interface Query {
  readonly scope: Tenant.Scope
  /** The cohorts from the one of this instant on. */
  readonly from: Timestamp.Timestamp
  /** The cohorts that begin before this instant; at most 400 days after `from`. */
  readonly to: Timestamp.Timestamp
  readonly by: ReadonlyArray<Dimension>
  /** How many groups to return at most, those with most mail: 1 to 10,000. */
  readonly limit: number
}

/**
 * What the deliveries of a figure have in common; a field is there where they were counted by it. An absent provider or domain
 * is that of deliveries without one: of a recipient who is forgotten there is no domain.
 *
 * @category models
 * @since 0.2.0
 */
export interface Group {
  readonly tenant?: Tenant.TenantId
  readonly stream?: Delivery.Stream
  readonly provider?: Option.Option<Provider.Provider>
  readonly mailbox?: Mailbox.Mailbox
  readonly domain?: Option.Option<string>
}

/**
 * One cohort of a figure.
 *
 * @category models
 * @since 0.2.0
 */
export interface Cohort {
  readonly startsAt: Timestamp.Timestamp
  readonly counts: Figure.Counts
  /** Whether most of what will ever be heard of it has been: `ripening` has gone by since its end. */
  readonly isRipe: boolean
}

/**
 * The mail by which complaints are judged: that of mailboxes and providers which tell of complaints.
 *
 * @category models
 * @since 0.2.0
 */
export interface Complaints {
  readonly delivered: number
  readonly complained: number
}

/**
 * What became of the deliveries of one group.
 *
 * @category models
 * @since 0.2.0
 */
export interface GroupFigures {
  readonly group: Group
  readonly counts: Figure.Counts
  /** The mail by which complaints are judged; none where nobody tells of complaints about any of the deliveries. */
  readonly complaints: Option.Option<Complaints>
  /** Whether all of its cohorts are ripe. */
  readonly isRipe: boolean
  /** Its cohorts that have any delivery, by their time. */
  readonly cohorts: ReadonlyArray<Cohort>
}

/**
 * The figures of a query.
 *
 * @category models
 * @since 0.2.0
 */
export interface Table {
  readonly grain: Grain
  /** The beginning of the first cohort that was asked for. */
  readonly from: Timestamp.Timestamp
  readonly to: Timestamp.Timestamp
  /** Those with most mail first. */
  readonly figures: ReadonlyArray<GroupFigures>
  /** When the feed was last followed; never where there is none. */
  readonly followedAt: Option.Option<Timestamp.Timestamp>
}

/**
 * What following the feed by one step did.
 *
 * @category models
 * @since 0.2.0
 */
export interface Followed {
  /** How many events were followed. */
  readonly events: number
  /** Whether the end of the feed was reached. */
  readonly isCurrent: boolean
}

/**
 * How long after a cohort most of what will be heard of it has been heard: mail servers try for days, and people complain late.
 *
 * @category constants
 * @since 0.2.0
 */
export const ripening = Duration.days(3)

/** The longest window that is told by the hour. */
const longestByHour = Duration.days(3)

const longestWindow = Duration.days(400)

/**
 * A query that was checked: how long its cohorts are, and where the first begins.
 *
 * @category models
 * @since 0.2.0
 */
export interface Checked extends Query {
  readonly grain: Grain
}

const isBy = Schema.is(Schema.Array(Dimension))

const isTime = Schema.is(Timestamp.Timestamp)

/** The beginning of the cohort of an instant. */
const startOf = (grain: Grain, { epochMilliseconds }: DateTime.Utc): Timestamp.Timestamp => {
  const length = lengthOf(grain)
  return DateTime.makeUnsafe(Math.floor(epochMilliseconds / length) * length)
}

const lengthOf = (grain: Grain): number => Duration.toMillis(grain === "hour" ? Duration.hours(1) : Duration.days(1))

/**
 * Checks a query, and decides how long its cohorts are: hours of a window of three days at most that is not told by domain.
 *
 * @category validation
 * @since 0.2.0
 */
export const check = Effect.fnUntraced(function*(query: Query): Effect.fn.Return<Checked, InvalidInput> {
  const { by, from, limit, scope, to } = query
  if (scope !== Tenant.all) yield* Effect.fromResult(Input.tenant({ tenantId: scope }))
  yield* Input.limit(limit)
  if (!isBy(by) || new Set(by).size < by.length) {
    return yield* invalid("query", `by: must be any of ${Dimension.literals.join(", ")}, each once`)
  }
  if (!isTime(from) || !isTime(to)) return yield* invalid("query", "from, to: must be instants")
  const window = to.epochMilliseconds - from.epochMilliseconds
  if (window <= 0) return yield* invalid("query", "from: must be before to")
  if (window > Duration.toMillis(longestWindow)) {
    return yield* invalid("query", "from: must be at most 400 days before to")
  }
  const grain = by.includes("domain") || window > Duration.toMillis(longestByHour) ? "day" : "hour"
  return { ...query, grain, from: startOf(grain, from) }
})

/**
 * The sum of the deliveries of one cohort, counted by all that the query names, and at least by provider and mailbox.
 *
 * @category models
 * @since 0.2.0
 */
export interface Row {
  readonly startsAt: Timestamp.Timestamp
  readonly group: Group & Required<Pick<Group, "provider" | "mailbox">>
  readonly tally: Figure.Tally
}

/** The part of a group that a query names. */
const groupOf = (by: ReadonlyArray<Dimension>, { domain, mailbox, provider, stream, tenant }: Group): Group => ({
  ...tenant !== undefined && by.includes("tenant") && { tenant },
  ...stream !== undefined && by.includes("stream") && { stream },
  ...provider !== undefined && by.includes("provider") && { provider },
  ...mailbox !== undefined && by.includes("mailbox") && { mailbox },
  ...domain !== undefined && by.includes("domain") && { domain }
})

/** A text that tells groups apart, and orders those with as much mail. */
const nameOf = ({ domain, mailbox, provider, stream, tenant }: Group): string =>
  [
    tenant ?? "",
    stream ?? "",
    provider === undefined ? "" : Option.getOrElse(provider, () => ""),
    mailbox ?? "",
    domain === undefined ? "" : Option.getOrElse(domain, () => "")
  ].join(" ")

const sumOf = (rows: ReadonlyArray<Row>): Figure.Counts =>
  Figure.countsOf(rows.map(({ tally }) => tally).reduce(Figure.plus, Figure.noTally))

const complaintsOf = (rows: ReadonlyArray<Row>): Option.Option<Complaints> => {
  const telling = rows.filter(({ group }) => Mailbox.tellsComplaints(group.provider, group.mailbox))
  if (telling.length === 0) return Option.none()
  const { complained, delivered } = sumOf(telling)
  return Option.some({ complained, delivered })
}

const figureOf = (
  query: Checked,
  rows: ReadonlyArray<Row>,
  now: Timestamp.Timestamp
): Omit<GroupFigures, "group"> => {
  const ripe = now.epochMilliseconds - Duration.toMillis(ripening) - lengthOf(query.grain)
  const cohorts = Array.from(Map.groupBy(rows, ({ startsAt }) => startsAt.epochMilliseconds))
    .toSorted(([left], [right]) => left - right)
    .map(([startsAt, of]): Cohort => ({
      startsAt: DateTime.makeUnsafe(startsAt),
      counts: sumOf(of),
      isRipe: startsAt <= ripe
    }))
  return {
    counts: sumOf(rows),
    complaints: complaintsOf(rows),
    isRipe: cohorts.every(({ isRipe }) => isRipe),
    cohorts
  }
}

/** Orders figures: those with most mail first, then by what they have in common. */
const compare = (left: GroupFigures, right: GroupFigures): number =>
  right.counts.dispatched - left.counts.dispatched || Text.compare(nameOf(left.group), nameOf(right.group))

/**
 * The figures of a query by its rows, where those that are left out belong to groups with less mail.
 *
 * @category decisions
 * @since 0.2.0
 */
export const tableOf = (
  query: Checked,
  rows: ReadonlyArray<Row>,
  followedAt: Option.Option<Timestamp.Timestamp>,
  now: Timestamp.Timestamp
): Table => {
  const grouped = Map.groupBy(
    rows.map((row) => ({ row, group: groupOf(query.by, row.group) })),
    ({ group }) => nameOf(group)
  )
  const figures = Array.from(grouped.values(), (all): ReadonlyArray<GroupFigures> => {
    const [first] = all
    return first === undefined
      ? []
      : [{ group: first.group, ...figureOf(query, all.map(({ row }) => row), now) }]
  })
  return {
    grain: query.grain,
    from: query.from,
    to: query.to,
    figures: figures.flat().toSorted(compare).slice(0, query.limit),
    followedAt
  }
}

/**
 * The rows of a query among all that counts.
 *
 * @category decisions
 * @since 0.2.0
 */
export const rowsOf = (query: Checked, all: Iterable<Figure.Contribution>): ReadonlyArray<Row> =>
  Array.from(all)
    .map((contribution) => ({ contribution, startsAt: startOf(query.grain, contribution.hour) }))
    .filter(({ contribution, startsAt }) =>
      Tenant.reaches(query.scope, contribution.tenantId) &&
      startsAt.epochMilliseconds >= query.from.epochMilliseconds &&
      startsAt.epochMilliseconds < query.to.epochMilliseconds
    )
    .map(({ contribution, startsAt }) => ({
      startsAt,
      group: {
        tenant: contribution.tenantId,
        stream: contribution.stream,
        provider: contribution.provider,
        mailbox: Mailbox.ofDomain(contribution.domain),
        domain: contribution.domain
      },
      tally: Figure.tallyOf(contribution)
    }))

/**
 * The figures of one installation.
 *
 * @category services
 * @since 0.2.0
 */
export class Figures extends Context.Service<Figures, {
  /**
   * Follows the feed by up to so many events, from where it was followed last, and counts the deliveries that they are about anew.
   * What was counted and how far was followed are kept together or not at all. Where another process is following, it waits.
   */
  readonly follow: (query: {
    readonly limit: number
  }) => Effect.Effect<Followed, InvalidInput | CursorAhead | LedgerError>

  /** Returns what became of the deliveries that were dispatched in a window, as of the last time that the feed was followed. */
  readonly read: (query: Query) => Effect.Effect<Table, InvalidInput | LedgerError>
}>()("@waybill/core/Figures") {}

/**
 * Follows the feed until its end was reached, tells after each step how many events were followed, and returns that.
 *
 * @category reading
 * @since 0.2.0
 */
export const followToNow = Effect.fn("Figures.followToNow")(function*(
  onStep: (events: number) => Effect.Effect<void> = () => Effect.void
) {
  const figures = yield* Figures
  let events = 0
  while (true) {
    const followed = yield* figures.follow({ limit: Input.maxLimit })
    events += followed.events
    yield* onStep(events)
    if (followed.isCurrent) return events
  }
})
