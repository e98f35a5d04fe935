/** Every endpoint, by plain HTTP and by the typed client, over a real server on each storage. */
import { assert, layer } from "@effect/vitest"
import { Delivery, Event, Inbox, Ledger, Provider, Tenant, Ticks, type Tokens } from "@waybill/core"
import { Given } from "@waybill/storage/testing"
import { DateTime, Effect, Option, Schema } from "effect"
import * as Served from "./Served.ts"

const encodeDelivery = Schema.encodeSync(Delivery.Delivery)
const encodeEvent = Schema.encodeSync(Event.Event)

const welcome = { recipient: "ann@example.com", mailable: "welcome", stream: "transactional" }

const nowhere = "01890a5d-ac96-774b-bcce-b302099a8057"

const ofTenant = Effect.fnUntraced(function*(role: Tokens.Role) {
  const tenantId = yield* Given.tenant
  return { tenantId, token: yield* Served.token(role, tenantId) }
})

const problem = (answer: Served.Answer, status: number, tag: string): void => {
  assert.strictEqual(answer.status, status, answer.text)
  assert.match(answer.type ?? "", /^application\/problem\+json/)
  assert.strictEqual(answer.body.tag, tag)
  assert.strictEqual(answer.body.status, status)
}

for (const [name, storage] of [["in memory", Served.memory], ["on PostgreSQL", Served.postgres]] as const) {
  layer(Served.served(storage), { excludeTestServices: true, timeout: 60_000 })(`the API ${name}`, (it) => {
    it.effect("records once per key, dispatches by version and tells what became of it", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const { tenantId, token } = yield* ofTenant("send")
        const record = { token, body: welcome, headers: { "idempotency-key": "k-1" } }
        const first = yield* Served.send("POST", "/api/deliveries", record)
        assert.strictEqual(first.status, 200, first.text)
        assert.deepStrictEqual(
          [first.body.created, first.body.linked, first.body.suppressedBy, first.headers.get("etag")],
          [true, 0, null, "\"1\""]
        )
        const { id } = first.body.delivery
        const key = { tenantId, deliveryId: id }
        const again = yield* Served.send("POST", "/api/deliveries", record)
        assert.deepStrictEqual([again.body.created, again.body.delivery], [false, first.body.delivery])
        problem(
          yield* Served.send("POST", "/api/deliveries", { ...record, body: { ...welcome, mailable: "other" } }),
          409,
          "DeliveryConflict"
        )
        yield* ledger.append(tenantId, [Given.report("delivered", "m-1")])
        const dispatch = { token, body: { provider: "postmark", providerMessageId: "m-1" } }
        const path = `/api/deliveries/${id}/dispatch`
        problem(
          yield* Served.send("POST", path, { ...dispatch, headers: { "if-match": "\"7\"" } }),
          412,
          "StaleDelivery"
        )
        const dispatched = yield* Served.send("POST", path, { ...dispatch, headers: { "if-match": "\"1\"" } })
        assert.deepStrictEqual([dispatched.status, dispatched.body.linked], [200, 1], dispatched.text)
        problem(
          yield* Served.send("POST", path, { token, body: { provider: "postmark", providerMessageId: "m-2" } }),
          409,
          "DispatchConflict"
        )
        const got = yield* Served.send("GET", `/api/deliveries/${id}`, { token })
        const delivery = Option.getOrThrow(yield* ledger.delivery(key))
        const timeline = yield* ledger.timeline(key)
        assert.deepStrictEqual(got.body, {
          delivery: encodeDelivery(delivery),
          timeline: timeline.map(({ details, event, linkedBy }) => ({
            event: encodeEvent(event),
            linkedBy: Option.getOrNull(linkedBy),
            details: Option.getOrNull(details)
          }))
        })
        assert.strictEqual(got.body.delivery.lastEventType, "delivered")
        assert.strictEqual(got.headers.get("etag"), `"${delivery.lockVersion}"`)
        const before = yield* Served.send("GET", `/api/deliveries/${id}?asOf=2000-01-01T00:00:00.000Z`, { token })
        assert.deepStrictEqual(before.body.timeline, [])
      }))

    it.effect("records a thousand in one call, and the bad one does not stop the rest", () =>
      Effect.gen(function*() {
        const { tenantId, token } = yield* ofTenant("send")
        const deliveries = Array.from({ length: 1000 }, (_, index) => ({ ...welcome, idempotencyKey: `k-${index}` }))
        deliveries[500] = { ...welcome, mailable: "other", idempotencyKey: "k-499" }
        const { body, status, text } = yield* Served.send("POST", "/api/deliveries/batch", {
          token,
          body: { deliveries }
        })
        assert.strictEqual(status, 200, text)
        assert.lengthOf(body.results, 1000)
        const refused = body.results.filter((result: any) => result.problem !== undefined)
        assert.deepStrictEqual(refused.map((result: any) => result.problem.tag), ["DeliveryConflict"])
        const kept = yield* Ledger.Ledger.use((ledger) =>
          ledger.deliveries({ tenantId, after: Option.none(), limit: 10_000 })
        )
        assert.lengthOf(kept, 999)
        problem(
          yield* Served.send("POST", "/api/deliveries/batch", {
            token,
            body: { deliveries: [...deliveries, welcome] }
          }),
          400,
          "BadRequest"
        )
      }))

    it.effect("gives every page of a listing once", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const inbox = yield* Inbox.Inbox
        const { tenantId, token } = yield* ofTenant("read")
        for (let index = 0; index < 7; index++) {
          yield* Given.recorded(tenantId)
          yield* inbox.store({
            tenantId,
            provider: Given.provider,
            headers: {},
            body: new TextEncoder().encode(`{"n":${index}}`),
            token: Option.none()
          })
        }
        yield* ledger.append(tenantId, Array.from({ length: 7 }, (_, index) => Given.report("opened", `o-${index}`)))
        for (const [path, rows] of [["deliveries", "deliveries"], ["orphans", "orphans"], ["webhooks", "webhooks"]]) {
          const found: Array<string> = []
          let after = ""
          do {
            const { body } = yield* Served.send("GET", `/api/${path}?limit=3${after}`, { token })
            found.push(...body[rows ?? ""].map((row: any) => row.event?.id ?? row.id))
            after = body.next === null ? "" : `&after=${body.next}`
          } while (after !== "")
          assert.lengthOf(found, 7, path)
          assert.strictEqual(new Set(found).size, 7)
        }
      }))

    it.effect("explains an orphan, and links, dismisses and retries by hand", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const { tenantId, token } = yield* ofTenant("operate")
        const outcomes = yield* ledger.append(tenantId, [Given.report("opened", "m-1"), Given.report("clicked", "m-2")])
        const [one = "", other = ""] = outcomes.map((outcome) => Ledger.isConflict(outcome) ? "" : outcome.eventId)
        const explained = yield* Served.send("GET", `/api/orphans/${one}`, { token })
        assert.deepStrictEqual([explained.body.state, explained.body.deliveryId], ["NoDelivery", null])
        const { id } = yield* Given.recorded(tenantId)
        problem(
          yield* Served.send("POST", `/api/orphans/${one}/link`, {
            token,
            body: { deliveryId: id },
            headers: { "if-match": "9" }
          }),
          412,
          "StaleDelivery"
        )
        const link = { token, body: { deliveryId: id } }
        assert.isTrue((yield* Served.send("POST", `/api/orphans/${one}/link`, link)).body.linked)
        assert.isFalse((yield* Served.send("POST", `/api/orphans/${one}/link`, link)).body.linked)
        assert.isFalse((yield* Served.send("POST", `/api/orphans/${other}/retry`, { token })).body.retried)
        assert.isTrue((yield* Served.send("POST", `/api/orphans/${other}/dismiss`, { token })).body.dismissed)
        assert.strictEqual((yield* Served.send("GET", `/api/orphans/${other}`, { token })).body.state, "Dismissed")
        problem(yield* Served.send("GET", `/api/orphans/${nowhere}`, { token }), 404, "EventNotFound")
      }))

    it.effect("shows raw webhooks and lets one be processed again", () =>
      Effect.gen(function*() {
        const inbox = yield* Inbox.Inbox
        const { tenantId, token } = yield* ofTenant("operate")
        const store = (body: Uint8Array) =>
          inbox.store({ tenantId, provider: Given.provider, headers: { "x-a": "b" }, body, token: Option.none() })
        const text = yield* store(new TextEncoder().encode("{\"é\":1}"))
        const bytes = yield* store(new Uint8Array([255, 0, 1]))
        const shown = yield* Served.send("GET", `/api/webhooks/${text.id}`, { token })
        assert.deepStrictEqual(
          [shown.body.body, shown.body.encoding, shown.body.headers, shown.body.status],
          ["{\"é\":1}", "text", { "x-a": "b" }, "processing"]
        )
        const binary = yield* Served.send("GET", `/api/webhooks/${bytes.id}`, { token })
        assert.deepStrictEqual([binary.body.body, binary.body.encoding], ["/wAB", "base64"])
        const replayed = yield* Served.send("POST", `/api/webhooks/${text.id}/replay`, { token })
        assert.deepStrictEqual([replayed.status, replayed.body], [202, { id: text.id, status: "received" }])
        assert.deepStrictEqual(
          (yield* Served.send("GET", "/api/webhooks?status=received", { token })).body.webhooks.map((row: any) =>
            row.id
          ),
          [text.id]
        )
        problem(yield* Served.send("POST", `/api/webhooks/${nowhere}/replay`, { token }), 404, "WebhookNotFound")
      }))

    it.effect("forgets a recipient in deliveries and raw webhooks", () =>
      Effect.gen(function*() {
        const { tenantId, token } = yield* ofTenant("operate")
        yield* Given.recorded(tenantId)
        const { body } = yield* Served.send("POST", "/api/recipients/forget", {
          token,
          body: { recipient: "ANN@example.com" }
        })
        assert.deepStrictEqual(body, { deliveries: 1, orphans: 0, webhooks: 0 })
      }))

    it.effect("finds deliveries, and tells all that happened to a recipient", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const { tenantId, token } = yield* ofTenant("operate")
        const ada = Given.address("ada@example.com")
        const sent = yield* Given.dispatched(tenantId, "m-1", { recipient: ada })
        yield* Given.recorded(tenantId, { mailable: "other" })
        yield* ledger.append(tenantId, [Given.report("delivered", "m-1")])
        const found = Effect.fnUntraced(function*(query: string) {
          const { body, text } = yield* Served.send("GET", `/api/deliveries?${query}`, { token })
          assert.isDefined(body.deliveries, text)
          return body.deliveries.map((delivery: any) => delivery.mailable)
        })
        assert.deepStrictEqual(yield* found("recipient=ADA@example.com"), ["welcome"])
        assert.deepStrictEqual(yield* found("providerMessageId=%3Cm-1%3E"), ["welcome"])
        assert.deepStrictEqual(yield* found("lastEventType=delivered&recipientDomain=example.com"), ["welcome"])
        assert.deepStrictEqual(yield* found("stuckSeconds=0"), ["other"])
        assert.deepStrictEqual(yield* found("recordedFrom=2999-01-01T00:00:00.000Z"), [])
        const history = yield* Served.send("POST", "/api/recipients/history", { token, body: { recipient: ada } })
        assert.deepStrictEqual(
          history.body.deliveries.map(({ delivery, timeline }: any) => [
            delivery.id,
            timeline.map(({ event }: any) => event.type)
          ]),
          [[sent.id, ["delivered", "queued", "dispatched"]]]
        )
        assert.deepStrictEqual(history.body.suppressions, [])
        yield* ledger.append(tenantId, [Given.report("complained", "m-1")])
        const again = yield* Served.send("POST", "/api/recipients/history", { token, body: { recipient: ada } })
        assert.deepStrictEqual(again.body.suppressions.map(({ reason }: any) => reason), ["complained"])
        const { body } = yield* Served.send("GET", "/api/deliveries?limit=1", { token })
        problem(
          yield* Served.send("GET", `/api/deliveries?limit=1&stream=bulk&after=${body.next}`, { token }),
          422,
          "ForeignCursor"
        )
      }))

    it.effect("notes failed attempts and what is not sent on purpose", () =>
      Effect.gen(function*() {
        const { tenantId, token } = yield* ofTenant("send")
        const one = yield* Given.recorded(tenantId)
        const failing = {
          token,
          body: { error: { code: "timeout", message: "to ann@example.com" }, final: false, attempt: 1 }
        }
        const path = `/api/deliveries/${one.id}/fail`
        const failed = yield* Served.send("POST", path, failing)
        assert.deepStrictEqual([failed.body.attempt, failed.body.noted], [1, true], failed.text)
        assert.notInclude(JSON.stringify(failed.body.delivery.lastError), "ann@")
        assert.isFalse((yield* Served.send("POST", path, failing)).body.noted)
        problem(yield* Served.send("POST", path, { ...failing, headers: { "if-match": "9" } }), 412, "StaleDelivery")
        const other = yield* Given.recorded(tenantId)
        const suppressed = yield* Served.send("POST", `/api/deliveries/${other.id}/suppress`, { token, body: {} })
        assert.deepStrictEqual([suppressed.body.delivery.status, suppressed.body.noted], ["suppressed", true])
        problem(
          yield* Served.send("POST", path, { token, body: { error: { code: "a b" }, final: true } }),
          400,
          "BadRequest"
        )
      }))

    it.effect("suppresses by hand, refuses to record, tells why, and lifts", () =>
      Effect.gen(function*() {
        const { token } = yield* ofTenant("operate")
        const addition = { recipient: welcome.recipient, reason: "complained" }
        const added = yield* Served.send("POST", "/api/suppressions", { token, body: { additions: [addition] } })
        assert.deepStrictEqual(added.body, { outcomes: ["Added"] }, added.text)
        const recipients = Array.from({ length: 1000 }, (_, index) =>
          index === 0 ? welcome.recipient : `a${index}@b.example`)
        const checked = yield* Served.send("POST", "/api/suppressions/check", { token, body: { recipients } })
        assert.deepStrictEqual(checked.body.suppressions.map((found: any) => [found.recipient, found.reason]), [
          [welcome.recipient, "complained"]
        ])
        const recorded = yield* Served.send("POST", "/api/deliveries", { token, body: welcome })
        assert.deepStrictEqual(
          [recorded.body.delivery.status, recorded.body.suppressedBy?.reason],
          ["suppressed", "complained"]
        )
        const ignored = yield* Served.send("POST", "/api/deliveries", {
          token,
          body: { ...welcome, ignoreSuppression: true }
        })
        assert.deepStrictEqual([ignored.body.delivery.status, ignored.body.suppressedBy], ["queued", null])
        assert.lengthOf(
          (yield* Served.send("GET", "/api/suppressions?reason=complained", { token })).body.suppressions,
          1
        )
        problem(yield* Served.send("POST", "/api/suppressions/lift", { token, body: addition }), 422, "LiftRefused")
        const lift = { token, body: { ...addition, because: "asked for by phone" } }
        assert.lengthOf((yield* Served.send("POST", "/api/suppressions/lift", lift)).body.suppressions, 1)
        assert.isNull((yield* Served.send("POST", "/api/deliveries", { token, body: welcome })).body.suppressedBy)
      }))

    it.effect("reads the feed by cursor", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const { tenantId, token } = yield* ofTenant("read")
        yield* ledger.append(tenantId, Array.from({ length: 5 }, (_, index) => Given.report("opened", `f-${index}`)))
        const keys: Array<string> = []
        let after = ""
        while (keys.length < 5) {
          const { body } = yield* Served.send("GET", `/api/feed?limit=2${after}`, { token })
          keys.push(...body.changes.map((change: any) => change.event.idempotencyKey))
          after = `&after=${body.next}`
        }
        assert.sameMembers(keys, ["0", "1", "2", "3", "4"].map((index) => `opened-f-${index}`))
        problem(yield* Served.send("GET", "/api/feed?after=99999999999.5", { token }), 409, "CursorAhead")
      }))

    it.effect("lists the runs of the schedules to a caller of all tenants alone", () =>
      Effect.gen(function*() {
        const ticks = yield* Ticks.Ticks
        const schedule = `schedule of ${yield* Given.tenant}`
        yield* ticks.claim({ schedule, tick: Given.noon, node: "node" })
        const { body } = yield* Served.send("GET", `/api/sweeps?schedule=${encodeURIComponent(schedule)}`, {
          token: yield* Served.token("read", Tenant.all)
        })
        assert.deepStrictEqual(body.sweeps.map((sweep: any) => [sweep.schedule, sweep.tick, sweep.endedAt]), [
          [schedule, DateTime.formatIso(Given.noon), null]
        ])
        problem(
          yield* Served.send("GET", "/api/sweeps", { token: (yield* ofTenant("operate")).token }),
          403,
          "AllTenantsOnly"
        )
      }))

    it.effect("answers the typed client the same", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const { tenantId, token } = yield* ofTenant("operate")
        const client = yield* Served.client(token)
        const { body: { created, delivery }, headers } = yield* client.deliveries.record({
          headers: { "idempotency-key": Given.key("k-1") },
          payload: { recipient: Given.recipient, mailable: "welcome", stream: "bulk", metadata: { a: [1, null] } }
        })
        assert.deepStrictEqual([created, headers.etag], [true, "\"1\""])
        const key = { tenantId, deliveryId: delivery.id }
        assert.deepStrictEqual(encodeDelivery(delivery), encodeDelivery(Option.getOrThrow(yield* ledger.delivery(key))))
        yield* client.deliveries.dispatch({
          params: { id: delivery.id },
          headers: { "if-match": "\"1\"" },
          payload: { provider: Given.provider, providerMessageId: "m-1" }
        })
        const got = yield* client.deliveries.get({ params: { id: delivery.id }, headers: {}, query: {} })
        assert.deepStrictEqual(got.body.timeline.map(({ event }) => event.type), ["queued", "dispatched"])
        const stale = yield* Effect.flip(client.deliveries.dispatch({
          params: { id: delivery.id },
          headers: { "if-match": "\"1\"" },
          payload: { provider: Provider.Provider.make("ses"), providerMessageId: "m-2" }
        }))
        assert.strictEqual(stale._tag, "PreconditionFailed")
        const missing = yield* Effect.flip(
          client.deliveries.get({ params: { id: Event.DeliveryId.make(nowhere) }, headers: {}, query: {} })
        )
        assert.strictEqual(missing._tag, "NotFound")
        const [first] = (yield* client.deliveries.recordMany({
          headers: {},
          payload: { deliveries: [{ recipient: Given.recipient, mailable: "x", stream: "bulk" }] }
        })).results
        assert.isTrue(first !== undefined && "created" in first && first.created)
        assert.lengthOf((yield* client.deliveries.search({ headers: {}, query: {} })).deliveries, 2)
        assert.lengthOf((yield* client.orphans.list({ headers: {}, query: { limit: 3 } })).orphans, 0)
        assert.lengthOf((yield* client.webhooks.list({ headers: {}, query: {} })).webhooks, 0)
        const [change] = yield* client.feed.changes({ headers: {}, query: {} }).pipe(
          Effect.map(({ changes }) => changes),
          Effect.repeat({ until: ({ length }) => length > 0 })
        )
        assert.strictEqual(change?.event.type, "queued")
        const forgotten = yield* client.recipients.forget({ headers: {}, payload: { recipient: Given.recipient } })
        assert.strictEqual(forgotten.deliveries, 2)
      }))
  })
}
