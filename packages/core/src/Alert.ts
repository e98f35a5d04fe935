/**
 * Decides when an alert opens, is told of again and closes, by what the rules say of each subject at an instant.
 *
 * An alert opens where a rule is surely over its line and none is open for the same subject; it is told of again after a day; it
 * closes once the measure was not above the line for an hour. Judging again at the same instant changes nothing.
 *
 * @since 0.2.0
 */
import { type DateTime, Duration, Option, Schema } from "effect"
import * as AlertRule from "./AlertRule.ts"
import * as Judgement from "./Judgement.ts"
import * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import * as Timestamp from "./Timestamp.ts"

/**
 * An alert's id, a UUIDv7.
 *
 * @category schemas
 * @since 0.2.0
 */
export const AlertId = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, {
    message: "must be a UUID in lower case"
  })
).pipe(Schema.brand("AlertId"))

/**
 * An alert's id.
 *
 * @category models
 * @since 0.2.0
 */
export type AlertId = typeof AlertId.Type

const Scope = Schema.Union([Schema.Literal(Tenant.all), Tenant.TenantId])

const measured = {
  /** What was measured: a share from 0 to 1, a number, or seconds. */
  value: Schema.Finite,
  /** The whole of a share; else 0. */
  of: Schema.Finite,
  /** What the measure must be above. */
  line: Schema.Finite
}

/**
 * Something that is or was wrong; its encoded form is JSON.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Alert = Schema.Struct({
  id: AlertId,
  /** Whose mail it is about, or `*` for the installation. */
  tenantId: Scope,
  rule: AlertRule.Name,
  subject: AlertRule.Subject,
  openedAt: Timestamp.Timestamp,
  /** When it was told of last. */
  toldAt: Timestamp.Timestamp,
  /** Since when the measure has not been above its line; absent while it is. */
  backSince: Schema.OptionFromNullOr(Timestamp.Timestamp),
  closedAt: Schema.OptionFromNullOr(Timestamp.Timestamp),
  ...measured
})

/**
 * Something that is or was wrong.
 *
 * @category models
 * @since 0.2.0
 */
export type Alert = typeof Alert.Type

/**
 * What is told of an alert.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Kind = Schema.Literals(["opened", "reminded", "closed"])

/**
 * What is told of an alert.
 *
 * @category models
 * @since 0.2.0
 */
export type Kind = typeof Kind.Type

/**
 * One telling of an alert: the history is made of them.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Notice = Schema.Struct({
  /** Its place among all notices, which grows. */
  position: Schema.Int,
  alertId: AlertId,
  tenantId: Scope,
  rule: AlertRule.Name,
  subject: AlertRule.Subject,
  kind: Kind,
  at: Timestamp.Timestamp,
  /** Whether the rule was muted then, so that it is kept and told to nobody. */
  isMuted: Schema.Boolean,
  ...measured
})

/**
 * One telling of an alert.
 *
 * @category models
 * @since 0.2.0
 */
export type Notice = typeof Notice.Type

/**
 * That a rule tells nobody of a tenant's alerts until an instant.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Mute = Schema.Struct({
  /** The tenant, or `*` for all of them. */
  tenantId: Scope,
  rule: AlertRule.Name,
  until: Timestamp.Timestamp,
  /** Who muted it. */
  actor: Text.bounded(255)
})

/**
 * That a rule tells nobody of a tenant's alerts until an instant.
 *
 * @category models
 * @since 0.2.0
 */
export type Mute = typeof Mute.Type

/**
 * After how long an alert that is still open is told of again.
 *
 * @category constants
 * @since 0.2.0
 */
export const remindsAfter: Duration.Duration = Duration.hours(24)

/**
 * For how long the measure must not be above its line before an alert closes.
 *
 * @category constants
 * @since 0.2.0
 */
export const closesAfter: Duration.Duration = Duration.hours(1)

/**
 * Names what an alert is about: two that are open at once differ in it.
 *
 * @category getters
 * @since 0.2.0
 */
export const keyOf = ({ rule, subject, tenantId }: Pick<Alert, "tenantId" | "rule" | "subject">): string =>
  `${tenantId} ${rule} ${AlertRule.textOf(subject)}`

/**
 * Tells whether an alert is open.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isOpen = ({ closedAt }: Pick<Alert, "closedAt">): boolean => Option.isNone(closedAt)

const hasPassed = (since: DateTime.Utc, duration: Duration.Duration, now: DateTime.Utc): boolean =>
  now.epochMilliseconds - since.epochMilliseconds >= Duration.toMillis(duration)

/**
 * An alert after a step, and what is told of it if anything is.
 *
 * @category models
 * @since 0.2.0
 */
export interface Step {
  readonly alert: Alert
  readonly told: Option.Option<Kind>
}

/**
 * The alert that opens by a judgement.
 *
 * @category folding
 * @since 0.2.0
 */
