/** Who is let in, to what, and what is refused, over a real server. */
import { assert, layer } from "@effect/vitest"
import { ApiServer, Authentication, Requests } from "@waybill/api"
import { Inbox, Ledger, Tenant, Tokens } from "@waybill/core"
import { Given } from "@waybill/storage/testing"
import { ByteSize, Duration, Effect, Layer, Metric, Option, Redacted } from "effect"
import { connect } from "node:net"
import * as Served from "./Served.ts"

const welcome = { recipient: "ann@example.com", mailable: "welcome", stream: "transactional" }

const nowhere = "01890a5d-ac96-774b-bcce-b302099a8057"

/** Every operation of the document, with a path that names nothing. */
const operations = Object.entries(ApiServer.document().paths).flatMap(([path, item]) =>
  (["get", "post"] as const).flatMap((method) => {
    const operation = item[method]
    return operation === undefined ? [] : [{ id: operation.operationId, method: method.toUpperCase(), path }]
  })
)

const at = (path: string): string => path.replace(/\{[^}]+\}/g, nowhere)

const roles: Readonly<Record<string, ReadonlyArray<Tokens.Role>>> = {
  "deliveries.record": ["send", "operate"],
  "deliveries.recordMany": ["send", "operate"],
  "deliveries.search": ["read", "operate"],
  "deliveries.fail": ["send", "operate"],
  "deliveries.suppress": ["send", "operate"],
  "recipients.history": ["read", "operate"],
  "deliveries.get": ["send", "read", "operate"],
  "deliveries.dispatch": ["send", "operate"],
  "recipients.forget": ["operate"],
  "suppressions.check": ["send", "read", "operate"],
  "suppressions.list": ["read", "operate"],
  "suppressions.history": ["read", "operate"],
  "suppressions.add": ["operate"],
  "suppressions.lift": ["operate"],
  "orphans.list": ["read", "operate"],
  "orphans.explain": ["read", "operate"],
  "orphans.link": ["operate"],
  "orphans.dismiss": ["operate"],
  "orphans.retry": ["operate"],
  "webhooks.list": ["read", "operate"],
  "webhooks.show": ["read", "operate"],
  "webhooks.replay": ["operate"],
  "feed.changes": ["read", "operate"],
  "feed.stream": ["read", "operate"],
  "sweeps.list": ["read", "operate"]
}

const isProblem = (answer: Served.Answer, status: number): void => {
  assert.strictEqual(answer.status, status, answer.text)
  assert.match(answer.type ?? "", /^application\/problem\+json/, answer.text)
  assert.strictEqual(answer.body.status, status)
  assert.isString(answer.body.tag)
}

