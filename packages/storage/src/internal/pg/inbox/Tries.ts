/**
 * Stores webhooks and notes how tries at them ended, with the events that were read from them or without.
 *
 * Webhooks of a tenant that come at once share a commit: those that are stored, those that are taken with their events, and
 * those that are finished.
 */
import {
  Inbox,
  InboxRow,
  Input,
  type Ledger,
  type LedgerError,
  Retry,
  type Tenant,
  type Timestamp
} from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import type { SecureRandom } from "effect/crypto"
import * as PgError from "../../../PgError.ts"
import * as Coalescer from "../../Coalescer.ts"
import type { Database } from "../Database.ts"
import * as Parameters from "../Parameters.ts"

/** A webhook that is to be inserted. */
interface Fresh {
  readonly id: Inbox.WebhookId
  readonly webhook: Inbox.NewWebhook
  readonly receivedAt: Timestamp.Timestamp
}

/** A webhook that is to be inserted with what was read from it. */
interface FreshRead extends Fresh, Inbox.Read {}

/** How a try at a webhook ended, and when. */
interface Finished {
  readonly id: Inbox.WebhookId
  readonly ending: Inbox.Ending
  readonly at: Timestamp.Timestamp
}

/** How many bytes of bodies weigh as much as one more webhook does. */
const bytesPerWeight = 4096

const weightOf = ({ webhook }: Fresh): number => 1 + Math.floor(webhook.body.length / bytesPerWeight)

/** How long what others wait for waits for a lock. */
const patience = "100ms"

const isHeldUp = (error: LedgerError.InvalidInput | LedgerError.LedgerError): boolean =>
  error._tag === "LedgerUnavailable" && error.reason === "timeout"

