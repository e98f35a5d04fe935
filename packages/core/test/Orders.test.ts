import { assert, describe, it } from "@effect/vitest"
import {
  Audit,
  Cursor,
  type Delivery,
  Ledger,
  Orphan,
  Orphans,
  Report,
  Tenant,
  Text,
  Ticks,
  Unsent
} from "@waybill/core"
import { DateTime, Option } from "effect"
import * as Given from "./Given.ts"

const orphan = (id: number, seconds: number, tenant = "default"): Orphan.Orphan => ({
  event: Report.fromNew(Given.newEvent(), {
    id: Given.eventId(id),
    tenantId: Tenant.TenantId.make(tenant),
    insertedAt: Given.afterNoon(seconds)
  }).event,
  failure: Option.none()
})

const ids = (orphans: ReadonlyArray<Orphan.Orphan>) => orphans.map(({ event }) => event.id)

describe("the order of", () => {
  it("texts is that of their code points", () => {
    const texts = ["", "B", "a", "a b", "a-b", "ab", "\u00e9", "\uffff", "\u{10000}", "\u{10000}a", "\u{10001}"]
    assert.deepStrictEqual(texts.toReversed().toSorted(Text.compare), texts)
    assert.strictEqual(Text.compare("a\u{10000}", "a\u{10000}"), 0)
  })

  it("the feed is by transaction and then by position, as numbers", () => {
    const cursors = [Cursor.of(1n, 9n), Cursor.of(1n, 10n), Cursor.of(2n, 1n), Cursor.of(10n, 1n)]
    assert.deepStrictEqual(cursors.toReversed().toSorted(Cursor.compare), cursors)
    const changes = cursors.map((cursor, id): Ledger.Change => ({ cursor, event: orphan(id, 0).event }))
    assert.deepStrictEqual(
      Ledger.changesAfter(changes.toReversed(), Cursor.of(1n, 9n), 2).map(({ cursor }) => cursor),
      cursors.slice(1, 3)
    )
  })

  it("ticks is by when they began, then by name, then the latest instant", () => {
    const tick = (schedule: string, began: number, at: number) =>
      Ticks.begin({ schedule, node: "node", tick: Given.afterNoon(at) }, Given.afterNoon(began))
    const ticks = [tick("b", 2, 0), tick("a", 1, 1), tick("a", 1, 0), tick("b", 1, 0)]
    assert.deepStrictEqual(Ticks.select({ schedule: Option.none(), limit: 9 }, ticks.toReversed()), ticks)
    assert.lengthOf(Ticks.select({ schedule: Option.some("a"), limit: 1 }, ticks), 1)
    const ended = Ticks.end(tick("a", 0, 0), { counts: {}, error: Option.none() }, Given.noon)
    assert.isTrue(Ticks.isEndedBefore(ended, Given.afterNoon(1)))
    assert.isFalse(Ticks.isEndedBefore(ended, Given.noon))
    assert.isFalse(Ticks.isEndedBefore(tick("a", 0, 0), Given.afterNoon(1)))
  })

  it("a timeline is that of what happened, an orphan beside the link that names it", () => {
    const waiting = orphan(1, 5).event
    const delivery = Given.deliveryId(1)
    const reconciled = {
      ...Report.bind(Report.ofOwn(waiting), delivery).event,
      id: Given.eventId(2),
      type: "reconciled" as const,
      occurredAt: DateTime.add(waiting.occurredAt, { seconds: 1 }),
      sourceEventId: Option.some(waiting.id)
    }
    assert.deepStrictEqual(
      Ledger.timelineOf([reconciled], [waiting], Option.none).map(({ event, linkedBy }) => [event.id, linkedBy]),
      [[Given.eventId(1), Option.some(Given.eventId(2))], [Given.eventId(2), Option.none()]]
    )
  })
})

