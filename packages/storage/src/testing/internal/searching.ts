/** Declares what holds for every directory: what a search finds, in which order, page by page, while others write. */
import { assert } from "@effect/vitest"
import { Directory, type Event, Ledger, Provider, Search, Suppressions, type Tenant } from "@waybill/core"
import { Arbitrary, Brand, DateTime, Duration, Effect, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Given from "../Given.ts"
import { appended, type Contract, refused } from "./contract.ts"

const filter = (fields: Partial<Search.Filter>): Search.Filter => ({ ...Search.Filter.make({}), ...fields })

const search = (
  tenantId: Tenant.TenantId,
  fields: Partial<Search.Filter>,
  page: Partial<Pick<Directory.Query, "after" | "limit" | "reach">> = {}
) =>
  Effect.flatMap(
    Directory.Directory,
    (directory) => directory.search({ tenantId, filter: filter(fields), after: Option.none(), limit: 100, ...page })
  )

const found = (tenantId: Tenant.TenantId, fields: Partial<Search.Filter>) =>
  Effect.map(search(tenantId, fields), ({ deliveries }) => deliveries.map(({ id }) => id))

/** All pages of a search, after each of which something is done. */
const pages = Effect.fnUntraced(function*<E, R>(
  tenantId: Tenant.TenantId,
  fields: Partial<Search.Filter>,
  size: Pick<Directory.Query, "limit" | "reach">,
  between: Effect.Effect<unknown, E, R>
) {
  const all: Array<ReadonlyArray<Event.DeliveryId>> = []
  let after: Option.Option<Directory.Cursor> = Option.none()
  do {
    const page: Directory.Page = yield* search(tenantId, fields, { ...size, after })
    all.push(page.deliveries.map(({ id }) => id))
    after = page.next
    yield* between
  } while (Option.isSome(after))
  return all
})

/** Three deliveries, a second apart: to Ann, delivered; to Bob, bounced; to Ann again, never sent. */
const three = Effect.gen(function*() {
  const tenantId = yield* Given.tenant
  const first = yield* Given.dispatched(tenantId, "m-1", { idempotencyKey: Option.some(Given.key("signup:1")) })
  yield* TestClock.adjust("1 second")
  const second = yield* Given.dispatched(tenantId, "m-2", {
    recipient: Given.address("bob@b\u00fccher.example"),
    mailable: "receipt",
    stream: "bulk"
  })
  yield* TestClock.adjust("1 second")
  const third = yield* Given.recorded(tenantId)
  yield* appended(tenantId, [
    Given.report("delivered", "m-1"),
    Given.report("bounced", "m-2", { occurredAt: Given.afterNoon(60) }),
    Given.report("opened", "m-2")
  ])
  return { tenantId, first: first.id, second: second.id, third: third.id }
})

/** A cursor by its type alone. */
const notACursor = Brand.nominal<Directory.Cursor>()("not a cursor")

const recorded = Schema.Array(Schema.Literals(["queued", "delivered", "bounced"])).check(Schema.isMaxLength(12))

/** Declares the tests of a directory. */
export const searching = ({ example, property }: Contract): void => {
  example(
    "finds deliveries by each thing that may be known of them, newest first",
    Effect.gen(function*() {
      const { first, second, tenantId, third } = yield* three
      const some = Option.some
      const cases: ReadonlyArray<readonly [Partial<Search.Filter>, ReadonlyArray<Event.DeliveryId>]> = [
        [{}, [third, second, first]],
        [{ recipient: some(Given.address("ANN@Example.Com.")) }, [third, first]],
        [{ recipient: some(Given.address("nobody@example.com")) }, []],
        [{ recipientDomain: some("xn--bcher-kva.example") }, [second]],
        [{ recipientDomain: some("B\u00dcCHER.example.") }, [second]],
        [{ deliveryId: some(second) }, [second]],
        [{ idempotencyKey: some(Given.key("signup:1")) }, [first]],
        [{ mailable: some("receipt") }, [second]],
        [{ stream: some("transactional") }, [third, first]],
        [{ provider: some(Given.provider) }, [second, first]],
        [{ provider: some(Given.sendGrid) }, []],
        [{ status: some("sent") }, [first]],
        [{ status: some("failed") }, [second]],
        [{ status: some("suppressed") }, []],
        [{ lastEventType: some("bounced") }, [second]],
        [{ event: some("bounced") }, [second]],
        [{ event: some("opened") }, [second]],
        [{ event: some("queued") }, [third, second, first]],
        [{ event: some("bounced"), happenedFrom: some(Given.afterNoon(60)) }, [second]],
        [{ event: some("bounced"), happenedTo: some(Given.afterNoon(60)) }, []],
        [{ happenedFrom: some(Given.afterNoon(3)) }, [second]],
        [{ recordedFrom: some(Given.afterNoon(1)) }, [third, second]],
        [{ recordedTo: some(Given.afterNoon(1)) }, [first]],
        [{ stuckFor: some(Duration.zero) }, [third]],
        [{ stuckFor: some(Duration.seconds(1)) }, []],
        [{ recipient: some(Given.recipient), stream: some("transactional"), status: some("queued") }, [third]]
      ]
      for (const [fields, expected] of cases) {
        assert.deepStrictEqual(yield* found(tenantId, fields), expected, JSON.stringify(fields))
      }
      assert.deepStrictEqual(yield* found(yield* Given.tenant, {}), [])
    })
  )
  example(
    "finds a message id as anybody has it",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const tenantId = yield* Given.tenant
      const uuid = "883953f4-6105-42a2-a16a-77a8eac79483"
      const cases = [
        ["postmark", uuid, [`<${uuid}>`, `<${uuid}@mtasv.net>`, ` ${uuid} `]],
        ["ses", "0102abc-1", ["<0102abc-1@eu-west-1.amazonses.com>", "0102abc-1@email.amazonses.com"]],
        ["sendgrid", "14c5d75ce93", ["14c5d75ce93.filter0001.16648.5515E0B88.0", "<14c5d75ce93@ismtpd-1>"]],
        ["mailgun", "20261128@mg.example.com", ["<20261128@mg.example.com>"]]
      ] as const
      for (const [name, messageId, spellings] of cases) {
        const provider = Provider.Provider.make(name)
        const delivery = yield* Given.recorded(tenantId)
        yield* ledger.dispatch(Given.dispatch(delivery, messageId, { provider }))
        for (const spelling of spellings) {
          const providerMessageId = Option.some(spelling)
          assert.deepStrictEqual(yield* found(tenantId, { providerMessageId }), [delivery.id], spelling)
          assert.deepStrictEqual(
            yield* found(tenantId, { providerMessageId, provider: Option.some(provider) }),
            [delivery.id]
          )
        }
      }
      const error = yield* refused(search(tenantId, { providerMessageId: Option.some("<\u00e4>") }), "InvalidInput")
      assert.strictEqual(error.issue, "providerMessageId: must be the id that the provider gave")
    })
  )
  example(
    "an orphan that was linked is an event of its delivery",
    Effect.gen(function*() {
      const tenantId = yield* Given.tenant
      yield* appended(tenantId, [Given.report("complained", "m-1")])
      assert.deepStrictEqual(yield* found(tenantId, { event: Option.some("complained") }), [])
      const delivery = yield* Given.dispatched(tenantId, "m-1")
      for (const event of ["complained", "reconciled"] as const) {
        assert.deepStrictEqual(yield* found(tenantId, { event: Option.some(event) }), [delivery.id])
      }
    })
  )
  example(
    "a forgotten recipient is found no more",
    Effect.gen(function*() {
      const ledger = yield* Ledger.Ledger
      const { first, second, tenantId, third } = yield* three
      yield* ledger.forget({ tenantId, recipient: Given.recipient })
      assert.deepStrictEqual(yield* found(tenantId, { recipient: Option.some(Given.recipient) }), [])
      assert.deepStrictEqual(yield* found(tenantId, { recipientDomain: Option.some("example.com") }), [])
      assert.deepStrictEqual(yield* found(tenantId, {}), [third, second, first])
    })
  )
  example(
    "the history of a recipient is every delivery with its timeline, and what suppresses it",
    Effect.gen(function*() {
      const { first, tenantId, third } = yield* three
      const recipient = Given.address("ANN@example.com")
      const told = Directory.history({ tenantId, recipient, after: Option.none(), limit: 10 })
      const { next, stories, suppressions } = yield* told
      assert.isTrue(Option.isNone(next))
      assert.deepStrictEqual(suppressions, [])
      assert.deepStrictEqual(
        stories.map(({ delivery, timeline }) => [delivery.id, timeline.map(({ event }) => event.type)]),
        [[third, ["queued"]], [first, ["queued", "dispatched", "delivered"]]]
      )
      const suppressed = yield* Suppressions.Suppressions
      const addition = { recipient, reason: "manual" as const, stream: Option.none(), since: Option.none() }
      yield* suppressed.add({ tenantId, additions: [addition], actor: "operator", because: Option.none() })
      assert.deepStrictEqual(
        (yield* told).suppressions.map(({ eventId, reason }) => [reason, eventId]),
        [["manual", Option.none()]]
      )
    })
  )
  example(
    "refuses the cursor of another query, of another tenant, and one that nobody gave",
    Effect.gen(function*() {
      const { tenantId } = yield* three
      const { next } = yield* search(tenantId, {}, { limit: 1 })
      assert.isTrue(Option.isSome(next))
      yield* refused(search(tenantId, { status: Option.some("sent") }, { after: next }), "ForeignCursor")
      yield* refused(search(yield* Given.tenant, {}, { after: next }), "ForeignCursor")
      assert.lengthOf((yield* search(tenantId, {}, { after: next })).deliveries, 2)
      const [name, , id] = Option.getOrThrow(next).split(".")
      const beyond = Brand.nominal<Directory.Cursor>()(`${name}.${"9".repeat(18)}.${id}`)
      for (const after of [notACursor, beyond]) {
        const error = yield* refused(search(tenantId, {}, { after: Option.some(after) }), "InvalidInput")
        assert.strictEqual(error.issue, "after: must be the next of a page")
      }
      yield* refused(search(tenantId, {}, { limit: 0 }), "InvalidInput")
      yield* refused(search(tenantId, {}, { reach: 10_001 }), "InvalidInput")
    })
  )
  example(
    "a page that looked as far as it may is short and goes on",
    Effect.gen(function*() {
      const { first, tenantId } = yield* three
      assert.deepStrictEqual(
        yield* pages(tenantId, { status: Option.some("sent") }, { limit: 5, reach: 2 }, Effect.void),
        [[], [first]]
      )
    })
  )
  property(
    "following a listing while others write shows nothing twice and misses nothing that matched throughout",
    Arbitrary.all({
      before: Arbitrary.schema(recorded),
      limit: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 }))),
      reach: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 }))),
      event: Arbitrary.schema(Schema.Literals(["delivered", "bounced", "queued"]))
    }),
    ({ before, event, limit, reach }) =>
      Effect.gen(function*() {
        const tenantId = yield* Given.tenant
        const write = Effect.fnUntraced(function*(type: typeof before[number], message: string) {
          yield* TestClock.adjust("1 millis")
          const { id } = yield* type === "queued" ? Given.recorded(tenantId) : Given.dispatched(tenantId, message)
          if (type !== "queued") yield* appended(tenantId, [Given.report(type, message)])
          return id
        })
        const written = yield* Effect.forEach(before, (type, index) =>
          Effect.map(write(type, `b-${index}`), (id) => ({ id, type })))
        const expected = written.filter(({ type }) =>
          event === "queued" || type === event
        ).map(({ id }) => id)
        let round = 0
        // Another writer adds deliveries, and events to those that are there already.
        const others = Effect.gen(function*() {
          round++
          yield* write(event === "queued" ? "delivered" : event, `d-${round}`)
          yield* appended(
            tenantId,
            before.map((_, index) =>
              Given.report("bounced", `b-${index}`, {
                occurredAt: DateTime.add(Given.noon, { seconds: round }),
                idempotencyKey: Given.key(`again-${round}-${index}`)
              })
            )
          )
        })
        const all = (yield* pages(tenantId, { event: Option.some(event) }, { limit, reach }, others)).flat()
        assert.strictEqual(new Set(all).size, all.length, "a delivery is shown twice")
        for (const id of expected) assert.include(all, id, "a delivery is missed")
      })
  )
}
