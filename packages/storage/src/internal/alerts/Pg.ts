/** Keeps alerts in PostgreSQL: what is open once by a unique index, and what is told in the order in which it is written. */
import { PgTypes } from "@effect/sql-pg"
import { Alert, AlertBook, AlertRule, Alerts, Tenant } from "@waybill/core"
import { DateTime, Duration, Effect, Option, Schema } from "effect"
import type { Database } from "../pg/Database.ts"
import * as Parameters from "../pg/Parameters.ts"
import * as Kept from "./Kept.ts"

const at = Schema.DateTimeUtcFromDate

const AlertRow = Schema.Struct({
  ...Alert.Alert.fields,
  openedAt: at,
  toldAt: at,
  backSince: Schema.OptionFromNullOr(at),
  closedAt: Schema.OptionFromNullOr(at)
})

const NoticeRow = Schema.Struct({ ...Alert.Notice.fields, at })

const MuteRow = Schema.Struct({ ...Alert.Mute.fields, until: at })

const decodeAlerts = Schema.decodeUnknownEffect(Schema.Array(AlertRow))
const decodeNotices = Schema.decodeUnknownEffect(Schema.Array(NoticeRow))
const decodeClaimed = Schema.decodeUnknownEffect(
  Schema.Array(Schema.Struct({ ...NoticeRow.fields, attempts: Schema.Int }))
)
const decodeMutes = Schema.decodeUnknownEffect(Schema.Array(MuteRow))
const decodeAnswered = Schema.decodeUnknownEffect(Schema.Array(Alerts.Answered))
const decodePlaces = Schema.decodeUnknownEffect(
  Schema.Array(Schema.Struct({ position: Schema.Int, alertId: Alert.AlertId, kind: Alert.Kind }))
)

const alertColumns = `
  a.id, a.tenant_id AS "tenantId", a.rule, a.subject, a.opened_at AS "openedAt", a.told_at AS "toldAt",
  a.back_since AS "backSince", a.closed_at AS "closedAt", a.value, a.whole AS "of", a.line
`

const noticeColumns = `
  n.position::float8 AS position, n.alert_id AS "alertId", n.tenant_id AS "tenantId", a.rule, a.subject, n.kind, n.at,
  n.is_muted AS "isMuted", n.value, n.whole AS "of", n.line
`

const encodeSubject = Schema.encodeSync(AlertRule.Subject)

const millisOf = (instant: Option.Option<DateTime.Utc>): number | null =>
  Option.getOrNull(Option.map(instant, ({ epochMilliseconds }) => epochMilliseconds))