layer(Served.served(Served.memory), { excludeTestServices: true, timeout: 60_000 })("the API lets in", (it) => {
  it.effect("nobody without a token that is in force", () =>
    Effect.gen(function*() {
      const tokens = yield* Tokens.Tokens
      const scope = yield* Given.tenant
      const { text, token } = yield* tokens.create({ scope, name: "x", role: "operate", expiresAt: Option.none() })
      yield* tokens.revoke(scope, token.id)
      const good = yield* Served.token("operate", scope)
      const wrong = [
        undefined,
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        `Basic ${good}`,
        `Bearer ${good}x`,
        `Bearer ${good.slice(0, -1)}`,
        `Bearer ${good} ${good}`,
        `Bearer ${"x".repeat(10_000)}`,
        `Bearer ${Redacted.value(text)}`
      ]
      for (const { method, path } of operations) {
        for (const authorization of path.includes("{") ? wrong.slice(0, 2) : wrong) {
          const headers = authorization === undefined ? {} : { authorization }
          const answer = yield* Served.send(method, at(path), { headers, ...method === "POST" && { body: welcome } })
          isProblem(answer, 401)
          assert.notInclude(answer.text, good)
        }
      }
    }))

  it.effect("each role to what it is for", () =>
    Effect.gen(function*() {
      assert.sameMembers(operations.map(({ id }) => id), Object.keys(roles))
      for (const role of Tokens.Role.literals) {
        const token = yield* Served.token(role, Tenant.all)
        for (const { id, method, path } of operations) {
          if (id === "feed.stream" && roles[id]?.includes(role)) continue
          const { body, status } = yield* Served.send(method, at(path), {
            token,
            ...method === "POST" && { body: {} }
          })
          const isRefused = !roles[id]?.includes(role)
          assert.deepStrictEqual(
            [status === 403, body.tag === "RoleTooSmall"],
            [isRefused, isRefused],
            `${role} ${id} ${status}`
          )
          assert.isBelow(status, 500)
        }
      }
    }))

  it.effect("a tenant to its own rows, and shows it no other's", () =>
    Effect.gen(function*() {
      const [one, other] = [yield* Given.tenant, yield* Given.tenant]
      const token = yield* Served.token("operate", one)
      const { id } = yield* Given.recorded(other)
      isProblem(yield* Served.send("GET", `/api/deliveries/${id}`, { token }), 404)
      const dispatch = { token, body: { provider: "postmark", providerMessageId: "m" } }
      isProblem(yield* Served.send("POST", `/api/deliveries/${id}/dispatch`, dispatch), 404)
      for (const { method, path } of operations) {
        const headers = { "waybill-tenant": other }
        const answer = yield* Served.send(method, at(path), { token, headers, ...method === "POST" && { body: {} } })
        isProblem(answer, path === "/api/sweeps" ? 403 : 404)
      }
      assert.deepStrictEqual((yield* Served.send("GET", "/api/deliveries", { token })).body.deliveries, [])
      const named = yield* Served.send("GET", "/api/deliveries", { token, headers: { "waybill-tenant": one } })
      assert.strictEqual(named.status, 200)
    }))

  it.effect("nobody to what another tenant has, by whatever endpoint its id is named", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const [one, other] = [yield* Given.tenant, yield* Given.tenant]
      const token = yield* Served.token("operate", one)
      const waiting = Effect.fnUntraced(function*(tenantId: Tenant.TenantId) {
        const [outcome] = yield* ledger.append(tenantId, [Given.report("opened", "m-1")])
        return outcome === undefined || Ledger.isConflict(outcome) ? assert.fail() : outcome.eventId
      })
      const webhook = yield* Inbox.Inbox.use((inbox) =>
        inbox.store({
          tenantId: other,
          provider: Given.provider,
          headers: {},
          body: new TextEncoder().encode("{}"),
          token: Option.none()
        })
      )
      const { id: deliveryId } = yield* Given.recorded(other)
      const ids: Readonly<Record<string, string>> = {
        deliveries: deliveryId,
        orphans: yield* waiting(other),
        webhooks: webhook.id
      }
      const bodies: Readonly<Record<string, unknown>> = {
        "deliveries.dispatch": { provider: "postmark", providerMessageId: "m-2" },
        "deliveries.fail": { error: { code: "timeout" }, final: true },
        "deliveries.suppress": {},
        "orphans.link": { deliveryId }
      }
      const before = yield* ledger.timeline({ tenantId: other, deliveryId })
      const named = operations.filter(({ path }) => path.includes("{id}"))
      assert.lengthOf(named, 10)
      for (const { id, method, path } of named) {
        const [group = ""] = id.split(".")
        const url = path.replace("{id}", ids[group] ?? assert.fail(id))
        isProblem(yield* Served.send(method, url, { token, body: bodies[id] }), 404)
      }
      const link = { token, body: { deliveryId } }
      isProblem(yield* Served.send("POST", `/api/orphans/${yield* waiting(one)}/link`, link), 404)
      assert.deepStrictEqual(yield* ledger.timeline({ tenantId: other, deliveryId }), before)
      assert.lengthOf(
        (yield* Served.send("GET", "/api/orphans", { token: yield* Served.token("read", other) })).body.orphans,
        1
      )
    }))

  it.effect("a caller of all tenants to the one that it names", () =>
    Effect.gen(function*() {
      const token = yield* Served.token("operate", Tenant.all)
      const tenantId = yield* Given.tenant
      const { id } = yield* Given.recorded(tenantId)
      isProblem(yield* Served.send("GET", `/api/deliveries/${id}`, { token }), 404)
      const named = { token, headers: { "waybill-tenant": tenantId } }
      assert.strictEqual((yield* Served.send("GET", `/api/deliveries/${id}`, named)).body.delivery.tenantId, tenantId)
      const recorded = yield* Served.send("POST", "/api/deliveries", { token, body: welcome })
      assert.strictEqual(recorded.body.delivery.tenantId, "default")
      isProblem(yield* Served.send("GET", "/api/orphans", { token, headers: { "waybill-tenant": "a b" } }), 400)
    }))

  it.effect("no input that is not what the contract says, in words that repeat none of it", () =>
    Effect.gen(function*() {
      const token = yield* Served.token("operate", yield* Given.tenant)
      const bad: ReadonlyArray<readonly [unknown, RegExp]> = [
        ["", /^body/],
        ["{", /^body: /],
        ["[]", /^body/],
        ["null", /^body/],
        [{}, /^body\./],
        [{ ...welcome, recipient: "secret-nobody" }, /^body\.recipient: must be a bare address/],
        [{ ...welcome, recipient: 7 }, /^body\.recipient: /],
        [{ ...welcome, stream: "secret-junk" }, /^body\.stream: /],
        [{ ...welcome, tenantId: "secret-other" }, /^body\.tenantId: /],
        [{ ...welcome, mailable: "secret\u0000" }, /^body\.mailable: /],
        [{ ...welcome, metadata: { a: "\u0000secret" } }, /^body\.metadata/],
        [{ ...welcome, id: "secret" }, /^body\.id: /]
      ]
      for (const [body, says] of bad) {
        const answer = yield* Served.send("POST", "/api/deliveries", { token, body })
        isProblem(answer, 400)
        assert.match(answer.body.detail, says)
        assert.notInclude(answer.text, "secret")
      }
      for (
        const path of [
          "deliveries/secret",
          "deliveries?limit=0",
          "deliveries?limit=1e9",
          "feed?after=secret",
          "orphans?after=x"
        ]
      ) {
        isProblem(yield* Served.send("GET", `/api/${path}`, { token }), 400)
      }
      for (const header of [{ "idempotency-key": "a b" }, { "if-match": "*" }]) {
        const answer = yield* Served.send(
          "POST",
          `/api/deliveries${"if-match" in header ? `/${nowhere}/dispatch` : ""}`,
          {
            token,
            headers: header,
            body: "if-match" in header ? { provider: "ses", providerMessageId: "m" } : welcome
          }
        )
        isProblem(answer, 400)
      }
      const text = yield* Served.send("POST", "/api/deliveries", {
        token,
        body: "recipient=a@b.c",
        headers: { "content-type": "text/plain" }
      })
      isProblem(text, 415)
      assert.deepStrictEqual((yield* Served.send("GET", "/api/deliveries", { token })).body.deliveries, [])
    }))

  it.effect("nobody uncounted: by endpoint and class of status, and by nothing that a request says", () =>
    Effect.gen(function*() {
      const token = yield* Served.token("operate", yield* Given.tenant)
      const counted = Effect.map(Metric.snapshot, (snapshot) =>
        new Map(
          snapshot.filter(({ id }) => id === "waybill_api_requests_total").map(({ attributes, state }) => [
            `${attributes?.["endpoint"]} ${attributes?.["status"]}`,
            "count" in state ? Number(state.count) : 0
          ])
        ))
      const before = yield* counted
      assert.sameMembers(
        [...before.keys()],
        Requests.endpoints.flatMap((endpoint) => ["2xx", "4xx", "5xx"].map((status) => `${endpoint} ${status}`))
      )
      yield* Served.send("POST", "/api/deliveries", { token, body: welcome })
      yield* Served.send("POST", "/api/deliveries", { token, body: {} })
      yield* Served.send("POST", "/api/deliveries", { body: welcome })
      yield* Served.send("GET", `/api/deliveries/${nowhere}`, { token })
      const after = yield* counted
      assert.deepStrictEqual(
        [...after].flatMap(([name, count]) => {
          const more = count - (before.get(name) ?? 0)
          return more === 0 ? [] : [`${name} ${more}`]
        }).toSorted(),
        ["deliveries.get 4xx 1", "deliveries.record 2xx 1", "deliveries.record 4xx 2"]
      )
      const took = yield* Metric.value(Metric.withAttributes(Requests.requestDuration, { endpoint: "deliveries.get" }))
      assert.isAbove(took.count, 0)
    }))

  it.effect("no path and no method that the contract lacks", () =>
    Effect.gen(function*() {
      const token = yield* Served.token("operate", Tenant.all)
      for (
        const [method, path] of [["GET", "/api/nothing"], ["DELETE", "/api/deliveries"], ["GET", "/api"], [
          "PUT",
          "/api/feed"
        ]]
      ) {
        isProblem(yield* Served.send(method ?? "", path ?? "", { token }), 404)
      }
    }))
})

