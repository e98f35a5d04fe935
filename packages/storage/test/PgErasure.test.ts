/** Erasures on PostgreSQL that overlap with what says whether a recipient may be mailed: either comes first, and nothing is lost. */
import { assert, describe, it } from "@effect/vitest"
import {
  Audit,
  Delivery,
  Event,
  IdempotencyKey,
  Ledger,
  type LedgerError,
  Orphans,
  Provider,
  Recipient,
  Suppressions,
  Tenant
} from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import { overlapping } from "./Overlap.ts"
import * as TestDatabase from "./TestDatabase.ts"

const provider = Provider.Provider.make("postmark")
const recipient = Recipient.Recipient.make("someone@example.com")

const at = (seconds: number) => DateTime.add(DateTime.makeUnsafe("2026-01-02T03:04:05Z"), { seconds })

const complaint = (key: string, options: Partial<Event.NewEvent> = {}): Event.NewEvent => ({
  ...Event.NewEvent.make({
    type: "complained",
    occurredAt: at(0),
    provider,
    providerMessageId: Option.some(Provider.MessageId.make("m")),
    idempotencyKey: IdempotencyKey.IdempotencyKey.make(`webhook:${key}`)
  }),
  ...options
})

/** How a complaint is appended, or linked, while its recipient is forgotten. */
interface Kind {
  readonly name: string
  readonly before: ReadonlyArray<Event.NewEvent>
  readonly acts: (
    key: { readonly tenantId: Tenant.TenantId; readonly deliveryId: Event.DeliveryId }
  ) => Effect.Effect<unknown, LedgerError.InvalidInput | LedgerError.LedgerError, Ledger.Ledger | Orphans.Orphans>
}

const appended =
  (of: (deliveryId: Event.DeliveryId) => ReadonlyArray<Event.NewEvent>): Kind["acts"] => ({ deliveryId, tenantId }) =>
    Ledger.Ledger.use((ledger) => ledger.append(tenantId, of(deliveryId)))

/** One between these moves nothing. */
const around = [complaint("oldest", { occurredAt: at(-9) }), complaint("newest", { occurredAt: at(9) })]

const echoing = (deliveryId: Event.DeliveryId): Partial<Event.NewEvent> => ({
  providerMessageId: Option.none(),
  echoedDeliveryId: Option.some(deliveryId)
})

const waiting = complaint("waiting", { providerMessageId: Option.some(Provider.MessageId.make("unheard")) })

const kinds: ReadonlyArray<Kind> = [
  { name: "names the message of its delivery", before: [], acts: appended(() => [complaint("one")]) },
  {
    name: "names the message of its delivery and moves nothing",
    before: around,
    acts: appended(() => [complaint("one")])
  },
  {
    name: "echoes the id of its delivery",
    before: [],
    acts: appended((deliveryId) => [complaint("one", echoing(deliveryId))])
  },
  {
    name: "echoes the id of its delivery and moves nothing",
    before: around,
    acts: appended((deliveryId) => [complaint("one", echoing(deliveryId))])
  },
  {
    name: "is appended with one that waits and names the recipient",
    before: [],
    acts: appended(() => [
      complaint("one"),
      { ...waiting, recipient: Option.some({ address: recipient, certain: true }) }
    ])
  },
  {
    name: "is linked by hand",
    before: [waiting],
    acts: Effect.fnUntraced(function*({ deliveryId, tenantId }) {
      const orphans = yield* Orphans.Orphans
      const query = { scope: tenantId, limit: 1, insertedFrom: Option.none(), failedOnly: false }
      const [orphan] = yield* orphans.find(query)
      if (orphan === undefined) return assert.fail("nothing waits")
      return yield* Effect.orDie(
        orphans.linkTo({ tenantId, deliveryId, eventId: orphan.event.id, expectedVersion: Option.none() })
      )
    })
  }
]

const given = Effect.fnUntraced(function*(name: string, kind: Kind) {
  const ledger = yield* Ledger.Ledger
  const audit = yield* Audit.Audit
  const suppressions = yield* Suppressions.Suppressions
  const random = yield* SecureRandom.SecureRandom
  const tenantId = Tenant.TenantId.make(`erasure-${name}`)
  const deliveryId = Event.DeliveryId.make(yield* random.uuidV7())
  yield* ledger.record(Delivery.NewDelivery.make({
    id: Option.some(deliveryId),
    tenantId,
    recipient,
    mailable: "welcome",
    stream: "transactional"
  }))
  yield* ledger.dispatch(Delivery.Dispatch.make({ tenantId, deliveryId, provider, providerMessageId: "m" }))
  yield* ledger.append(tenantId, kind.before)
  const reasons = Effect.map(
    suppressions.check({ tenantId, recipients: [recipient], stream: Option.none() }),
    (held) => held.map(({ reason }) => reason)
  )
  const drifts = Effect.map(
    audit.verify({ part: "suppressions", scope: tenantId, after: Option.none(), limit: 100 }),
    (page) => page.drifts
  )
  return { act: kind.acts({ tenantId, deliveryId }), forget: ledger.forget({ tenantId, recipient }), reasons, drifts }
})

describe("forgetting a recipient while a complaint is told", () => {
  for (const [index, kind] of kinds.entries()) {
    it.live(`that ${kind.name}`, () =>
      Effect.gen(function*() {
        const early = yield* given(`early-${index}`, kind)
        yield* overlapping(early.act, early.forget)
        assert.deepStrictEqual(yield* early.reasons, ["complained"])
        assert.deepStrictEqual(yield* early.drifts, [])

        const sql = yield* SqlClient.SqlClient
        const late = yield* given(`late-${index}`, kind)
        yield* overlapping(late.forget, sql.withTransaction(late.act))
        assert.deepStrictEqual(yield* late.drifts, [])
      }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)
  }
})
