import { assert, describe, it } from "@effect/vitest"
import { Event, IdempotencyKey, Inbox, InboxRow, Ledger, LedgerError, Provider, Retry, Tenant } from "@waybill/core"
import { Ingestion, type Processed, type Row, Secrets, Webhook } from "@waybill/webhooks"
import { Context, type DateTime, Deferred, Duration, Effect, Fiber, Layer, Option, Ref, Result } from "effect"
import { TestClock } from "effect/testing"
import * as Edge from "./Edge.ts"
import { bytes, textOf } from "./Signing.ts"

const name = Provider.Provider.make("lines")

const tenantId = Tenant.TenantId.make("acme")

const event = (line: string, receivedAt: DateTime.Utc): Event.NewEvent =>
  Event.NewEvent.make({
    type: "delivered",
    occurredAt: receivedAt,
    provider: name,
    providerMessageId: Provider.MessageId.makeOption(line.replace("long", "")),
    idempotencyKey: IdempotencyKey.IdempotencyKey.make(line)
  })

/** An event that no ledger stores. */
const unstorable = (event: Event.NewEvent): Event.NewEvent => ({
  ...event,
  providerEventId: Option.some("\u0000")
})

/**
 * A provider whose every line is an event, for the tests: `?` begins one that is not understood, `!` one that cannot be
 * stored, `+` asks for a subscription; a body of `throw` is too much for it.
 */
const lines = (understood: (line: string) => boolean = (line) => !line.startsWith("?")): Row.Row => ({
  name,
  schemes: [{
    name: "none",
    secrets: { variable: "WAYBILL_LINES_SECRET", about: "nothing" },
    proof: "signature",
    open: Effect.succeed(() => Effect.succeed(Webhook.verified())),
    signing: { _tag: "Nothing", generate: Effect.die(new Error("it is not sent")), issue: "it is not sent" }
  }],
  composer: { types: [], compose: () => [] },
  headers: ["x-id"],
  refusal: 401,
  unavailable: 503,
  normalize: ({ body, receivedAt }) => {
    const all = textOf(body).split("\n")
    if (all.includes("throw")) throw new Error("ann@reader.example")
    if (all.includes("malformed")) {
      return Result.fail(new Webhook.MalformedBody({ provider: name, reason: "NotJson" }))
    }
    const events = all.filter((line) => understood(line) && !line.startsWith("+") && line !== "")
    return Result.succeed([{
      events: events.map((line) =>
        line.startsWith("!") ? unstorable(event(line, receivedAt)) : event(line, receivedAt)
      ),
      undecodable: all.flatMap((line, index) => understood(line) ? [] : [{ index, reason: "MissingType" as const }]),
      ignored: []
    }])
  }
})

/** A table of one row, and no secrets. */
const tableOf = (row: Row.Row) => Layer.merge(Edge.table([row]), Secrets.layer({}))

/** A ledger that does something before it appends. */
const before = (act: (events: ReadonlyArray<Event.NewEvent>) => Effect.Effect<void, LedgerError.LedgerError>) =>
  Layer.effect(
    Ledger.Ledger,
    Effect.map(Ledger.Ledger, (ledger) =>
      Ledger.Ledger.of({
        ...ledger,
        append: (tenantId, events) => Effect.andThen(act(events), ledger.append(tenantId, events))
      }))
  )

/** The inbox beside such a ledger. */
const beside = (ledger: ReturnType<typeof before>) => Layer.provideMerge(Edge.memoryInbox, ledger)

/** What a test may change while the ingestion runs. */
interface World {
  readonly ledgerFails: Ref.Ref<Option.Option<LedgerError.LedgerError>>
  readonly ledgerDies: Ref.Ref<Option.Option<unknown>>
  readonly provider: Ref.Ref<Row.Row>
  readonly confirms: Ref.Ref<boolean>
  readonly appends: Ref.Ref<ReadonlyArray<number>>
}