layer(
  Served.served(Served.memory, { maxBodySize: ByteSize.kilobytes(10), bodyTimeout: Duration.millis(300) }),
  { excludeTestServices: true, timeout: 60_000 }
)("the API takes no body", (it) => {
  it.effect("that is larger than the limit, announced or not", () =>
    Effect.gen(function*() {
      const token = yield* Served.token("send", Tenant.all)
      const body = JSON.stringify({ ...welcome, metadata: { a: "x".repeat(11_000) } })
      isProblem(yield* Served.send("POST", "/api/deliveries", { token, body }), 413)
      const url = yield* Served.Url
      const response = yield* Effect.promise(() =>
        fetch(`${url}/api/deliveries`, {
          method: "POST",
          headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
          body: new Blob([body]).stream(),
          duplex: "half"
        })
      )
      assert.strictEqual(response.status, 413)
      assert.strictEqual((yield* Served.send("POST", "/api/deliveries", { token, body: welcome })).status, 200)
    }))

  it.effect("that does not arrive in time", () =>
    Effect.gen(function*() {
      const token = yield* Served.token("send", Tenant.all)
      const { hostname, port } = new URL(yield* Served.Url)
      const answer = yield* Effect.callback<string>((resume) => {
        const socket = connect(Number(port), hostname)
        socket.setEncoding("utf8").on("data", (text: string) => resume(Effect.succeed(text)))
        socket.on("error", (error) => resume(Effect.die(error)))
        socket.on("close", () => resume(Effect.succeed("cut")))
        socket.write(
          `POST /api/deliveries HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n` +
            "content-type: application/json\r\ncontent-length: 100\r\n\r\n{"
        )
        return Effect.sync(() => socket.destroy())
      })
      assert.match(answer, /^(?:HTTP\/1.1 408 [^]+application\/problem\+json|cut$)/)
    }))
})

