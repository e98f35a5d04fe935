/**
 * Tells what became of the mail that was sent in a window, by stream, provider, mailbox or domain.
 *
 * @since 0.2.0
 */
import { Figure, Figures, LedgerError } from "@waybill/core"
import * as Health from "@waybill/runtime/Health"
import { Console, DateTime, Duration, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { stderr } from "node:process"
import * as Settings from "../../config/Settings.ts"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

const dimensions: ReadonlyArray<string> = Figures.Dimension.literals

const isDimension = (name: string): name is Figures.Dimension => dimensions.includes(name)

const by = Flag.String("by").pipe(
  Flag.filterMap(
    (text) => {
      const names = text === "" ? [] : text.split(",").map((name) => name.trim())
      return names.every(isDimension) && new Set(names).size === names.length ? Option.some(names) : Option.none()
    },
    () => `must be any of ${dimensions.join(", ")}, with commas, each once`
  ),
  Flag.withMetavar("names"),
  Flag.withDescription(`By what to tell mail apart: ${dimensions.join(", ")}, with commas (default: stream)`),
  Flag.withDefault(["stream" as const])
)

const since = Flag.String("since").pipe(
  Flag.filterMap(Settings.grace.parse, () => Settings.grace.issue),
  Flag.withMetavar("duration"),
  Flag.withDescription("Mail dispatched so long ago or later, at most 400d (default: 30d)"),
  Flag.withDefault(Duration.days(30))
)

const csv = Flag.Boolean("csv").pipe(
  Flag.withDescription("Print comma-separated values instead of a table"),
  Flag.withDefault(false)
)

/** The names of a group, where it has any, as all forms of output have them. */
const named = ({ domain, mailbox, provider, stream, tenant }: Figures.Group) => ({
  ...tenant !== undefined && { tenantId: tenant },
  ...stream !== undefined && { stream },
  ...provider !== undefined && { provider: Option.getOrNull(provider) },
  ...mailbox !== undefined && { mailbox },
  ...domain !== undefined && { domain: Option.getOrNull(domain) }
})

/** A rate with as many digits as a rate of complaints needs. */
const rounded = (rate: Option.Option<number>): number | null =>
  Option.getOrNull(Option.map(rate, (value) => Math.round(value * 1e6) / 1e6))

const complaintRate = ({ complaints }: Pick<Figures.GroupFigures, "complaints">): Option.Option<number> =>
  Option.flatMap(complaints, ({ complained, delivered }) => Figure.rate(complained, delivered))

const within = ({ deliveredWithin }: Figure.Counts, share: number): Option.Option<Duration.Duration> =>
  Figure.percentile(deliveredWithin, share)

const seconds = (time: Option.Option<Duration.Duration>): number | null =>
  Option.getOrNull(Option.map(time, Duration.toSeconds))

const timesOf = (counts: Figure.Counts) => ({
  p50: seconds(within(counts, 0.5)),
  p95: seconds(within(counts, 0.95)),
  p99: seconds(within(counts, 0.99))
})

const figureOf = ({ cohorts, complaints, counts, group, isRipe }: Figures.GroupFigures) => ({
  ...named(group),
  ...counts,
  complaintsReported: Option.isSome(complaints),
  complaintRate: rounded(complaintRate({ complaints })),
  secondsToDelivered: timesOf(counts),
  ripe: isRipe,
  cohorts: cohorts.map((cohort) => ({
    startsAt: DateTime.formatIso(cohort.startsAt),
    ...cohort.counts,
    ripe: cohort.isRipe
  }))
})

const documentOf = ({ figures, followedAt, from, grain, to }: Figures.Table) => ({
  grain,
  from: DateTime.formatIso(from),
  to: DateTime.formatIso(to),
  followedAt: Output.time(followedAt),
  figures: figures.map(figureOf)
})

const percent = (rate: Option.Option<number>, digits: number): string =>
  Option.match(rate, { onNone: () => "-", onSome: (value) => `${(value * 100).toFixed(digits)}%` })

/** A time in its largest unit alone. */
const time = (duration: Option.Option<Duration.Duration>): string =>
  Option.match(duration, {
    onNone: () => "-",
    onSome: (took) => Duration.toSeconds(took) < 10 ? `${Duration.toSeconds(took).toFixed(1)}s` : Output.age(took)
  })

/** The cohorts of a table, also those without mail. */
const startsOf = ({ from, grain, to }: Figures.Table): ReadonlyArray<number> => {
  const length = Duration.toMillis(grain === "hour" ? Duration.hours(1) : Duration.days(1))
  const count = Math.ceil((to.epochMilliseconds - from.epochMilliseconds) / length)
  return Array.from({ length: count }, (_, index) => from.epochMilliseconds + index * length)
}

const rowOf = (table: Figures.Table) => (figures: Figures.GroupFigures): Output.Row => {
  const { cohorts, complaints, counts, group, isRipe } = figures
  const sent = new Map(cohorts.map(({ counts, startsAt }) => [startsAt.epochMilliseconds, counts.dispatched]))
  const share = (count: number) => percent(Figure.rate(count, counts.dispatched), 1)
  return [
    ...Object.values(named(group)).map((name) => name ?? "(none)"),
    `${counts.dispatched}${isRipe ? "" : "*"}`,
    share(counts.delivered),
    share(counts.hardBounced),
    share(counts.softBounced),
    share(counts.deferred),
    share(counts.rejected),
    Option.isNone(complaints) ? "not reported" : percent(complaintRate(figures), 2),
    share(counts.opened),
    share(counts.silent),
    time(within(counts, 0.5)),
    time(within(counts, 0.95)),
    Output.sparkline(startsOf(table).map((startsAt) => sent.get(startsAt) ?? 0))
  ]
}

const measured = [
  "dispatched",
  "delivered",
  "hard bounced",
  "soft bounced",
  "deferred",
  "rejected",
  "complained",
  "opened",
  "silent",
  "p50",
  "p95",
  "sent"
]

const headingsOf = (by: ReadonlyArray<Figures.Dimension>): Output.Row => [
  ...Figures.Dimension.literals.filter((dimension) => by.includes(dimension)),
  ...measured
]

const textOf = (table: Figures.Table, by: ReadonlyArray<Figures.Dimension>): string =>
  [
    Output.table(headingsOf(by), table.figures.map(rowOf(table)), "nothing was dispatched in this time"),
    ...table.figures.some(({ isRipe }) => !isRipe)
      ? [`\n* not ripe: more will be heard of what was sent in the last ${Output.age(Figures.ripening)}`]
      : []
  ].join("\n")

type Cell = string | number | boolean | null | undefined

const quoted = (value: Cell): string => {
  const text = value === null || value === undefined ? "" : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll("\"", "\"\"")}"` : text
}

