/**
 * Keeps raw webhooks in memory.
 *
 * @since 0.1.0
 */
import { Inbox, type InboxQuery, InboxRow, Input, Ledger, Tenant } from "@waybill/core"
import { DateTime, Effect, Layer, Option, Semaphore } from "effect"
import { SecureRandom } from "effect/crypto"
import { createHash } from "node:crypto"
import { erase } from "./internal/erase.ts"

const digestOf = (body: Uint8Array): string => createHash("sha256").update(body).digest("hex")

const make = Effect.gen(function*() {
  const random = yield* SecureRandom.SecureRandom
  const ledger = yield* Ledger.Ledger
  const turn = Semaphore.withPermit(yield* Semaphore.make(1))
  const rows = new Map<Inbox.WebhookId, InboxRow.InboxRow>()
  const tokens = new Map<string, { readonly id: Inbox.WebhookId; readonly digest: string }>()

  const inScope = (scope: Tenant.Scope) =>
    Array.from(rows.values()).filter(({ webhook }) => Tenant.reaches(scope, webhook.tenantId))

  /** Checks a webhook; gives the one that its token came with before, where the bytes are the same. */
  const admit = Effect.fnUntraced(function*(webhook: Inbox.NewWebhook) {
    yield* Effect.fromResult(Input.tenant(webhook))
    yield* Effect.fromResult(Inbox.check(webhook))
    if (Option.isNone(webhook.token)) return { key: undefined, digest: "", repeated: undefined }
    const key = InboxRow.tokenKey({ token: webhook.token.value, provider: webhook.provider })
    const digest = digestOf(webhook.body)
    const known = tokens.get(key)
    if (known === undefined) return { key, digest, repeated: undefined }
    const isSameBody = known.digest === digest
    return { key, digest, repeated: yield* Effect.fromResult(InboxRow.repeated(webhook, { id: known.id, isSameBody })) }
  })

  const store = Effect.fn("Inbox.store")(function*(webhook: Inbox.NewWebhook) {
    const { digest, key, repeated } = yield* admit(webhook)
    if (repeated !== undefined) return repeated
    const now = yield* DateTime.now
    const id = Inbox.WebhookId.make(yield* random.uuidV7())
    if (key !== undefined) tokens.set(key, { id, digest })
    rows.set(id, InboxRow.receive(webhook, id, now))
    return { _tag: "Stored" as const, id, receivedAt: now }
  }, turn)

  const take = Effect.fn("Inbox.take")(
    function*(webhook: Inbox.NewWebhook, read: Inbox.FirstRead) {
      const { digest, key, repeated } = yield* admit(webhook)
      if (repeated !== undefined) return repeated
      const id = Inbox.WebhookId.make(yield* random.uuidV7())
      const outcomes = yield* ledger.append(webhook.tenantId, read.events)
      const row = InboxRow.receive(webhook, id, read.receivedAt)
      if (key !== undefined) tokens.set(key, { id, digest })
      rows.set(id, InboxRow.settle(row, read.ending, outcomes, read.receivedAt))
      return { _tag: "Taken" as const, id, outcomes }
    },
    Effect.uninterruptible,
    turn
  )

  const settle = Effect.fn("Inbox.settle")(
    function*(
      tenantId: Tenant.TenantId,
      settlements: ReadonlyArray<Inbox.Settlement>
    ) {
      const now = yield* DateTime.now
      const outcomes = InboxRow.parted(
        settlements,
        yield* ledger.append(tenantId, settlements.flatMap(({ events }) => events))
      )
      for (const [index, { ending, id }] of settlements.entries()) {
        const row = rows.get(id)
        if (row?.webhook.tenantId === tenantId) rows.set(id, InboxRow.settle(row, ending, outcomes[index] ?? [], now))
      }
      return outcomes
    },
    Effect.uninterruptible,
    turn
  )

  const finish = Effect.fn("Inbox.finish")(function*(key: Inbox.WebhookKey, ending: Inbox.Ending) {
    const now = yield* DateTime.now
    const row = rows.get(key.id)
    if (row === undefined || row.webhook.tenantId !== key.tenantId) return
    rows.set(key.id, InboxRow.finish(row, ending, now))
  })

  const claim = Effect.fn("Inbox.claim")(function*(query: InboxQuery.ClaimQuery) {
    yield* Input.limit(query.limit)
    const claimed = InboxRow.claim(query, inScope(query.scope), yield* DateTime.now)
    for (const row of claimed) rows.set(row.webhook.id, row)
    return claimed.map(({ webhook }) => handed(webhook))
  })

  const reclaim = Effect.fn("Inbox.reclaim")(function*(scope: Tenant.Scope, ids: ReadonlyArray<Inbox.WebhookId>) {
    const claimed = InboxRow.reclaim(ids, inScope(scope), yield* DateTime.now)
    for (const row of claimed) rows.set(row.webhook.id, row)
    return claimed.map(({ webhook }) => handed(webhook))
  })

  const get = Effect.fn("Inbox.get")((scope: Tenant.Scope, id: Inbox.WebhookId) =>
    Effect.sync(() =>
      Option.map(
        Option.fromUndefinedOr(inScope(scope).find(({ webhook }) => webhook.id === id)),
        ({ webhook }) => handed(webhook)
      )
    )
  )

  const list = Effect.fn("Inbox.list")(function*(query: InboxQuery.ListQuery) {
    yield* Input.limit(query.limit)
    return InboxRow.list(query, inScope(query.scope))
  })

  const release = Effect.fn("Inbox.release")((scope: Tenant.Scope, id: Inbox.WebhookId) =>
    Effect.sync(() => {
      const row = inScope(scope).find(({ webhook }) => webhook.id === id)
      if (row === undefined) return false
      rows.set(id, InboxRow.release(row))
      return true
    })
  )

  const counts = Effect.fn("Inbox.counts")(
    (scope: Tenant.Scope, statuses: ReadonlyArray<Inbox.WebhookStatus> = []) =>
      Effect.sync(() => InboxRow.count(inScope(scope), statuses))
  )

  const prune = Effect.fn("Inbox.prune")(function*(query: InboxQuery.PruneQuery) {
    yield* Input.limit(query.limit)
    const { count, deleted } = InboxRow.prune(query, inScope(Tenant.all), yield* DateTime.now)
    for (const { webhook } of deleted) rows.delete(webhook.id)
    return count
  })

  const forget = Effect.fn("Inbox.forget")((query: InboxQuery.ForgetQuery) =>
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
  )

  return Inbox.Inbox.of({ store, take, finish, settle, claim, reclaim, get, list, release, counts, prune, forget })
})

/** A copy for a reader to keep. */
const handed = (webhook: Inbox.Webhook): Inbox.Webhook => ({
  ...webhook,
  headers: { ...webhook.headers },
  body: webhook.body.slice()
})

/**
 * An inbox that lives as long as the layer, beside the ledger that it appends to.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Inbox.Inbox, never, SecureRandom.SecureRandom | Ledger.Ledger> = Layer.effect(
  Inbox.Inbox,
  make
)
