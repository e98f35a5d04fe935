import { assert, describe, it } from "@effect/vitest"
import { Inbox, InboxRow, Tenant } from "@waybill/core"
import { Duration, Option, Result } from "effect"
import * as Given from "./Given.ts"

const webhookId = (number: number): Inbox.WebhookId => Inbox.WebhookId.make(Given.eventId(number))

const given: Inbox.NewWebhook = {
  tenantId: Tenant.defaultTenantId,
  provider: Given.provider,
  headers: { "content-type": "application/json" },
  body: new Uint8Array([1, 2]),
  token: Option.none()
}

const received = (number: number, seconds = 0, tenant = "default"): InboxRow.InboxRow =>
  InboxRow.receive({ ...given, tenantId: Tenant.TenantId.make(tenant) }, webhookId(number), Given.afterNoon(seconds))

const failed: Inbox.Ending = { _tag: "Failed", reason: "no JSON" }

const ids = (rows: ReadonlyArray<InboxRow.InboxRow>) => rows.map(({ webhook }) => webhook.id)

const stalledFor = Duration.seconds(30)

describe("a webhook in the inbox", () => {
  it("may be claimed again once it has failed and waited, was released, or its try never ended", () => {
    const isDue = (row: InboxRow.InboxRow, seconds: number) =>
      InboxRow.claim({ limit: 1, stalledFor }, [row], Given.afterNoon(seconds)).length === 1
    const row = received(1)
    assert.deepStrictEqual([isDue(row, 30), isDue(row, 31)], [false, true])
    const ended = InboxRow.finish(row, failed, Given.noon)
    assert.deepStrictEqual([isDue(ended, 59), isDue(ended, 60)], [false, true])
    assert.isTrue(isDue(InboxRow.release(ended), 0))
    for (const ending of [{ _tag: "Succeeded" as const }, { _tag: "Dead" as const, reason: "no JSON" }]) {
      assert.isFalse(isDue(InboxRow.finish(row, ending, Given.noon), 100_000))
    }
  })

  it("is finished once", () => {
    const once = InboxRow.finish(received(1), failed, Given.noon)
    assert.strictEqual(InboxRow.finish(once, { _tag: "Succeeded" }, Given.afterNoon(1)), once)
  })

  it("is claimed oldest first, which counts a try", () => {
    const rows = [received(3, 1), received(2, 1), received(1, 2), received(4, 0)].map(InboxRow.release)
    const claimed = InboxRow.claim({ limit: 3, stalledFor }, rows, Given.afterNoon(60))
    assert.deepStrictEqual(ids(claimed), [4, 2, 3].map(webhookId))
    assert.deepStrictEqual(claimed.map(({ webhook }) => webhook.attempts), [1, 1, 1])
  })

  it("is claimed alone where its try never ended, after all that waits", () => {
    const claimed = (rows: ReadonlyArray<InboxRow.InboxRow>) =>
      ids(InboxRow.claim({ limit: 3, stalledFor }, rows, Given.afterNoon(60)))
    const stalled = [received(1, 1), received(2, 0)]
    assert.deepStrictEqual(claimed([...stalled, InboxRow.release(received(3, 2))]), [webhookId(3)])
    assert.deepStrictEqual(claimed(stalled), [webhookId(2)])
  })

  it("is claimed by its tenant's and provider's share, whatever waits for others", () => {
    const rows = [
      ...Array.from({ length: 10 }, (_, index) => received(index + 1, index, "a")),
      received(11, 20, "b"),
      received(12, 21, "b")
    ].map(InboxRow.release)
    const claimed = InboxRow.claim({ limit: 4, stalledFor }, rows, Given.afterNoon(60))
    assert.deepStrictEqual(ids(claimed), [1, 2, 11, 12].map(webhookId))
  })

  it("is claimed with no more than fits into memory, but for one that is larger", () => {
    const large = (number: number) => {
      const row = InboxRow.release(received(number, number))
      return { ...row, webhook: { ...row.webhook, body: new Uint8Array(Inbox.maxClaimedBytes / 2 + 1) } }
    }
    const rows = [large(1), large(2)]
    assert.deepStrictEqual(ids(InboxRow.claim({ limit: 4, stalledFor }, rows, Given.afterNoon(60))), [webhookId(1)])
    assert.deepStrictEqual(ids(InboxRow.reclaim([webhookId(2), webhookId(1)], rows, Given.noon)), [webhookId(2)])
  })

  it("is listed newest first and counted by tenant and status", () => {
    const rows = [received(1, 0, "b"), InboxRow.finish(received(2, 1, "b"), failed, Given.noon), received(3, 2, "a")]
    const list = (status: Option.Option<Inbox.WebhookStatus>) =>
      InboxRow.list({ limit: 2, status }, rows).map(({ id }) => id)
    assert.deepStrictEqual(list(Option.none()), [3, 2].map(webhookId))
    assert.deepStrictEqual(list(Option.some("failed")), [webhookId(2)])
    assert.deepStrictEqual(InboxRow.count([...rows, received(4, 0, "b")]).map((found) => Object.values(found)), [
      ["a", "processing", 1],
      ["b", "failed", 1],
      ["b", "processing", 2]
    ])
  })

  it("is pruned when its last try ended long enough ago, the earliest first", () => {
    const ended = (number: number, seconds: number) =>
      InboxRow.finish(received(number), { _tag: "Succeeded" }, Given.afterNoon(seconds))
    const rows = [received(1), ended(2, 2), ended(3, 1), ended(4, 3), InboxRow.finish(received(5), failed, Given.noon)]
    const retention = { succeeded: Option.some(Duration.seconds(10)), dead: Option.none(), failed: Option.none() }
    const prune = (limit: number, dryRun = false) =>
      InboxRow.prune({ retention, limit, dryRun }, rows, Given.afterNoon(13))
    assert.deepStrictEqual(ids(prune(9).deleted), [3, 2].map(webhookId))
    assert.deepStrictEqual([prune(1).count, ids(prune(1).deleted)], [1, [webhookId(3)]])
    assert.deepStrictEqual(prune(1, true), { count: 2, deleted: [] })
  })
})

it("a token is repeated over the same body and refused over another", () => {
  const again = (isSameBody: boolean) => InboxRow.repeated(given, { id: webhookId(1), isSameBody })
  assert.deepStrictEqual(Result.getOrThrow(again(true)), { _tag: "Repeated", id: webhookId(1) })
  assert.isTrue(Result.isFailure(again(false)))
  const key = (value: string) =>
    InboxRow.tokenKey({ token: { value, verifiedBy: given.tenantId }, provider: given.provider })
  assert.notStrictEqual(key("a"), key("b"))
})