layer(
  Served.served(Served.memory, { maxBodiesInFlight: ByteSize.kilobytes(20) }),
  { excludeTestServices: true, timeout: 60_000 }
)("the API has no room", (it) => {
  it.effect("for a body beside another that fills the budget, and has when that is gone", () =>
    Effect.gen(function*() {
      const token = yield* Served.token("send", Tenant.all)
      const { hostname, port } = new URL(yield* Served.Url)
      const record = Served.send("POST", "/api/deliveries", { token, body: welcome })
      yield* Effect.scoped(Effect.gen(function*() {
        const socket = yield* Effect.acquireRelease(
          Effect.callback<ReturnType<typeof connect>>((resume) => {
            const socket = connect(Number(port), hostname, () => resume(Effect.succeed(socket)))
            socket.on("error", () => {})
          }),
          (socket) => Effect.sync(() => socket.destroy())
        )
        socket.write(
          `POST /api/deliveries HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n` +
            "content-type: application/json\r\ncontent-length: 30000\r\n\r\n{"
        )
        const refused = yield* record.pipe(
          Effect.delay("20 millis"),
          Effect.repeat({ until: ({ status }) => status !== 200, times: 200 })
        )
        isProblem(refused, 503)
        assert.strictEqual(refused.body.tag, "OverBudget")
      }))
      const later = yield* record.pipe(
        Effect.delay("20 millis"),
        Effect.repeat({ until: ({ status }) => status === 200, times: 200 })
      )
      assert.strictEqual(later.status, 200)
      const large = { ...welcome, metadata: { a: "x".repeat(30_000) } }
      assert.notStrictEqual((yield* Served.send("POST", "/api/deliveries", { token, body: large })).status, 503)
    }))
})

layer(
  Served.served(
    Served.memory,
    {},
    Layer.succeed(Authentication.Authentication, {
      authenticate: ({ cookies }) =>
        Effect.succeed(
          cookies["session"] === "ann"
            ? Option.some({ name: "ann", role: "operate", scope: Tenant.TenantId.make("acme") })
            : Option.none()
        )
    })
  ),
  { excludeTestServices: true, timeout: 60_000 }
)("an application with log-ins of its own", (it) => {
  it.effect("lets its users in, and tokens no more", () =>
    Effect.gen(function*() {
      const token = yield* Served.token("operate", Tenant.all)
      isProblem(yield* Served.send("GET", "/api/deliveries", { token }), 401)
      const headers = { cookie: "session=ann" }
      const recorded = yield* Served.send("POST", "/api/deliveries", { headers, body: welcome })
      assert.strictEqual(recorded.body.delivery.tenantId, "acme")
      const ledger = yield* Ledger.Ledger
      const tenantId = Tenant.TenantId.make("acme")
      assert.lengthOf(yield* ledger.deliveries({ tenantId, after: Option.none(), limit: 10 }), 1)
    }))
})
