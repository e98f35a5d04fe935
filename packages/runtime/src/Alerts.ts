/**
 * Judges by the rules whether something is wrong, on each tick by one of all nodes, and tells what opens and closes.
 *
 * A rule whose facts cannot be read is not judged, so that its alerts neither open nor close. What is told is followed as a stream,
 * in any process and without missing any.
 *
 * @since 0.2.0
 */
import {
  type Alert,
  AlertRule,
  Alerts as Port,
  type Checkpoints,
  Figures,
  Inbox,
  Judgement,
  type Ledger,
  type LedgerError,
  Orphans,
  Tenant,
  Ticks
} from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import { type Cause, type Cron, DateTime, Duration, Effect, type Layer, Option, Stream, Struct } from "effect"
import * as Arr from "effect/Array"
import * as Feed from "./Feed.ts"
import { secondsAt } from "./internal/age.ts"
import { annotateReason } from "./internal/reason.ts"
import * as Reconciler from "./Reconciler.ts"
import * as Schedules from "./Schedules.ts"

/**
 * Which rules to judge by, and what they have to know of the installation.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options {
  /** Every rule with its default limits by default; one that is left out opens nothing, and closes what it has opened. */
  readonly rules?: ReadonlyArray<AlertRule.Rule>
  /** The consumers of the feed that must keep up, beside the figures. */
  readonly consumers?: ReadonlyArray<string>
  /** The horizon of the sweeps: an older orphan waits for nobody; 7 days by default. */
  readonly horizon?: Duration.Input
  /** When sweeps are made; every five minutes by default. */
  readonly sweeps?: Cron.Cron
  /** Since when sweeps can be expected; without it no sweep is missed before the first was made. */
  readonly since?: DateTime.Utc
}

/** The ports from which the rules take what they judge. */
type Facts =
  | Port.Alerts
  | Figures.Figures
  | Inbox.Inbox
  | Ledger.Ledger
  | Orphans.Orphans
  | Ticks.Ticks
  | Checkpoints.Checkpoints

type Judged = Effect.Effect<ReadonlyArray<Judgement.Judgement>, LedgerError.InvalidInput | Feed.FeedError, Facts>

const startOfHour = ({ epochMilliseconds }: DateTime.Utc): DateTime.Utc =>
  DateTime.makeUnsafe(Math.floor(epochMilliseconds / 3_600_000) * 3_600_000)

/** The most groups of figures, webhooks or ticks that a rule looks at: those with most mail, and the newest. */
const most = 10_000

/** Judges by the figures, of which those with mail that is too young are left out. */
const byFigures = Effect.fnUntraced(function*(rule: AlertRule.Rule, reading: AlertRule.Reading) {
  const figures = yield* Figures.Figures
  const now = yield* DateTime.now
  const to = Duration.isZero(reading.delay) ? now : startOfHour(DateTime.subtractDuration(now, reading.delay))
  const table = yield* figures.read({
    scope: Tenant.all,
    from: DateTime.subtractDuration(to, rule.window),
    to,
    by: ["tenant", ...reading.by],
    limit: most
  })
  return table.figures.flatMap((found) => {
    const judged = Option.all([AlertRule.subjectOf(found.group), reading.share(found)])
    if (Option.isNone(judged) || found.group.tenant === undefined) return []
    const [subject, share] = judged.value
    return [Judgement.judgeShare(rule, { tenantId: found.group.tenant, subject }, share)]
  })
})

const refusedWebhooks = Effect.fnUntraced(function*(rule: AlertRule.Rule) {
  const alerts = yield* Port.Alerts
  const found = yield* alerts.answered(rule.window)
  return found.map(({ answered, provider, refused, tenantId }) =>
    Judgement.judgeShare(rule, { tenantId, subject: { provider } }, { part: refused, of: answered })
  )
})

const deadWebhooks = Effect.fnUntraced(function*(rule: AlertRule.Rule) {
  const inbox = yield* Inbox.Inbox
  const since = DateTime.subtractDuration(yield* DateTime.now, rule.window)
  const found = yield* inbox.list({ scope: Tenant.all, status: Option.some("dead"), limit: most })
  const dead = found.filter(({ processedAt }) => Option.exists(processedAt, DateTime.isGreaterThanOrEqualTo(since)))
  return Object.values(Object.groupBy(dead, ({ provider, tenantId }) => `${tenantId} ${provider}`)).flatMap((of = []) =>
    of.slice(0, 1).map(({ provider, tenantId }) =>
      Judgement.judgeNumber(rule, { tenantId, subject: { provider } }, of.length)
    )
  )
})

