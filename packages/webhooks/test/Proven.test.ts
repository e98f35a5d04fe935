/** Posts to a real server what each provider proves, by each of its schemes: forged by one bit, again, and while its secret changes. */
import { assert, describe, it } from "@effect/vitest"
import { Providers, type Row, type Scheme, Secrets, type Webhook } from "@waybill/webhooks"
import { type Sender, Senders } from "@waybill/webhooks/testing"
import { DateTime, Effect, Redacted } from "effect"
import * as Edge from "./Edge.ts"
import * as Forging from "./Forging.ts"
import { only } from "./Reading.ts"

/** How many bits of each part of a request are tried, one at a time. */
const flips = 40

/** Whether HTTP carries a request as it is. */
const isSendable = ({ headers }: Webhook.Request): boolean =>
  Object.values(headers).every((value) => /^[!-~](?:[ -~]*[!-~])?$/.test(value))

type Held = Sender.Sender["secrets"]

const served = <A, E>(
  row: Row.Row,
  secrets: Held,
  posting: Effect.Effect<A, E, Effect.Services<ReturnType<typeof Edge.post>> | Edge.Storage>
) =>
  Effect.provide(
    posting,
    Edge.layer({ storage: Edge.memory, providers: [row], secrets: Secrets.layer({ default: { secrets } }) }),
    { local: true }
  )

const post = Effect.fnUntraced(function*({ name }: Row.Row, request: Webhook.Request) {
  const { status, text } = yield* Edge.post(`/webhooks/${name}`, request)
  return [status, text] as const
})

const sent = (row: Row.Row, sender: Sender.Sender, n: number) =>
  Effect.map(
    DateTime.now,
    (now) => only(sender.send([Edge.report("delivered", n)], now, `https://hooks.example/webhooks/${row.name}`))
  )

const map = (secrets: Held, change: (secrets: Held[string]) => Held[string]): Held =>
  Object.fromEntries(Object.entries(secrets).map(([key, each]) => [key, change(each)]))

/** The secrets of both. */
const both = (left: Held, right: Held): Held =>
  Object.fromEntries(Object.entries(left).map(([key, each]) => [key, [...each, ...right[key] ?? []]]))

const cases = Providers.all.flatMap((row) =>
  row.schemes.map((scheme) => ({ name: row.name, by: scheme.name, row, scheme }))
)

const refused = ({ refusal }: Row.Row) => [refusal, "refused"] as const

const generate = (row: Row.Row, { name }: Scheme.Scheme) => Senders.generateOf(row, [name])

describe.each(cases)("what $name proves by its $by", ({ row, scheme }) => {
  it.live(
    "is refused with any one bit of it changed, and taken once however often it comes",
    () =>
      Effect.gen(function*() {
        const { row: believing, sender } = yield* generate(row, scheme)
        const request = yield* sent(row, sender, 1)
        const forged = Array.from({ length: flips }, (_, n) => Forging.forge(row, request, n * 7919, n % 7, scheme))
          .flat().filter((each) => isSendable(each) && each.publicUrl === request.publicUrl)
        assert.isAtLeast(forged.length, flips / 2)
        yield* served(
          believing,
          sender.secrets,
          Effect.gen(function*() {
            assert.deepStrictEqual(yield* post(row, request), [200, "orphan"])
            for (const each of forged) assert.deepStrictEqual(yield* post(row, each), refused(row))
            assert.deepStrictEqual(yield* post(row, request), [200, "duplicate"])
            assert.lengthOf(yield* Edge.orphans(), 1)
            assert.isAtMost((yield* Edge.webhooks()).length, 2)
          })
        )
      }),
    60_000
  )

  it.live(
    "is taken by the old secret and by the new one while both are in force, and by none that is not",
    () =>
      Effect.gen(function*() {
        const { row: believing, sender: old } = yield* generate(row, scheme)
        const request = yield* sent(row, old, 1)
        const isOwn = scheme.signing._tag !== "Nothing"
        const { sender } = yield* generate(row, scheme)
        // What tells senders apart and proves nothing is made another by a letter.
        const others = isOwn ? sender.secrets : map(old.secrets, ([text = Redacted.make("")]) => [
          Redacted.make(`${Redacted.value(text)}x`)
        ])
        const unusable: Held = map(old.secrets, () => [Redacted.make("")])
        yield* served(
          believing,
          both(others, old.secrets),
          Effect.gen(function*() {
            assert.deepStrictEqual(yield* post(row, request), [200, "orphan"])
            if (isOwn) assert.deepStrictEqual(yield* post(row, yield* sent(row, sender, 2)), [200, "orphan"])
          })
        )
        yield* served(
          believing,
          others,
          Effect.gen(function*() {
            assert.deepStrictEqual(yield* post(row, request), refused(row))
            assert.lengthOf(yield* Edge.webhooks(), 0)
          })
        )
        yield* served(
          believing,
          both(unusable, old.secrets),
          Effect.map(post(row, request), (answer) => assert.deepStrictEqual(answer, [200, "orphan"]))
        )
      }),
    60_000
  )
})

/** The providers of which several schemes hold for one request. */
const manifold = Providers.all.filter(({ schemes }) =>
  schemes.length > 1 && schemes.every(({ isFor }) => isFor === undefined)
)

describe.each(manifold)("what $name proves by all of its schemes", (row) => {
  it.live(
    "is taken where each holds, and refused where one does not",
    () =>
      Effect.gen(function*() {
        const names = row.schemes.map(({ name }) => name)
        const { row: believing, sender } = yield* Senders.generateOf(row, names)
        const { sender: other } = yield* Senders.generateOf(row, names)
        const request = yield* sent(row, sender, 1)
        yield* served(
          believing,
          sender.secrets,
          Effect.map(post(row, request), (answer) => assert.deepStrictEqual(answer, [200, "orphan"]))
        )
        for (const [key, secrets] of Object.entries(other.secrets)) {
          yield* served(
            believing,
            { ...sender.secrets, [key]: secrets },
            Effect.map(post(row, request), (answer) => assert.deepStrictEqual(answer, refused(row)))
          )
        }
      }),
    60_000
  )
})
