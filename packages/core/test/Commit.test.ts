import { assert, describe, it } from "@effect/vitest"
import {
  type Block,
  Commit,
  Delivery,
  type Event,
  IdempotencyKey,
  type Ledger,
  Orphan,
  OwnHalf,
  Provider,
  Recipient,
  Report,
  Tenant
} from "@waybill/core"
import { Option, Result } from "effect"
import * as Given from "./Given.ts"

const tenantId = Tenant.defaultTenantId
const messageId = Provider.MessageId.make("m-1")
const ann = Recipient.Recipient.make("ann@example.com")
const bob = Recipient.Recipient.make("bob@example.com")

const report = (id: number, fields: Partial<Event.NewEvent> = {}, tenant = tenantId): Report.Given =>
  Report.fromNew(
    Given.newEvent({
      providerMessageId: Option.some(messageId),
      idempotencyKey: IdempotencyKey.IdempotencyKey.make(`key-${id}`),
      ...fields
    }),
    { id: Given.eventId(id), tenantId: tenant, insertedAt: Given.afterNoon(id) }
  )

const stored = (id: number, fields: Partial<Event.NewEvent> = {}): Commit.Stored => ({
  ...report(id, fields),
  linkedTo: Option.none(),
  isDismissed: false
})

const sent = (id: number, recipient = ann): Delivery.Delivery => ({
  ...Given.recorded({ recipient }),
  id: Given.deliveryId(id),
  provider: Option.some(Given.provider),
  providerMessageId: Option.some(messageId)
})

/** What a store knows that holds these deliveries, all of which have the message id, and these reports. */
const knowing = (deliveries: ReadonlyArray<Delivery.Delivery>, reports: ReadonlyArray<Commit.Stored> = []) => ({
  sharing: () => deliveries,
  delivery: ({ deliveryId }: Ledger.DeliveryKey) =>
    Option.fromUndefinedOr(deliveries.find(({ id }) => id === deliveryId)),
  stored: (key: IdempotencyKey.IdempotencyKey) =>
    Option.fromUndefinedOr(reports.find(({ event }) => event.idempotencyKey === key)),
  hasDetails: () => false
})

const failure = <A, E>(result: Result.Result<A, E>): E | undefined =>
  Result.isFailure(result) ? result.failure : undefined

const at = Given.afterNoon(60)

describe("a record", () => {
  const entry = { id: Given.deliveryId(1), eventIds: [Given.eventId(8), Given.eventId(9)], at } as const
  const none = {
    byKey: Option.none(),
    byId: Option.none(),
    waiting: [],
    suppressed: () => Option.none(),
    block: Option.none()
  }
  const block: Block.Block = { reason: "complained", stream: Option.none(), since: Given.noon }

  it("writes the delivery, its queued event and the links of what waited for it", () => {
    const { answer, commit } = Result.getOrThrow(
      OwnHalf.record(Given.newDelivery(), { ...none, waiting: [report(2), report(1)] }, entry)
    )
    assert.deepStrictEqual([answer.created, answer.linked], [true, 2])
    assert.deepStrictEqual(commit.deliveries, [answer.delivery])
    assert.deepStrictEqual(commit.reports?.map(({ event }) => event.type), ["queued"])
    assert.deepStrictEqual(commit.links?.map(({ orphan }) => orphan.id), [Given.eventId(1), Given.eventId(2)])
    assert.isTrue(answer.delivery.terminal)
  })

  it("writes nothing where the delivery stands, and is refused where another one does", () => {
    const byId = Option.some(Given.recorded())
    const again = Result.getOrThrow(OwnHalf.record(Given.newDelivery(), { ...none, byId }, entry))
    assert.deepStrictEqual([again.answer.created, again.commit], [false, { at }])
    const other = OwnHalf.record(Given.newDelivery({ recipient: bob }), { ...none, byId }, entry)
    assert.strictEqual(failure(other)?._tag, "DeliveryConflict")
  })

  it("is stored as suppressed where its recipient is, and tells the same again", () => {
    const { answer, commit } = Result.getOrThrow(
      OwnHalf.record(Given.newDelivery(), { ...none, block: Option.some(block) }, entry)
    )
    assert.deepStrictEqual([answer.suppressedBy, answer.delivery.status], [Option.some(block), "suppressed"])
    const [, suppressed] = commit.reports ?? []
    assert.strictEqual(suppressed?.event.type, "suppressed")
    const known = { ...none, byId: Option.some(answer.delivery) }
    const told = { ...known, suppressed: () => Option.map(Option.fromUndefinedOr(suppressed), ({ event }) => event) }
    assert.deepStrictEqual(
      Result.getOrThrow(OwnHalf.record(Given.newDelivery(), told, entry)).answer.suppressedBy,
      Option.some(block)
    )
  })

  it("is sent all the same where it says so, and its queued event notes that", () => {
    const ignoring = Given.newDelivery({ ignoreSuppression: true })
    const { answer, commit } = Result.getOrThrow(
      OwnHalf.record(ignoring, { ...none, block: Option.some(block) }, entry)
    )
    assert.deepStrictEqual([answer.suppressedBy, answer.delivery.status], [Option.none(), "queued"])
    assert.deepStrictEqual(commit.reports?.map(({ event }) => Object.keys(event.metadata)), [["ignored_suppression"]])
  })

  it("is compared with the delivery of its key before that of its id", () => {
    const byKey = Option.some(Given.recorded({ recipient: bob }))
    const conflict = OwnHalf.record(Given.newDelivery(), { ...none, byKey, byId: Option.some(Given.recorded()) }, entry)
    assert.strictEqual(failure(conflict)?._tag, "DeliveryConflict")
  })
})