/** Opens the tries of a schema. */
export const make = Effect.fnUntraced(function*(
  { isJoined, sql, statements, table, transaction }: Database,
  ledger: Ledger.Ledger["Service"],
  random: SecureRandom.SecureRandom["Service"]
) {
  const webhooks = table("webhooks")
  const tokens = table("webhook_tokens")

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

  /** Inserts webhooks of a tenant, each as it is after its first try; also a second time, as when the connection broke meanwhile. */
  const insertAll = (
    tenantId: Tenant.TenantId,
    fresh: ReadonlyArray<Fresh>,
    rows: ReadonlyArray<InboxRow.InboxRow>
  ) =>
    sql`
      INSERT INTO ${webhooks} (
        id, tenant_id, provider, headers, body, status, attempts, last_error, received_at, claimed_at, next_attempt_at,
        processed_at
      )
      SELECT id, ${tenantId}, provider, headers, body, status, attempts, last_error, received_at, claimed_at, next_attempt_at,
        processed_at
      FROM unnest(
        ${Parameters.uuids(fresh.map(({ id }) => id))},
        ${Parameters.texts(fresh.map(({ webhook }) => webhook.provider))},
        ${Parameters.bags(fresh.map(({ webhook }) => webhook.headers))},
        ${Parameters.bytes(fresh.map(({ webhook }) => webhook.body))},
        ${Parameters.texts(rows.map(({ webhook }) => webhook.status))},
        ${Parameters.integers(rows.map(({ webhook }) => webhook.attempts))},
        ${Parameters.texts(rows.map(({ webhook }) => Option.getOrNull(webhook.lastError)))},
        ${Parameters.instants(fresh.map(({ receivedAt }) => receivedAt.epochMilliseconds))},
        ${Parameters.instants(rows.map(({ claimedAt }) => milliseconds(claimedAt)))},
        ${Parameters.instants(rows.map(({ nextAttemptAt }) => milliseconds(nextAttemptAt)))},
        ${Parameters.instants(rows.map(({ webhook }) => milliseconds(webhook.processedAt)))}
      ) AS given (
        id, provider, headers, body, status, attempts, last_error, received_at, claimed_at, next_attempt_at, processed_at
      )
      ON CONFLICT (id) DO NOTHING
    `

  const storeAll = (tenantId: Tenant.TenantId, fresh: ReadonlyArray<Fresh>) =>
    statements(
      tenantId,
      insertAll(tenantId, fresh, fresh.map(({ id, receivedAt, webhook }) => InboxRow.receive(webhook, id, receivedAt)))
    )

  const storeOne = yield* Coalescer.make({
    run: (tenantId: Tenant.TenantId, fresh: ReadonlyArray<Fresh>) =>
      Effect.map(storeAll(tenantId, fresh), () => fresh.map(() => true)),
    isHeldUp: () => false,
    isLost: PgError.isLost,
    weigh: weightOf
  })

  const check = Effect.fnUntraced(function*(webhook: Inbox.NewWebhook) {
    yield* Effect.fromResult(Input.tenant(webhook))
    yield* Effect.fromResult(Inbox.check(webhook))
    return Inbox.WebhookId.make(yield* random.uuidV7())
  })

  /** Runs in a transaction of its own that consumes the token of a webhook; where it came before, nothing else is done. */
  const once = <A, E>(
    webhook: Inbox.NewWebhook,
    token: Inbox.Token,
    id: Inbox.WebhookId,
    effect: Effect.Effect<A, E>
  ) =>
    transaction(
      token.verifiedBy,
      Effect.gen(function*() {
        const known = yield* consume(webhook, token, id)
        return Option.isSome(known) ? { _tag: "Repeated" as const, id: known.value } : yield* effect
      })
    )

  const store = Effect.fn("Inbox.store")(function*(webhook: Inbox.NewWebhook) {
    const id = yield* check(webhook)
    const receivedAt = yield* DateTime.now
    const stored = { _tag: "Stored" as const, id, receivedAt }
    const fresh: Fresh = { id, webhook, receivedAt }
    const { tenantId, token } = webhook
    if (Option.isSome(token)) {
      return yield* once(webhook, token.value, id, Effect.as(storeAll(tenantId, [fresh]), stored))
    }
    yield* (yield* isJoined) ? storeAll(tenantId, [fresh]) : storeOne(tenantId, fresh)
    return stored
  })

  /** Appends the events of several webhooks; returns the outcomes of each. */
  const append = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, reads: ReadonlyArray<Inbox.Read>) {
    return InboxRow.parted(reads, yield* ledger.append(tenantId, reads.flatMap(({ events }) => events)))
  })

  /** A transaction that gives up soon where it has to wait for a lock, if others wait for it. */
  const within = <A, E>(tenantId: Tenant.TenantId, hurried: boolean, effect: Effect.Effect<A, E>) =>
    transaction(
      tenantId,
      hurried ? Effect.andThen(sql`SELECT set_config('lock_timeout', ${patience}, true)`, effect) : effect
    )

  const takeAll = (tenantId: Tenant.TenantId, fresh: ReadonlyArray<FreshRead>, hurried: boolean) =>
    within(
      tenantId,
      hurried,
      Effect.gen(function*() {
        const outcomes = yield* append(tenantId, fresh)
        const rows = fresh.map(({ ending, id, receivedAt, webhook }, index) =>
          InboxRow.settle(InboxRow.receive(webhook, id, receivedAt), ending, outcomes[index] ?? [], receivedAt)
        )
        yield* insertAll(tenantId, fresh, rows)
        return outcomes
      })
    )

  const takeOne = yield* Coalescer.make<
    Tenant.TenantId,
    FreshRead,
    ReadonlyArray<Ledger.Outcome>,
    LedgerError.InvalidInput | LedgerError.LedgerError
  >({
    run: takeAll,
    isHeldUp,
    isLost: PgError.isLost,
    weigh: (fresh) => weightOf(fresh) + fresh.events.length
  })

  const take = Effect.fn("Inbox.take")(function*(webhook: Inbox.NewWebhook, read: Inbox.FirstRead) {
    const id = yield* check(webhook)
    const fresh: FreshRead = { id, webhook, ...read }
    const { tenantId, token } = webhook
    const taken = (outcomes: ReadonlyArray<Ledger.Outcome>) => ({ _tag: "Taken" as const, id, outcomes })
    const alone = Effect.map(takeAll(tenantId, [fresh], false), (outcomes) => taken(outcomes.flat()))
    if (Option.isSome(token)) return yield* once(webhook, token.value, id, alone)
    return (yield* isJoined) ? yield* alone : taken(yield* takeOne(tenantId, fresh))
  })

  const intervals = Parameters.intervals(Retry.waits)

  // What `InboxRow.finish` and `InboxRow.conclude` decide, for many webhooks at once, by the tries that their rows count.
  //
  // By the ids alone, and planned anew each time: the planner may not know yet that nearly all rows are of one tenant, and a
  // plan that is kept reads all of the table, if the table was small when it was made. What a crash of the server undoes here
  // is done again by a sweep of the inbox, so the commit does not wait for the disk; within a transaction it does.
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

  const finishOne = yield* Coalescer.make({
    run: (tenantId: Tenant.TenantId, finished: ReadonlyArray<Finished>) =>
      Effect.map(finishAll(tenantId, finished), () => finished.map(() => true)),
    isHeldUp: () => false,
    isLost: PgError.isLost,
    weigh: () => 1
  })

  const finish = Effect.fn("Inbox.finish")(function*({ id, tenantId }: Inbox.WebhookKey, ending: Inbox.Ending) {
    const finished: Finished = { id, ending, at: yield* DateTime.now }
    yield* (yield* isJoined) ? finishAll(tenantId, [finished]) : finishOne(tenantId, finished)
  })

  const settle = Effect.fn("Inbox.settle")(function*(
    tenantId: Tenant.TenantId,
    settlements: ReadonlyArray<Inbox.Settlement>
  ) {
    const at = yield* DateTime.now
    return yield* within(
      tenantId,
      settlements.length > 1,
      Effect.gen(function*() {
        const outcomes = yield* append(tenantId, settlements)
        const finished = settlements.flatMap(({ ending, id }, index) =>
          InboxRow.isSettled(outcomes[index] ?? []) ? [{ id, ending, at }] : []
        )
        if (finished.length > 0) yield* finishAll(tenantId, finished)
        return outcomes
      })
    )
  })

  return { store, take, finish, settle }
})

const milliseconds = (at: Option.Option<Timestamp.Timestamp>): number | null =>
  Option.getOrNull(Option.map(at, ({ epochMilliseconds }) => epochMilliseconds))