/** Counts the orphans that are older than the window and younger than the horizon, which are to be linked still. */
const waitingOrphans = Effect.fnUntraced(function*(rule: AlertRule.Rule, horizon: Duration.Input = "7 days") {
  const orphans = yield* Orphans.Orphans
  const now = yield* DateTime.now
  const olderThan = (age: Duration.Input) =>
    orphans.backlog({ scope: Tenant.all, horizon: DateTime.subtractDuration(now, age) })
  const expired = new Map((yield* olderThan(horizon)).map(({ expired, tenantId }) => [tenantId, expired]))
  return (yield* olderThan(rule.window)).map(({ expired: old, tenantId }) =>
    Judgement.judgeNumber(rule, { tenantId, subject: {} }, Math.max(0, old - (expired.get(tenantId) ?? 0)))
  )
})

const feedLag = (rule: AlertRule.Rule, consumers: ReadonlyArray<string> = []) =>
  Effect.forEach(Arr.dedupe([Figures.consumer, ...consumers]), (consumer) =>
    Effect.map(
      Feed.lag({ consumer }),
      (lag) => Judgement.judgeNumber(rule, { tenantId: Tenant.all, subject: { consumer } }, Duration.toSeconds(lag))
    ))

/** How many sweeps in a row may be missed, whatever the line says: a schedule may be slower than it. */
const missedSweeps = 3

/** How many of the last sweeps are looked at for one that succeeded. */
const lastSweeps = 100

const noSweep = Effect.fnUntraced(function*(rule: AlertRule.Rule, { since, sweeps }: Options) {
  const ticks = yield* Ticks.Ticks
  const now = yield* DateTime.now
  const schedule = Reconciler.defaultSchedule
  const cron = sweeps ?? (yield* Effect.orDie(Effect.fromResult(Schedules.parse(Reconciler.defaultCron))))
  const recent = yield* ticks.recent({ schedule: Option.some(schedule), limit: lastSweeps })
  const ended = recent.flatMap(({ endedAt, error }) => Option.isSome(error) ? [] : Option.toArray(endedAt))
  const oldest = recent.map(({ beganAt }) => beganAt).toReversed()
  const known = [...ended, ...since === undefined ? oldest.slice(0, 1) : [since]]
  if (!Arr.isReadonlyArrayNonEmpty(known)) return []
  const last = known.reduce(DateTime.max)
  const due = Array.from({ length: missedSweeps }).reduce<DateTime.Utc>((at) => Schedules.tickAfter(cron, at), last)
  const line = Math.max(rule.line, secondsAt(due, last))
  return [
    Judgement.judgeNumber(
      { name: rule.name, line },
      { tenantId: Tenant.all, subject: { schedule } },
      secondsAt(now, last)
    )
  ]
})

/** How each rule finds what it judges. */
const judges = (options: Options): Readonly<Record<AlertRule.Name, (rule: AlertRule.Rule) => Judged>> => ({
  complaints: (rule) => byFigures(rule, AlertRule.readings.complaints),
  hard_bounces: (rule) => byFigures(rule, AlertRule.readings.hard_bounces),
  blocked: (rule) => byFigures(rule, AlertRule.readings.blocked),
  deferrals: (rule) => byFigures(rule, AlertRule.readings.deferrals),
  slow: (rule) => byFigures(rule, AlertRule.readings.slow),
  silent_provider: (rule) => byFigures(rule, AlertRule.readings.silent_provider),
  silent_stream: (rule) => byFigures(rule, AlertRule.readings.silent_stream),
  refused_webhooks: refusedWebhooks,
  dead_webhooks: deadWebhooks,
  orphans: (rule) => waitingOrphans(rule, options.horizon),
  feed_lag: (rule) => feedLag(rule, options.consumers),
  no_sweep: (rule) => noSweep(rule, options)
})

/** How long the figures may take to follow what has happened; what they have not followed then is judged the next time. */
const followWithin = Duration.minutes(1)

/** Whether the figures know all that has happened. */
const areCurrent = Figures.followToNow().pipe(
  Effect.timeoutOption(followWithin),
  Effect.map(Option.isSome),
  Effect.catchCause((cause: Cause.Cause<unknown>) =>
    Effect.as(Effect.logWarning("figures not followed").pipe(annotateReason(cause)), false)
  )
)

/**
 * The result of an evaluation.
 *
 * @category models
 * @since 0.2.0
 */
export interface Evaluated {
  /** How many rules could be judged. */
  readonly judged: number
  readonly notices: ReadonlyArray<Alert.Notice>
}

