/**
 * Keeps raw webhooks and ticks in a store of texts by keys: a toy beside `KeyValueLedger`, and like it without any
 * rule of its own.
 */
import { Inbox, type InboxQuery, InboxRow, Input, Ledger, Tenant, Ticks, type Timestamp } from "@waybill/core"
import { Context, DateTime, Effect, Layer, Option, Schema, Semaphore } from "effect"
import { SecureRandom } from "effect/crypto"
import { KeyValueStore } from "effect/persistence"
import { Buffer } from "node:buffer"
import { erase } from "../src/internal/erase.ts"
import * as KeyValueLedger from "./KeyValueLedger.ts"
import { keyOf, shelfIn } from "./KeyValueShelf.ts"

const make = Effect.gen(function*() {
  const shelf = shelfIn(yield* KeyValueStore.KeyValueStore)
  const random = yield* SecureRandom.SecureRandom
  const ledger = yield* Ledger.Ledger
  const turn = Semaphore.withPermit(yield* Semaphore.make(1))

  const tenants = shelf("tenant", Tenant.TenantId)
  const ticks = shelf("tick", Ticks.Tick)
  const webhooks = shelf("webhook", Schema.toCodecJson(InboxRow.InboxRow))
  const tokens = shelf("token", Schema.toCodecJson(Schema.Struct({ id: Inbox.WebhookId, body: Schema.Uint8Array })))

  const tickId = ({ schedule, tick }: Ticks.TickKey) => keyOf(schedule, DateTime.formatIso(tick))

  const claims = Ticks.Ticks.of({
    claim: Effect.fn("Ticks.claim")(function*(key: Ticks.TickKey & Pick<Ticks.Tick, "node">) {
      yield* Effect.fromResult(Input.claim(key))
      if (Option.isSome(yield* ticks.get("", tickId(key)))) return false
      yield* ticks.put("", tickId(key), Ticks.begin(key, yield* DateTime.now))
      return true
    }, turn),
    finish: Effect.fn("Ticks.finish")(function*(key: Ticks.TickKey, result: Pick<Ticks.Tick, "counts" | "error">) {
      yield* Effect.fromResult(Input.finish({ ...key, ...result }))
      const now = yield* DateTime.now
      for (const claimed of Option.toArray(yield* ticks.get("", tickId(key)))) {
        yield* ticks.put("", tickId(key), Ticks.end(claimed, result, now))
      }
    }, turn),
    recent: Effect.fn("Ticks.recent")(function*(query: {
      readonly schedule: Option.Option<string>
      readonly limit: number
    }) {
      yield* Input.limit(query.limit)
      yield* Effect.fromResult(Input.recent(query))
      return Ticks.select(query, yield* ticks.all(""))
    }, turn),
    prune: Effect.fn("Ticks.prune")(function*(before: Timestamp.Timestamp) {
      const old = (yield* ticks.all("")).filter((tick) => Ticks.isEndedBefore(tick, before))
      for (const tick of old) yield* ticks.remove("", tickId(tick))
      return old.length
    }, turn)
  })

  const webhooksIn = Effect.fnUntraced(function*(scope: Tenant.Scope) {
    const reached = (yield* tenants.all("")).filter((tenantId) => Tenant.reaches(scope, tenantId))
    return (yield* Effect.forEach(reached, webhooks.all)).flat()
  })

  const findWebhook = Effect.fnUntraced(function*(scope: Tenant.Scope, id: Inbox.WebhookId) {
    return (yield* webhooksIn(scope)).find(({ webhook }) => webhook.id === id)
  })

  const putWebhook = Effect.fnUntraced(function*(row: InboxRow.InboxRow) {
    const { id, tenantId } = row.webhook
    yield* tenants.put("", tenantId, tenantId)
    yield* webhooks.put(tenantId, id, row)
  })

  const putToken = Effect.fnUntraced(function*({ body, provider, token }: Inbox.NewWebhook, id: Inbox.WebhookId) {
    for (const each of Option.toArray(token)) {
      yield* tokens.put("", InboxRow.tokenKey({ token: each, provider }), { id, body })
    }
  })

  /** Checks a webhook; gives the one that its token came with before, where the bytes are the same. */
  const admit = Effect.fnUntraced(function*(webhook: Inbox.NewWebhook) {
    yield* Effect.fromResult(Input.tenant(webhook))
    yield* Effect.fromResult(Inbox.check(webhook))
    for (const token of Option.toArray(webhook.token)) {
      const known = yield* tokens.get("", InboxRow.tokenKey({ token, provider: webhook.provider }))
      if (Option.isNone(known)) continue
      const isSameBody = Buffer.from(known.value.body).equals(webhook.body)
      return yield* Effect.fromResult(InboxRow.repeated(webhook, { id: known.value.id, isSameBody }))
    }
    return undefined
  })

  const inbox = Inbox.Inbox.of({
    store: Effect.fn("Inbox.store")(function*(webhook: Inbox.NewWebhook) {
      const repeated = yield* admit(webhook)
      if (repeated !== undefined) return repeated
      const now = yield* DateTime.now
      const id = Inbox.WebhookId.make(yield* random.uuidV7())
      yield* putToken(webhook, id)
      yield* putWebhook(InboxRow.receive(webhook, id, now))
      return { _tag: "Stored" as const, id, receivedAt: now }
    }, turn),
    take: Effect.fn("Inbox.take")(function*(webhook: Inbox.NewWebhook, read: Inbox.FirstRead) {
      const repeated = yield* admit(webhook)
      if (repeated !== undefined) return repeated
      const id = Inbox.WebhookId.make(yield* random.uuidV7())
      const outcomes = yield* ledger.append(webhook.tenantId, read.events)
      yield* putToken(webhook, id)
      yield* putWebhook(
        InboxRow.settle(InboxRow.receive(webhook, id, read.receivedAt), read.ending, outcomes, read.receivedAt)
      )
      return { _tag: "Taken" as const, id, outcomes }
    }, turn),
    settle: Effect.fn("Inbox.settle")(function*(
      tenantId: Tenant.TenantId,
      settlements: ReadonlyArray<Inbox.Settlement>
    ) {
      const now = yield* DateTime.now
      const outcomes = InboxRow.parted(
        settlements,
        yield* ledger.append(tenantId, settlements.flatMap(({ events }) => events))
      )
      for (const [index, { ending, id }] of settlements.entries()) {
        for (const row of Option.toArray(yield* webhooks.get(tenantId, id))) {
          yield* putWebhook(InboxRow.settle(row, ending, outcomes[index] ?? [], now))
        }
      }
      return outcomes
    }, turn),
    finish: Effect.fn("Inbox.finish")(function*(key: Inbox.WebhookKey, ending: Inbox.Ending) {
      const now = yield* DateTime.now
      for (const row of Option.toArray(yield* webhooks.get(key.tenantId, key.id))) {
        yield* putWebhook(InboxRow.finish(row, ending, now))
      }
    }, turn),
    claim: Effect.fn("Inbox.claim")(function*(query: InboxQuery.ClaimQuery) {
      yield* Input.limit(query.limit)
      const claimed = InboxRow.claim(query, yield* webhooksIn(query.scope), yield* DateTime.now)
      for (const row of claimed) yield* putWebhook(row)
      return claimed.map(({ webhook }) => webhook)
    }, turn),
    reclaim: Effect.fn("Inbox.reclaim")(function*(scope: Tenant.Scope, ids: ReadonlyArray<Inbox.WebhookId>) {
      const claimed = InboxRow.reclaim(ids, yield* webhooksIn(scope), yield* DateTime.now)
      for (const row of claimed) yield* putWebhook(row)
      return claimed.map(({ webhook }) => webhook)
    }, turn),
    get: Effect.fn("Inbox.get")(function*(scope: Tenant.Scope, id: Inbox.WebhookId) {
      return Option.map(Option.fromUndefinedOr(yield* findWebhook(scope, id)), ({ webhook }) => webhook)
    }, turn),
    list: Effect.fn("Inbox.list")(function*(query: InboxQuery.ListQuery) {
      yield* Input.limit(query.limit)
      return InboxRow.list(query, yield* webhooksIn(query.scope))
    }, turn),
    release: Effect.fn("Inbox.release")(function*(scope: Tenant.Scope, id: Inbox.WebhookId) {
      const row = yield* findWebhook(scope, id)
      if (row === undefined) return false
      yield* putWebhook(InboxRow.release(row))
      return true
    }, turn),
    counts: Effect.fn("Inbox.counts")(
      (scope: Tenant.Scope, statuses?: ReadonlyArray<Inbox.WebhookStatus>) =>
        Effect.map(webhooksIn(scope), (rows) => InboxRow.count(rows, statuses)),
      turn
    ),
    prune: Effect.fn("Inbox.prune")(function*(query: InboxQuery.PruneQuery) {
      yield* Input.limit(query.limit)
      const { count, deleted } = InboxRow.prune(query, yield* webhooksIn(Tenant.all), yield* DateTime.now)
      for (const { webhook } of deleted) yield* webhooks.remove(webhook.tenantId, webhook.id)
      return count
    }, turn),
    forget: Effect.fn("Inbox.forget")(function*({ recipient, tenantId }: InboxQuery.ForgetQuery) {
      const found = (yield* webhooks.all(tenantId)).flatMap((row) =>
        Option.toArray(Option.map(erase(row.webhook.body, recipient), (body) => ({
          ...row,
          webhook: { ...row.webhook, body }
        })))
      )
      for (const row of found) yield* putWebhook(row)
      return found.length
    }, turn)
  })

  return Context.make(Inbox.Inbox, inbox).pipe(Context.add(Ticks.Ticks, claims))
})

/** An empty inbox and empty ticks on an empty store of texts in memory, beside an empty ledger. */
export const layer = Layer.effectContext(make).pipe(
  Layer.provide(KeyValueStore.layerMemory),
  Layer.provide(SecureRandom.layerWebCrypto),
  Layer.provideMerge(KeyValueLedger.layer)
)