export const open = (judgement: Judgement.Judgement, id: AlertId, now: Timestamp.Timestamp): Step => ({
  alert: {
    id,
    tenantId: judgement.tenantId,
    rule: judgement.rule,
    subject: judgement.subject,
    openedAt: now,
    toldAt: now,
    backSince: Option.none(),
    closedAt: Option.none(),
    value: judgement.value,
    of: judgement.of,
    line: judgement.line
  },
  told: Option.some("opened")
})

/**
 * An open alert after it was judged again; nothing of its subject any more is as good as not above the line.
 *
 * @category folding
 * @since 0.2.0
 */
export const step = (
  alert: Alert,
  judgement: Option.Option<Judgement.Judgement>,
  now: Timestamp.Timestamp
): Step => {
  const measured = Option.match(judgement, {
    onNone: () => ({}),
    onSome: ({ line, of, value }) => ({ value, of, line })
  })
  if (Option.exists(judgement, ({ level }) => level !== "under")) {
    const reminds = hasPassed(alert.toldAt, remindsAfter, now)
    return {
      alert: { ...alert, ...measured, backSince: Option.none(), toldAt: reminds ? now : alert.toldAt },
      told: reminds ? Option.some("reminded") : Option.none()
    }
  }
  const backSince = Option.getOrElse(alert.backSince, () => now)
  const closes = hasPassed(backSince, closesAfter, now)
  return {
    alert: {
      ...alert,
      ...measured,
      backSince: Option.some(backSince),
      ...closes && { closedAt: Option.some(now), toldAt: now }
    },
    told: closes ? Option.some("closed") : Option.none()
  }
}

/**
 * The judgements of one instant, and the rules that were judged in full: an open alert of another rule is left as it is.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Verdict = Schema.Struct({
  judged: Schema.Array(AlertRule.Name),
  judgements: Schema.Array(Judgement.Judgement)
})

/**
 * The judgements of one instant, and the rules that were judged in full.
 *
 * @category models
 * @since 0.2.0
 */
export type Verdict = typeof Verdict.Type

/** Orders by what alerts are about. */
const byKey = <A extends Pick<Alert, "tenantId" | "rule" | "subject">>(all: ReadonlyArray<A>): ReadonlyArray<A> =>
  all.toSorted((left, right) => Text.compare(keyOf(left), keyOf(right)))

/**
 * The alerts that a verdict changes or opens, each with what is told of it. Of two judgements of one subject the first counts.
 *
 * @category decisions
 * @since 0.2.0
 */
export const settle = (
  { judged, judgements }: Verdict,
  openAlerts: ReadonlyArray<Alert>,
  ids: ReadonlyArray<AlertId>,
  now: Timestamp.Timestamp
): ReadonlyArray<Step> => {
  const found = new Map<string, Judgement.Judgement>()
  for (const judgement of judgements) {
    const key = keyOf(judgement)
    if (!found.has(key)) found.set(key, judgement)
  }
  const known = new Set(openAlerts.map(keyOf))
  const stepped = byKey(openAlerts)
    .filter(({ rule }) => judged.includes(rule))
    .map((alert) => step(alert, Option.fromUndefinedOr(found.get(keyOf(alert))), now))
  const opened = byKey(Array.from(found.values()))
    .filter((judgement) =>
      judgement.level === "over" && judged.includes(judgement.rule) && !known.has(keyOf(judgement))
    )
    .flatMap((judgement, index) => {
      const id = ids[index]
      return id === undefined ? [] : [open(judgement, id, now)]
    })
  return [...stepped, ...opened]
}

/**
 * Tells whether an alert is muted at an instant: its rule is, for its tenant or for all of them.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isMuted = (
  { rule, tenantId }: Pick<Alert, "tenantId" | "rule">,
  mutes: ReadonlyArray<Mute>,
  now: Timestamp.Timestamp
): boolean =>
  mutes.some((mute) =>
    mute.rule === rule && (mute.tenantId === Tenant.all || mute.tenantId === tenantId) &&
    mute.until.epochMilliseconds > now.epochMilliseconds
  )

/**
 * What is told of an alert, without its place.
 *
 * @category constructors
 * @since 0.2.0
 */
export const noticeOf = (
  { id, line, of, rule, subject, tenantId, value }: Alert,
  kind: Kind,
  isMuted: boolean,
  at: Timestamp.Timestamp
): Omit<Notice, "position"> => ({ alertId: id, tenantId, rule, subject, kind, at, isMuted, value, of, line })

/**
 * Says in a sentence what is told.
 *
 * @category getters
 * @since 0.2.0
 */
export const sentence = (notice: Pick<Notice, "kind" | "rule" | "subject" | "value" | "of" | "line">): string => {
  if (notice.kind !== "closed") return Judgement.sentence(notice)
  const about = AlertRule.textOf(notice.subject)
  return `${about === "" ? "" : `${about}: `}back for ${Duration.format(closesAfter)}`
}

/**
 * Orders alerts: what opened last first, then by id.
 *
 * @category ordering
 * @since 0.2.0
 */
export const compare = (left: Alert, right: Alert): number =>
  right.openedAt.epochMilliseconds - left.openedAt.epochMilliseconds || Text.compare(right.id, left.id)
