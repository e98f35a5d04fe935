/**
 * Declares the contract of the `Inbox` port as a test suite that every adapter runs.
 *
 * The tests use tenants of their own, and the test clock for all times; some delete by age, so that the store is theirs alone.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import { type Event, Inbox, type InboxQuery, Ledger, Place, Provider, Recipient, Retry, Tenant } from "@waybill/core"
import { DateTime, Duration, Effect, type Layer, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import * as Given from "./Given.ts"
import * as Contract from "./internal/contract.ts"

const encoder = new TextEncoder()

const decoder = new TextDecoder()

const mailgun = Provider.Provider.make("mailgun")

const webhook = (
  tenantId: Tenant.TenantId,
  body: string | Uint8Array = "{}",
  fields: Partial<Inbox.NewWebhook> = {}
): Inbox.NewWebhook => ({
  tenantId,
  provider: Given.provider,
  headers: {},
  body: typeof body === "string" ? encoder.encode(body) : body,
  token: Option.none(),
  ...fields
})

const signed = (
  tenantId: Tenant.TenantId,
  body: string,
  value = "token",
  verifiedBy = tenantId
): Inbox.NewWebhook => webhook(tenantId, body, { provider: mailgun, token: Option.some({ value, verifiedBy }) })

const store = Effect.fnUntraced(function*(webhook: Inbox.NewWebhook) {
  const stored = yield* Inbox.Inbox.use((inbox) => inbox.store(webhook))
  if (stored._tag === "Repeated") return assert.fail("a webhook was taken for a repeated one")
  return { tenantId: webhook.tenantId, id: stored.id }
})

const finish = (key: Inbox.WebhookKey, ending: Inbox.Ending) => Inbox.Inbox.use((inbox) => inbox.finish(key, ending))

const fail = (key: Inbox.WebhookKey) => finish(key, { _tag: "Failed", reason: "not understood" })

const get = (key: Inbox.WebhookKey) =>
  Effect.map(Inbox.Inbox.use((inbox) => inbox.get(key.tenantId, key.id)), Option.getOrThrow)

const stalledFor = Duration.minutes(5)

const claim = (scope: Tenant.Scope, limit = 100) =>
  Inbox.Inbox.use((inbox) => inbox.claim({ scope, limit, stalledFor }))

const claimedIds = (scope: Tenant.Scope, limit?: number) =>
  Effect.map(claim(scope, limit), (claimed) => claimed.map(({ id }) => id))

/** Lets a webhook be claimed again. */
const released = (key: Inbox.WebhookKey) => Inbox.Inbox.use((inbox) => inbox.release(key.tenantId, key.id))

const list = (scope: Tenant.Scope, status?: Inbox.WebhookStatus, limit = 100) =>
  Inbox.Inbox.use((inbox) => inbox.list({ scope, status: Option.fromUndefinedOr(status), limit }))

const prune = (retention: Partial<Record<keyof InboxQuery.Retention, number>>, limit = 10_000, dryRun = false) =>
  Inbox.Inbox.use((inbox) =>
    inbox.prune({
      retention: {
        succeeded: Option.map(Option.fromUndefinedOr(retention.succeeded), Duration.days),
        dead: Option.map(Option.fromUndefinedOr(retention.dead), Duration.days),
        failed: Option.map(Option.fromUndefinedOr(retention.failed), Duration.days)
      },
      limit,
      dryRun
    })
  )

