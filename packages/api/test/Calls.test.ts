/** Every call of the contract by the typed client, over a real server on each storage, and what it answers. */
import { assert, layer } from "@effect/vitest"
import { type ApiClient, Requests } from "@waybill/api"
import {
  Cursor,
  Delivery,
  Event,
  Inbox,
  Ledger,
  Orphans,
  type Recipient,
  Suppressions,
  Tenant,
  Ticks,
  type Tokens
} from "@waybill/core"
import { Given } from "@waybill/storage/testing"
import { DateTime, Effect, Option, Schema, type Scope, Stream } from "effect"
import type { SecureRandom } from "effect/crypto"
import * as Served from "./Served.ts"

type Client = ApiClient.ApiClient["Service"]

interface Calling {
  readonly client: Client
  readonly tenantId: Tenant.TenantId
}

type Needs =
  | Ledger.Ledger
  | Orphans.Orphans
  | Suppressions.Suppressions
  | Inbox.Inbox
  | Ticks.Ticks
  | Tokens.Tokens
  | SecureRandom.SecureRandom
  | Served.Url
  | Scope.Scope

/** A call for each endpoint: the contract is the list, so that what has none does not compile. */
type Calls = {
  readonly [Group in keyof Client]: {
    readonly [Endpoint in keyof Client[Group]]: (calling: Calling) => Effect.Effect<void, unknown, Needs>
  }
}

const headers = {}

const payload = { recipient: Given.recipient, mailable: "welcome", stream: "bulk" } as const

const encodeDelivery = Schema.encodeSync(Delivery.Delivery)
const encodeEvent = Schema.encodeSync(Event.Event)

const same = (got: Delivery.Delivery, stored: Delivery.Delivery): void =>
  assert.deepStrictEqual(encodeDelivery(got), encodeDelivery(stored))

const stored = (tenantId: Tenant.TenantId, deliveryId: Event.DeliveryId) =>
  Ledger.Ledger.use((ledger) => Effect.map(ledger.delivery({ tenantId, deliveryId }), Option.getOrThrow))

/** An event that waits. */
const orphan = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, message = "m-1") {
  const ledger = yield* Ledger.Ledger
  const [outcome] = yield* ledger.append(tenantId, [Given.report("opened", message)])
  return outcome === undefined || Ledger.isConflict(outcome) ? assert.fail() : outcome.eventId
})

const explained = (tenantId: Tenant.TenantId, eventId: Event.EventId) =>
  Orphans.Orphans.use((orphans) => Effect.map(orphans.explain({ tenantId, eventId }), ({ _tag }) => _tag))

const webhook = (tenantId: Tenant.TenantId) =>
  Inbox.Inbox.use((inbox) =>
    inbox.store({
      tenantId,
      provider: Given.provider,
      headers: { "x-a": "b" },
      body: new TextEncoder().encode("{}"),
      token: Option.none()
    })
  )

const suppressed = (tenantId: Tenant.TenantId, recipient: Recipient.Recipient = Given.recipient) =>
  Suppressions.Suppressions.use((suppressions) =>
    suppressions.add({
      tenantId,
      additions: [{ recipient, reason: "bounced", stream: Option.none(), since: Option.none() }],
      actor: "ann",
      because: Option.none()
    })
  )