describe("a dispatch", () => {
  const command = Delivery.Dispatch.make({
    deliveryId: Given.deliveryId(1),
    provider: Given.provider,
    providerMessageId: messageId
  })
  const entry = { eventId: Given.eventId(9), at }
  const decide = (sharing: ReadonlyArray<Delivery.Delivery>, delivery = Option.some(Given.recorded())) =>
    OwnHalf.dispatch(command, messageId, { stored: delivery, sharing, waiting: [report(1)] }, entry)

  it("links what waits for the message id where it meets this delivery alone", () => {
    assert.strictEqual(Result.getOrThrow(decide([])).answer.linked, 1)
    assert.strictEqual(Result.getOrThrow(decide([sent(2, bob)])).answer.linked, 0)
  })

  it("is refused without the delivery, and where another one to the same recipient has the message id", () => {
    assert.strictEqual(failure(decide([], Option.none()))?._tag, "DeliveryNotFound")
    assert.strictEqual(failure(decide([sent(2)]))?._tag, "DispatchConflict")
  })
})

describe("an append", () => {
  it("binds what meets a delivery, moves it once, and lets the rest wait", () => {
    const { answer, commit } = Commit.append([report(1), report(2, { type: "opened" })], knowing([sent(1)]), at)
    assert.deepStrictEqual(answer.map(({ _tag }) => _tag), ["Appended", "Appended"])
    assert.deepStrictEqual(commit.deliveries?.map(({ lockVersion }) => lockVersion), [2])
    assert.deepStrictEqual(Commit.updatesOf(commit).map(({ cause, type }) => [cause, type]), [
      ["append", "delivered"],
      ["append", "opened"]
    ])
    const alone = Commit.append([report(1)], knowing([]), at)
    assert.deepStrictEqual(alone.commit.reports?.map(({ event }) => Orphan.wasOrphan(event)), [true])
    assert.deepStrictEqual([alone.commit.deliveries, Commit.updatesOf(alone.commit)], [[], []])
  })

  it("compares a key with what stands under it, before it in the batch or in the store", () => {
    const key = IdempotencyKey.IdempotencyKey.make("key-1")
    const batch = [report(1), report(2, { idempotencyKey: key }), report(3, { idempotencyKey: key, type: "opened" })]
    const tags = (deliveries: ReadonlyArray<Delivery.Delivery>, reports?: ReadonlyArray<Commit.Stored>) =>
      Commit.append(batch, knowing(deliveries, reports), at).answer.map(({ _tag }) => _tag)
    for (const deliveries of [[], [sent(1)]]) {
      assert.deepStrictEqual(tags(deliveries), ["Appended", "Duplicate", "IdempotencyConflict"])
    }
    assert.deepStrictEqual(tags([], [stored(1)]), ["Duplicate", "Duplicate", "IdempotencyConflict"])
  })

  it("says of a duplicate which delivery it is about as of now", () => {
    const linkedTo = Option.some(Given.deliveryId(4))
    const { answer } = Commit.append([report(1)], knowing([], [{ ...stored(1), linkedTo }]), at)
    assert.deepStrictEqual(answer, [{ _tag: "Duplicate", eventId: Given.eventId(1), deliveryId: linkedTo }])
  })
})