const storing = ({ example }: Contract.Contract<Inbox.Inbox>): void => {
  example(
    "gives back a webhook byte for byte, and its headers",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const bytes = Uint8Array.from({ length: 1024 }, (_, index) => index % 256)
      const headers: Readonly<Record<string, string>> = {
        "x-signature": "a=b, c",
        "content-type": "text/plain; é",
        "__proto__x": "1"
      }
      for (const body of [bytes, new Uint8Array(), encoder.encode("{\"a\":1}\r\n")]) {
        const key = yield* store(webhook(tenantId, body, { headers }))
        const found = yield* get(key)
        assert.deepStrictEqual(Array.from(found.body), Array.from(body))
        assert.deepStrictEqual({ ...found.headers }, headers)
        assert.strictEqual(found.status, "processing")
        assert.strictEqual(found.attempts, 1)
        assert.strictEqual(found.provider, Given.provider)
        assert.deepStrictEqual(found.lastError, Option.none())
        assert.deepStrictEqual(found.processedAt, Option.none())
        assert.strictEqual(found.receivedAt.epochMilliseconds, Given.noon.epochMilliseconds)
      }
    })
  )

  example(
    "keeps what it was given when the caller's bytes and headers change",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const body = encoder.encode("{}")
      const headers: Record<string, string> = { a: "1" }
      const key = yield* store(webhook(tenantId, body, { headers }))
      body.fill(0)
      headers["a"] = "2"
      const found = yield* get(key)
      assert.strictEqual(decoder.decode(found.body), "{}")
      assert.deepStrictEqual({ ...found.headers }, { a: "1" })
    })
  )

  example(
    "keeps what it has when a reader changes the bytes and headers it was given back",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const key = yield* store(webhook(tenantId, "{}", { headers: { a: "1" } }))
      const spoil = ({ body, headers }: Inbox.Webhook) => {
        body.fill(0)
        Object.assign(headers, { a: "2" })
      }
      spoil(yield* get(key))
      yield* TestClock.adjust(Duration.sum(stalledFor, Duration.millis(1)))
      for (const claimed of yield* claim(tenantId)) spoil(claimed)
      const found = yield* get(key)
      assert.strictEqual(decoder.decode(found.body), "{}")
      assert.deepStrictEqual({ ...found.headers }, { a: "1" })
      assert.strictEqual(found.attempts, 2)
    })
  )

  example(
    "says when a webhook was received as it will say later",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const tenantId = yield* Given.tenant
      yield* TestClock.adjust("1234567 millis")
      const stored = yield* inbox.store(webhook(tenantId))
      const found = yield* get({ tenantId, id: stored.id })
      assert.deepStrictEqual(stored, { _tag: "Stored", id: found.id, receivedAt: found.receivedAt })
    })
  )

  example(
    "stores every delivery of the same bytes where there is no token",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* store(webhook(tenantId))
      yield* store(webhook(tenantId))
      assert.lengthOf(yield* list(tenantId), 2)
    })
  )

  example(
    "gives back the largest body and those beside it",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const keys = [
        yield* store(webhook(tenantId, new Uint8Array(Inbox.maxBodyBytes).fill(1))),
        yield* store(webhook(tenantId))
      ]
      for (const key of keys) yield* fail(key)
      yield* TestClock.adjust(Retry.waitAfter(1))
      const claimed = yield* claim(tenantId)
      assert.deepStrictEqual(claimed.map(({ body }) => body.length), [Inbox.maxBodyBytes, 2])
    })
  )

  example(
    "refuses what cannot be stored exactly and stores nothing",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const tenantId = yield* Given.tenant
      for (
        const bad of [
          webhook(tenantId, "{}", { headers: { a: "\u0000" } }),
          webhook(tenantId, "{}", { headers: { a: "\ud800" } }),
          signed(tenantId, "{}", "\u0000"),
          webhook(tenantId, new Uint8Array(Inbox.maxBodyBytes + 1))
        ]
      ) {
        assert.strictEqual((yield* Effect.flip(inbox.store(bad)))._tag, "InvalidInput")
      }
      assert.lengthOf(yield* list(tenantId), 0)
    })
  )
}

const tokens = ({ example }: Contract.Contract<Inbox.Inbox>): void => {
  example(
    "takes a token for one body only",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const tenantId = yield* Given.tenant
      const { id } = yield* store(signed(tenantId, "one"))
      assert.deepStrictEqual(yield* inbox.store(signed(tenantId, "one")), { _tag: "Repeated", id })
      const refused = yield* Effect.flip(inbox.store(signed(tenantId, "two")))
      assert.strictEqual(refused._tag, "TokenReplayed")
      assert.lengthOf(yield* list(tenantId), 1)
      yield* store(signed(tenantId, "two", "another token"))
    })
  )

  example(
    "takes a token for one body only of all the tenants that webhooks of one verifier are assigned to",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const [verifier, one, other] = yield* Effect.all([Given.tenant, Given.tenant, Given.tenant])
      const { id } = yield* store(signed(one, "to one", "token", verifier))
      const refused = yield* Effect.flip(inbox.store(signed(other, "to other", "token", verifier)))
      assert.strictEqual(refused._tag, "TokenReplayed")
      assert.lengthOf(yield* list(other), 0)
      assert.deepStrictEqual(yield* inbox.store(signed(one, "to one", "token", verifier)), { _tag: "Repeated", id })
      yield* store(signed(verifier, "of its own", "another token"))
      yield* store(signed(other, "verified by itself"))
      assert.lengthOf(yield* list(one), 1)
    })
  )

  example(
    "keeps the tokens of verifiers and of providers apart",
    Effect.gen(function*() {
      const tenants = yield* Effect.replicateEffect(Given.tenant, 2)
      for (const [index, tenantId] of tenants.entries()) {
        yield* store(signed(tenantId, `body ${index}`))
        yield* store({ ...signed(tenantId, "other"), provider: Given.provider })
      }
    })
  )

  example(
    "remembers a token after its webhook was pruned or its recipient forgotten",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const tenantId = yield* Given.tenant
      const recipient = Recipient.Recipient.make("ann@example.com")
      const key = yield* store(signed(tenantId, "to ann@example.com"))
      yield* inbox.forget({ tenantId, recipient })
      assert.strictEqual((yield* inbox.store(signed(tenantId, "to ann@example.com")))._tag, "Repeated")
      yield* finish(key, { _tag: "Succeeded" })
      yield* TestClock.adjust("2 days")
      yield* prune({ succeeded: 1 })
      assert.lengthOf(yield* list(tenantId), 0)
      assert.strictEqual((yield* inbox.store(signed(tenantId, "to ann@example.com")))._tag, "Repeated")
      assert.strictEqual((yield* Effect.flip(inbox.store(signed(tenantId, "other"))))._tag, "TokenReplayed")
    })
  )

  example(
    "stores one of several deliveries of a token at the same time",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const tenantId = yield* Given.tenant
      const outcomes = yield* Effect.all(
        Array.from({ length: 12 }, (_, index) => Effect.result(inbox.store(signed(tenantId, `body ${index % 2}`)))),
        { concurrency: "unbounded" }
      )
      const tags = outcomes.map((outcome) => outcome._tag === "Success" ? outcome.success._tag : outcome.failure._tag)
      assert.deepStrictEqual(
        ["Stored", "Repeated", "TokenReplayed"].map((tag) => tags.filter((each) => each === tag).length),
        [1, 5, 6]
      )
      assert.lengthOf(yield* list(tenantId), 1)
    })
  )
}

