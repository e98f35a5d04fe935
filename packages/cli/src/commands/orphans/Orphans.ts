/**
 * Shows the events that wait for their delivery, and links those that can be.
 *
 * @since 0.1.0
 */
import { Orphans } from "@waybill/core"
import * as Reconciler from "@waybill/runtime/Reconciler"
import { DateTime, Duration, Effect, Layer, Option } from "effect"
import { Command, Flag } from "effect/cli"
import * as Setting from "../../config/Setting.ts"
import * as Settings from "../../config/Settings.ts"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"
import * as OrphanActs from "./OrphanActs.ts"

const layer = Layer.provideMerge(Reconciler.layer, Store.layer)

const inWords = (duration: Duration.Duration): string => {
  const minutes = Duration.toMinutes(duration)
  return minutes > 1440 && minutes % 1440 === 0 ? `${minutes / 1440} days` : `${minutes} minutes`
}

/**
 * `waybill orphans`
 *
 * @category commands
 * @since 0.1.0
 */
export const orphans = Command.make(
  "orphans",
  {
    scope: Parameters.scope,
    limit: Parameters.limit,
    maxAge: Parameters.maxAge,
    failed: Flag.Boolean("failed").pipe(
      Flag.withDescription("Only those that failed on their own and were set aside"),
      Flag.withDefault(false)
    ),
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ failed, json, limit, maxAge, scope }) {
    const orphans = yield* Orphans.Orphans
    const horizon = yield* Setting.read(Settings.maxAge)
    const now = yield* DateTime.now
    const found = yield* orphans.find({
      scope,
      limit,
      failedOnly: failed,
      insertedFrom: Option.map(maxAge, (age) => DateTime.subtractDuration(now, age))
    })
    const rows = found.map(({ event, failure }) => {
      const age = Output.ageAt(now, event.insertedAt)
      return {
        age,
        orphan: {
          eventId: event.id,
          tenantId: event.tenantId,
          provider: Option.getOrNull(event.provider),
          providerMessageId: Option.getOrNull(event.providerMessageId),
          type: event.type,
          occurredAt: DateTime.formatIso(event.occurredAt),
          insertedAt: DateTime.formatIso(event.insertedAt),
          expired: Duration.isGreaterThan(age, horizon),
          attempts: Option.match(failure, { onNone: () => 0, onSome: ({ attempts }) => attempts }),
          reason: Option.getOrNull(Option.map(failure, ({ reason }) => reason)),
          nextAttemptAt: Output.time(Option.flatMap(failure, ({ nextAttemptAt }) => nextAttemptAt))
        }
      }
    })
    yield* Output.write(json, { orphans: rows.map(({ orphan }) => orphan) }, () =>
      Output.table(
        ["age", "event", "tenant", "provider", "message id", "event id", "note"],
        rows.map(({ age, orphan }) => [
          Output.age(age),
          orphan.type,
          orphan.tenantId,
          orphan.provider ?? "",
          orphan.providerMessageId ?? "",
          orphan.eventId,
          [
            ...orphan.expired ? [`older than ${inWords(horizon)}, unlikely to reconcile`] : [],
            ...orphan.reason === null ? [] : [
              `failed ${orphan.attempts} times (${orphan.reason}), next try ${
                orphan.nextAttemptAt === null ? "by the next sweep" : `at ${orphan.nextAttemptAt}`
              }`
            ]
          ].join("; ")
        ]),
        "no orphans"
      ))
  }, Effect.provide(Store.layer))
).pipe(
  Command.withSubcommands([OrphanActs.explain, OrphanActs.link, OrphanActs.dismiss, OrphanActs.retry]),
  Command.withDescription("Show pending orphans, oldest first, or act on one of them"),
  Command.withExamples([
    { command: "waybill orphans", description: "All that wait for their delivery" },
    {
      command: "waybill orphans --tenant-id acme --max-age-minutes 10080 --limit 20 --json",
      description: "The 20 oldest of a tenant that a sweep still looks at"
    }
  ])
)

/**
 * `waybill reconcile`
 *
 * @category commands
 * @since 0.1.0
 */
export const reconcile = Command.make(
  "reconcile",
  {
    tenantId: Parameters.anyTenantId,
    batchSize: Parameters.batchSize,
    grace: Parameters.grace,
    maxAge: Parameters.maxAge,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ json, tenantId, ...given }) {
    const { failed, linked, remaining, scanned } = yield* Reconciler.recordedSweep({
      node: yield* Settings.nodeName,
      batchSize: yield* Setting.readUnless(given.batchSize, Settings.batchSize),
      grace: yield* Setting.readUnless(given.grace, Settings.grace),
      maxAgeMinutes: Duration.toMinutes(yield* Setting.readUnless(given.maxAge, Settings.maxAge)),
      ...Option.isSome(tenantId) ? { tenantId: tenantId.value } : {}
    })
    yield* Output.write(
      json,
      { scanned, linked, failed, remaining },
      () => `${scanned} scanned, ${linked} linked, ${failed} failed, ${remaining} remaining`
    )
  }, Effect.provide(layer))
).pipe(
  Command.withDescription("Sweep once, now: link the orphans whose delivery exists"),
  Command.withExamples([
    {
      command: "waybill reconcile",
      description:
        "Link what is past its grace and inside the horizon, by default older than 60 seconds and younger than 7 days"
    },
    { command: "waybill reconcile --grace 0s --json", description: "Also what came just now" }
  ])
)
