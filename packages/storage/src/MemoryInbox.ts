/**
 * Keeps raw webhooks in memory.
 *
 * @since 0.1.0
 */
import { Inbox, Input, Tenant } from "@waybill/core"
import { DateTime, Duration, Effect, Layer, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import { createHash } from "node:crypto"
import { erase } from "./internal/erase.ts"

/** A webhook, and when it was claimed and may be claimed again, in milliseconds. */
interface Row {
  readonly webhook: Inbox.Webhook
  readonly claimedAt: number
  readonly nextAttemptAt: number
}

const digestOf = (body: Uint8Array): string => createHash("sha256").update(body).digest("hex")

const make = Effect.gen(function*() {
  const random = yield* SecureRandom.SecureRandom
  const rows = new Map<Inbox.WebhookId, Row>()
  const tokens = new Map<string, { readonly id: Inbox.WebhookId; readonly digest: string }>()

  const inScope = (scope: Tenant.Scope) =>
    Array.from(rows.values()).filter(({ webhook }) => Tenant.reaches(scope, webhook.tenantId))

  const store = Effect.fn("Inbox.store")(function*(webhook: Inbox.NewWebhook) {
    yield* Effect.fromResult(Input.tenant(webhook))
    yield* Effect.fromResult(Inbox.check(webhook))
    const now = yield* DateTime.now
    const id = Inbox.WebhookId.make(yield* random.uuidV7())
    const { provider, tenantId } = webhook
    if (Option.isSome(webhook.token)) {
      const { value, verifiedBy } = webhook.token.value
      const key = JSON.stringify([verifiedBy, provider, value])
      const digest = digestOf(webhook.body)
      const known = tokens.get(key)
      if (known !== undefined) {
        return known.digest === digest
          ? { _tag: "Repeated" as const, id: known.id }
          : yield* new Inbox.TokenReplayed({ tenantId, provider })
      }
      tokens.set(key, { id, digest })
    }
    rows.set(id, {
      webhook: {
        id,
        tenantId,
        provider,
        headers: { ...webhook.headers },
        body: webhook.body.slice(),
        status: "processing",
        attempts: 1,
        lastError: Option.none(),
        receivedAt: now,
        processedAt: Option.none()
      },
      claimedAt: now.epochMilliseconds,
      nextAttemptAt: 0
    })
    return { _tag: "Stored" as const, id, receivedAt: now }
  })

  const finish = Effect.fn("Inbox.finish")(function*(key: Inbox.WebhookKey, ending: Inbox.Ending) {
    const now = yield* DateTime.now
    const row = rows.get(key.id)
    if (row === undefined || row.webhook.tenantId !== key.tenantId) return
    if (row.webhook.status !== "processing" && row.webhook.status !== "received") return
    const { nextAttemptAt, ...concluded } = Inbox.conclude(ending, row.webhook.attempts, now)
    rows.set(key.id, {
      webhook: { ...row.webhook, ...concluded, processedAt: Option.some(now) },
      claimedAt: 0,
      nextAttemptAt: Option.match(nextAttemptAt, { onNone: () => 0, onSome: (at) => at.epochMilliseconds })
    })
  })

  const isDue = ({ claimedAt, nextAttemptAt, webhook }: Row, now: number, stalledFor: number): boolean => {
    switch (webhook.status) {
      case "received":
        return true
      case "failed":
        return nextAttemptAt <= now
      case "processing":
        return claimedAt < now - stalledFor
      default:
        return false
    }
  }

  const begin = (webhook: Inbox.Webhook, now: number): Inbox.Webhook => {
    const begun: Inbox.Webhook = { ...webhook, status: "processing", attempts: webhook.attempts + 1 }
    rows.set(webhook.id, { webhook: begun, claimedAt: now, nextAttemptAt: 0 })
    return begun
  }

  const claim = Effect.fn("Inbox.claim")(function*(query: Inbox.ClaimQuery) {
    const limit = yield* Input.limit(query.limit)
    const now = (yield* DateTime.now).epochMilliseconds
    return inScope(query.scope)
      .filter((row) => isDue(row, now, Duration.toMillis(query.stalledFor)))
      .toSorted((left, right) => byAge(left.webhook, right.webhook))
      .slice(0, limit)
      .map(({ webhook }) => handed(begin(webhook, now)))
  })

  const get = (scope: Tenant.Scope, id: Inbox.WebhookId) =>
    Effect.sync(() =>
      Option.map(
        Option.fromUndefinedOr(inScope(scope).find(({ webhook }) => webhook.id === id)),
        ({ webhook }) => handed(webhook)
      )
    )

  const list = Effect.fn("Inbox.list")(function*(query: Inbox.ListQuery) {
    const limit = yield* Input.limit(query.limit)
    return inScope(query.scope)
      .map(({ webhook }) => webhook)
      .filter(({ status }) => Option.isNone(query.status) || query.status.value === status)
      .toSorted((left, right) => byAge(right, left))
      .slice(0, limit)
      .map(summary)
  })

  const release = (scope: Tenant.Scope, id: Inbox.WebhookId) =>
    Effect.sync(() => {
      const row = inScope(scope).find(({ webhook }) => webhook.id === id)
      if (row === undefined) return false
      rows.set(id, { webhook: { ...row.webhook, status: "received", attempts: 0 }, claimedAt: 0, nextAttemptAt: 0 })
      return true
    })

  const counts = (scope: Tenant.Scope) =>
    Effect.sync(() => {
      const found = new Map<string, Inbox.Count>()
      for (const { webhook: { status, tenantId } } of inScope(scope)) {
        const key = `${tenantId} ${status}`
        found.set(key, { tenantId, status, count: (found.get(key)?.count ?? 0) + 1 })
      }
      return Array.from(found).toSorted(([left], [right]) => left < right ? -1 : 1).map(([, count]) => count)
    })

  const prune = Effect.fn("Inbox.prune")(function*(query: Inbox.PruneQuery) {
    const limit = yield* Input.limit(query.limit)
    const now = (yield* DateTime.now).epochMilliseconds
    const kept: Partial<Record<Inbox.WebhookStatus, Option.Option<Duration.Duration>>> = query.retention
    const old = inScope(Tenant.all).filter(({ webhook }) => {
      const time = kept[webhook.status]
      return time !== undefined && Option.isSome(time) && processedAt(webhook) < now - Duration.toMillis(time.value)
    }).toSorted((left, right) => processedAt(left.webhook) - processedAt(right.webhook))
    if (query.dryRun) return old.length
    for (const { webhook } of old.slice(0, limit)) rows.delete(webhook.id)
    return Math.min(old.length, limit)
  })

  const forget = (query: Inbox.ForgetQuery) =>
    Effect.sync(() => {
      let forgotten = 0
      for (const row of inScope(query.tenantId)) {
        const body = erase(row.webhook.body, query.recipient)
        if (Option.isNone(body)) continue
        rows.set(row.webhook.id, { ...row, webhook: { ...row.webhook, body: body.value } })
        forgotten++
      }
      return forgotten
    })

  return Inbox.Inbox.of({ store, finish, claim, get, list, release, counts, prune, forget })
})

/** A copy for a reader to keep. */
const handed = (webhook: Inbox.Webhook): Inbox.Webhook => ({
  ...webhook,
  headers: { ...webhook.headers },
  body: webhook.body.slice()
})

const summary = (
  { attempts, id, lastError, processedAt, provider, receivedAt, status, tenantId }: Inbox.Webhook
): Inbox.Summary => ({ id, tenantId, provider, status, attempts, lastError, receivedAt, processedAt })

/** When the last try ended; never, for one that had none. */
const processedAt = (webhook: Inbox.Webhook): number =>
  Option.match(webhook.processedAt, { onNone: () => Infinity, onSome: (at) => at.epochMilliseconds })

const byAge = (left: Inbox.Webhook, right: Inbox.Webhook): number =>
  left.receivedAt.epochMilliseconds - right.receivedAt.epochMilliseconds || (left.id < right.id ? -1 : 1)

/**
 * An inbox that lives as long as the layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Inbox.Inbox, never, SecureRandom.SecureRandom> = Layer.effect(Inbox.Inbox, make)