const trying = ({ example }: Contract.Contract<Inbox.Inbox>): void => {
  example(
    "notes how a try ended",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* TestClock.adjust("1 minute")
      for (
        const [result, status] of [
          [{ _tag: "Succeeded" }, "succeeded"],
          [{ _tag: "Failed", reason: "why" }, "failed"],
          [{ _tag: "Postponed", reason: "why" }, "failed"],
          [{ _tag: "Dead", reason: "why" }, "dead"]
        ] as const
      ) {
        const key = yield* store(webhook(tenantId))
        yield* finish(key, result)
        const found = yield* get(key)
        assert.strictEqual(found.status, status)
        assert.strictEqual(found.attempts, result._tag === "Postponed" ? 0 : 1)
        assert.deepStrictEqual(found.lastError, status === "succeeded" ? Option.none() : Option.some("why"))
        assert.deepStrictEqual(
          Option.map(found.processedAt, (at) => at.epochMilliseconds),
          Option.some(Given.afterNoon(60).epochMilliseconds)
        )
      }
    })
  )

  example(
    "keeps apart what is stored and finished at the same time",
    Effect.gen(function*() {
      const tenants = yield* Effect.all([Given.tenant, Given.tenant])
      const results: ReadonlyArray<Inbox.Ending> = [
        { _tag: "Succeeded" },
        { _tag: "Failed", reason: "why" },
        { _tag: "Postponed", reason: "why not" },
        { _tag: "Dead", reason: "gone" }
      ]
      const given = tenants.flatMap((tenantId) =>
        Array.from({ length: 40 }, (_, index) => ({
          webhook: webhook(tenantId, `${index}`.padEnd(index % 10 === 0 ? 100_000 : 10), {
            headers: { index: `${index}` }
          }),
          result: results[index % results.length] ?? assert.fail("no result")
        }))
      )
      const all = { concurrency: "unbounded" } as const
      const stored = yield* Effect.forEach(
        given,
        (each) => Effect.map(store(each.webhook), (key) => ({ ...each, key })),
        all
      )
      yield* Effect.forEach(stored, ({ key, result }) => finish(key, result), all)
      for (const { key, result, webhook } of stored) {
        const found = yield* get(key)
        assert.deepStrictEqual(found.body, webhook.body)
        assert.deepStrictEqual({ ...found.headers }, { ...webhook.headers })
        assert.strictEqual(found.attempts, result._tag === "Postponed" ? 0 : 1)
        assert.deepStrictEqual(
          Option.getOrNull(found.lastError),
          result._tag === "Succeeded" ? null : result.reason
        )
      }
      for (const tenantId of tenants) {
        assert.lengthOf(yield* list(tenantId), 40)
        yield* TestClock.adjust(Retry.waits[0])
        assert.lengthOf(yield* claim(tenantId), 20)
      }
    })
  )

  example(
    "leaves a webhook whose try has ended, or that is another tenant's, as it is",
    Effect.gen(function*() {
      const [tenantId, other] = yield* Effect.all([Given.tenant, Given.tenant])
      const key = yield* store(webhook(tenantId))
      yield* finish({ ...key, tenantId: other }, { _tag: "Dead", reason: "of another tenant" })
      assert.strictEqual((yield* get(key)).status, "processing")
      yield* finish(key, { _tag: "Succeeded" })
      yield* fail(key)
      const found = yield* get(key)
      assert.strictEqual(found.status, "succeeded")
      assert.deepStrictEqual(found.lastError, Option.none())
    })
  )

  example(
    "claims a failed webhook again after growing waits and counts the tries",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const key = yield* store(webhook(tenantId, "body", { headers: { a: "1" } }))
      for (const [index, wait] of Retry.waits.entries()) {
        yield* fail(key)
        yield* TestClock.adjust(Duration.subtract(wait, Duration.millis(1)))
        assert.deepStrictEqual(yield* claimedIds(tenantId), [])
        yield* TestClock.adjust(1)
        const [claimed] = yield* claim(tenantId)
        assert.strictEqual(claimed?.attempts, index + 2)
        assert.strictEqual(claimed?.status, "processing")
        assert.strictEqual(decoder.decode(claimed?.body), "body")
        assert.deepStrictEqual({ ...claimed?.headers }, { a: "1" })
        assert.deepStrictEqual(claimed?.lastError, Option.some("not understood"))
      }
    })
  )

  example(
    "claims a postponed webhook after the first wait, however often, and does not count the tries",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const key = yield* store(webhook(tenantId))
      yield* fail(key)
      yield* TestClock.adjust(Retry.waitAfter(1))
      for (let round = 0; round < 10; round++) {
        const [claimed] = yield* claim(tenantId)
        assert.strictEqual(claimed?.attempts, 2)
        yield* finish(key, { _tag: "Postponed", reason: "no storage" })
        assert.deepStrictEqual(yield* claimedIds(tenantId), [])
        yield* TestClock.adjust(Retry.waitAfter(1))
      }
    })
  )

  example(
    "claims a webhook whose processing never ended, once it has stalled",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const { id } = yield* store(webhook(tenantId))
      yield* TestClock.adjust(stalledFor)
      assert.deepStrictEqual(yield* claimedIds(tenantId), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* claimedIds(tenantId), [id])
      assert.deepStrictEqual(yield* claimedIds(tenantId), [])
      yield* TestClock.adjust(Duration.sum(stalledFor, Duration.millis(1)))
      const [again] = yield* claim(tenantId)
      assert.strictEqual(again?.attempts, 3)
    })
  )

  example(
    "never claims what succeeded or is dead",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* finish(yield* store(webhook(tenantId)), { _tag: "Succeeded" })
      yield* finish(yield* store(webhook(tenantId)), { _tag: "Dead", reason: "given up" })
      yield* TestClock.adjust("365 days")
      assert.deepStrictEqual(yield* claimedIds(tenantId), [])
    })
  )

  example(
    "claims the oldest first, of one tenant or of all",
    Effect.gen(function*() {
      const [one, other] = yield* Effect.all([Given.tenant, Given.tenant])
      const keys: Array<Inbox.WebhookKey> = []
      for (let index = 0; index < 6; index++) {
        keys.push(yield* store(webhook(index % 2 === 0 ? one : other)))
        yield* TestClock.adjust("1 second")
      }
      yield* TestClock.adjust("1 day")
      for (const key of keys) yield* released(key)
      const ofOne = keys.filter(({ tenantId }) => tenantId === one).map(({ id }) => id)
      assert.deepStrictEqual(yield* claimedIds(one, 2), ofOne.slice(0, 2))
      assert.deepStrictEqual(yield* claimedIds(one, 2), ofOne.slice(2))
      assert.includeMembers(
        yield* claimedIds(Tenant.all, 10_000),
        keys.filter(({ tenantId }) => tenantId === other).map(({ id }) => id)
      )
    })
  )

  example(
    "gives each webhook to one of several claims at the same time",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      for (let index = 0; index < 30; index++) yield* released(yield* store(webhook(tenantId)))
      const claims = yield* Effect.all(Array.from({ length: 8 }, () => claimedIds(tenantId, 5)), {
        concurrency: "unbounded"
      })
      const rest = yield* claimedIds(tenantId)
      const all = [...claims.flat(), ...rest]
      assert.lengthOf(all, 30)
      assert.strictEqual(new Set(all).size, 30)
    })
  )

  example(
    "releases a webhook of any status, its tries forgotten",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const [tenantId, other] = yield* Effect.all([Given.tenant, Given.tenant])
      for (
        const result of [
          undefined,
          { _tag: "Succeeded" },
          { _tag: "Failed", reason: "why" },
          { _tag: "Dead", reason: "why" }
        ] as const
      ) {
        const key = yield* store(webhook(tenantId))
        if (result !== undefined) yield* finish(key, result)
        assert.isFalse(yield* inbox.release(other, key.id))
        assert.isTrue(yield* inbox.release(tenantId, key.id))
        assert.strictEqual((yield* get(key)).status, "received")
        const [claimed] = yield* claim(tenantId)
        assert.strictEqual(claimed?.id, key.id)
        assert.strictEqual(claimed?.attempts, 1)
        yield* finish(key, { _tag: "Succeeded" })
      }
      assert.isFalse(yield* inbox.release(tenantId, Inbox.WebhookId.make("00000000-0000-7000-8000-000000000000")))
    })
  )
}