describe("details", () => {
  const details = Option.some({ response: "250 ok" })
  const said = (id: number, fields: Partial<Event.NewEvent> = {}) => report(id, { details, ...fields })
  const forgotten: Delivery.Delivery = { ...sent(1), recipient: Option.none() }
  const keptOf = ({ commit }: Commit.Decided<unknown>) => commit.details?.map(({ eventId }) => eventId)

  it("are kept with a new event, and with whom it names where it met no delivery", () => {
    const recipient = Option.some({ address: ann, certain: false })
    const bound = Commit.append([said(1, { recipient })], knowing([sent(1)]), at)
    assert.deepStrictEqual(bound.commit.details?.map(({ recipient }) => recipient), [Option.none()])
    const orphan = Commit.append([said(1, { recipient })], knowing([]), at)
    assert.deepStrictEqual(orphan.commit.details?.map(({ recipient }) => recipient), [Option.some(ann)])
    assert.deepStrictEqual(keptOf(Commit.append([report(1)], knowing([]), at)), [])
  })

  it("are brought in by a duplicate where none are kept, and by the first that says any", () => {
    const { commit } = Commit.append(
      [report(1), said(1), said(1, { details: Option.some({ ip: "::1" }) })],
      knowing([]),
      at
    )
    assert.deepStrictEqual(commit.details?.map(({ details }) => details), [{ response: "250 ok" }])
    const again = Commit.append([said(1)], knowing([], [stored(1)]), at)
    assert.deepStrictEqual([keptOf(again), again.commit.reports, again.commit.deliveries], [[Given.eventId(1)], [], []])
    const kept = { ...knowing([], [stored(1)]), hasDetails: () => true }
    assert.deepStrictEqual(keptOf(Commit.append([said(1)], kept, at)), [])
    assert.deepStrictEqual(keptOf(Commit.append([said(1, { type: "opened" })], knowing([], [stored(1)]), at)), [])
  })

  it("are not kept of a recipient who is forgotten", () => {
    assert.deepStrictEqual(keptOf(Commit.append([said(1)], knowing([forgotten]), at)), [])
    const linked = { ...stored(1), linkedTo: Option.some(forgotten.id) }
    assert.deepStrictEqual(keptOf(Commit.append([said(1)], knowing([forgotten], [linked]), at)), [])
    const named = { ...stored(1), named: Option.some({ address: Option.none() }) }
    assert.deepStrictEqual(keptOf(Commit.append([said(1)], knowing([], [named]), at)), [])
  })

  it("are erased with the recipient: of the deliveries, of what was linked to them, and of what names the recipient", () => {
    const bound = { ...stored(1), ...Report.bind(stored(1), Given.deliveryId(1)) }
    const linked = { ...stored(2), linkedTo: Option.some(Given.deliveryId(1)) }
    const other = { ...stored(3), linkedTo: Option.some(Given.deliveryId(2)) }
    const kept = (id: number, recipient: Recipient.Recipient): Report.KeptDetails => ({
      tenantId,
      eventId: Given.eventId(id),
      insertedAt: at,
      details: {},
      recipient: Option.some(recipient)
    })
    const known = {
      deliveries: [sent(1), sent(2, bob)],
      reports: [bound, linked, other],
      details: [kept(4, Recipient.Recipient.make("ANN@example.com")), kept(5, bob)]
    }
    const { commit } = Commit.forget({ tenantId: Tenant.defaultTenantId, recipient: ann, key: "k" }, {
      ...known,
      kept: []
    }, at)
    assert.deepStrictEqual(commit.erased?.map(({ eventId }) => eventId), [1, 2, 4].map(Given.eventId))
  })
})

