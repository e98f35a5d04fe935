/**
 * Shows at a glance what is wrong, the orphans that wait, the last sweeps and the webhooks that were given up.
 *
 * @since 0.1.0
 */
import { Alerts, Inbox, Input, Judgement, Orphans, Tenant, Ticks } from "@waybill/core"
import { DateTime, Duration, Effect, Option } from "effect"
import { Command } from "effect/cli"
import * as Setting from "../../config/Setting.ts"
import * as Settings from "../../config/Settings.ts"
import * as Database from "../../store/Database.ts"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

/** How many sweeps and dead webhooks are shown. */
const shown = 10

const countsOf = (counts: Ticks.Counts): string =>
  Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(", ")

const outcomeOf = ({ counts, endedAt, error }: Ticks.Tick): string => {
  if (Option.isSome(error)) return `failed: ${error.value}`
  return Option.isNone(endedAt) ? "not ended" : countsOf(counts)
}

/**
 * `waybill status`
 *
 * @category commands
 * @since 0.1.0
 */
export const status = Command.make(
  "status",
  { scope: Parameters.scope, json: Parameters.json },
  Effect.fnUntraced(function*({ json, scope }) {
    const database = yield* Database.Database
    const orphans = yield* Orphans.Orphans
    const inbox = yield* Inbox.Inbox
    const ticks = yield* Ticks.Ticks
    const now = yield* DateTime.now
    const maxAge = yield* Setting.read(Settings.maxAge)

    const pending = yield* database.pending
    const applied = yield* database.applied
    const horizon = DateTime.subtractDuration(now, maxAge)
    const backlog = yield* orphans.backlog({ scope, horizon })
    const sweeps = yield* ticks.recent({ schedule: Option.none(), limit: shown })
    const webhooks = yield* inbox.counts(scope)
    const dead = yield* inbox.list({ scope, status: Option.some("dead"), limit: shown })

    const alerts = yield* Alerts.Alerts.use((alerts) => alerts.list({ scope, isOpen: true, limit: Input.maxLimit }))

    const document = {
      schema: { name: database.schema, version: applied.at(-1) ?? null, pending },
      alerts: alerts.map(({ id, openedAt, rule, subject, tenantId, ...measured }) => ({
        id,
        tenantId: tenantId === Tenant.all ? null : tenantId,
        rule,
        subject,
        openedAt: DateTime.formatIso(openedAt),
        summary: Judgement.sentence({ rule, subject, ...measured })
      })),
      expired: backlog.reduce((sum, { expired }) => sum + expired, 0),
      backlog: backlog.map(({ expired, failed, oldest, pending, tenantId }) => ({
        tenantId,
        pending,
        expired,
        failed,
        oldest: DateTime.formatIso(oldest),
        oldestAgeSeconds: Math.floor(Duration.toSeconds(Output.ageAt(now, oldest)))
      })),
      sweeps: sweeps.map(({ beganAt, counts, endedAt, error, node, schedule, tick }) => ({
        schedule,
        tick: DateTime.formatIso(tick),
        node,
        beganAt: DateTime.formatIso(beganAt),
        endedAt: Output.time(endedAt),
        counts,
        error: Option.getOrNull(error)
      })),
      webhooks: webhooks.map(({ count, status, tenantId }) => ({ tenantId, status, count })),
      dead: dead.map(({ attempts, id, lastError, provider, receivedAt, tenantId }) => ({
        id,
        tenantId,
        provider,
        attempts,
        lastError: Option.getOrNull(lastError),
        receivedAt: DateTime.formatIso(receivedAt)
      }))
    }
    yield* Output.write(json, document, () =>
      [
        Output.fields([
          ["schema", database.schema],
          ["version", document.schema.version ?? "none"],
          ...pending.length === 0 ? [] : [["lacks", `${pending.join(", ")}; run waybill migrate`] as const]
        ]),
        ...alerts.length === 0 ? [] : [
          "",
          Output.table(
            ["alert", "tenant", "open since", "says"],
            document.alerts.map((
              { openedAt, rule, summary, tenantId }
            ) => [rule, tenantId ?? "all", openedAt, summary]),
            ""
          )
        ],
        "",
        Output.table(
          ["tenant", "pending", "oldest", "expired", "set aside"],
          backlog.map(({ expired, failed, oldest, pending, tenantId }) => [
            tenantId,
            String(pending),
            Output.age(Output.ageAt(now, oldest)),
            String(expired),
            String(failed)
          ]),
          "no orphans wait"
        ),
        "",
        Output.table(
          ["schedule", "tick", "node", "outcome"],
          sweeps.map((tick) => [tick.schedule, DateTime.formatIso(tick.tick), tick.node, outcomeOf(tick)]),
          "no sweep was made yet"
        ),
        "",
        Output.table(
          ["tenant", "webhooks", "count"],
          webhooks.map(({ count, status, tenantId }) => [tenantId, status, String(count)]),
          "no webhooks are kept"
        ),
        ...dead.length === 0 ? [] : [
          "",
          Output.table(
            ["dead webhook", "tenant", "provider", "tries", "reason"],
            document.dead.map(({ attempts, id, lastError, provider, tenantId }) => [
              id,
              tenantId,
              provider,
              String(attempts),
              lastError ?? ""
            ]),
            ""
          )
        ]
      ].join("\n"))
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription(
    "Show open alerts, the backlog by tenant, the last sweeps, raw webhooks and the version of the schema"
  ),
  Command.withExamples([
    { command: "waybill status", description: "Everything at a glance" },
    { command: "waybill status --tenant-id acme --json", description: "One tenant, for a script" }
  ])
)