const claiming = ({ example }: Contract.Contract<Inbox.Inbox>): void => {
  example(
    "claims what stalled alone, after all that waits",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const stalled = [yield* store(webhook(tenantId))]
      yield* TestClock.adjust("1 second")
      stalled.push(yield* store(webhook(tenantId)))
      yield* TestClock.adjust("1 day")
      const waiting = [yield* store(webhook(tenantId)), yield* store(webhook(tenantId))]
      for (const key of waiting) yield* released(key)
      assert.sameMembers([...yield* claimedIds(tenantId)], waiting.map(({ id }) => id))
      for (const { id } of stalled) assert.deepStrictEqual(yield* claimedIds(tenantId), [id])
      assert.deepStrictEqual(yield* claimedIds(tenantId), [])
    })
  )

  example(
    "claims a share of each tenant and provider, however much waits for one of them",
    Effect.gen(function*() {
      const [one, other] = yield* Effect.all([Given.tenant, Given.tenant])
      for (let index = 0; index < 12; index++) yield* released(yield* store(webhook(one)))
      yield* TestClock.adjust("1 second")
      const late = [
        yield* store(webhook(one, "{}", { provider: mailgun })),
        yield* store(webhook(other)),
        yield* store(webhook(other))
      ]
      for (const key of late) yield* released(key)
      const ofOne = yield* claim(one, 4)
      assert.sameMembers(ofOne.map(({ provider }) => provider), [Given.provider, Given.provider, mailgun])
      const ids = yield* claimedIds(Tenant.all, 10_000)
      assert.includeMembers([...ids], late.slice(1).map(({ id }) => id))
    })
  )

  example(
    "claims no more bytes at once than fit, and the rest next",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const body = new Uint8Array(Inbox.maxClaimedBytes / 2 + 1)
      const keys = [yield* store(webhook(tenantId, body)), yield* store(webhook(tenantId, body))]
      const inbox = yield* Inbox.Inbox
      const ids = keys.map(({ id }) => id).toReversed()
      assert.deepStrictEqual((yield* inbox.reclaim(tenantId, ids)).map(({ id }) => id), ids.slice(0, 1))
      for (const key of keys) yield* released(key)
      const [first] = keys
      assert.deepStrictEqual(yield* claimedIds(tenantId), [first?.id])
      assert.lengthOf(yield* claimedIds(tenantId), 1)
    })
  )

  example(
    "claims by ids what is asked for, whatever its status, its tries forgotten",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const [tenantId, other] = yield* Effect.all([Given.tenant, Given.tenant])
      const keys: Array<Inbox.WebhookKey> = []
      for (
        const ending of [
          undefined,
          { _tag: "Succeeded" },
          { _tag: "Failed", reason: "why" },
          { _tag: "Dead", reason: "why" }
        ] as const
      ) {
        const key = yield* store(webhook(tenantId, "body"))
        if (ending !== undefined) yield* finish(key, ending)
        keys.push(key)
      }
      const foreign = yield* store(webhook(other))
      const ids = [...keys, foreign].map(({ id }) => id).toReversed()
      const claimed = yield* inbox.reclaim(tenantId, ids)
      assert.deepStrictEqual(claimed.map(({ id }) => id), ids.slice(1))
      for (const each of claimed) {
        assert.deepStrictEqual([each.status, each.attempts, decoder.decode(each.body)], ["processing", 1, "body"])
      }
      assert.deepStrictEqual(yield* claimedIds(tenantId), [])
      assert.deepStrictEqual([...yield* inbox.reclaim(tenantId, [])], [])
      for (const key of keys) yield* finish(key, { _tag: "Succeeded" })
      assert.isTrue((yield* list(tenantId)).every(({ status }) => status === "succeeded"))
    })
  )
}

