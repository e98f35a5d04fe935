/**
 * Keeps raw webhooks in PostgreSQL.
 *
 * Webhooks of a tenant that are stored at once share a transaction, and so do those that are finished at once. A crash of the
 * server may undo what was finished in its last second: a sweep of the inbox then processes those webhooks again, which
 * changes nothing. What was stored stays stored.
 *
 * @since 0.1.0
 */
import { Inbox, Input, type LedgerError, Place, Retry, Tenant, type Timestamp } from "@waybill/core"
import { DateTime, Effect, Layer, Option, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { type SqlClient } from "effect/sql"
import * as Coalescer from "./internal/Coalescer.ts"
import { erase } from "./internal/erase.ts"
import * as Database from "./internal/pg/Database.ts"
import * as Parameters from "./internal/pg/Parameters.ts"
import * as Rows from "./internal/pg/Rows.ts"
import * as PgError from "./PgError.ts"
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
const keptFor = (retention: Inbox.Retention) =>
  [["succeeded", retention.succeeded], ["dead", retention.dead], ["failed", retention.failed]] as const

/** A webhook that is to be inserted. */
interface Fresh {
  readonly id: Inbox.WebhookId
  readonly webhook: Inbox.NewWebhook
  readonly receivedAt: Timestamp.Timestamp
}

/** How a try at a webhook ended, and when. */
interface Finished {
  readonly id: Inbox.WebhookId
  readonly ending: Inbox.Ending
  readonly at: Timestamp.Timestamp
}

/** How many bytes of bodies weigh as much as one more webhook does. */
const bytesPerWeight = 4096

const make = Effect.fnUntraced(function*(options: Database.Options) {
  yield* PgMigrations.ensure(options.schema)
  const { inScope, isJoined, sql, statements, table, transaction } = yield* Database.make(options)
  const random = yield* SecureRandom.SecureRandom
  const webhooks = table("webhooks")
  const tokens = table("webhook_tokens")
  const summaryColumns = sql.literal(Rows.columns(summaryFields)("w"))
  const webhookColumns = sql.literal(Rows.columns(Inbox.Webhook.fields)("w"))

  /** Runs for one webhook what is done for several of a tenant by one statement, together with those that come at once. */
  const together = Effect.fnUntraced(function*<Call, E>(
    all: (tenantId: Tenant.TenantId, calls: ReadonlyArray<Call>) => Effect.Effect<unknown, E>,
    weigh: (call: Call) => number
  ) {
    const coalesced = yield* Coalescer.make<Tenant.TenantId, Call, true, E>({
      run: (tenantId, calls) => Effect.map(all(tenantId, calls), () => calls.map(() => true)),
      isHeldUp: () => false,
      isLost: PgError.isLost,
      weigh
    })
    return (tenantId: Tenant.TenantId, call: Call) =>
      Effect.flatMap(isJoined, (joined) => joined ? all(tenantId, [call]) : coalesced(tenantId, call))
  })

  /** Consumes a token; returns the webhook that it came with before, where that had the same body. */
  const consume = Effect.fnUntraced(function*(webhook: Inbox.NewWebhook, token: Inbox.Token, id: Inbox.WebhookId) {
    const { body, provider, tenantId } = webhook
    const { value, verifiedBy } = token
    const inserted = yield* sql`
      INSERT INTO ${tokens} (tenant_id, provider, token, body_digest, webhook_id)
      VALUES (${verifiedBy}, ${provider}, ${value}, sha256(${body}), ${id})
      ON CONFLICT DO NOTHING RETURNING webhook_id
    `
    if (inserted.length > 0) return Option.none()
    const [same] = yield* sql<{ readonly id: string }>`
      SELECT webhook_id AS id FROM ${tokens}
      WHERE tenant_id = ${verifiedBy} AND provider = ${provider} AND token = ${value} AND body_digest = sha256(${body})
    `
    // What `InboxRow.repeated` says.
    return same === undefined
      ? yield* new Inbox.TokenReplayed({ tenantId, provider })
      : Option.some(Inbox.WebhookId.make(same.id))
  })

  /** Inserts webhooks of a tenant, also a second time, as when the connection broke while they were committed. */
  const insertAll = (tenantId: Tenant.TenantId, fresh: ReadonlyArray<Fresh>) =>
    statements(
      tenantId,
      sql`
      INSERT INTO ${webhooks} (id, tenant_id, provider, headers, body, status, attempts, received_at, claimed_at)
      SELECT id, ${tenantId}, provider, headers, body, 'processing', 1, received_at, received_at FROM unnest(
        ${Parameters.uuids(fresh.map(({ id }) => id))},
        ${Parameters.texts(fresh.map(({ webhook }) => webhook.provider))},
        ${Parameters.bags(fresh.map(({ webhook }) => webhook.headers))},
        ${Parameters.bytes(fresh.map(({ webhook }) => webhook.body))},
        ${Parameters.instants(fresh.map(({ receivedAt }) => receivedAt.epochMilliseconds))}
      ) AS given (id, provider, headers, body, received_at)
      ON CONFLICT (id) DO NOTHING
    `
    )

  const insert = yield* together(insertAll, ({ webhook }) => 1 + Math.floor(webhook.body.length / bytesPerWeight))

  const store = Effect.fn("Inbox.store")(function*(webhook: Inbox.NewWebhook) {
    yield* Effect.fromResult(Input.tenant(webhook))
    yield* Effect.fromResult(Inbox.check(webhook))
    const receivedAt = yield* DateTime.now
    const id = Inbox.WebhookId.make(yield* random.uuidV7())
    const fresh: Fresh = { id, webhook, receivedAt }
    const { token } = webhook
    if (Option.isNone(token)) {
      yield* insert(webhook.tenantId, fresh)
      return { _tag: "Stored" as const, id, receivedAt }
    }
    return yield* transaction(
      token.value.verifiedBy,
      Effect.gen(function*() {
        const known = yield* consume(webhook, token.value, id)
        if (Option.isSome(known)) return { _tag: "Repeated" as const, id: known.value }
        yield* insertAll(webhook.tenantId, [fresh])
        return { _tag: "Stored" as const, id, receivedAt }
      })
    )
  })

  const intervals = Parameters.intervals(Retry.waits)

  // What `InboxRow.finish` and `Inbox.conclude` decide, for many webhooks at once, by the tries that their rows count.
  //
  // By the ids alone, and planned anew each time: the planner may not know yet that nearly all rows are of one tenant, and a
  // plan that is kept reads all of the table, if the table was small when it was made. What a crash of the server undoes here
  // is done again by a sweep of the inbox, so the commit does not wait for the disk.
  const finishAll = (tenantId: Tenant.TenantId, finished: ReadonlyArray<Finished>) =>
    Effect.flatMap(isJoined, (joined) =>
      statements(
        tenantId,
        sql`
        WITH unsynced AS MATERIALIZED (
          SELECT set_config('synchronous_commit', 'off', true) FROM (VALUES (${!joined}::boolean)) own (is_own) WHERE is_own
        )
        UPDATE ${webhooks} w SET status = given.status, last_error = given.reason, processed_at = given.at,
          claimed_at = NULL, attempts = greatest(w.attempts - CASE WHEN given.is_counted THEN 0 ELSE 1 END, 0),
          next_attempt_at = CASE WHEN given.status = 'failed' THEN given.at + (${intervals}::interval[])[
            CASE WHEN given.is_counted THEN least(greatest(w.attempts, 1), ${Retry.waits.length}) ELSE 1 END
          ] END
        FROM (SELECT count(*) FROM unsynced) once CROSS JOIN unnest(
          (SELECT ${Parameters.uuids(finished.map(({ id }) => id))}::uuid[]),
          (SELECT ${Parameters.texts(finished.map(({ ending }) => Inbox.endings[ending._tag].status))}::text[]),
          (SELECT ${
          Parameters.texts(finished.map(({ ending }) => ending._tag === "Succeeded" ? null : ending.reason))
        }::text[]),
          (SELECT ${
          Parameters.booleans(finished.map(({ ending }) => Inbox.endings[ending._tag].isCounted))
        }::boolean[]),
          (SELECT ${Parameters.instants(finished.map(({ at }) => at.epochMilliseconds))}::timestamptz[])
        ) AS given (id, status, reason, is_counted, at)
        WHERE w.id = given.id
          AND CASE WHEN w.tenant_id = ${tenantId} THEN w.status IN ('received', 'processing') ELSE false END
      `.unprepared
      ))

  const finishOne = yield* together(finishAll, () => 1)

  const finish = Effect.fn("Inbox.finish")(function*(key: Inbox.WebhookKey, ending: Inbox.Ending) {
    yield* finishOne(key.tenantId, { id: key.id, ending, at: yield* DateTime.now })
  })

  const claim = Effect.fn("Inbox.claim")(function*(query: Inbox.ClaimQuery) {
    const limit = yield* Input.limit(query.limit)
    const time = yield* DateTime.now
    const now = Parameters.instant(time)
    const stalled = Parameters.instant(DateTime.subtractDuration(time, query.stalledFor))
    // What `InboxRow.claim` says.
    const rows = yield* statements(
      query.scope,
      sql`
      WITH due AS (
        SELECT id FROM ${webhooks} w
        WHERE status IN ('received', 'processing', 'failed') AND ${inScope(query.scope)}
          AND CASE status WHEN 'failed' THEN next_attempt_at <= ${now} WHEN 'processing' THEN claimed_at < ${stalled}
            ELSE true END
        ORDER BY received_at, id LIMIT ${limit}
        FOR UPDATE SKIP LOCKED
      ), claimed AS (
        UPDATE ${webhooks} w SET status = 'processing', attempts = attempts + 1, claimed_at = ${now}
        FROM due WHERE w.id = due.id
        RETURNING ${webhookColumns}
      )
      SELECT * FROM claimed ORDER BY "receivedAt", id
    `
    )
    return yield* Effect.orDie(decodeWebhooks(rows))
  })

  const get = Effect.fn("Inbox.get")(function*(scope: Tenant.Scope, id: Inbox.WebhookId) {
    const rows = yield* statements(
      scope,
      sql`SELECT ${webhookColumns} FROM ${webhooks} w WHERE w.id = ${id} AND ${inScope(scope)}`
    )
    const [found] = yield* Effect.orDie(decodeWebhooks(rows))
    return Option.fromUndefinedOr(found)
  })

  const afterPlace = (place: Place.Place) => {
    const { id, instant } = Place.parts(place)
    return sql`AND (w.received_at, w.id) < (${Parameters.instant(instant)}, ${id}::uuid)`
  }

  const list = Effect.fn("Inbox.list")(function*(query: Inbox.ListQuery) {
    const limit = yield* Input.limit(query.limit)
    // What `InboxRow.list` says.
    const rows = yield* statements(
      query.scope,
      sql`
      SELECT ${summaryColumns} FROM ${webhooks} w
      WHERE ${inScope(query.scope)} ${Option.isSome(query.status) ? sql`AND w.status = ${query.status.value}` : sql``}
        ${query.after === undefined ? sql`` : afterPlace(query.after)}
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
    const wanted = statuses.length === 0 ? sql.literal("true") : sql.in("w.status", statuses)
    const rows = yield* statements(
      scope,
      sql`
      SELECT tenant_id AS "tenantId", status, count(*)::integer AS count FROM ${webhooks} w
      WHERE ${inScope(scope)} AND ${wanted} GROUP BY tenant_id, status ORDER BY tenant_id, status
    `
    )
    return yield* Effect.orDie(decodeCounts(rows))
  })

  const prune = Effect.fn("Inbox.prune")(function*(query: Inbox.PruneQuery) {
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

  const forget = Effect.fn("Inbox.forget")(function*(query: Inbox.ForgetQuery) {
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

  return Inbox.Inbox.of({ store, finish, claim, get, list, release, counts, prune, forget })
})

/**
 * The inbox in the schema of a migrated database, `waybill` by default.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Database.Options = {}
): Layer.Layer<Inbox.Inbox, LedgerError.LedgerError, SqlClient.SqlClient | SecureRandom.SecureRandom> =>
  Layer.effect(Inbox.Inbox, make(options))
