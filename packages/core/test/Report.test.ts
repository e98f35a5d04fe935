import { assert, describe, it } from "@effect/vitest"
import { Delivery, OwnEvent, Recipient, Report, Tenant } from "@waybill/core"
import { Option } from "effect"
import * as Given from "./Given.ts"

const tenantId = Tenant.defaultTenantId
const ann = Recipient.Recipient.make("ann@example.com")
const bob = Recipient.Recipient.make("bob@example.com")

const report = (id: number, address?: Recipient.Recipient): Report.Report =>
  Report.fromNew(
    Given.newEvent({
      recipient: Option.map(Option.fromUndefinedOr(address), (address) => ({ address, certain: true }))
    }),
    { id: Given.eventId(id), tenantId, insertedAt: Given.noon }
  )

const delivery = (id: number, recipient: Recipient.Recipient): Delivery.Delivery => ({
  ...Given.recorded({ recipient }),
  id: Given.deliveryId(id)
})

const upper = Recipient.Recipient.make("ANN@example.com")

describe("a report", () => {
  it("names the recipient that it is certain of, and nobody once it is bound", () => {
    assert.isTrue(Report.isNaming(report(1, upper), ann))
    assert.isFalse(Report.isNaming(report(1, bob), ann))
    assert.isFalse(Report.isNaming(report(1), ann))
    const bound = Report.bind(report(1, ann), Given.deliveryId(1))
    assert.deepStrictEqual(bound.event.deliveryId, Option.some(Given.deliveryId(1)))
    assert.isFalse(Report.isNaming(bound, ann))
  })

  it("meets the delivery to whom it names, also where another has its key", () => {
    const deliveries = [delivery(1, ann), delivery(2, bob)]
    assert.deepStrictEqual(Report.meet(report(1, bob), deliveries), { _tag: "Met", deliveryId: Given.deliveryId(2) })
    assert.deepStrictEqual(Report.meet(report(1), deliveries), { _tag: "Ambiguous" })
    assert.deepStrictEqual(Report.meet(report(1, bob), [delivery(1, ann)]), { _tag: "OtherRecipient" })
  })

  it("meets nothing once its recipient, or the delivery's, is forgotten", () => {
    const forgotten = Report.forget(report(1, ann))
    assert.deepStrictEqual(Report.meet(forgotten, [delivery(1, ann)]), { _tag: "OtherRecipient" })
    const without = Delivery.forget(delivery(1, ann), Given.noon)
    assert.deepStrictEqual(Report.meet(report(1, ann), [without]), { _tag: "OtherRecipient" })
    assert.deepStrictEqual(Report.meet(report(1), [without]), { _tag: "Met", deliveryId: Given.deliveryId(1) })
  })

  it("waits for the delivery that it meets, in the order of the ids", () => {
    const waiting = [report(3, ann), report(2, bob), report(1, ann)]
    assert.deepStrictEqual(
      Report.waitingFor(waiting, [delivery(1, ann)], Given.deliveryId(1)).map(({ id }) => id),
      [Given.eventId(1), Given.eventId(3)]
    )
  })
})

describe("the recipient of a stored event and of a report of its key", () => {
  const isSame = (stored: Report.Report, again: Report.Report, of?: Delivery.Delivery) =>
    Report.isSameRecipient(stored, Option.fromUndefinedOr(of), again)

  it("is the same for an orphan where both name it, or none does", () => {
    assert.isTrue(isSame(report(1, ann), report(2, upper)))
    assert.isTrue(isSame(report(1), report(2)))
    assert.isFalse(isSame(report(1, ann), report(2, bob)))
    assert.isFalse(isSame(report(1, ann), report(2)))
    assert.isFalse(isSame(report(1), report(2, ann)))
  })

  it("is the delivery's for an event that met it, which a report names or leaves unnamed", () => {
    const bound = Report.bind(report(1), Given.deliveryId(1))
    assert.isTrue(isSame(bound, report(2, ann), delivery(1, ann)))
    assert.isTrue(isSame(bound, report(2), delivery(1, ann)))
    assert.isFalse(isSame(bound, report(2, bob), delivery(1, ann)))
  })

  it("is the same once it is forgotten", () => {
    assert.isTrue(isSame(Report.forget(report(1, ann)), report(2, bob)))
    assert.isTrue(isSame(Report.forget(report(1, ann)), report(2)))
    const bound = Report.bind(report(1), Given.deliveryId(1))
    assert.isTrue(isSame(bound, report(2, bob), Delivery.forget(delivery(1, ann), Given.noon)))
  })
})

it("an event of our own names nobody", () => {
  const queued = OwnEvent.queued(Given.deliveryId(1), { id: Given.eventId(1), tenantId, insertedAt: Given.noon })
  assert.deepStrictEqual(Report.ofOwn(queued), { event: queued, named: Option.none() })
})