/** An event of a key; under the same key, one that happened later is another. */
const event = (key: string, seconds = 0): Event.NewEvent =>
  Given.report("delivered", key, { occurredAt: Given.afterNoon(seconds) })

const tagsOf = (outcomes: ReadonlyArray<Ledger.Outcome>) =>
  outcomes.map((outcome) => Ledger.isConflict(outcome) ? "Conflict" : outcome._tag)

const isTaken = (taken: Inbox.Taken) =>
  taken._tag === "Taken" ? taken : assert.fail("a webhook was taken for a repeated one")

const succeeded: Inbox.Ending = { _tag: "Succeeded" }

const settling = ({ example }: Contract.Contract<Inbox.Inbox | Ledger.Ledger>): void => {
  example(
    "takes a webhook with its events, and ends its first try",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const tenantId = yield* Given.tenant
      yield* TestClock.adjust("1 minute")
      const take = (ending: Inbox.Ending, ...events: ReadonlyArray<Event.NewEvent>) =>
        inbox.take(webhook(tenantId, "body", { headers: { a: "1" } }), { events, ending, receivedAt: Given.noon })
      for (
        const [ending, status] of [
          [succeeded, "succeeded"],
          [{ _tag: "Failed", reason: "why" }, "failed"],
          [{ _tag: "Postponed", reason: "why" }, "failed"]
        ] as const
      ) {
        const taken = isTaken(yield* take(ending, event(`of-${ending._tag}`), event("of-all")))
        assert.deepStrictEqual(tagsOf(taken.outcomes), ["Appended", status === "succeeded" ? "Appended" : "Duplicate"])
        const found = yield* get({ tenantId, id: taken.id })
        assert.strictEqual(found.status, status)
        assert.strictEqual(found.attempts, ending._tag === "Postponed" ? 0 : 1)
        assert.strictEqual(found.receivedAt.epochMilliseconds, Given.noon.epochMilliseconds)
        assert.strictEqual(decoder.decode(found.body), "body")
        assert.deepStrictEqual({ ...found.headers }, { a: "1" })
        assert.deepStrictEqual(found.lastError, ending._tag === "Succeeded" ? Option.none() : Option.some("why"))
      }
      yield* TestClock.adjust(Retry.waitAfter(1))
      assert.lengthOf(yield* claim(tenantId), 2)
      assert.deepStrictEqual([...isTaken(yield* take(succeeded)).outcomes], [])
    })
  )

  example(
    "keeps nothing of a webhook one of whose events cannot be stored",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const tenantId = yield* Given.tenant
      const events = [event("good"), { ...event("bad"), providerEventId: Option.some("\u0000") }]
      const token = Option.some({ value: "token", verifiedBy: tenantId })
      const given = webhook(tenantId, "{}", { token })
      const refused = yield* Effect.flip(inbox.take(given, { events, ending: succeeded, receivedAt: Given.noon }))
      assert.strictEqual(refused._tag, "InvalidInput")
      assert.lengthOf(yield* list(tenantId), 0)
      const taken = yield* inbox.take(given, { events: events.slice(0, 1), ending: succeeded, receivedAt: Given.noon })
      assert.strictEqual(taken._tag, "Taken")
    })
  )

  example(
    "takes a token once, with the events of its first webhook alone",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const ledger = yield* Ledger.Ledger
      const [tenantId, other] = yield* Effect.all([Given.tenant, Given.tenant])
      const take = (body: string, key: string) =>
        inbox.take(signed(tenantId, body, "token", other), {
          events: [event(key)],
          ending: succeeded,
          receivedAt: Given.noon
        })
      const first = yield* take("a", "a")
      assert.deepStrictEqual(yield* take("a", "b"), { _tag: "Repeated", id: first.id })
      assert.strictEqual((yield* Effect.flip(take("b", "b")))._tag, "TokenReplayed")
      const [outcome] = yield* ledger.append(tenantId, [event("b")])
      assert.strictEqual(outcome?._tag, "Appended")
      assert.lengthOf(yield* list(tenantId), 1)
    })
  )

  example(
    "leaves a webhook in hand whose event has the key of another, also among others",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const tenantId = yield* Given.tenant
      yield* inbox.take(webhook(tenantId), { events: [event("a")], ending: succeeded, receivedAt: Given.noon })
      const read = { events: [event("a", 30)], ending: succeeded, receivedAt: Given.noon }
      const taken = isTaken(yield* inbox.take(webhook(tenantId), read))
      assert.deepStrictEqual(tagsOf(taken.outcomes), ["Conflict"])
      assert.strictEqual((yield* get({ tenantId, id: taken.id })).status, "processing")
      const [one, two] = [yield* store(webhook(tenantId)), yield* store(webhook(tenantId))]
      const outcomes = yield* inbox.settle(tenantId, [
        { id: one.id, events: [event("b")], ending: succeeded },
        { id: two.id, events: [event("c"), event("a", 40)], ending: succeeded }
      ])
      assert.deepStrictEqual(outcomes.map(tagsOf), [["Appended"], ["Appended", "Conflict"]])
      assert.strictEqual((yield* get(one)).status, "succeeded")
      assert.strictEqual((yield* get(two)).status, "processing")
      yield* finish(two, succeeded)
      assert.strictEqual((yield* get(two)).status, "succeeded")
    })
  )

  example(
    "settles webhooks together, each with its own ending, or none of them",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const tenantId = yield* Given.tenant
      const keys = yield* Effect.forEach(["a", "b", "c"], (body) => store(webhook(tenantId, body)))
      const endings: ReadonlyArray<Inbox.Ending> = [succeeded, { _tag: "Failed", reason: "why" }, {
        _tag: "Dead",
        reason: "gone"
      }]
      const settlements = keys.map(({ id }, index) => ({
        id,
        events: index === 2 ? [] : [event("same"), event(`own-${index}`)],
        ending: endings[index] ?? succeeded
      }))
      const bad = { ...event("bad"), providerEventId: Option.some("\u0000") }
      const refused = yield* Effect.flip(inbox.settle(
        tenantId,
        settlements.map((each) => ({ ...each, events: [...each.events, bad] }))
      ))
      assert.strictEqual(refused._tag, "InvalidInput")
      for (const key of keys) assert.strictEqual((yield* get(key)).status, "processing")
      const outcomes = yield* inbox.settle(tenantId, settlements)
      assert.deepStrictEqual(outcomes.map(tagsOf), [["Appended", "Appended"], ["Duplicate", "Appended"], []])
      const found = yield* Effect.forEach(keys, get)
      assert.deepStrictEqual(found.map(({ status }) => status), ["succeeded", "failed", "dead"])
      assert.deepStrictEqual(found.map(({ attempts }) => attempts), [1, 1, 1])
      const again = yield* inbox.settle(tenantId, settlements)
      assert.deepStrictEqual(again.map(tagsOf), [["Duplicate", "Duplicate"], ["Duplicate", "Duplicate"], []])
      assert.deepStrictEqual((yield* Effect.forEach(keys, get)).map(({ status }) => status), [
        "succeeded",
        "failed",
        "dead"
      ])
    })
  )

  example(
    "takes webhooks that come at once, each with its own events and ending",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const tenants = yield* Effect.all([Given.tenant, Given.tenant])
      const given = tenants.flatMap((tenantId) =>
        Array.from({ length: 40 }, (_, index) => ({ tenantId, index, isBad: index === 7 }))
      )
      const taken = yield* Effect.forEach(
        given,
        ({ index, isBad, tenantId }) =>
          Effect.result(inbox.take(webhook(tenantId, `${index}`), {
            events: isBad
              ? [{ ...event("bad"), providerEventId: Option.some("\u0000") }]
              : [event(`of-${index}`), event(`shared-${index % 10}`)],
            ending: index % 4 === 0 ? { _tag: "Failed", reason: `${index}` } : succeeded,
            receivedAt: Given.noon
          })),
        { concurrency: "unbounded" }
      )
      const fresh = new Map(tenants.map((tenantId) => [tenantId, 0]))
      for (const [place, { index, isBad, tenantId }] of given.entries()) {
        const result = taken[place]
        if (result === undefined || Result.isFailure(result)) {
          assert.isTrue(isBad)
          continue
        }
        const { id, outcomes } = isTaken(result.success)
        const found = yield* get({ tenantId, id })
        assert.strictEqual(decoder.decode(found.body), `${index}`)
        assert.strictEqual(found.status, index % 4 === 0 ? "failed" : "succeeded")
        assert.strictEqual(tagsOf(outcomes)[0], "Appended")
        if (tagsOf(outcomes)[1] === "Appended") fresh.set(tenantId, (fresh.get(tenantId) ?? 0) + 1)
      }
      assert.deepStrictEqual([...fresh.values()], [10, 10])
      for (const tenantId of tenants) assert.lengthOf(yield* list(tenantId), 39)
    })
  )
}

