import { assert, describe, it } from "@effect/vitest"
import { type Alert, AlertRule, Alerts as Port, Figures, Provider, Tenant, Ticks } from "@waybill/core"
import { Alerts, Answers } from "@waybill/runtime"
import { MemoryStorage } from "@waybill/storage"
import { Context, DateTime, Effect, Fiber, Layer, Option, Ref, type Scope, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"
import * as Mail from "./Mail.ts"

const storage = MemoryStorage.layer.pipe(Layer.provide(SecureRandom.layerWebCrypto))

const [middle, postmark] = [Mail.tenants[12], Mail.providers[0]]
const big = Mail.tenants[19]
assert(middle !== undefined && big !== undefined && postmark !== undefined)

const some = Mail.tenants.filter((_, index) => [0, 12, 19].includes(index))

const begin = 1_772_323_200_000

/** Runs in a world of mail that has gone well for a week, on three nodes that all judge every half hour. */
const inWorld = <A, E>(
  body: (sent: Mail.Sent) => Effect.Effect<
    A,
    E,
    Figures.Figures | Layer.Success<typeof storage> | Scope.Scope
  >
) =>
  Effect.gen(function*() {
    const sent: Mail.Sent = yield* Ref.make<ReadonlyMap<number, ReadonlyArray<Figures.Row>>>(new Map())
    yield* TestClock.setTime(begin)
    return yield* body(sent).pipe(Effect.provide(Layer.merge(storage, Mail.figures(sent)), { local: true }))
  })

const swept = Effect.fnUntraced(function*() {
  const ticks = yield* Ticks.Ticks
  const tick = yield* DateTime.now
  const key = { schedule: "reconcile", tick }
  yield* ticks.claim({ ...key, node: "one" })
  yield* ticks.finish(key, { counts: {}, error: Option.none() })
})

const shown = (notices: ReadonlyArray<Alert.Notice>) =>
  notices.map(({ kind, rule, subject, tenantId }) => `${kind} ${rule} ${tenantId} ${AlertRule.textOf(subject)}`)

/** Lets hours go by, in which mail is sent at some rates, and returns what is told, by the hour that had gone by. */
const passing = Effect.fnUntraced(function*(
  sent: Mail.Sent,
  count: number,
  ratesOf?: (part: Mail.Part) => Mail.Rates,
  each: Effect.Effect<unknown, unknown, Port.Alerts> = Effect.void
) {
  const told: Array<readonly [hours: number, notice: string]> = []
  for (let hour = 0; hour < count; hour++) {
    const now = yield* DateTime.now
    yield* Mail.send(sent, now.epochMilliseconds, Mail.anHour(now.epochMilliseconds, ratesOf, some))
    for (let minute = 0; minute < 60; minute += 30) {
      for (let part = 0; part < 6; part++) yield* Effect.andThen(each, TestClock.adjust("5 minutes"))
      yield* swept()
      const notices = yield* Effect.all(Array.from({ length: 3 }, () => Alerts.evaluate()), { concurrency: 3 })
      for (const { notices: of } of notices) {
        for (const notice of shown(of)) told.push([hour + (minute + 30) / 60, notice])
      }
    }
  }
  return told
})

/** Mail of the hours before, of which nothing went wrong. */
const before = Effect.fnUntraced(function*(sent: Mail.Sent, count: number) {
  const now = (yield* DateTime.now).epochMilliseconds
  for (let hour = now - count * Mail.hourMillis; hour < now; hour += Mail.hourMillis) {
    yield* Mail.send(sent, hour, Mail.anHour(hour, undefined, some))
  }
})

const named = (told: ReadonlyArray<readonly [number, string]>) => told.map(([, notice]) => notice)

describe("alerts", () => {
  it.effect(
    "none opens in thirty quiet days of twenty tenants of different sizes",
    () =>
      inWorld((sent) =>
        Effect.gen(function*() {
          const postmark = Provider.Provider.make("postmark")
          const alerts = yield* Port.Alerts
          for (let hour = 0; hour < 30 * 24; hour++) {
            yield* Mail.send(sent, begin + hour * Mail.hourMillis, Mail.anHour(begin + hour * Mail.hourMillis))
            yield* alerts.noteAnswered(
              Mail.tenants.map(({ id }, index) => ({
                tenantId: id,
                provider: postmark,
                answered: 20,
                refused: index % 3
              }))
            )
            yield* TestClock.adjust("1 hours")
            yield* swept()
            if (hour % 6 === 5) assert.deepStrictEqual(shown((yield* Alerts.evaluate()).notices), [])
          }
          assert.deepStrictEqual(yield* alerts.list({ scope: Tenant.all, isOpen: false, limit: 10 }), [])
          const table = yield* (yield* Figures.Figures).read({
            scope: Tenant.all,
            from: DateTime.makeUnsafe(begin),
            to: yield* DateTime.now,
            by: ["tenant"],
            limit: 100
          })
          assert.lengthOf(table.figures, 20)
          assert.isAbove(table.figures[0]?.counts.dispatched ?? 0, 100_000)
          assert.isBelow(table.figures[19]?.counts.dispatched ?? 0, 1000)
        })
      ),
    60_000
  )

  it.effect(
    "one opens by a bad import, once on three nodes, and closes a day after it",
    () =>
      inWorld((sent) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* passing(sent, 24), [])
          const now = (yield* DateTime.now).epochMilliseconds
          const part = {
            tenantId: middle.id,
            hour: now,
            stream: "bulk",
            provider: postmark,
            mailbox: "other",
            domain: "list.example"
          } as const
          yield* Mail.send(sent, now, [Mail.rowOf(part, 2000, { ...Mail.usual, hardBounced: 0.15 })])
          const told = yield* passing(sent, 30)
          const about = `hard_bounces ${middle.id} stream=bulk`
          assert.deepStrictEqual(named(told), [`opened ${about}`, `reminded ${about}`, `closed ${about}`])
          assert.deepStrictEqual(told.map(([hours]) => hours), [0.5, 24.5, 26])
        })
      ),
    60_000
  )

  it.effect("one opens by a domain that blocks a tenant, and closes", () =>
    inWorld((sent) =>
      Effect.gen(function*() {
        yield* before(sent, 24)
        const told = yield* passing(sent, 8, (part) =>
          part.tenantId === big.id && part.domain === "corp.example"
            ? { ...Mail.usual, hardBounced: 0.97 }
            : Mail.usual)
        const about = `blocked ${big.id} domain=corp.example`
        assert.deepStrictEqual(named(told), [`opened ${about}`])
        assert.isAtMost(told[0]?.[0] ?? 8, 7)
        const after = yield* passing(sent, 24)
        assert.include(named(after), `closed ${about}`)
        assert.isEmpty(named(after).filter((notice) => !notice.endsWith(about)))
      })
    ), 60_000)

  it.effect(
    "one opens by an endpoint that is dead, while mail is dispatched, and closes",
    () =>
      inWorld((sent) =>
        Effect.gen(function*() {
          yield* before(sent, 8)
          const told = yield* passing(
            sent,
            8,
            (part) =>
              part.tenantId === middle.id && part.provider === postmark ? { ...Mail.usual, silent: 1 } : Mail.usual
          )
          const about = `silent_provider ${middle.id} provider=postmark`
          assert.deepStrictEqual(named(told), [`opened ${about}`])
          assert.isAtMost(told[0]?.[0] ?? 8, 7)
          assert.deepStrictEqual(named(yield* passing(sent, 10)), [`closed ${about}`])
        })
      ),
    60_000
  )

  it.effect(
    "one opens by a secret that is lost, whichever node is asked, and closes",
    () =>
      inWorld((sent) =>
        Effect.gen(function*() {
          const notes = yield* Effect.replicateEffect(
            Effect.map(
              Layer.build(Layer.fresh(Answers.layer())),
              (context) => Context.get(context, Answers.Answers).note
            ),
            3
          )
          const answer = (isRefused: boolean) =>
            Effect.forEach(
              notes,
              (note) => Effect.replicateEffect(note({ tenantId: middle.id, provider: postmark, isRefused }), 3),
              { discard: true }
            )
          assert.deepStrictEqual(yield* passing(sent, 2, undefined, answer(false)), [])
          const about = `refused_webhooks ${middle.id} provider=postmark`
          const told = yield* passing(sent, 2, undefined, answer(true))
          assert.deepStrictEqual(named(told), [`opened ${about}`])
          assert.isAtMost(told[0]?.[0] ?? 2, 1)
          assert.deepStrictEqual(named(yield* passing(sent, 3, undefined, answer(false))), [`closed ${about}`])
        })
      ),
    60_000
  )

  it.effect(
    "are judged on each tick by one of three nodes, and told to who follows them",
    () =>
      inWorld(() =>
        Effect.gen(function*() {
          const ticks = yield* Ticks.Ticks
          const alerts = yield* Port.Alerts
          const told: Array<string> = []
          const following = yield* Effect.forkChild(
            Stream.runForEach(Alerts.stream(), (notice) => Effect.sync(() => told.push(...shown([notice]))))
          )
          const since = yield* DateTime.now
          for (const node of ["one", "two", "three"]) {
            yield* Layer.build(Layer.fresh(Alerts.layerCron({ node, since })))
          }
          for (let minute = 0; minute < 40; minute++) yield* TestClock.adjust("1 minutes")
          const made = yield* ticks.recent({ schedule: Option.some("alerts"), limit: 100 })
          assert.lengthOf(made, 8)
          assert.strictEqual(new Set(made.map(({ tick }) => tick.epochMilliseconds)).size, 8)
          assert.deepStrictEqual(told, ["opened no_sweep * schedule=reconcile"])
          yield* swept()
          for (let minute = 0; minute < 75; minute++) {
            yield* TestClock.adjust("1 minutes")
            if (minute % 5 === 0) yield* swept()
          }
          assert.deepStrictEqual(told, ["opened no_sweep * schedule=reconcile", "closed no_sweep * schedule=reconcile"])
          yield* Fiber.interrupt(following)
          assert.lengthOf(yield* alerts.notices({ scope: Tenant.all, after: 0, limit: 10 }), 2)
        })
      ),
    60_000
  )
})