/**
 * Judges by every rule now, and opens, reminds of and closes alerts by it.
 *
 * @category evaluating
 * @since 0.2.0
 */
export const evaluate = Effect.fn("Alerts.evaluate")(function*(options: Options = {}) {
  const alerts = yield* Port.Alerts
  const rules = options.rules ?? Object.values(AlertRule.defaults)
  const judge = judges(options)
  const isCurrent = yield* areCurrent
  const verdicts = yield* Effect.forEach(rules, (rule) => {
    if (rule.name in AlertRule.readings && !isCurrent) return Effect.succeed(Option.none())
    return judge[rule.name](rule).pipe(
      Effect.map((judgements) => Option.some({ name: rule.name, judgements })),
      Effect.catchCause((cause) =>
        Effect.logWarning("rule not judged").pipe(
          annotateReason(cause),
          Attributes.annotateLogs({ rule: rule.name }),
          Effect.as(Option.none())
        )
      )
    )
  })
  const found = Arr.getSomes(verdicts)
  const off = AlertRule.Name.literals.filter((name) => !rules.some((rule) => rule.name === name))
  const notices = yield* alerts.settle({
    judged: [...found.map(({ name }) => name), ...off],
    judgements: found.flatMap(({ judgements }) => judgements)
  })
  yield* Effect.forEach(notices, tell, { discard: true })
  const evaluated: Evaluated = { judged: found.length, notices }
  return evaluated
})

const messages: Readonly<Record<Alert.Kind, string>> = {
  opened: "alert opened",
  reminded: "alert still open",
  closed: "alert closed"
}

const tell = ({ isMuted, kind, rule, tenantId }: Alert.Notice) =>
  isMuted
    ? Effect.void
    : (kind === "closed" ? Effect.logInfo(messages[kind]) : Effect.logWarning(messages[kind])).pipe(
      Attributes.annotateLogs({ rule, ...tenantId !== Tenant.all && { tenant_id: tenantId } })
    )

const countsOf = ({ judged, notices }: Evaluated): Ticks.Counts => {
  const of = (kind: Alert.Kind) => notices.filter((notice) => notice.kind === kind).length
  return { judged, opened: of("opened"), reminded: of("reminded"), closed: of("closed") }
}

/**
 * The cron of evaluations by default: every five minutes.
 *
 * @category constants
 * @since 0.2.0
 */
export const defaultCron = "*/5 * * * *"

/**
 * The schedule's name by default.
 *
 * @category constants
 * @since 0.2.0
 */
export const defaultSchedule = "alerts"

const job = Schedules.job({
  name: defaultSchedule,
  cron: defaultCron,
  check: ({ consumers = [] }: Options) =>
    Effect.forEach(consumers, (consumer) => Schedules.checkName("consumers", consumer)),
  work: (options) => evaluate(Struct.pick(options, ["rules", "consumers", "horizon", "sweeps", "since"])),
  counts: countsOf
})

/**
 * Judges at the times of a cron, on each tick by one of all nodes.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerCron = (
  options: Options & Schedules.When = {}
): Layer.Layer<never, Schedules.InvalidCron | LedgerError.InvalidInput, Facts> => job.layerCron(options)

/**
 * Which notices a stream follows.
 *
 * @category models
 * @since 0.2.0
 */
export interface StreamOptions {
  /** One tenant; without it all of them, and the installation. */
  readonly scope?: Tenant.Scope
  /** The position of the notice after which to begin; the first of all by default. */
  readonly after?: number
  /** How long to wait at the end before looking again; ten seconds by default. */
  readonly pollEvery?: Duration.Input
}

/**
 * Everything that is told after a position, and what will be, whichever node tells it. It keeps nothing: its reader remembers the
 * position of what it has handled.
 *
 * @category streams
 * @since 0.2.0
 */
export const stream = (
  { after = 0, pollEvery = "10 seconds", scope = Tenant.all }: StreamOptions = {}
): Stream.Stream<Alert.Notice, LedgerError.InvalidInput | LedgerError.LedgerError, Port.Alerts> =>
  Stream.paginate(after, (after: number) =>
    Effect.gen(function*() {
      const alerts = yield* Port.Alerts
      while (true) {
        const notices = yield* alerts.notices({ scope, after, limit: 100 })
        if (Arr.isReadonlyArrayNonEmpty(notices)) {
          return [notices, Option.some(Arr.lastNonEmpty(notices).position)] as const
        }
        yield* Effect.sleep(pollEvery)
      }
    }))