const calls: Calls = {
  deliveries: {
    record: Effect.fnUntraced(function*({ client, tenantId }) {
      const request = { headers: { "idempotency-key": Given.key("k") }, payload: { ...payload, metadata: { a: [1] } } }
      const { body, headers: { etag } } = yield* client.deliveries.record(request)
      assert.deepStrictEqual([body.created, body.linked, etag], [true, 0, "\"1\""])
      assert.deepStrictEqual(body.suppressedBy, Option.none())
      same(body.delivery, yield* stored(tenantId, body.delivery.id))
      assert.isFalse((yield* client.deliveries.record(request)).body.created)
    }),
    recordMany: Effect.fnUntraced(function*({ client, tenantId }) {
      const { results } = yield* client.deliveries.recordMany({
        headers,
        payload: {
          deliveries: [
            { ...payload, idempotencyKey: Given.key("k") },
            { ...payload, idempotencyKey: Given.key("k"), mailable: "other" }
          ]
        }
      })
      const recorded = results.flatMap((result) => "delivery" in result ? [result.delivery] : [])
      assert.deepStrictEqual(results.flatMap((result) => "problem" in result ? [result.problem.tag] : []), [
        "DeliveryConflict"
      ])
      assert.lengthOf(recorded, 1)
      for (const delivery of recorded) same(delivery, yield* stored(tenantId, delivery.id))
    }),
    search: Effect.fnUntraced(function*({ client, tenantId }) {
      const [one, two] = [yield* Given.recorded(tenantId), yield* Given.recorded(tenantId)]
      const query = { recipient: Given.recipient, limit: 1, status: "queued" } as const
      const first = yield* client.deliveries.search({ headers, query })
      const after = Option.getOrThrow(first.next)
      const second = yield* client.deliveries.search({ headers, query: { ...query, after } })
      assert.sameMembers([...first.deliveries, ...second.deliveries].map(({ id }) => id), [one.id, two.id])
    }),
    get: Effect.fnUntraced(function*({ client, tenantId }) {
      const eventId = yield* orphan(tenantId)
      const { id } = yield* Given.dispatched(tenantId, "m-1")
      const { body, headers: { etag } } = yield* client.deliveries.get({ params: { id }, headers, query: {} })
      same(body.delivery, yield* stored(tenantId, id))
      assert.strictEqual(etag, `"${body.delivery.lockVersion}"`)
      const ledger = yield* Ledger.Ledger
      const timeline = yield* ledger.timeline({ tenantId, deliveryId: id })
      assert.deepStrictEqual(
        body.timeline.map(({ details, event, linkedBy }) => [encodeEvent(event), linkedBy, details]),
        timeline.map(({ details, event, linkedBy }) => [encodeEvent(event), linkedBy, details])
      )
      assert.isTrue(body.timeline.some(({ event, linkedBy }) => event.id === eventId && Option.isSome(linkedBy)))
      const before = yield* client.deliveries.get({ params: { id }, headers, query: { asOf: Given.noon } })
      assert.lengthOf(before.body.timeline, 0)
    }),
    dispatch: Effect.fnUntraced(function*({ client, tenantId }) {
      yield* orphan(tenantId)
      const { id } = yield* Given.recorded(tenantId)
      const request = {
        params: { id },
        headers: { "if-match": "\"1\"" },
        payload: { provider: Given.provider, providerMessageId: "m-1" }
      }
      const { body } = yield* client.deliveries.dispatch(request)
      assert.strictEqual(body.linked, 1)
      same(body.delivery, yield* stored(tenantId, id))
      assert.strictEqual((yield* Effect.flip(client.deliveries.dispatch(request)))._tag, "PreconditionFailed")
    }),
    fail: Effect.fnUntraced(function*({ client, tenantId }) {
      const { id } = yield* Given.recorded(tenantId)
      const request = {
        params: { id },
        headers: { "if-match": "1" },
        payload: { error: { code: "timeout", message: "slow" }, final: true, attempt: 1 }
      }
      const { body } = yield* client.deliveries.fail(request)
      assert.deepStrictEqual([body.attempt, body.noted, body.delivery.status], [1, true, "failed"])
      same(body.delivery, yield* stored(tenantId, id))
      assert.strictEqual((yield* Effect.flip(client.deliveries.fail(request)))._tag, "PreconditionFailed")
      assert.isFalse((yield* client.deliveries.fail({ ...request, headers })).body.noted)
    }),
    suppress: Effect.fnUntraced(function*({ client, tenantId }) {
      const { id } = yield* Given.recorded(tenantId)
      const request = { params: { id }, headers: { "if-match": "1" }, payload: { because: "a test" } }
      const { body } = yield* client.deliveries.suppress(request)
      assert.deepStrictEqual([body.noted, body.delivery.status], [true, "suppressed"])
      same(body.delivery, yield* stored(tenantId, id))
      assert.strictEqual((yield* Effect.flip(client.deliveries.suppress(request)))._tag, "PreconditionFailed")
    })
  },
  recipients: {
    history: Effect.fnUntraced(function*({ client, tenantId }) {
      const [one, two] = [yield* Given.recorded(tenantId), yield* Given.recorded(tenantId)]
      const about = { recipient: Given.address("ANN@example.com"), limit: 1 }
      const first = yield* client.recipients.history({ headers, payload: about })
      const after = Option.getOrThrow(first.next)
      const second = yield* client.recipients.history({ headers, payload: { ...about, after } })
      const stories = [...first.deliveries, ...second.deliveries]
      assert.sameMembers(stories.map(({ delivery }) => delivery.id), [one.id, two.id])
      assert.deepStrictEqual(stories.map(({ timeline }) => timeline.map(({ event }) => event.type)), [["queued"], [
        "queued"
      ]])
    }),
    forget: Effect.fnUntraced(function*({ client, tenantId }) {
      const { id } = yield* Given.recorded(tenantId)
      const forgotten = yield* client.recipients.forget({ headers, payload: { recipient: Given.recipient } })
      assert.deepStrictEqual(forgotten, { deliveries: 1, orphans: 0, webhooks: 0 })
      assert.deepStrictEqual((yield* stored(tenantId, id)).recipient, Option.none())
    })
  },
  suppressions: {
    check: Effect.fnUntraced(function*({ client, tenantId }) {
      yield* suppressed(tenantId)
      const { suppressions } = yield* client.suppressions.check({
        headers,
        payload: { recipients: [Given.recipient, Given.address("bob@example.com")], stream: "bulk" }
      })
      assert.deepStrictEqual(suppressions.map(({ reason, recipient }) => [reason, Option.getOrNull(recipient)]), [
        ["bounced", Given.recipient]
      ])
    }),
    list: Effect.fnUntraced(function*({ client, tenantId }) {
      yield* suppressed(tenantId)
      yield* suppressed(tenantId, Given.address("bob@example.com"))
      const query = { reason: "bounced", stream: "bulk", limit: 1 } as const
      const first = yield* client.suppressions.list({ headers, query })
      const second = yield* client.suppressions.list({
        headers,
        query: { ...query, after: Option.getOrThrow(first.next) }
      })
      assert.sameMembers(
        [...first.suppressions, ...second.suppressions].map(({ recipient }) => Option.getOrNull(recipient)),
        ["ann@example.com", "bob@example.com"]
      )
      assert.lengthOf(
        (yield* client.suppressions.list({ headers, query: { to: Given.noon } })).suppressions,
        0
      )
    }),
    history: Effect.fnUntraced(function*({ client, tenantId }) {
      yield* suppressed(tenantId)
      const { entries } = yield* client.suppressions.history({
        headers,
        payload: { recipient: Given.address("ANN@example.com"), limit: 5 }
      })
      const suppressions = yield* Suppressions.Suppressions
      const kept = yield* suppressions.history({ tenantId, recipient: Given.recipient, limit: 5 })
      assert.deepStrictEqual(entries.map(({ at, ...entry }) => [DateTime.formatIso(at), entry.reason]), [
        [DateTime.formatIso(kept[0]?.at ?? assert.fail()), "bounced"]
      ])
      assert.deepStrictEqual(
        entries.map(({ act, lifts }) => [lifts, Option.map(act, ({ actor, kind }) => [kind, actor])]),
        [[false, Option.some(["add", Option.some("ann")])]]
      )
    }),
    add: Effect.fnUntraced(function*({ client, tenantId }) {
      const { outcomes } = yield* client.suppressions.add({
        headers,
        payload: { additions: [{ recipient: Given.recipient, reason: "manual", stream: "bulk" }], because: "asked" }
      })
      assert.deepStrictEqual(outcomes, ["Added"])
      const refused = yield* client.deliveries.record({ headers, payload })
      assert.strictEqual(Option.getOrThrow(refused.body.suppressedBy).reason, "manual")
      same(refused.body.delivery, yield* stored(tenantId, refused.body.delivery.id))
      const ignoring = { ...payload, ignoreSuppression: true }
      assert.isTrue(Option.isNone((yield* client.deliveries.record({ headers, payload: ignoring })).body.suppressedBy))
    }),
    lift: Effect.fnUntraced(function*({ client, tenantId }) {
      yield* suppressed(tenantId)
      const lift = { headers, payload: { recipient: Given.recipient, reason: "bounced", because: "mended" } } as const
      assert.lengthOf((yield* client.suppressions.lift(lift)).suppressions, 1)
      assert.strictEqual((yield* Effect.flip(client.suppressions.lift(lift)))._tag, "UnprocessableContent")
      const suppressions = yield* Suppressions.Suppressions
      assert.deepStrictEqual(
        yield* suppressions.check({ tenantId, recipients: [Given.recipient], stream: Option.none() }),
        []
      )
    })
  },
  orphans: {
    list: Effect.fnUntraced(function*({ client, tenantId }) {
      const waiting = [yield* orphan(tenantId, "m-1"), yield* orphan(tenantId, "m-2")]
      const first = yield* client.orphans.list({ headers, query: { limit: 1 } })
      const after = Option.getOrThrow(first.next)
      const second = yield* client.orphans.list({ headers, query: { limit: 1, after } })
      assert.sameMembers([...first.orphans, ...second.orphans].map(({ event }) => event.id), waiting)
      assert.lengthOf((yield* client.orphans.list({ headers, query: { failed: "true" } })).orphans, 0)
    }),
    explain: Effect.fnUntraced(function*({ client, tenantId }) {
      const id = yield* orphan(tenantId)
      const { state } = yield* client.orphans.explain({ params: { id }, headers })
      assert.deepStrictEqual([state, yield* explained(tenantId, id)], ["NoDelivery", "NoDelivery"])
    }),
    link: Effect.fnUntraced(function*({ client, tenantId }) {
      const id = yield* orphan(tenantId)
      const { id: deliveryId } = yield* Given.recorded(tenantId)
      const request = { params: { id }, payload: { deliveryId } }
      const stale = yield* Effect.flip(client.orphans.link({ ...request, headers: { "if-match": "\"7\"" } }))
      assert.strictEqual(stale._tag, "PreconditionFailed")
      const linked = yield* client.orphans.link({ ...request, headers: { "if-match": "\"1\"" } })
      assert.deepStrictEqual(linked, { eventId: id, deliveryId, linked: true })
      assert.strictEqual(yield* explained(tenantId, id), "Linked")
    }),
    dismiss: Effect.fnUntraced(function*({ client, tenantId }) {
      const id = yield* orphan(tenantId)
      assert.isTrue((yield* client.orphans.dismiss({ params: { id }, headers })).dismissed)
      assert.isFalse((yield* client.orphans.dismiss({ params: { id }, headers })).dismissed)
      assert.strictEqual(yield* explained(tenantId, id), "Dismissed")
    }),
    retry: Effect.fnUntraced(function*({ client, tenantId }) {
      const id = yield* orphan(tenantId)
      assert.deepStrictEqual(yield* client.orphans.retry({ params: { id }, headers }), { eventId: id, retried: false })
    })
  },
  webhooks: {
    list: Effect.fnUntraced(function*({ client, tenantId }) {
      const kept = [yield* webhook(tenantId), yield* webhook(tenantId)]
      const query = { limit: 1, status: "processing" } as const
      const first = yield* client.webhooks.list({ headers, query })
      const second = yield* client.webhooks.list({ headers, query: { ...query, after: Option.getOrThrow(first.next) } })
      assert.sameMembers([...first.webhooks, ...second.webhooks].map(({ id }) => id), kept.map(({ id }) => id))
    }),
    show: Effect.fnUntraced(function*({ client, tenantId }) {
      const { id } = yield* webhook(tenantId)
      const shown = yield* client.webhooks.show({ params: { id }, headers })
      assert.deepStrictEqual([shown.id, shown.body, shown.encoding, shown.headers], [id, "{}", "text", { "x-a": "b" }])
    }),
    replay: Effect.fnUntraced(function*({ client, tenantId }) {
      const { id } = yield* webhook(tenantId)
      assert.deepStrictEqual(yield* client.webhooks.replay({ params: { id }, headers }), { id, status: "received" })
    })
  },
  feed: {
    changes: Effect.fnUntraced(function*({ client, tenantId }) {
      const { id } = yield* Given.dispatched(tenantId, "m-1")
      const seen: Array<string> = []
      let after = Cursor.start
      while (seen.length < 2) {
        const { changes, next } = yield* client.feed.changes({ headers, query: { after, limit: 1 } })
        seen.push(...changes.map(({ event }) => `${event.type} ${Option.getOrNull(event.deliveryId)}`))
        after = next
      }
      assert.deepStrictEqual(seen, [`queued ${id}`, `dispatched ${id}`])
    }),
    stream: Effect.fnUntraced(function*({ client, tenantId }) {
      yield* Given.dispatched(tenantId, "m-1")
      const follow = Effect.fnUntraced(function*(headers: { readonly "last-event-id"?: Cursor.Cursor }) {
        const stream = yield* client.feed.stream({ headers, query: {} })
        const blocks = yield* stream.pipe(
          Stream.decodeText,
          Stream.splitLines,
          Stream.filter((line) => /^(?:id|event): /.test(line)),
          Stream.take("last-event-id" in headers ? 2 : 4),
          Stream.runCollect
        )
        return blocks.map((line) => line.replace(/^\w+: /, ""))
      })
      const [first = "", queued, second, dispatched] = yield* follow({})
      assert.deepStrictEqual([queued, dispatched], ["queued", "dispatched"])
      assert.deepStrictEqual(yield* follow({ "last-event-id": Cursor.Cursor.make(first) }), [second, "dispatched"])
    })
  },
  sweeps: {
    list: Effect.fnUntraced(function*({ client, tenantId }) {
      assert.strictEqual((yield* Effect.flip(client.sweeps.list({ headers, query: {} })))._tag, "Forbidden")
      const ticks = yield* Ticks.Ticks
      const schedule = `schedule of ${tenantId}`
      yield* ticks.claim({ schedule, tick: Given.noon, node: "node" })
      const everywhere = yield* Served.client(yield* Served.token("read", Tenant.all))
      const { sweeps } = yield* everywhere.sweeps.list({ headers, query: { schedule, limit: 3 } })
      assert.deepStrictEqual(sweeps.map(({ node }) => node), ["node"])
    })
  }
}

for (const [name, storage] of [["in memory", Served.memory], ["on PostgreSQL", Served.postgres]] as const) {
  layer(Served.served(storage), { excludeTestServices: true, timeout: 60_000 })(`the typed client ${name}`, (it) => {
    for (const [group, endpoints] of Object.entries(calls)) {
      for (const [endpoint, call] of Object.entries(endpoints)) {
        it.effect(`calls ${group}.${endpoint}`, () =>
          Effect.gen(function*() {
            const tenantId = yield* Given.tenant
            const client = yield* Served.client(yield* Served.token("operate", tenantId))
            yield* call({ client, tenantId })
          }))
      }
    }

    it.effect("has a call for every endpoint of the contract", () =>
      Effect.sync(() => {
        const called = Object.entries(calls).flatMap(([group, endpoints]) =>
          Object.keys(endpoints).map((endpoint) => `${group}.${endpoint}`)
        )
        assert.sameMembers(called, [...Requests.endpoints])
      }))
  })
}
