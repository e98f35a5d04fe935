/**
 * Lists, shows and mutes alerts, and tries where they are posted.
 *
 * @since 0.2.0
 */
import { Alert, AlertRule, Alerts, Judgement, Tenant } from "@waybill/core"
import { DateTime, Duration, Effect, Option, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as AlertSettings from "../../config/AlertSettings.ts"
import * as Kind from "../../config/Kind.ts"
import * as Setting from "../../config/Setting.ts"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"
import * as Suppressed from "../suppressions/Suppressed.ts"

/** There is no such alert. */
class AlertNotFound extends Schema.TaggedError<AlertNotFound>("waybill/AlertNotFound")("AlertNotFound", {
  alertId: Alert.AlertId
}) {
  override get message(): string {
    return `there is no alert ${this.alertId}`
  }
}

const ownerOf = (tenantId: Tenant.Scope): string | null => tenantId === Tenant.all ? null : tenantId

/** How an alert stands. */
const stateOf = ({ backSince, closedAt }: Alert.Alert): "open" | "back" | "closed" => {
  if (Option.isSome(closedAt)) return "closed"
  return Option.isSome(backSince) ? "back" : "open"
}

const documentOf = (alert: Alert.Alert, isMuted: boolean) => ({
  id: alert.id,
  tenantId: ownerOf(alert.tenantId),
  rule: alert.rule,
  subject: alert.subject,
  state: stateOf(alert),
  isMuted,
  openedAt: DateTime.formatIso(alert.openedAt),
  toldAt: DateTime.formatIso(alert.toldAt),
  backSince: Output.time(alert.backSince),
  closedAt: Output.time(alert.closedAt),
  value: alert.value,
  of: alert.of,
  line: alert.line,
  summary: Judgement.sentence(alert),
  advice: AlertRule.defaults[alert.rule].advice
})

const list = Command.make(
  "list",
  {
    all: Flag.Boolean("all").pipe(
      Flag.withDescription("Also those that are closed"),
      Flag.withDefault(false)
    ),
    scope: Parameters.scope,
    limit: Parameters.limit,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ all, json, limit, scope }) {
    const alerts = yield* Alerts.Alerts
    const found = yield* alerts.list({ scope, isOpen: !all, limit })
    const mutes = yield* alerts.mutes(scope)
    const now = yield* DateTime.now
    const shown = found.map((alert) => documentOf(alert, Alert.isMuted(alert, mutes, now)))
    const muted = mutes.map(({ actor, rule, tenantId, until }) => ({
      rule,
      tenantId: ownerOf(tenantId),
      until: DateTime.formatIso(until),
      actor
    }))
    yield* Output.write(json, { alerts: shown, mutes: muted }, () =>
      [
        Output.table(
          ["id", "tenant", "rule", "state", "opened at", "says"],
          shown.map(({ id, isMuted, openedAt, rule, state, summary, tenantId }) => [
            id,
            tenantId ?? "all",
            rule,
            isMuted ? `${state}, muted` : state,
            openedAt,
            summary
          ]),
          all ? "no alert was opened yet" : "no alert is open"
        ),
        ...muted.length === 0 ? [] : [
          "",
          Output.table(
            ["muted", "tenant", "until", "by"],
            muted.map(({ actor, rule, tenantId, until }) => [rule, tenantId ?? "all", until, actor]),
            ""
          )
        ]
      ].join("\n"))
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("List the alerts that are open, what opened last first, and which rules are muted"),
  Command.withExamples([
    { command: "waybill alerts list", description: "What is wrong now" },
    {
      command: "waybill alerts list --all --tenant-id acme --json",
      description: "The history of a tenant, for a script"
    }
  ])
)

const show = Command.make(
  "show",
  {
    id: Argument.String("id").pipe(
      Argument.withSchema(Alert.AlertId),
      Argument.withDescription("The alert's id")
    ),
    scope: Parameters.scope,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ id, json, scope }) {
    const alerts = yield* Alerts.Alerts
    const found = yield* alerts.history(scope, id)
    const { alert, notices } = yield* Effect.mapError(
      Effect.fromOption(found),
      () => new AlertNotFound({ alertId: id })
    )
    const isMuted = Alert.isMuted(alert, yield* alerts.mutes(scope), yield* DateTime.now)
    const document = documentOf(alert, isMuted)
    const { source } = AlertRule.defaults[alert.rule]
    const told = notices.map((notice) => ({
      kind: notice.kind,
      at: DateTime.formatIso(notice.at),
      isMuted: notice.isMuted,
      value: notice.value,
      of: notice.of,
      line: notice.line,
      summary: Alert.sentence(notice)
    }))
    yield* Output.write(json, { ...document, source, notices: told }, () =>
      [
        Output.fields([
          ["rule", document.rule],
          ["tenant", document.tenantId ?? "all"],
          ["about", AlertRule.textOf(document.subject)],
          ["state", isMuted ? `${document.state}, muted` : document.state],
          ["says", document.summary],
          ["do", document.advice],
          ["source", source]
        ]),
        "",
        Output.table(
          ["told", "at", "says"],
          told.map(({ at, isMuted, kind, summary }) => [isMuted ? `${kind}, muted` : kind, at, summary]),
          ""
        )
      ].join("\n"))
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Show an alert, what to do about it, and all that was told of it"),
  Command.withExamples([
    { command: "waybill alerts show 01890a5d-ac96-774b-bcce-b302099a8057", description: "One alert with its history" }
  ])
)

const mute = Command.make(
  "mute",
  {
    rule: Argument.Literals("rule", AlertRule.Name.literals).pipe(Argument.withDescription("The rule")),
    for: Flag.String("for").pipe(
      Flag.filterMap(Kind.parseDuration, () => "must be a duration such as 60m, 24h or 7d"),
      Flag.withMetavar("duration"),
      Flag.withDescription("For how long (default: 24h)"),
      Flag.withDefault(Duration.hours(24))
    ),
    off: Flag.Boolean("off").pipe(
      Flag.withDescription("Tell of it again from now on"),
      Flag.withDefault(false)
    ),
    scope: Parameters.scope,
    actor: Suppressed.actor,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ actor, for: lasts, json, off, rule, scope }) {
    const alerts = yield* Alerts.Alerts
    const now = yield* DateTime.now
    const until = off ? now : DateTime.addDuration(now, lasts)
    yield* alerts.mute({ tenantId: scope, rule, until, actor })
    const document = { rule, tenantId: ownerOf(scope), until: DateTime.formatIso(until) }
    yield* Output.write(
      json,
      document,
      () => off ? `${rule} is told again` : `${rule} is told to nobody until ${document.until}`
    )
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Keep alerts of a rule without telling anybody, for a tenant or for all"),
  Command.withExamples([
    { command: "waybill alerts mute orphans --for 7d", description: "While an import is on its way" },
    { command: "waybill alerts mute orphans --off", description: "It is over" }
  ])
)

/** A notice that says nothing of anybody. */
const specimen = (at: DateTime.Utc) => ({
  alertId: null,
  kind: "opened" as const,
  at,
  ...Judgement.judgeNumber(
    AlertRule.defaults.no_sweep,
    { tenantId: Tenant.all, subject: { schedule: "reconcile" } },
    3600
  )
})

const test = Command.make(
  "test",
  { json: Parameters.json },
  Effect.fnUntraced(function*({ json }) {
    const target = yield* Effect.mapError(
      Effect.fromOption(yield* AlertSettings.target),
      () => new Setting.BadSetting({ name: AlertSettings.url.name, issue: "must be set: nothing is posted without it" })
    )
    const AlertPost = yield* Effect.promise(() => import("@waybill/webhooks/outgoing/AlertPost"))
    const now = yield* DateTime.now
    yield* AlertPost.post(target, `alert_test_${now.epochMilliseconds}`, specimen(now))
    yield* Output.write(json, { posted: true }, () => "an alert of the type alert.test was taken")
  })
).pipe(
  Command.withDescription("Post an alert of the type alert.test to WAYBILL_ALERT_URL, and fail unless it is taken"),
  Command.withExamples([{
    command: "waybill alerts test",
    description: "Whether alerts arrive, and the signature fits"
  }])
)

/**
 * `waybill alerts`
 *
 * @category commands
 * @since 0.2.0
 */
export const alerts = Command.make("alerts").pipe(
  Command.withDescription("What is wrong with the mail, and with what takes its reports"),
  Command.withSubcommands([list, show, mute, test])
)
