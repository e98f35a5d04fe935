/**
 * Keeps raw webhooks in PostgreSQL.
 *
 * Webhooks of a tenant that are stored at once share a transaction, and so do those that are finished at once. A crash of the
 * server may undo what was finished in its last second: a sweep of the inbox then processes those webhooks again, which
 * changes nothing. What was stored stays stored.
 *
 * @since 0.1.0
 */
import { Inbox, type InboxQuery, Input, Ledger, type LedgerError, Place, Tenant } from "@waybill/core"
import { DateTime, Effect, Layer, Option, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { type SqlClient } from "effect/sql"
import { erase } from "./internal/erase.ts"
import * as Database from "./internal/pg/Database.ts"
import * as Claims from "./internal/pg/inbox/Claims.ts"
import * as Tries from "./internal/pg/inbox/Tries.ts"
import * as Parameters from "./internal/pg/Parameters.ts"
import * as Rows from "./internal/pg/Rows.ts"
import * as PgMigrations from "./PgMigrations.ts"

const at = Schema.DateTimeUtcFromDate

const WebhookRow = Schema.Struct({
  ...Inbox.Webhook.fields,
  receivedAt: at,
  processedAt: Schema.OptionFromNullOr(at)
})

const { body: _body, headers: _headers, ...summaryFields } = WebhookRow.fields

const SummaryRow = Schema.Struct(summaryFields)

const CountRow = Schema.Struct({ tenantId: Tenant.TenantId, status: Inbox.WebhookStatus, count: Schema.Int })

const decodeWebhooks = Schema.decodeUnknownEffect(Schema.Array(WebhookRow))

const decodeSummaries = Schema.decodeUnknownEffect(Schema.Array(SummaryRow))

const decodeCounts = Schema.decodeUnknownEffect(Schema.Array(CountRow))

/** The statuses whose webhooks are pruned, and how long each is kept. */
const keptFor = (retention: InboxQuery.Retention) =>
  [["succeeded", retention.succeeded], ["dead", retention.dead], ["failed", retention.failed]] as const

const make = Effect.fnUntraced(function*(options: Database.Options) {
  yield* PgMigrations.ensure(options.schema)
  const database = yield* Database.make(options)
  const { inScope, sql, statements, table } = database
  const ledger = yield* Ledger.Ledger
  const random = yield* SecureRandom.SecureRandom
  const webhooks = table("webhooks")
  const summaryColumns = sql.literal(Rows.columns(summaryFields)("w"))
  const webhookColumns = sql.literal(Rows.columns(Inbox.Webhook.fields)("w"))

  const { finish, settle, store, take } = yield* Tries.make(database, ledger, random)

  const { claim, reclaim } = Claims.make(database, decodeWebhooks)

  const get = Effect.fn("Inbox.get")(function*(scope: Tenant.Scope, id: Inbox.WebhookId) {
    const rows = yield* statements(
      scope,
      sql`SELECT ${webhookColumns} FROM ${webhooks} w WHERE w.id = ${id} AND ${inScope(scope)}`
    )
    const [found] = yield* Effect.orDie(decodeWebhooks(rows))
    return Option.fromUndefinedOr(found)
  })

  /** Those of some statuses; what has not succeeded is told to the planner, since an index holds it apart. */
  const ofStatuses = (statuses: ReadonlyArray<Inbox.WebhookStatus>) =>
    statuses.includes("succeeded")
      ? sql.in("w.status", statuses)
      : sql`(w.status <> 'succeeded' AND ${sql.in("w.status", statuses)})`

  const beforePlace = (place: Place.Place) => {
    const { id, instant } = Place.parts(place)
    return sql`(w.received_at, w.id) < (${Parameters.instant(instant)}, ${id}::uuid)`
  }

  const list = Effect.fn("Inbox.list")(function*(query: InboxQuery.ListQuery) {
    const { after, from, provider, status, to } = query
    const limit = yield* Input.limit(query.limit)
    const filters = [
      inScope(query.scope),
      ...Option.isSome(status) ? [ofStatuses([status.value])] : [],
      ...provider === undefined ? [] : [sql`w.provider = ${provider}`],
      ...from === undefined ? [] : [sql`w.received_at >= ${Parameters.instant(from)}`],
      ...to === undefined ? [] : [sql`w.received_at < ${Parameters.instant(to)}`],
      ...after === undefined ? [] : [beforePlace(after)]
    ]
    // What `InboxRow.list` says.
    const rows = yield* statements(
      query.scope,
      sql`
      SELECT ${summaryColumns} FROM ${webhooks} w WHERE ${sql.and(filters)}
      ORDER BY w.received_at DESC, w.id DESC LIMIT ${limit}
    `
    )
    return yield* Effect.orDie(decodeSummaries(rows))
  })

  const release = Effect.fn("Inbox.release")(function*(scope: Tenant.Scope, id: Inbox.WebhookId) {
    // What `InboxRow.release` says.
    const released = yield* statements(
      scope,
      sql`
      UPDATE ${webhooks} w SET status = 'received', attempts = 0, claimed_at = NULL, next_attempt_at = NULL
      WHERE w.id = ${id} AND ${inScope(scope)} RETURNING w.id
    `
    )
    return released.length > 0
  })

  const counts = Effect.fn("Inbox.counts")(function*(
    scope: Tenant.Scope,
    statuses: ReadonlyArray<Inbox.WebhookStatus> = []
  ) {
    const wanted = statuses.length === 0 ? sql.literal("true") : ofStatuses(statuses)
    const rows = yield* statements(
      scope,
      sql`
      SELECT tenant_id AS "tenantId", status, count(*)::integer AS count FROM ${webhooks} w
      WHERE ${inScope(scope)} AND ${wanted} GROUP BY tenant_id, status ORDER BY tenant_id, status
    `
    )
    return yield* Effect.orDie(decodeCounts(rows))
  })

  const prune = Effect.fn("Inbox.prune")(function*(query: InboxQuery.PruneQuery) {
    const limit = yield* Input.limit(query.limit)
    const now = yield* DateTime.now
    const limits = keptFor(query.retention).flatMap(([status, kept]) =>
      Option.isSome(kept) ? [{ status, before: DateTime.subtractDuration(now, kept.value) }] : []
    )
    if (limits.length === 0) return 0
    // What `InboxRow.prune` says.
    const old = sql.or(
      limits.map(({ before, status }) => sql`(w.status = ${status} AND w.processed_at < ${Parameters.instant(before)})`)
    )
    const [counted] = yield* statements(
      Tenant.all,
      query.dryRun
        ? sql<{ readonly count: number }>`SELECT count(*)::integer AS count FROM ${webhooks} w WHERE ${old}`
        : sql<{ readonly count: number }>`
          WITH deleted AS (
            DELETE FROM ${webhooks} WHERE id IN (
              SELECT id FROM ${webhooks} w WHERE ${old} ORDER BY processed_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
            ) RETURNING 1
          )
          SELECT count(*)::integer AS count FROM deleted
        `
    )
    return counted?.count ?? 0
  })

  const forget = Effect.fn("Inbox.forget")(function*(query: InboxQuery.ForgetQuery) {
    let forgotten = 0
    let after = "00000000-0000-0000-0000-000000000000"
    while (true) {
      const page = yield* statements(
        query.tenantId,
        sql<{ readonly id: string; readonly body: Uint8Array }>`
        SELECT id, body FROM ${webhooks} WHERE tenant_id = ${query.tenantId} AND id > ${after} ORDER BY id LIMIT 10
      `
      )
      for (const { body, id } of page) {
        const erased = erase(body, query.recipient)
        if (Option.isSome(erased)) {
          yield* statements(query.tenantId, sql`UPDATE ${webhooks} SET body = ${erased.value} WHERE id = ${id}`)
          forgotten++
        }
      }
      const last = page.at(-1)
      if (last === undefined) return forgotten
      after = last.id
    }
  })

  return Inbox.Inbox.of({ store, take, finish, settle, claim, reclaim, get, list, release, counts, prune, forget })
})

/**
 * The inbox in the schema of a migrated database, `waybill` by default, beside the ledger that it appends to, which is kept by
 * the same client.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Database.Options = {}
): Layer.Layer<
  Inbox.Inbox,
  LedgerError.LedgerError,
  SqlClient.SqlClient | SecureRandom.SecureRandom | Ledger.Ledger
> => Layer.effect(Inbox.Inbox, make(options))
