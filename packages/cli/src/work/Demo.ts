/**
 * Plays the race on a throw-away embedded database: the webhook comes first, the delivery second, and nothing is lost.
 *
 * @since 0.1.0
 */
import { Delivery, Event, Ledger, LedgerError, Tenant } from "@waybill/core"
import * as Reconciler from "@waybill/runtime/Reconciler"
import * as PgLedger from "@waybill/storage/PgLedger"
import * as PgLite from "@waybill/storage/PgLite"
import * as PgMigrations from "@waybill/storage/PgMigrations"
import * as SendGrid from "@waybill/webhooks/providers/signed/SendGrid"
import * as Webhook from "@waybill/webhooks/Webhook"
import { DateTime, Duration, Effect, Layer, Option, Redacted, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import { createSign, generateKeyPairSync } from "node:crypto"

const layer = Reconciler.layer.pipe(
  Layer.provideMerge(PgLedger.layer()),
  Layer.provideMerge(Layer.effectDiscard(PgMigrations.migrate())),
  Layer.provideMerge(PgLite.layer()),
  Layer.provideMerge(SecureRandom.layerWebCrypto)
)

const messageId = "bG9uZyBsaXZlIHRoZSBxdQ"
const recipient = "ada@example.com"

/** A batch as SendGrid would post it, signed with a key made on the spot. */
const makeWebhook = (now: DateTime.Utc) => {
  const seconds = Math.floor(now.epochMilliseconds / 1000)
  const event = (name: string, ago: number) => ({
    email: recipient,
    event: name,
    timestamp: seconds - ago,
    sg_event_id: `demo-${name}`,
    sg_message_id: `${messageId}.filterdrecv-demo-1-0`
  })
  const body = Buffer.from(JSON.stringify([event("processed", 3), event("delivered", 1)]))
  const timestamp = String(seconds)
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  return {
    secrets: [Redacted.make(publicKey.export({ format: "der", type: "spki" }).toString("base64"))],
    received: {
      headers: {
        "x-twilio-email-event-webhook-signature": createSign("sha256").update(timestamp).update(body).sign(
          privateKey,
          "base64"
        ),
        "x-twilio-email-event-webhook-timestamp": timestamp
      },
      body,
      receivedAt: now
    }
  }
}

/** Writes a delivery the way another program would: a row, past the ledger. */
const insertDelivery = Effect.fnUntraced(function*(id: Event.DeliveryId) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    INSERT INTO waybill.deliveries (id, tenant_id, mailable, stream, recipient, provider, provider_message_id)
    VALUES (${id}, ${Tenant.defaultTenantId}, 'welcome', 'transactional', ${recipient}, 'sendgrid', ${messageId})
  `
})

const encode = Schema.encodeSync(Delivery.Delivery)

/**
 * Plays the race and returns its steps, the delivery and its timeline.
 *
 * @category demonstration
 * @since 0.1.0
 */
export const play = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  const reconciler = yield* Reconciler.Reconciler
  const { received, secrets } = makeWebhook(yield* DateTime.now)
  const steps: Array<string> = []

  const post = Effect.gen(function*() {
    yield* SendGrid.verify({ ...received, secrets })
    const { events } = Webhook.join(yield* Effect.fromResult(SendGrid.normalize(received)))
    return yield* ledger.append(Tenant.defaultTenantId, events)
  })

  const first = yield* post
  steps.push(`a SendGrid webhook arrives; its signature is good and its ${first.length} events are appended`)

  const orphans = yield* reconciler.findOrphans()
  steps.push(`no delivery has its message id yet: ${orphans.length} orphans wait`)

  const deliveryId = Event.DeliveryId.make(yield* SecureRandom.SecureRandom.use((random) => random.uuidV7()))
  const key = { tenantId: Tenant.defaultTenantId, deliveryId }
  yield* insertDelivery(deliveryId)
  steps.push("another program commits the delivery with that message id, by plain SQL")

  const swept = yield* reconciler.sweep({ grace: Duration.zero })
  steps.push(`a sweep scans ${swept.scanned} orphans and links ${swept.linked}`)

  const found = Effect.flatMap(
    ledger.delivery(key),
    Option.match({ onNone: () => Effect.fail(new LedgerError.DeliveryNotFound(key)), onSome: Effect.succeed })
  )
  const delivery = yield* found
  const timeline = yield* ledger.timeline(key)
  const lastEventType = Option.getOrElse(delivery.lastEventType, () => "unknown")
  steps.push(`the delivery is ${lastEventType}, ${delivery.terminal ? "for good" : "not for good"}`)

  const again = yield* post
  const duplicates = again.filter((outcome) => !Ledger.isConflict(outcome) && outcome._tag === "Duplicate").length
  const changed = (yield* found).lockVersion - delivery.lockVersion
  steps.push(`the same webhook comes again: ${duplicates} duplicates, ${changed} changes`)

  return {
    steps,
    orphansBefore: orphans.length,
    linked: swept.linked,
    delivery: encode(delivery),
    timeline: timeline.map(({ event, linkedBy }) => ({
      type: event.type,
      occurredAt: DateTime.formatIso(event.occurredAt),
      isLinked: Option.isSome(linkedBy)
    }))
  }
}).pipe(Effect.provide(layer))