const world = Effect.gen(function*() {
  const ledgerFails = yield* Ref.make<Option.Option<LedgerError.LedgerError>>(Option.none())
  const ledgerDies = yield* Ref.make<Option.Option<unknown>>(Option.none())
  const provider = yield* Ref.make(lines())
  const confirms = yield* Ref.make(true)
  const appends = yield* Ref.make<ReadonlyArray<number>>([])
  const followUp: Row.FollowUp = ({ body }) =>
    textOf(body).includes("+")
      ? Effect.flatMap(Ref.get(confirms), (confirms) =>
        confirms
          ? Effect.void
          : Effect.fail(
            new Webhook.FollowUpFailed({
              provider: name,
              issue: "the subscription could not be confirmed",
              cause: "https://sns.example/?Token=secret"
            })
          ))
      : Effect.void
  const table = tableOf({
    ...lines(),
    normalize: (received) => Effect.runSync(Ref.get(provider)).normalize(received),
    setup: ({ body }) => textOf(body).includes("+") ? Option.some({}) : Option.none(),
    followUp: Effect.succeed(followUp)
  })
  const ledger = before(Effect.fnUntraced(function*(events) {
    const failure = yield* Ref.get(ledgerFails)
    const defect = yield* Ref.get(ledgerDies)
    if (Option.isSome(defect)) return yield* Effect.die(defect.value)
    return Option.isSome(failure)
      ? yield* failure.value
      : yield* Ref.update(appends, (sizes) => [...sizes, events.length])
  }))
  const layer = Ingestion.layer.pipe(
    Layer.provide(table),
    Layer.provideMerge(beside(ledger)),
    Layer.provideMerge(Edge.memory)
  )
  return { world: { ledgerFails, ledgerDies, provider, confirms, appends } satisfies World, layer }
})

const webhook = (body: string): Ingestion.VerifiedWebhook => ({
  tenantId,
  provider: lines(),
  headers: { "x-id": "1", "authorization": "secret" },
  body: bytes(body),
  token: Option.none()
})

const receive = (body: string) => Ingestion.Ingestion.use((ingestion) => ingestion.receive(webhook(body)))

const ingest = (body: string) => Ingestion.Ingestion.use((ingestion) => ingestion.ingest(webhook(body)))

const sweep = (options?: Processed.SweepOptions) => Ingestion.Ingestion.use((ingestion) => ingestion.sweep(options))

const replay = (id: Inbox.WebhookId) => Ingestion.Ingestion.use((ingestion) => ingestion.replay(tenantId, id))

const get = (id: Inbox.WebhookId) => Effect.map(Inbox.Inbox.use((inbox) => inbox.get(tenantId, id)), Option.getOrThrow)

/** The keys of all events of the ledger. */
const stored = Effect.map(
  Edge.orphans(tenantId),
  (events) => events.map(({ idempotencyKey }) => String(idempotencyKey))
)

const none: Processed.Swept = { claimed: 0, succeeded: 0, postponed: 0, failed: 0, dead: 0, appended: 0 }

const test = (
  name: string,
  body: (world: World) => Effect.Effect<unknown, unknown, Ingestion.Ingestion | Edge.Storage>
) => it.effect(name, () => Effect.flatMap(world, ({ layer, world }) => Effect.provide(body(world), layer)), 30_000)

const unavailable = new LedgerError.LedgerUnavailable({ reason: "timeout", cause: "ann@reader.example" })