/** Opens the alerts of a schema. */
export const make = ({ schema, sql, statements, table, transaction }: Database) => {
  const [alerts, notices, mutes, tallies] = [
    table("alerts"),
    table("alert_notices"),
    table("alert_mutes"),
    table("webhook_tallies")
  ]
  const columns = sql.literal(alertColumns)
  const told = sql.literal(noticeColumns)
  const reached = (scope: Tenant.Scope, column: "a" | "n" | "m") =>
    scope === Tenant.all ? sql`true` : sql`${sql.literal(`${column}.tenant_id`)} = ${scope}`

  const readMutes = (now: DateTime.Utc, where: ReturnType<typeof reached>) =>
    sql`
      SELECT m.tenant_id AS "tenantId", m.rule, m.until_at AS "until", m.actor FROM ${mutes} m
      WHERE m.until_at > ${Parameters.instant(now)} AND ${where} ORDER BY m.tenant_id, m.rule
    `.pipe(Effect.flatMap((rows) => Effect.orDie(decodeMutes(rows))))

  /** Writes alerts as they are after a step, also those that open. */
  const write = (found: ReadonlyArray<Alert.Alert>) =>
    sql`
      INSERT INTO ${alerts} (tenant_id, id, rule, subject, subject_text, opened_at, told_at, back_since, closed_at,
        value, whole, line)
      SELECT tenant_id, id, rule, subject, subject_text, opened_at, told_at, back_since, closed_at,
        value::float8, whole::float8, line::float8
      FROM unnest(
        ${Parameters.texts(found.map(({ tenantId }) => tenantId))}, ${Parameters.uuids(found.map(({ id }) => id))},
        ${Parameters.texts(found.map(({ rule }) => rule))},
        ${Parameters.bags(found.map(({ subject }) => encodeSubject(subject)))},
        ${Parameters.texts(found.map(({ subject }) => AlertRule.textOf(subject)))},
        ${Parameters.instants(found.map(({ openedAt }) => openedAt.epochMilliseconds))},
        ${Parameters.instants(found.map(({ toldAt }) => toldAt.epochMilliseconds))},
        ${Parameters.instants(found.map(({ backSince }) => millisOf(backSince)))},
        ${Parameters.instants(found.map(({ closedAt }) => millisOf(closedAt)))},
        ${Parameters.texts(found.map(({ value }) => String(value)))},
        ${Parameters.texts(found.map(({ of }) => String(of)))}, ${
      Parameters.texts(found.map(({ line }) => String(line)))
    }
      ) AS given (tenant_id, id, rule, subject, subject_text, opened_at, told_at, back_since, closed_at, value, whole, line)
      ON CONFLICT (tenant_id, id) DO UPDATE SET told_at = excluded.told_at, back_since = excluded.back_since,
        closed_at = excluded.closed_at, value = excluded.value, whole = excluded.whole, line = excluded.line
    `

  /** Writes what is told, in its order, and returns it with its places. */
  const tell = Effect.fnUntraced(function*(found: ReadonlyArray<Omit<Alert.Notice, "position">>) {
    const rows = yield* sql`
      INSERT INTO ${notices} AS n (tenant_id, alert_id, kind, at, is_muted, value, whole, line, due_at)
      SELECT tenant_id, alert_id, kind, at, is_muted, value::float8, whole::float8, line::float8,
        CASE WHEN is_muted THEN NULL ELSE at END
      FROM unnest(
        ${Parameters.texts(found.map(({ tenantId }) => tenantId))},
        ${Parameters.uuids(found.map(({ alertId }) => alertId))}, ${Parameters.texts(found.map(({ kind }) => kind))},
        ${Parameters.instants(found.map(({ at }) => at.epochMilliseconds))},
        ${Parameters.booleans(found.map(({ isMuted }) => isMuted))},
        ${Parameters.texts(found.map(({ value }) => String(value)))},
        ${Parameters.texts(found.map(({ of }) => String(of)))}, ${
      Parameters.texts(found.map(({ line }) => String(line)))
    }
      ) WITH ORDINALITY AS given (tenant_id, alert_id, kind, at, is_muted, value, whole, line, place)
      ORDER BY place
      RETURNING n.position::float8 AS position, n.alert_id AS "alertId", n.kind
    `
    const places = new Map(
      (yield* Effect.orDie(decodePlaces(rows))).map(({ alertId, kind, position }) => [`${alertId} ${kind}`, position])
    )
    return found.map((notice): Alert.Notice =>
      Object.assign({ position: places.get(`${notice.alertId} ${notice.kind}`) ?? 0 }, notice)
    )
  })

  const settle = Effect.fnUntraced(function*(
    verdict: Alert.Verdict,
    ids: ReadonlyArray<Alert.AlertId>,
    now: DateTime.Utc
  ) {
    // One at a time, so that a place is never seen after a later one: who follows the notices would pass over it.
    yield* sql`SELECT pg_advisory_xact_lock(hashtextextended(${`waybill alerts of ${schema}`}, 0))`
    const open = yield* sql`SELECT ${columns} FROM ${alerts} a WHERE a.closed_at IS NULL`.pipe(
      Effect.flatMap((rows) => Effect.orDie(decodeAlerts(rows)))
    )
    const steps = Alert.settle(verdict, open, ids, now)
    if (steps.length === 0) return []
    yield* write(steps.map(({ alert }) => alert))
    const muted = yield* readMutes(now, sql`true`)
    const found = steps.flatMap(({ alert, told }) =>
      Option.toArray(told).map((kind) => Alert.noticeOf(alert, kind, Alert.isMuted(alert, muted, now), now))
    )
    return found.length === 0 ? [] : yield* tell(found)
  })

  const history = Effect.fnUntraced(function*(scope: Tenant.Scope, id: Alert.AlertId) {
    const [alert] = yield* sql`SELECT ${columns} FROM ${alerts} a WHERE a.id = ${id} AND ${reached(scope, "a")}`.pipe(
      Effect.flatMap((rows) => Effect.orDie(decodeAlerts(rows)))
    )
    if (alert === undefined) return Option.none()
    const rows = yield* sql`
      SELECT ${told} FROM ${notices} n JOIN ${alerts} a ON a.tenant_id = n.tenant_id AND a.id = n.alert_id
      WHERE n.tenant_id = ${alert.tenantId} AND n.alert_id = ${id} ORDER BY n.position
    `
    return Option.some({ alert, notices: yield* Effect.orDie(decodeNotices(rows)) })
  })

  return Effect.map(
    Kept.over({
      settle: (verdict, ids, now) => transaction(Tenant.all, settle(verdict, ids, now)),
      list: ({ isOpen, limit, scope }) =>
        statements(
          scope,
          sql`
          SELECT ${columns} FROM ${alerts} a
          WHERE ${reached(scope, "a")} AND ${isOpen ? sql`a.closed_at IS NULL` : sql`true`}
          ORDER BY a.opened_at DESC, a.id DESC LIMIT ${limit}
        `
        ).pipe(Effect.flatMap((rows) => Effect.orDie(decodeAlerts(rows)))),
      history: (scope, id) => transaction(scope, history(scope, id)),
      notices: ({ after, limit, scope }) =>
        statements(
          scope,
          sql`
          SELECT ${told} FROM ${notices} n JOIN ${alerts} a ON a.tenant_id = n.tenant_id AND a.id = n.alert_id
          WHERE n.position > ${after}::bigint AND NOT n.is_muted AND ${reached(scope, "n")}
          ORDER BY n.position LIMIT ${limit}
        `
        ).pipe(Effect.flatMap((rows) => Effect.orDie(decodeNotices(rows)))),
      mute: ({ actor, rule, tenantId, until }) =>
        Effect.asVoid(statements(
          tenantId,
          sql`
          INSERT INTO ${mutes} (tenant_id, rule, until_at, actor)
          VALUES (${tenantId}, ${rule}, ${Parameters.instant(until)}, ${actor})
          ON CONFLICT (tenant_id, rule) DO UPDATE SET until_at = excluded.until_at, actor = excluded.actor
        `
        )),
      mutes: (scope, now) =>
        statements(
          Tenant.all,
          readMutes(now, scope === Tenant.all ? sql`true` : sql`m.tenant_id IN (${scope}, ${Tenant.all})`)
        ),
      claim: ({ lease, limit }, now) =>
        statements(
          Tenant.all,
          sql`
          UPDATE ${notices} n SET attempts = n.attempts + 1,
            due_at = ${Parameters.instant(DateTime.addDuration(now, lease))}
          FROM (
            SELECT d.tenant_id, d.position FROM ${notices} d
            WHERE d.due_at <= ${Parameters.instant(now)}
              AND d.at >= ${Parameters.instant(DateTime.subtractDuration(now, Alerts.postedWithin))}
            ORDER BY d.position LIMIT ${limit} FOR UPDATE SKIP LOCKED
          ) due, ${alerts} a
          WHERE n.tenant_id = due.tenant_id AND n.position = due.position
            AND a.tenant_id = n.tenant_id AND a.id = n.alert_id
          RETURNING ${told}, n.attempts
        `
        ).pipe(
          Effect.flatMap((rows) => Effect.orDie(decodeClaimed(rows))),
          Effect.map((found) =>
            found
              .map(({ attempts, ...notice }): Alerts.Claimed => ({ notice, attempts }))
              .toSorted((left, right) => left.notice.position - right.notice.position)
          )
        ),
      posted: ({ position, tenantId }, again) =>
        Effect.asVoid(statements(
          tenantId,
          sql`
          UPDATE ${notices} SET due_at = ${Option.getOrNull(Option.map(again, Parameters.instant))}::timestamptz
          WHERE tenant_id = ${tenantId} AND position = ${position}::bigint
        `
        )),
      noteAnswered: (answered, now) =>
        transaction(
          Tenant.all,
          Effect.andThen(
            sql`
            INSERT INTO ${tallies} AS t (tenant_id, provider, starts_at, answered, refused)
            SELECT tenant_id, provider, ${Parameters.instant(AlertBook.partOf(now))}::timestamptz,
              sum(answered::bigint), sum(refused::bigint)
            FROM unnest(
              ${Parameters.texts(answered.map(({ tenantId }) => tenantId))},
              ${Parameters.texts(answered.map(({ provider }) => provider))},
              ${Parameters.integers(answered.map(({ answered }) => answered))},
              ${Parameters.integers(answered.map(({ refused }) => refused))}
            ) AS given (tenant_id, provider, answered, refused)
            GROUP BY tenant_id, provider ORDER BY tenant_id, provider
            ON CONFLICT (tenant_id, provider, starts_at)
            DO UPDATE SET answered = t.answered + excluded.answered, refused = t.refused + excluded.refused
          `,
            sql`
            DELETE FROM ${tallies}
            WHERE starts_at < ${Parameters.instant(DateTime.subtractDuration(now, AlertBook.talliesKept))}
          `
          )
        ).pipe(Effect.asVoid),
      answered: (within, now) =>
        statements(
          Tenant.all,
          sql`
          SELECT t.tenant_id AS "tenantId", t.provider, sum(t.answered)::float8 AS answered,
            sum(t.refused)::float8 AS refused
          FROM ${tallies} t
          WHERE t.starts_at > ${PgTypes.timestamptz(now.epochMilliseconds - Duration.toMillis(within))}
          GROUP BY t.tenant_id, t.provider ORDER BY t.tenant_id, t.provider
        `
        ).pipe(Effect.flatMap((rows) => Effect.orDie(decodeAnswered(rows))))
    }),
    Alerts.Alerts.of
  )
}
