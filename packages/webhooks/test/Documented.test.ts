/** Posts every event that a provider documents, signed, to a real server: each is read as what it is, however it comes. */
import { assert, describe, it } from "@effect/vitest"
import type { Event } from "@waybill/core"
import { Providers, type Row } from "@waybill/webhooks"
import { DateTime, Effect, Option } from "effect"
import { documented } from "./Documented.ts"
import * as Edge from "./Edge.ts"
import { bytes, normalized, only, received } from "./Reading.ts"
import * as Signing from "./Signing.ts"

const meaning = ({ bounceClass, normalizedPayload, rejectReason, type }: Event.NewEvent): string =>
  [
    type,
    ...Option.toArray(bounceClass),
    ...Option.toArray(rejectReason),
    ...normalizedPayload["suppressed"] === true ? ["suppressed"] : []
  ].join(" ")

const rowOf = (name: string): Row.Row => Option.getOrThrow(Providers.get(name))

const table = Object.entries(documented).map(([name, each]) => ({ name, each, row: rowOf(name) }))

describe.each(table)("every documented event of $name", ({ each: { body, events, isBatch, item }, name, row }) => {
  const items = events.map(([fields], n) => item(n, fields))
  const read = (items: ReadonlyArray<unknown>) => normalized(row, received(body(items))).events
  const alone = items.map((each) => only(read([each])))

  it("is read as what it is, of one message, one recipient and one time", () => {
    assert.deepStrictEqual(alone.map(meaning), events.map(([, meaning]) => meaning))
    for (const [n, { occurredAt, providerMessageId, recipient }] of alone.entries()) {
      assert.deepStrictEqual(
        Option.map(recipient, ({ address, certain }) => [String(address), certain]),
        Option.some([`reader-${n}@reader.example`, true])
      )
      assert.isTrue(Option.isSome(providerMessageId))
      assert.isTrue(DateTime.formatIso(occurredAt).startsWith("2026-11-"))
    }
    assert.strictEqual(
      new Set(alone.map(({ providerMessageId }) => Option.getOrThrow(providerMessageId))).size,
      alone.length
    )
  })

  it("has one key, alone and in any batch, and no other has it", () => {
    const keys = alone.map(({ idempotencyKey }) => idempotencyKey)
    assert.strictEqual(new Set(keys).size, keys.length)
    if (!isBatch) return
    assert.deepStrictEqual(read(items).map(({ idempotencyKey }) => idempotencyKey), keys)
    assert.deepStrictEqual(read(items.toReversed()).map(({ idempotencyKey }) => idempotencyKey), keys.toReversed())
    const noisy = read([null, ...items.slice(0, 2), 7, "x", ...items])
    assert.deepStrictEqual(noisy.map(({ idempotencyKey }) => idempotencyKey), [...keys.slice(0, 2), ...keys])
  })

  it.live(
    "is taken over HTTP once, however often it comes, and refused with another signature",
    () =>
      Effect.gen(function*() {
        const now = yield* DateTime.now
        const bodies = isBatch ? [items, items.slice(1), ...items.map((each) => [each])] : items.map((each) => [each])
        for (const each of bodies) {
          const request = Signing.sign(row.name, bytes(body(each)), now)
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