describe("Ingestion", () => {
  test("stores a webhook with the headers that matter, appends its events and notes that it did", () =>
    Effect.gen(function*() {
      const { counts, outcome, webhookId } = yield* receive("a\nb")
      assert.strictEqual(outcome, "orphan")
      assert.strictEqual(counts.appended, 2)
      const webhook = yield* get(webhookId)
      assert.strictEqual(webhook.status, "succeeded")
      assert.deepStrictEqual(webhook.headers, { "x-id": "1" })
      assert.strictEqual(textOf(webhook.body), "a\nb")
      assert.deepStrictEqual(yield* stored, ["a", "b"])
      assert.deepStrictEqual(yield* sweep(), none)
    }))

  test("replaying what is in the ledger changes nothing, also where an event had no time of its own", () =>
    Effect.gen(function*() {
      const { webhookId } = yield* receive("a\nb")
      const before = yield* Edge.orphans(tenantId)
      yield* TestClock.adjust("3 days")
      const { counts, result } = yield* replay(webhookId)
      assert.deepStrictEqual(result, { _tag: "Succeeded" })
      assert.deepStrictEqual([counts.appended, counts.duplicates, counts.conflicts], [0, 2, 0])
      assert.deepStrictEqual(yield* Edge.orphans(tenantId), before)
      assert.strictEqual((yield* get(webhookId)).status, "succeeded")
      assert.strictEqual((yield* receive("a")).outcome, "duplicate")
    }))

  test("counts an event whose key stands for one that says something else, and leaves that one", () =>
    Effect.gen(function*() {
      yield* receive("a")
      const before = yield* Edge.orphans(tenantId)
      yield* TestClock.adjust("1 minute")
      const { counts, outcome, webhookId } = yield* receive("a\nb")
      assert.deepStrictEqual([counts.appended, counts.conflicts], [1, 1])
      assert.strictEqual(outcome, "orphan")
      assert.strictEqual((yield* get(webhookId)).status, "succeeded")
      assert.deepStrictEqual((yield* Edge.orphans(tenantId)).slice(0, 1), before)
    }))

  test("appends what is understood, keeps the rest, and brings it in by a replay under a mended mapping", (world) =>
    Effect.gen(function*() {
      const { counts, outcome, webhookId } = yield* receive("a\n?b\nc\n?d")
      assert.strictEqual(outcome, "undecodable")
      assert.deepStrictEqual([counts.appended, counts.undecodable], [2, 2])
      assert.deepStrictEqual(yield* stored, ["a", "c"])
      const webhook = yield* get(webhookId)
      assert.strictEqual(webhook.status, "failed")
      assert.deepStrictEqual(
        webhook.lastError,
        Option.some("items not understood: 1 (MissingType), 3 (MissingType)")
      )
      yield* Ref.set(world.provider, lines(() => true))
      const replayed = yield* replay(webhookId)
      assert.deepStrictEqual(replayed.result, { _tag: "Succeeded" })
      assert.deepStrictEqual([replayed.counts.appended, replayed.counts.duplicates], [2, 2])
      assert.sameMembers(yield* stored, ["a", "c", "?b", "?d"])
      assert.deepStrictEqual((yield* get(webhookId)).lastError, Option.none())
    }))

  test("tries what it cannot understand again after growing waits, gives it up in the end, and keeps it", (world) =>
    Effect.gen(function*() {
      const { webhookId } = yield* receive("malformed")
      for (let tries = 2; tries <= InboxRow.maxTries; tries++) {
        assert.deepStrictEqual(yield* sweep(), none)
        yield* TestClock.adjust(Retry.waitAfter(tries - 1))
        const swept = yield* sweep()
        assert.strictEqual(swept.claimed, 1)
        assert.strictEqual((yield* get(webhookId)).status, tries === InboxRow.maxTries ? "dead" : "failed")
      }
      yield* TestClock.adjust("365 days")
      assert.deepStrictEqual(yield* sweep(), none)
      const dead = yield* get(webhookId)
      assert.strictEqual(textOf(dead.body), "malformed")
      assert.deepStrictEqual(dead.lastError, Option.some("lines webhook cannot be read: NotJson"))
      yield* Ref.set(world.provider, {
        ...lines(),
        normalize: (received) => lines().normalize({ ...received, body: bytes("mended") })
      })
      assert.strictEqual((yield* replay(webhookId)).result._tag, "Succeeded")
      assert.deepStrictEqual(yield* stored, ["mended"])
    }))

  test("brings in what the ledger could not take, however long that lasts", (world) =>
    Effect.gen(function*() {
      yield* Ref.set(world.ledgerFails, Option.some(unavailable))
      const { outcome, webhookId } = yield* receive("a")
      assert.strictEqual(outcome, "stored")
      for (let round = 0; round < 3 * InboxRow.maxTries; round++) {
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* sweep(), { ...none, claimed: 1, postponed: 1 })
      }
      assert.deepStrictEqual(
        (yield* get(webhookId)).lastError,
        Option.some("the database is not available (timeout)")
      )
      yield* Ref.set(world.ledgerFails, Option.none())
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* sweep(), { ...none, claimed: 1, succeeded: 1, appended: 1 })
      assert.deepStrictEqual(yield* stored, ["a"])
    }))

  test("goes once over what storage delays in a sweep, and past it", (world) =>
    Effect.gen(function*() {
      yield* Ref.set(world.ledgerFails, Option.some(unavailable))
      for (const body of ["a", "b", "c"]) yield* receive(body)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* sweep(), { ...none, claimed: 3, postponed: 3 })
    }))

  test("takes up what a dead process left, once it has stalled, and gives up what ends the process each time", () =>
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const left = yield* inbox.store({ tenantId, provider: name, headers: {}, body: bytes("a"), token: Option.none() })
      assert.deepStrictEqual(yield* sweep(), none)
      yield* TestClock.adjust(Ingestion.defaultStalledFor)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* sweep(), { ...none, claimed: 1, succeeded: 1, appended: 1 })
      assert.deepStrictEqual(yield* stored, ["a"])
      assert.strictEqual((yield* get(left.id)).status, "succeeded")

      const fatal = yield* inbox.store({
        tenantId,
        provider: name,
        headers: {},
        body: bytes("b"),
        token: Option.none()
      })
      for (let tries = 2; tries <= InboxRow.maxTries; tries++) {
        yield* TestClock.adjust("1 hour")
        assert.lengthOf(yield* inbox.claim({ scope: tenantId, limit: 1, stalledFor: Duration.minutes(1) }), 1)
      }
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* sweep({ stalledFor: "1 minute" }), { ...none, claimed: 1, dead: 1 })
      const dead = yield* get(fatal.id)
      assert.strictEqual(dead.status, "dead")
      assert.deepStrictEqual(
        dead.lastError,
        Option.some(`processing was begun ${InboxRow.maxTries} times and never ended`)
      )
      assert.deepStrictEqual(yield* stored, ["a"])
    }))

  test("sweeps one tenant or all, and one bad webhook does not stop the rest", () =>
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const other = Tenant.TenantId.make("globex")
      for (const body of ["throw", "malformed", "a", "?b"]) {
        yield* inbox.store({ tenantId, provider: name, headers: {}, body: bytes(body), token: Option.none() })
      }
      yield* inbox.store({ tenantId: other, provider: name, headers: {}, body: bytes("z"), token: Option.none() })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* sweep({ tenantId }), { ...none, claimed: 4, succeeded: 1, failed: 3, appended: 1 })
      assert.lengthOf(yield* Edge.orphans(other), 0)
      assert.deepStrictEqual(yield* sweep(), { ...none, claimed: 1, succeeded: 1, appended: 1 })
      assert.lengthOf(yield* Edge.orphans(other), 1)
    }))

  test("drains many webhooks together, of every tenant, and what fails among them alone", (world) =>
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const other = Tenant.TenantId.make("globex")
      const put = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, body: string) {
        const { id } = yield* inbox.store({
          tenantId,
          provider: name,
          headers: {},
          body: bytes(body),
          token: Option.none()
        })
        yield* inbox.release(tenantId, id)
        return id
      })
      for (let index = 0; index < 500; index++) yield* put(tenantId, `a${index}\nb${index}`)
      const odd = yield* Effect.forEach(["throw", "malformed", "?c", "+", "a0"], (body) => put(tenantId, body))
      for (let index = 0; index < 20; index++) yield* put(other, `a${index}`)
      yield* TestClock.adjust("1 minute")
      const batches = yield* Ref.make<ReadonlyArray<number>>([])
      const swept = yield* sweep({ onBatch: ({ claimed }) => Ref.update(batches, (all) => [...all, claimed]) })
      assert.deepStrictEqual(swept, { ...none, claimed: 525, succeeded: 522, failed: 3, appended: 1020 })
      assert.deepStrictEqual((yield* Ref.get(world.appends)).slice(0, 2), [200, 20])
      assert.isBelow((yield* Ref.get(world.appends)).length, 20)
      assert.deepStrictEqual(yield* Ref.get(batches), [120, 320, 520, 525])
      const statuses = yield* Effect.forEach(odd, (id) => Effect.map(get(id), ({ status }) => status))
      assert.deepStrictEqual(statuses, ["failed", "failed", "failed", "succeeded", "succeeded"])
    }))

  test("drains on where one webhook of a batch cannot be stored, and all of it once storage is there again", (world) =>
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      for (const body of ["a", "!b", "c"]) {
        const { id } = yield* inbox.store({
          tenantId,
          provider: name,
          headers: {},
          body: bytes(body),
          token: Option.none()
        })
        yield* inbox.release(tenantId, id)
      }
      const down = new LedgerError.LedgerUnavailable({ reason: "connection", cause: undefined })
      yield* Ref.set(world.ledgerFails, Option.some(down))
      assert.deepStrictEqual(yield* sweep(), { ...none, claimed: 3, postponed: 3 })
      yield* Ref.set(world.ledgerFails, Option.none())
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* sweep(), { ...none, claimed: 3, succeeded: 2, failed: 1, appended: 2 })
      assert.sameMembers(yield* stored, ["a", "c"])
    }))

  test("replays what is asked for, each once, whatever its status", (world) =>
    Effect.gen(function*() {
      const ingestion = yield* Ingestion.Ingestion
      for (const body of ["a", "?b", "?c", "d"]) {
        yield* receive(body)
        yield* TestClock.adjust("1 second")
      }
      const replayAll = (query: Partial<Processed.ReplayQuery>) =>
        ingestion.replayAll({ scope: tenantId, status: Option.none(), ...query })
      const failed = { status: Option.some("failed" as const) }
      assert.deepStrictEqual(yield* replayAll(failed), { ...none, claimed: 2, failed: 2 })
      yield* Ref.set(world.provider, lines(() => true))
      const ids = yield* Ref.make<ReadonlyArray<Inbox.WebhookId>>([])
      const again = yield* replayAll({
        ...failed,
        onBatch: (_, batch) => Ref.update(ids, (all) => [...all, ...batch.map(({ id }) => id)])
      })
      assert.deepStrictEqual(again, { ...none, claimed: 2, succeeded: 2, appended: 2 })
      assert.lengthOf(yield* Ref.get(ids), 2)
      assert.deepStrictEqual(yield* replayAll({ provider: Provider.Provider.make("other") }), none)
      assert.deepStrictEqual(yield* replayAll({ scope: Tenant.all }), { ...none, claimed: 4, succeeded: 4 })
    }))

  it.live("keeps to a rate", () =>
    Effect.flatMap(world, ({ layer }) =>
      Effect.gen(function*() {
        const inbox = yield* Inbox.Inbox
        for (let index = 0; index < 6; index++) {
          const { id } = yield* inbox.store({
            tenantId,
            provider: name,
            headers: {},
            body: bytes(`a${index}`),
            token: Option.none()
          })
          yield* inbox.release(tenantId, id)
        }
        const [took, swept] = yield* Effect.timed(sweep({ rate: 10 }))
        assert.strictEqual(swept.succeeded, 6)
        assert.isAtLeast(Duration.toMillis(took), 500)
      }).pipe(Effect.provide(layer))))

  test("keeps a webhook whose reading dies, and its words out of the reason", () =>
    Effect.gen(function*() {
      const { outcome, webhookId } = yield* receive("a\nthrow")
      assert.strictEqual(outcome, "undecodable")
      assert.deepStrictEqual((yield* get(webhookId)).lastError, Option.some("processing it died"))
    }))

  test("a statement that the database refuses for itself is no fault of the webhook, its data may be", (world) =>
    Effect.gen(function*() {
      const answered = (code: string) => Option.some({ _tag: "SqlError", reason: { cause: { code } } })
      yield* Ref.set(world.ledgerDies, answered("42703"))
      const { outcome, webhookId } = yield* receive("a")
      assert.strictEqual(outcome, "stored")
      for (let round = 0; round < 2 * InboxRow.maxTries; round++) {
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* sweep(), { ...none, claimed: 1, postponed: 1 })
      }
      assert.deepStrictEqual((yield* get(webhookId)).lastError, Option.some("the database refused a statement"))
      yield* Ref.set(world.ledgerDies, answered("22021"))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* sweep(), { ...none, claimed: 1, failed: 1 })
    }))

  test("an event that cannot be stored costs the others nothing", () =>
    Effect.gen(function*() {
      const { counts, webhookId } = yield* receive("a\n!b\nc")
      assert.deepStrictEqual([counts.appended, counts.undecodable], [2, 1])
      assert.deepStrictEqual(yield* stored, ["a", "c"])
      const webhook = yield* get(webhookId)
      assert.strictEqual(webhook.status, "failed")
      assert.deepStrictEqual(webhook.lastError, Option.some("events that cannot be stored: 1"))
    }))

  test("appends a large batch in transactions of bounded size, and names a bounded number of places", (world) =>
    Effect.gen(function*() {
      const body = Array.from({ length: 2 * Ingestion.batchSize + 500 }, (_, index) => `line-${index}`)
      const { counts } = yield* receive(body.join("\n"))
      assert.strictEqual(counts.appended, body.length)
      assert.deepStrictEqual(yield* Ref.get(world.appends), [Ingestion.batchSize, Ingestion.batchSize, 500])
      const { webhookId } = yield* receive(Array.from({ length: 12_000 }, () => "?").join("\n"))
      const reason = Option.getOrThrow((yield* get(webhookId)).lastError)
      assert.match(reason, /^items not understood: 0 \(MissingType\), .*, 9 \(MissingType\) and 11990 more$/)
    }))

  it.effect("gives others their turn between the pieces of a large batch", () =>
    Effect.gen(function*() {
      const turns = yield* Ref.make(0)
      const atPieces = yield* Ref.make<ReadonlyArray<number>>([])
      const normalize: Row.Row["normalize"] = (received) =>
        Result.succeed((function*() {
          for (const line of textOf(received.body).split("\n")) {
            Effect.runSync(Effect.flatMap(Ref.get(turns), (turn) => Ref.update(atPieces, (all) => [...all, turn])))
            yield* Result.getOrThrow(lines().normalize({ ...received, body: bytes(line) }))
          }
        })())
      yield* Effect.gen(function*() {
        const other = yield* Effect.forkChild(
          Effect.gen(function*() {
            while (true) {
              yield* Ref.update(turns, (turn) => turn + 1)
              yield* Effect.yieldNow
            }
          }),
          { startImmediately: true }
        )
        const { counts, outcome, webhookId } = yield* receive("a\nb\n?c\nd")
        yield* Fiber.interrupt(other)
        assert.deepStrictEqual([counts.appended, counts.undecodable, outcome], [3, 1, "undecodable"])
        assert.deepStrictEqual(yield* stored, ["a", "b", "d"])
        assert.strictEqual((yield* get(webhookId)).status, "failed")
        const seen = yield* Ref.get(atPieces)
        assert.lengthOf(seen, 4)
        assert.isAbove(new Set(seen).size, 2)
      }).pipe(
        Effect.provide(
          Ingestion.layer.pipe(
            Layer.provide(tableOf({ ...lines(), normalize })),
            Layer.provideMerge(Edge.memory)
          )
        )
      )
    }))

  test("keeps a webhook of a provider that is not in the table any more", () =>
    Effect.gen(function*() {
      const inbox = yield* Inbox.Inbox
      const { id } = yield* inbox.store({
        tenantId,
        provider: Provider.Provider.make("gone"),
        headers: {},
        body: bytes("a"),
        token: Option.none()
      })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* sweep(), { ...none, claimed: 1, failed: 1 })
      assert.deepStrictEqual((yield* get(id)).lastError, Option.some("the provider is not known"))
    }))

  test("tries a subscription that could not be confirmed again, and keeps its address to itself", (world) =>
    Effect.gen(function*() {
      yield* Ref.set(world.confirms, false)
      const { outcome, webhookId } = yield* receive("+")
      assert.strictEqual(outcome, "undecodable")
      assert.deepStrictEqual(
        (yield* get(webhookId)).lastError,
        Option.some("the subscription could not be confirmed")
      )
      yield* Ref.set(world.confirms, true)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* sweep(), { ...none, claimed: 1, succeeded: 1 })
      assert.strictEqual((yield* receive("+")).outcome, "not_mail")
    }))

  test("fails where nothing was stored", () =>
    Effect.gen(function*() {
      const ingestion = yield* Ingestion.Ingestion
      const token = Option.some({ value: "t", verifiedBy: tenantId })
      const webhook = { provider: lines(), headers: {}, body: bytes("a"), tenantId, token }
      yield* ingestion.receive(webhook)
      const replayed = yield* Effect.flip(ingestion.receive({ ...webhook, body: bytes("b") }))
      assert.strictEqual(replayed._tag, "TokenReplayed")
      const again = yield* ingestion.receive(webhook)
      assert.strictEqual(again.outcome, "duplicate")
      assert.deepStrictEqual(yield* stored, ["a"])
    }))

  test("tells in order what became of each event of a webhook that it ingests, to its end", (world) =>
    Effect.gen(function*() {
      const told = (body: string) =>
        Effect.map(ingest(body), ({ events, isComplete, outcome, result }) => ({
          events: events.map(({ event, outcome }) => `${event.idempotencyKey} ${outcome._tag}`),
          isComplete,
          outcome,
          result: result._tag
        }))
      yield* receive("b")
      assert.deepStrictEqual(yield* told("a\nb\na"), {
        events: ["a Appended", "b Duplicate", "a Duplicate"],
        isComplete: true,
        outcome: "orphan",
        result: "Succeeded"
      })
      assert.deepStrictEqual(yield* told("c\n?d\ne"), {
        events: ["c Appended", "e Appended"],
        isComplete: true,
        outcome: "undecodable",
        result: "Failed"
      })
      assert.deepStrictEqual(yield* told("f\n!g\nh"), {
        events: ["f Appended", "h Appended"],
        isComplete: false,
        outcome: "undecodable",
        result: "Failed"
      })
      yield* Ref.set(world.ledgerFails, Option.some(unavailable))
      assert.deepStrictEqual(yield* told("i"), {
        events: [],
        isComplete: false,
        outcome: "stored",
        result: "Postponed"
      })
      const malformed = yield* Effect.flip(ingest("malformed"))
      assert.strictEqual(malformed.message, "lines webhook cannot be read: NotJson")
      assert.strictEqual((yield* Edge.statuses(tenantId)).length, 6)
    }))

  test("appends the events of a webhook whose follow-up fails, and tries that again", (world) =>
    Effect.gen(function*() {
      yield* Ref.set(world.confirms, false)
      const { counts, webhookId } = yield* receive("a\n+")
      assert.strictEqual(counts.appended, 1)
      assert.deepStrictEqual((yield* get(webhookId)).lastError, Option.some("the subscription could not be confirmed"))
      yield* Ref.set(world.confirms, true)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* sweep(), { ...none, claimed: 1, succeeded: 1 })
      yield* Ref.set(world.confirms, false)
      assert.isFalse((yield* ingest("b\n+")).isComplete)
    }))

  test("says that there is no such webhook to replay, also where it is another tenant's", () =>
    Effect.gen(function*() {
      const ingestion = yield* Ingestion.Ingestion
      const { webhookId } = yield* receive("a")
      const missing = yield* Effect.flip(ingestion.replay(Tenant.TenantId.make("globex"), webhookId))
      assert.strictEqual(missing._tag, "WebhookNotFound")
      assert.strictEqual((yield* ingestion.replay(Tenant.all, webhookId)).result._tag, "Succeeded")
    }))

  it.effect("fails in time where storing takes too long, and succeeds in time where processing does", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const slow = yield* Ref.make<"store" | "append">("store")
      const waitFor = (step: "store" | "append") =>
        Effect.flatMap(Ref.get(slow), (which) => which === step ? Deferred.await(gate) : Effect.void)
      const storage = Layer.effectContext(Effect.gen(function*() {
        const inbox = yield* Inbox.Inbox
        const ledger = yield* Ledger.Ledger
        return Context.make(Inbox.Inbox, {
          ...inbox,
          store: (webhook) => Effect.andThen(waitFor("store"), inbox.store(webhook))
        }).pipe(Context.add(Ledger.Ledger, {
          ...ledger,
          append: (tenantId, events) => Effect.andThen(waitFor("append"), ledger.append(tenantId, events))
        }))
      }))
      yield* Effect.gen(function*() {
        const first = yield* Effect.forkChild(Effect.flip(receive("a")), { startImmediately: true })
        yield* TestClock.adjust(Ingestion.storeWithin)
        assert.strictEqual((yield* Fiber.join(first))._tag, "LedgerUnavailable")
        assert.lengthOf(yield* Edge.webhooks(tenantId), 0)
        yield* Ref.set(slow, "append")
        const second = yield* Effect.forkChild(receive("a"), { startImmediately: true })
        yield* TestClock.adjust(Ingestion.awaitedFor)
        const { outcome, webhookId } = yield* Fiber.join(second)
        assert.strictEqual(outcome, "stored")
        assert.strictEqual((yield* get(webhookId)).status, "processing")
        yield* Deferred.succeed(gate, undefined)
        yield* Effect.yieldNow
        assert.strictEqual((yield* get(webhookId)).status, "succeeded")
        assert.deepStrictEqual(yield* stored, ["a"])
      }).pipe(
        Effect.provide(
          Ingestion.layer.pipe(
            Layer.provide(tableOf(lines())),
            Layer.provideMerge(storage),
            Layer.provideMerge(Edge.memory)
          )
        )
      )
    }))

  it.effect("goes on where its caller is interrupted, and ends the webhook in hand where a sweep is", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const ledger = before(() => Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(gate)))
      yield* Effect.gen(function*() {
        const inbox = yield* Inbox.Inbox
        const caller = yield* Effect.forkChild(receive("a"))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(caller)
        for (const body of ["b", "c"]) {
          yield* inbox.store({ tenantId, provider: name, headers: {}, body: bytes(body), token: Option.none() })
          yield* TestClock.adjust("1 second")
        }
        const sweeper = yield* Effect.forkChild(sweep({ stalledFor: 0 }), { startImmediately: true })
        const interruption = yield* Effect.forkChild(Fiber.interrupt(sweeper), { startImmediately: true })
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(interruption)
        const statuses = yield* Edge.statuses(tenantId)
        assert.strictEqual(statuses.filter((status) => status === "succeeded").length, 1)
        yield* TestClock.adjust("1 hour")
        yield* sweep()
        assert.sameMembers(yield* stored, ["a", "b", "c"])
      }).pipe(
        Effect.provide(
          Ingestion.layer.pipe(
            Layer.provide(tableOf(lines())),
            Layer.provideMerge(beside(ledger)),
            Layer.provideMerge(Edge.memory)
          )
        )
      )
    }))
})