const reading = ({ example }: Contract.Contract<Inbox.Inbox>): void => {
  example(
    "lists webhooks newest first, of a status or of all, without headers and bodies",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      const keys: Array<Inbox.WebhookKey> = []
      for (let index = 0; index < 4; index++) {
        const key = yield* store(webhook(tenantId))
        keys.push(key)
        if (index < 2) yield* finish(key, index === 0 ? { _tag: "Failed", reason: "why" } : { _tag: "Succeeded" })
        yield* TestClock.adjust("1 second")
      }
      const all = yield* list(tenantId)
      assert.deepStrictEqual(all.map(({ id }) => id), keys.map(({ id }) => id).toReversed())
      assert.deepStrictEqual((yield* list(tenantId, "failed")).map(({ id }) => id), [keys[0]?.id])
      assert.lengthOf(yield* list(tenantId, undefined, 2), 2)
      for (const each of all) assert.doesNotHaveAnyKeys(each, ["body", "headers"])
      const inbox = yield* Inbox.Inbox
      const page = (after?: Place.Place) =>
        inbox.list({ scope: tenantId, status: Option.none(), limit: 1, ...after !== undefined && { after } })
      const paged: Array<Inbox.WebhookId> = []
      for (let [row] = yield* page(); row !== undefined; [row] = yield* page(Place.of(row.receivedAt, row.id))) {
        paged.push(row.id)
      }
      assert.deepStrictEqual(paged, all.map(({ id }) => id))
    })
  )

  example(
    "shows a tenant's webhooks to that tenant and to the scope of all",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const [one, other] = yield* Effect.all([Given.tenant, Given.tenant])
      const { id } = yield* store(webhook(one))
      assert.isTrue(Option.isSome(yield* inbox.get(one, id)))
      assert.isTrue(Option.isSome(yield* inbox.get(Tenant.all, id)))
      assert.isTrue(Option.isNone(yield* inbox.get(other, id)))
      assert.lengthOf(yield* list(other), 0)
      assert.deepStrictEqual(yield* inbox.counts(other), [])
    })
  )

  example(
    "counts webhooks by status",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const tenantId = yield* Given.tenant
      yield* store(webhook(tenantId))
      yield* fail(yield* store(webhook(tenantId)))
      yield* fail(yield* store(webhook(tenantId)))
      assert.deepStrictEqual([...yield* inbox.counts(tenantId)], [
        { tenantId, status: "failed", count: 2 },
        { tenantId, status: "processing", count: 1 }
      ])
      const all = yield* inbox.counts(Tenant.all)
      assert.deepInclude(all, { tenantId, status: "failed", count: 2 })
      assert.deepStrictEqual([...yield* inbox.counts(tenantId, ["processing", "dead"])], [
        { tenantId, status: "processing", count: 1 }
      ])
    })
  )

  example(
    "refuses limits that are none",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      for (const limit of [0, -1, 1.5, NaN, 10_001]) {
        assert.strictEqual((yield* Effect.flip(claim(tenantId, limit)))._tag, "InvalidInput")
        assert.strictEqual((yield* Effect.flip(list(tenantId, undefined, limit)))._tag, "InvalidInput")
        assert.strictEqual((yield* Effect.flip(prune({ dead: 1 }, limit)))._tag, "InvalidInput")
      }
    })
  )
}