describe("what waits to be sent", () => {
  const row = (tenant: string, id: number, at: number): Unsent.Row => ({
    tenantId: Tenant.TenantId.make(tenant),
    deliveryId: Given.deliveryId(id),
    attempts: 0,
    dueAt: Given.afterNoon(at)
  })
  const taken = (rows: ReadonlyArray<Unsent.Row>, limit: number) =>
    Unsent.select(rows, { scope: Tenant.all, limit, dueTo: Given.afterNoon(99), until: Given.afterNoon(100) })
      .map(({ dueAt, tenantId }) => `${tenantId} ${(dueAt.epochMilliseconds - Given.noon.epochMilliseconds) / 1000}`)

  it("goes by how long a tenant has waited, not by its name", () => {
    const rows = [row("a", 1, 5), row("b", 2, 4), row("c", 3, 3), row("c", 4, 3), row("d", 5, 100)]
    assert.deepStrictEqual(taken(rows, 1), ["c 3"])
    assert.deepStrictEqual(taken(rows, 2), ["c 3", "b 4"])
  })

  it("leaves no place empty while anything is due", () => {
    const rows = [1, 2, 3, 4, 5].map((at) => row("a", at, at)).concat(row("b", 6, 9), row("c", 7, 0), row("c", 8, 7))
    assert.deepStrictEqual(taken(rows, 6), ["c 0", "a 1", "a 2", "a 3", "c 7", "b 9"])
    for (let limit = 1; limit < 12; limit++) assert.lengthOf(taken(rows, limit), Math.min(limit, rows.length))
  })
})

describe("pending orphans", () => {
  it("are shown oldest first, as many as are asked for", () => {
    const waiting = [orphan(3, 1), orphan(2, 1), orphan(1, 2), orphan(4, 0)]
    const select = (fields: Partial<Orphans.Query>) =>
      ids(Orphans.select({ limit: 9, failedOnly: false, insertedFrom: Option.none(), ...fields }, waiting))
    assert.deepStrictEqual(select({}), [4, 2, 3, 1].map(Given.eventId))
    assert.deepStrictEqual(
      select({ insertedFrom: Option.some(Given.afterNoon(1)), limit: 2 }),
      [2, 3].map(Given.eventId)
    )
    assert.deepStrictEqual(select({ failedOnly: true }), [])
  })

  it("are counted by tenant", () => {
    const counted = Orphans.count([orphan(1, 5, "b"), orphan(2, 3, "b"), orphan(3, 4, "a")], Given.afterNoon(4))
    assert.deepStrictEqual(
      counted.map(({ expired, failed, oldest, pending, tenantId }) => [tenantId, pending, expired, failed, oldest]),
      [["a", 1, 0, 0, Given.afterNoon(4)], ["b", 2, 1, 0, Given.afterNoon(3)]]
    )
  })

  it("are those with neither a delivery, a link nor a dismissal", () => {
    const { event } = orphan(1, 0)
    const bound = Report.bind(Report.ofOwn(event), Given.deliveryId(1)).event
    const none = { linkedTo: Option.none(), isDismissed: false }
    assert.isTrue(Orphan.isPending({ event, ...none }))
    assert.isFalse(Orphan.isPending({ event: bound, ...none }))
    assert.isFalse(Orphan.isPending({ event, ...none, linkedTo: Option.some(Given.deliveryId(1)) }))
    assert.isFalse(Orphan.isPending({ event, ...none, isDismissed: true }))
  })
})

describe("a page of an audit", () => {
  const rows = [["b", "1"], ["a", "2"], ["a", "1"], ["b", "2"]].flatMap(([tenantId, id]) =>
    tenantId === undefined || id === undefined ? [] : [{ tenantId, id }]
  )

  it("goes on after the last row, and ends where it is not full", () => {
    const page = Audit.deliveriesOf(rows, Option.some({ tenantId: "a", id: "1" }), 2)
    assert.deepStrictEqual(page, [{ tenantId: "a", id: "2" }, { tenantId: "b", id: "1" }])
    assert.deepStrictEqual(Audit.nextOf({ part: "deliveries", limit: 2 }, page), Option.some("1 b"))
    assert.deepStrictEqual(Audit.nextOf({ part: "orphans", limit: 2 }, page), Option.some("1"))
    assert.deepStrictEqual(Audit.nextOf({ part: "orphans", limit: 3 }, page), Option.none())
    assert.deepStrictEqual(Audit.orphansOf(rows, Option.some({ tenantId: "", id: "1" }), 9).map(({ id }) => id), [
      "2",
      "2"
    ])
  })

  it("repairs what is not the fold of its events, and nothing else", () => {
    const delivery = Given.recorded()
    const queued = { ...Given.fact("queued", { id: 1, own: true }), occurredAt: delivery.insertedAt }
    const same = Audit.compareDeliveries([{ delivery, facts: [queued] }], Given.noon)
    assert.deepStrictEqual([same.drifts, same.repaired], [[], []])
    const drifted: Delivery.Delivery = { ...delivery, terminal: true }
    const { drifts, repaired } = Audit.compareDeliveries([{ delivery: drifted, facts: [queued] }], Given.noon)
    assert.deepStrictEqual([drifts.length, repaired.map(({ terminal }) => terminal)], [1, [false]])
  })
})
