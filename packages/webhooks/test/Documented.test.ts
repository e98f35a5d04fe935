/** Posts every event that a provider documents, signed, to a real server: each is read as what it is, however it comes. */
import { assert, describe, it } from "@effect/vitest"
import type { Event } from "@waybill/core"
import { Providers, Row, Webhook } from "@waybill/webhooks"
import { DateTime, Effect, Option } from "effect"
import { documented } from "./Documented.ts"
import * as Edge from "./Edge.ts"
import * as First from "./FirstDocumented.ts"
import * as Further from "./FurtherDocumented.ts"
import { bytes, only, received } from "./Reading.ts"
import * as Signing from "./Signing.ts"

const meaning = ({ bounceClass, normalizedPayload, rejectReason, type }: Event.NewEvent): string =>
  [
    type,
    ...Option.toArray(bounceClass),
    ...Option.toArray(rejectReason),
    ...normalizedPayload["suppressed"] === true ? ["suppressed"] : []
  ].join(" ")

const rowOf = (name: string): Row.Row => Option.getOrThrow(Providers.get(name))

const eventsOf = (row: Row.Row, text: string) =>
  Effect.runPromise(Effect.map(Row.read(row, received(text)), (pieces) => Webhook.join(pieces).events))

const table = await Promise.all(
  Object.entries({ ...First.documented, ...documented, ...Further.documented }).map(async ([name, each]) => {
    const row = rowOf(name)
    const items = each.events.map(([fields], n) => each.item(n, fields))
    const alone = await Promise.all(items.map((item) => eventsOf(row, each.body([item]))))
    return { name, row, each, items, alone: alone.map(only) }
  })
)

it("there is one of every provider", () => {
  assert.sameMembers(table.map(({ name }) => name), Providers.all.map(({ name }) => String(name)))
})

/** The time of a first item, as tables have it: a number, or a text. */
const times =
  /"?1795000000(?:000|\.25)?"?|(?:\\?"|%22)2026-11-18(?:T|\+| )10(?::|%3A)00(?::|%3A)00[^"\\%]*(?:\\?"|%22)/g

const forms: ReadonlyArray<string | number> = [
  1_795_000_953,
  1_795_000_953_000,
  "1795000953",
  "1795000953000",
  "2026-11-18 11:22:33",
  "2026-11-18T11:22:33",
  "2026-11-18T11:22:33Z",
  "2026-11-18T11:22:33.000000000Z",
  "2026-11-18T13:22:33+02:00"
]

const named = ({ recipient }: Event.NewEvent) =>
  Option.match(recipient, {
    onNone: () => "nobody",
    onSome: ({ address, certain }) => `${address} ${certain ? "certain" : "uncertain"}`
  })

describe.each(table)("every documented event of $name", ({ alone, each, items, name, row }) => {
  const { body, content = body, events, isBatch, names } = each
  const reader = (n: number, fields: Readonly<Record<string, unknown>>): string => {
    const whom = names?.(fields) ?? "certain"
    return whom === "nobody" ? whom : `reader-${n}@reader.example ${whom}`
  }

  it("is read as what it is, of one message, one recipient and one time", () => {
    assert.deepStrictEqual(alone.map(meaning), events.map(([, meaning]) => meaning))
    assert.deepStrictEqual(alone.map(named), events.map(([fields], n) => reader(n, fields)))
    for (const { occurredAt } of alone) assert.isTrue(DateTime.formatIso(occurredAt).startsWith("2026-11-"))
    assert.strictEqual(
      new Set(alone.map(({ providerMessageId }) => Option.getOrThrow(providerMessageId))).size,
      alone.length
    )
  })

  it("has one key, alone and in any batch, and no other has it", async () => {
    const keys = alone.map(({ idempotencyKey }) => idempotencyKey)
    assert.strictEqual(new Set(keys).size, keys.length)
    if (!isBatch) return
    const keysOf = async (items: ReadonlyArray<unknown>) =>
      (await eventsOf(row, body(items))).map(({ idempotencyKey }) => idempotencyKey)
    assert.deepStrictEqual(await keysOf(items), keys)
    assert.deepStrictEqual(await keysOf(items.toReversed()), keys.toReversed())
    assert.deepStrictEqual(await keysOf([null, ...items.slice(0, 2), 7, "x", ...items]), [...keys.slice(0, 2), ...keys])
  })

  it.live(
    "is taken over HTTP once, however often it comes, and refused with another signature",
    () =>
      Effect.gen(function*() {
        const now = yield* DateTime.now
        const bodies = isBatch ? [items, items.slice(1), ...items.map((each) => [each])] : items.map((each) => [each])
        for (const each of bodies) {
          const request = Signing.sign(row.name, bytes(content(each)), now)
          const reply = yield* Edge.post(`/webhooks/${name}`, request)
          assert.strictEqual(reply.status, 200, reply.text)
          const forged = {
            ...request,
            headers: { "content-type": request.headers["content-type"] ?? "" },
            body: bytes(body(each))
          }
          const refused = yield* Edge.post(`/webhooks/${name}`, forged)
          assert.deepStrictEqual([refused.status, refused.text], [row.refusal, "refused"])
        }
        const orphans = yield* Edge.orphans()
        assert.sameMembers(orphans.map(({ type }) => type), alone.map(({ type }) => type))
      }).pipe(Effect.provide(Edge.layer({ storage: Edge.memory }), { local: true })),
    60_000
  )
})

/** The providers whose times come in one form alone are left out. */
const anyForm = table.filter(({ name }) => !(name in First.documented) && name !== "dsn")

describe.each(anyForm)("the time of an event of $name", ({ each: { body }, items: [item], row }) => {
  it("is read in whatever form it comes", async () => {
    const text = body([item])
    const inForm = text.includes("mandrill_events") ? encodeURIComponent : (form: string) => form
    const isEscaped = text.includes("\\\"")
    const changed = forms.map((form) => {
      const written = JSON.stringify(form)
      return text.replaceAll(times, inForm(isEscaped ? written.replaceAll("\"", "\\\"") : written))
    })
    assert.notInclude(changed, text)
    const read = await Promise.all(changed.map((each) => eventsOf(row, each)))
    assert.deepStrictEqual(
      read.map((events) => DateTime.formatIso(only(events).occurredAt)),
      forms.map(() => "2026-11-18T11:22:33.000Z")
    )
  })
})
