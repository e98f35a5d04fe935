/** Details on PostgreSQL: an append and the forgetting of its recipient, whichever comes first, leave none behind. */
import { assert, describe, it } from "@effect/vitest"
import { Delivery, Event, IdempotencyKey, Ledger, Orphans, Provider, Recipient, Tenant } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import { overlapping } from "./Overlap.ts"
import * as TestDatabase from "./TestDatabase.ts"

const provider = Provider.Provider.make("postmark")
const recipient = Recipient.Recipient.make("someone@example.com")

const at = (seconds: number) => DateTime.add(DateTime.makeUnsafe("2026-01-02T03:04:05Z"), { seconds })

const report = (
  type: "sent" | "delivered" | "opened",
  messageId: string,
  options: Partial<Event.NewEvent> = {}
): Event.NewEvent => ({
  ...Event.NewEvent.make({
    type,
    occurredAt: at(0),
    provider,
    providerMessageId: Option.some(Provider.MessageId.make(messageId)),
    recipient: Option.some({ address: recipient, certain: true }),
    idempotencyKey: IdempotencyKey.IdempotencyKey.make(`webhook:${type}-${messageId}`)
  }),
  ...options
})

const said = { details: Option.some({ response: "250 ok, someone" }) }

interface Kind {
  readonly name: string
  /** What is there before, beside a delivery of the message `m`. */
  readonly before: ReadonlyArray<Event.NewEvent>
  readonly isDismissed?: true
  /** How many are kept where it is appended after the erasure: it then names the recipient anew. */
  readonly keptAfter?: number
  /** What is appended while the recipient is forgotten. */
  readonly given: (deliveryId: Event.DeliveryId) => ReadonlyArray<Event.NewEvent>
}

const kinds: ReadonlyArray<Kind> = [
  { name: "moves its delivery", before: [], given: () => [report("delivered", "m", said)] },
  {
    name: "tells its delivery nothing new",
    before: [report("opened", "m", { occurredAt: at(9) })],
    given: () => [report("sent", "m", said)]
  },
  {
    name: "echoes the id of its delivery and tells it nothing new",
    before: [report("opened", "m", { occurredAt: at(9) })],
    given: (deliveryId) => [report("sent", "other", { echoedDeliveryId: Option.some(deliveryId), ...said })]
  },
  {
    name: "is appended with another one, which waits",
    before: [],
    given: () => [report("delivered", "m", said), report("sent", "unheard", { recipient: Option.none() })]
  },
  {
    name: "says again what is stored",
    before: [report("delivered", "m")],
    given: () => [report("delivered", "m", said)]
  },
  {
    name: "waits and names the recipient",
    before: [report("delivered", "unheard")],
    keptAfter: 1,
    given: () => [report("delivered", "unheard-too", said)]
  },
  {
    name: "says again what waits and names the recipient",
    before: [report("delivered", "unheard")],
    given: () => [report("delivered", "unheard", said)]
  },
  {
    name: "says again what is dismissed and names the recipient",
    before: [report("delivered", "unheard")],
    isDismissed: true,
    given: () => [report("delivered", "unheard", said)]
  }
]

/** Makes a tenant with a delivery and what is there before, and gives what to append and how many details it has then. */
const given = Effect.fnUntraced(function*(name: string, kind: Kind) {
  const sql = yield* SqlClient.SqlClient
  const ledger = yield* Ledger.Ledger
  const orphans = yield* Orphans.Orphans
  const random = yield* SecureRandom.SecureRandom
  const tenantId = Tenant.TenantId.make(name)
  const deliveryId = Event.DeliveryId.make(yield* random.uuidV7())
  yield* ledger.record(Delivery.NewDelivery.make({
    id: Option.some(deliveryId),
    tenantId,
    recipient,
    mailable: "welcome",
    stream: "transactional"
  }))
  yield* ledger.dispatch(Delivery.Dispatch.make({ tenantId, deliveryId, provider, providerMessageId: "m" }))
  const outcomes = yield* ledger.append(tenantId, kind.before)
  if (kind.isDismissed === true) {
    yield* Effect.forEach(
      outcomes,
      (outcome) => Ledger.isConflict(outcome) ? Effect.void : orphans.dismiss({ tenantId, eventId: outcome.eventId })
    )
  }
  const kept = Effect.map(
    sql<{ readonly count: number }>`
      SELECT count(*)::integer AS count FROM waybill.event_details WHERE tenant_id = ${tenantId}
    `,
    ([row]) => row?.count
  )
  const keptOfDelivery = Effect.map(
    sql<{ readonly count: number }>`
      SELECT count(*)::integer AS count FROM waybill.event_details d
      JOIN waybill.events e ON e.id = d.event_id LEFT JOIN waybill.events link ON link.source_event_id = e.id
      WHERE d.tenant_id = ${tenantId} AND ${deliveryId} IN (e.delivery_id, link.delivery_id)
    `,
    ([row]) => row?.count
  )
  return {
    append: ledger.append(tenantId, kind.given(deliveryId)),
    forget: ledger.forget({ tenantId, recipient }),
    kept,
    keptOfDelivery
  }
})

describe("forgetting a recipient while details are kept", () => {
  for (const [index, kind] of kinds.entries()) {
    it.live(`leaves none of an event that ${kind.name}`, () =>
      Effect.gen(function*() {
        const early = yield* given(`early-${index}`, kind)
        yield* overlapping(early.append, early.forget)
        assert.strictEqual(yield* early.kept, 0)

        const sql = yield* SqlClient.SqlClient
        const late = yield* given(`late-${index}`, kind)
        yield* overlapping(late.forget, sql.withTransaction(late.append))
        assert.strictEqual(yield* late.kept, kind.keptAfter ?? 0)

        // Without a transaction of its caller it may give up waiting, and begin again when the recipient is forgotten: it then
        // is an orphan that names that one anew.
        const retried = yield* given(`retried-${index}`, kind)
        yield* overlapping(retried.forget, retried.append)
        assert.strictEqual(yield* retried.keptOfDelivery, 0)

        // They are kept where nobody is forgotten.
        const alone = yield* given(`alone-${index}`, kind)
        yield* alone.append
        assert.strictEqual(yield* alone.kept, 1)
      }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)
  }
})