const csvOf = ({ figures }: Figures.Table, by: ReadonlyArray<Figures.Dimension>): string => {
  const names = Figures.Dimension.literals.filter((dimension) => by.includes(dimension))
    .map((dimension) => dimension === "tenant" ? "tenantId" : dimension)
  const rows = figures.map((each): Readonly<Record<string, Cell>> => {
    const { cohorts: _, deliveredWithin: __, rejectedFor, secondsToDelivered, ...flat } = figureOf(each)
    return {
      ...flat,
      ...Object.fromEntries(Object.entries(rejectedFor).map(([reason, count]) => [`rejectedFor.${reason}`, count])),
      ...Object.fromEntries(
        Object.entries(secondsToDelivered).map(([share, time]) => [`secondsToDelivered.${share}`, time])
      )
    }
  })
  const headings = [...names, ...Object.keys(rows[0] ?? {}).filter((name) => !names.some((known) => known === name))]
  return [headings, ...rows.map((row) => headings.map((name) => row[name]))]
    .map((cells) => cells.map(quoted).join(",")).join("\n")
}

/** Rewrites one line on a terminal while much is followed; a file or a pipe gets none. */
const showProgress = (events: number) =>
  Effect.sync(() => {
    if (stderr.isTTY) stderr.write(`\r\u001b[Kcounting: ${events} events followed`)
  })

const clearProgress = Effect.sync(() => {
  if (stderr.isTTY) stderr.write("\r\u001b[K")
})

/**
 * `waybill figures`
 *
 * @category commands
 * @since 0.2.0
 */
export const figures = Command.make(
  "figures",
  {
    since,
    by,
    tenantId: Parameters.scope,
    limit: Parameters.limit,
    csv,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ by, csv, json, limit, since, tenantId: scope }) {
    if (csv && json) yield* LedgerError.invalid("query", "--csv, --json: give one of them")
    const now = yield* DateTime.now
    const query = { scope, from: DateTime.subtractDuration(now, since), to: now, by, limit }
    const table = yield* Effect.ensuring(Health.figures(query, showProgress), clearProgress)
    yield* csv ? Console.log(csvOf(table, by)) : Output.write(json, documentOf(table), () => textOf(table, by))
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription(
    "Tell what became of the mail that was sent: delivered, bounced, deferred, complained, silent"
  ),
  Command.withExamples([
    { command: "waybill figures", description: "The last 30 days by stream" },
    { command: "waybill figures --since 1d --by provider,mailbox", description: "Today by provider and mailbox" },
    { command: "waybill figures --by domain --tenant-id acme --limit 20", description: "The domains with most mail" },
    { command: "waybill figures --since 7d --by stream,domain --csv > figures.csv", description: "For a spreadsheet" }
  ])
)