const removing = ({ example }: Contract.Contract<Inbox.Inbox>): void => {
  example(
    "prunes what was kept long enough, the oldest first and no more than it may",
    Effect.gen(function*() {
      yield* TestClock.adjust("3650 days")
      yield* prune({ succeeded: 0, dead: 0, failed: 0 })
      const tenantId = yield* Given.tenant
      for (const result of ["Succeeded", "Succeeded", "Dead", "Failed"] as const) {
        const key = yield* store(webhook(tenantId))
        yield* finish(key, result === "Succeeded" ? { _tag: result } : { _tag: result, reason: "why" })
        yield* TestClock.adjust("1 day")
      }
      yield* store(webhook(tenantId))
      yield* TestClock.adjust("6 days")
      const statuses = Effect.map(list(tenantId), (found) => found.map(({ status }) => status))
      assert.strictEqual(yield* prune({}), 0)
      assert.strictEqual(yield* prune({ succeeded: 11 }), 0)
      assert.strictEqual(yield* prune({ succeeded: 7, dead: 7 }, 10_000, true), 3)
      assert.lengthOf(yield* list(tenantId), 5)
      assert.strictEqual(yield* prune({ succeeded: 7, dead: 7 }, 1), 1)
      assert.deepStrictEqual(yield* statuses, ["processing", "failed", "dead", "succeeded"])
      assert.strictEqual(yield* prune({ succeeded: 7, dead: 7 }), 2)
      assert.deepStrictEqual(yield* statuses, ["processing", "failed"])
      assert.strictEqual(yield* prune({ failed: 6 }), 1)
      yield* TestClock.adjust("365 days")
      assert.strictEqual(yield* prune({ succeeded: 0, dead: 0, failed: 0 }), 0)
      assert.deepStrictEqual(yield* statuses, ["processing"])
    })
  )

  example(
    "removes a recipient from a tenant's webhooks and from no other's",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const [tenantId, other] = yield* Effect.all([Given.tenant, Given.tenant])
      const recipient = Recipient.Recipient.make("ann@example.com")
      const body = "{\"Recipient\":\"Ann@Example.com\"}"
      const key = yield* store(webhook(tenantId, body))
      const untouched = yield* store(webhook(tenantId, "{\"Recipient\":\"bob@example.com\"}"))
      const ofOther = yield* store(webhook(other, body))
      assert.strictEqual(yield* inbox.forget({ tenantId, recipient }), 1)
      assert.notInclude(decoder.decode((yield* get(key)).body).toLowerCase(), "ann@")
      assert.include(decoder.decode((yield* get(untouched)).body), "bob@")
      assert.strictEqual(decoder.decode((yield* get(ofOther)).body), body)
      assert.strictEqual(yield* inbox.forget({ tenantId, recipient }), 0)
    })
  )

  example(
    "removes a recipient in whatever spelling",
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const tenantId = yield* Given.tenant
      const spellings = [
        "j\u00f6@b\u00fccher.example",
        "JO\u0308@XN--bcher-kva.example.",
        "J\u00d6@B\u00dcCHER.example"
      ]
      for (const recipient of spellings) {
        const keys = yield* Effect.forEach(spellings, (text) => store(webhook(tenantId, JSON.stringify({ text }))))
        assert.strictEqual(
          yield* inbox.forget({ tenantId, recipient: Recipient.Recipient.make(recipient) }),
          spellings.length
        )
        for (const key of keys) assert.notMatch(decoder.decode((yield* get(key)).body), /@[bx]/i)
      }
    })
  )

  example(
    "tells one instant from another to the millisecond",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* TestClock.adjust(1)
      const found = yield* get(yield* store(webhook(tenantId)))
      assert.strictEqual(DateTime.formatIso(found.receivedAt), "2026-03-01T12:00:00.001Z")
    })
  )
}

/**
 * Declares what holds for every inbox.
 *
 * @category suites
 * @since 0.1.0
 */
export const suite = <E>(name: string, inbox: Layer.Layer<Inbox.Inbox | Ledger.Ledger, E>): void =>
  Contract.declare(name, inbox, (contract: Contract.Contract<Inbox.Inbox | Ledger.Ledger>) => {
    storing(contract)
    tokens(contract)
    trying(contract)
    claiming(contract)
    settling(contract)
    reading(contract)
    removing(contract)
  })