describe("a sweep", () => {
  const query = { limit: 4, insertedFrom: Given.afterNoon(1), insertedTo: Given.afterNoon(8) }
  const other = Tenant.TenantId.make("other")

  it("takes each tenant's equal share of what meets a delivery, oldest first, between horizon and grace", () => {
    const waiting = [report(9), ...[5, 4, 3, 2, 1, 0].map((id) => report(id)), report(6, {}, other)]
    const { answer } = Commit.link(query, waiting, knowing([sent(1)]), at)
    assert.deepStrictEqual(answer.links.map(({ eventId }) => eventId), [1, 2, 6].map(Given.eventId))
    assert.strictEqual(answer.scanned, 3)
  })

  it("takes nothing that meets none", () => {
    assert.strictEqual(Commit.link(query, [report(1)], knowing([]), at).answer.scanned, 0)
    assert.strictEqual(Commit.link(query, [report(1)], knowing([sent(1), sent(2, bob)]), at).answer.scanned, 0)
  })
})

describe("by hand", () => {
  const command = {
    tenantId,
    eventId: Given.eventId(1),
    deliveryId: Given.deliveryId(1),
    expectedVersion: Option.none()
  }
  const delivery = Option.some(sent(1))
  const linked = { ...stored(1), linkedTo: Option.some(Given.deliveryId(2)) }

  it("a pending orphan is linked or dismissed, and nothing else is", () => {
    const { answer, commit } = Result.getOrThrow(Commit.linkTo(command, { stored: stored(1), delivery }, at))
    assert.deepStrictEqual([answer, commit.links?.length, commit.deliveries?.length], [true, 1, 1])
    const again = Result.getOrThrow(Commit.linkTo(command, { stored: linked, delivery }, at))
    assert.deepStrictEqual(again, { answer: false, commit: { at, links: [], deliveries: [] } })
    assert.isTrue(Commit.dismiss(stored(1), at).answer)
    assert.deepStrictEqual(Commit.dismiss(linked, at), { answer: false, commit: { at, dismissed: [] } })
  })

  it("a recipient is forgotten by its deliveries and by the reports that name it", () => {
    const named = (address: Recipient.Recipient) => ({ recipient: Option.some({ address, certain: true }) })
    const reports = [stored(1, named(ann)), { ...stored(2, named(ann)), isDismissed: true }, stored(3, named(bob))]
    const forgotten = { tenantId: Tenant.defaultTenantId, recipient: ann, key: "k" }
    const { answer, commit } = Commit.forget(
      forgotten,
      { deliveries: [sent(1), sent(2, bob)], reports, details: [], kept: [] },
      at
    )
    assert.deepStrictEqual(answer, { deliveries: 1, orphans: 1 })
    assert.deepStrictEqual(commit.deliveries?.map(({ recipient }) => recipient), [Option.none()])
    assert.deepStrictEqual(commit.forgotten?.map(({ event }) => event.id), [1, 2].map(Given.eventId))
    assert.deepStrictEqual(commit.named, [{ ...forgotten, recipient: Option.none() }])
  })
})

it("a commit appends its events by their keys, and then its links by theirs", () => {
  const links = [2, 1].map((id) => ({ orphan: report(id).event, deliveryId: Given.deliveryId(1) }))
  const appended = Commit.appendedBy({ at, reports: [report(4), report(3)], links }, [
    Given.eventId(8),
    Given.eventId(9)
  ])
  assert.deepStrictEqual(
    appended.map(({ event }) => Option.getOrElse(event.sourceEventId, () => event.id)),
    [3, 4, 1, 2].map(Given.eventId)
  )
})
