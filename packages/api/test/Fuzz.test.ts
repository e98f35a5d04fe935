/** Whatever is sent to whatever endpoint, the server never fails, and answers what the ports answer after any history. */
import { assert, layer } from "@effect/vitest"
import { ApiServer } from "@waybill/api"
import { Delivery, Event, Ledger, Orphans, Tenant } from "@waybill/core"
import { Generators, History } from "@waybill/storage/testing"
import { Arbitrary, Effect, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Served from "./Served.ts"

const encodeDelivery = Schema.encodeSync(Delivery.Delivery)
const encodeEvent = Schema.encodeSync(Event.Event)

const operations = Object.entries(ApiServer.document().paths).flatMap(([path, item]) =>
  (["get", "post"] as const).flatMap((method) => {
    const operation = item[method]
    return operation === undefined || path.endsWith("/stream")
      ? []
      : [{ method: method.toUpperCase(), path, operation }]
  })
)

/** Odd values, as any client may send them. */
const odd: ReadonlyArray<unknown> = [
  null,
  true,
  -1,
  1e308,
  "",
  "a",
  "\u0000",
  "\ud800",
  "' OR 1=1 --",
  "x".repeat(1200),
  "ann@example.com",
  "../../etc/passwd",
  "01890a5d-ac96-774b-bcce-b302099a8057",
  "2026-03-01T12:00:00.000Z",
  "99999999999999999999.99999999999999999999",
  "-999999999999999.01890a5d-ac96-774b-bcce-b302099a8057",
  "transactional",
  [],
  {},
  { "__proto__": { a: 1 } },
  [[[[[[1]]]]]]
]

const fields = [
  "recipient",
  "mailable",
  "stream",
  "id",
  "metadata",
  "deliveries",
  "provider",
  "providerMessageId",
  "deliveryId",
  "error",
  "final",
  "attempt",
  "because",
  "limit",
  "after"
]

const one = Schema.Struct({
  operation: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: operations.length - 1 })),
  picks: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))).check(
    Schema.isMinLength(12),
    Schema.isMaxLength(24)
  )
})

for (const [name, storage] of [["in memory", Served.memory], ["on PostgreSQL", Served.postgres]] as const) {
  layer(Served.served(storage), { excludeTestServices: true, timeout: 120_000 })(`hostile requests ${name}`, (it) => {
    it.effect("are never answered by a failure of the server", () =>
      Effect.gen(function*() {
        const token = yield* Served.token("operate", Tenant.all)
        const seen = new Map<number, number>()
        const result = yield* Arbitrary.checkEffect(Arbitrary.schema(one), ({ operation, picks }) =>
          Effect.gen(function*() {
            const { method, operation: { parameters }, path } = operations[operation] ?? assert.fail()
            let at = 0
            const pick = () =>
              odd[(picks[at++ % picks.length] ?? 0) % odd.length]
            const text = () => {
              const value = pick()
              return encodeURIComponent(
                typeof value === "string" ? value.toWellFormed() : JSON.stringify(value)
              )
            }
            const query = parameters.filter(({ in: place }) => place === "query").flatMap(({ name }) =>
              (picks[at++ % picks.length] ?? 0) % 3 === 0 ? [`${name}=${text()}`] : []
            )
            const body = Object.fromEntries(
              fields.flatMap((field) => (picks[at++ % picks.length] ?? 0) % 2 === 0 ? [[field, pick()]] : [])
            )
            const url = `${path.replace(/\{[^}]+\}/g, text)}?${query.join("&")}`
            const answer = yield* Served.send(method, url, {
              token,
              ...method === "POST" && { body: (picks[0] ?? 0) % 5 === 0 ? pick() : body }
            })
            seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1)
            assert.isBelow(answer.status, 500, `${method} ${url} ${answer.text}`)
            if (answer.status >= 400) assert.isString(answer.body?.tag ?? assert.fail(`${url} ${answer.status}`))
            return true
          }), { runs: 400, maxShrinks: 50 })
        assert.strictEqual(result._tag, "Passed", Arbitrary.formatCheckFailure(result))
        assert.isAbove(seen.size, 2)
      }), 120_000)

    it.effect("and the answers after any history are those of the ports", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const orphans = yield* Orphans.Orphans
        const result = yield* Arbitrary.checkEffect(Generators.history, (history) =>
          Effect.gen(function*() {
            const { tenants } = yield* Effect.provide(History.run(history), TestClock.layer())
            for (const tenantId of tenants) {
              const token = yield* Served.token("read", tenantId)
              const found = yield* Served.send("GET", "/api/deliveries", { token })
              const deliveries = yield* ledger.deliveries({ tenantId, after: Option.none(), limit: 100 })
              assert.sameDeepMembers(found.body.deliveries, deliveries.map((delivery) => encodeDelivery(delivery)))
              for (const delivery of deliveries) {
                const timeline = yield* ledger.timeline({ tenantId, deliveryId: delivery.id })
                const got = yield* Served.send("GET", `/api/deliveries/${delivery.id}`, { token })
                assert.deepStrictEqual(got.body, {
                  delivery: encodeDelivery(delivery),
                  timeline: timeline.map(({ details, event, linkedBy }) => ({
                    event: encodeEvent(event),
                    linkedBy: Option.getOrNull(linkedBy),
                    details: Option.getOrNull(details)
                  }))
                })
              }
              const waiting = yield* orphans.find({
                scope: tenantId,
                limit: 100,
                failedOnly: false,
                insertedFrom: Option.none()
              })
              const listed = yield* Served.send("GET", "/api/orphans", { token })
              assert.deepStrictEqual(
                listed.body.orphans.map((orphan: any) => orphan.event),
                waiting.map(({ event }) => encodeEvent(event))
              )
            }
            return true
          }), { runs: 25, size: Generators.size, maxShrinks: 100 })
        assert.strictEqual(result._tag, "Passed", Arbitrary.formatCheckFailure(result))
      }), 120_000)
  })
}
