/** The console on a real server of the loopback interface, over a storage with something on every page. */
import { NodeHttpServer } from "@effect/platform-node"
import { Console } from "@waybill/console"
import {
  Delivery,
  type Details,
  Event,
  Figures,
  IdempotencyKey,
  Inbox,
  Ledger,
  Provider,
  Recipient,
  Suppressions,
  Tenant,
  Ticks,
  Tokens
} from "@waybill/core"
import { MemoryStorage } from "@waybill/storage"
import { DateTime, Effect, Layer, Option, Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"

/** What providers and users could write to be taken for something else than text. */
export const hostile = [
  `<script>globalThis.hacked = 1</script>`,
  `"><img src=x onerror="globalThis.hacked = 1">`,
  `' onmouseover='globalThis.hacked = 1`,
  `\u202eevil\u2066 \u200fright`,
  `</textarea></title><svg onload=globalThis.hacked=1>`
]

const storage = MemoryStorage.layer.pipe(Layer.provideMerge(SecureRandom.layerWebCrypto))

const listening = NodeHttpServer.layer(createServer, {
  port: 0,
  host: "127.0.0.1",
  gracefulShutdownTimeout: "1 second"
})

/** The console by tokens at `/console`, and by a log-in of the application's own at `/own/mail`. */
export const layer = Layer.mergeAll(
  Console.layerTokens({ basePath: "/console" }),
  Console.layer({
    basePath: "/own/mail",
    authenticate: ({ headers }) =>
      Effect.succeed(
        headers["x-user"] === undefined
          ? Option.none()
          : Option.some({ name: headers["x-user"], role: "operate" as const, scope: Tenant.defaultTenantId })
      )
  })
).pipe(
  (routes) => HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }),
  Layer.provideMerge(listening),
  Layer.provideMerge(storage)
)

/** Where it listens. */
export const url = Effect.map(HttpServer.HttpServer, ({ address }) => HttpServer.formatAddress(address))

/** A token's text. */
export const token = (role: Tokens.Role, scope: Tenant.Scope, name = "ann") =>
  Effect.map(
    Tokens.Tokens.use((tokens) => tokens.create({ name, role, scope, expiresAt: Option.none() })),
    ({ text, token }) => ({ text: Redacted.value(text), id: token.id })
  )

export const acme = Tenant.TenantId.make("acme")

export const other = Tenant.TenantId.make("globex")

const sendgrid = Provider.Provider.make("sendgrid")

/** An event as a provider reports it. */
const reported = (
  messageId: string,
  type: "delivered" | "bounced" | "opened" | "deferred" | "complained",
  at: DateTime.Utc,
  details: Details.Details = {}
) =>
  Event.NewEvent.make({
    type,
    occurredAt: at,
    provider: sendgrid,
    providerMessageId: Option.some(Provider.MessageId.make(messageId)),
    details: Option.some(details),
    ...type === "bounced" && { bounceClass: Option.some("hard" as const) },
    idempotencyKey: IdempotencyKey.Chosen.make(`${messageId}:${type}`)
  })

/** Records, dispatches and reports a delivery. */
const sent = Effect.fnUntraced(function*(
  tenantId: Tenant.TenantId,
  index: number,
  recipient: string,
  mailable: string,
  type: "delivered" | "bounced" | "opened" | "deferred" | "complained" | "none",
  details: Details.Details = {}
) {
  const ledger = yield* Ledger.Ledger
  const now = yield* DateTime.now
  const { delivery } = yield* ledger.record(Delivery.NewDelivery.make({
    tenantId,
    recipient: Recipient.Recipient.make(recipient),
    mailable,
    stream: index % 3 === 0 ? "bulk" : "transactional"
  }))
  if (type === "none") return delivery.id
  const messageId = `${tenantId}-message-${index}`
  yield* ledger.dispatch(
    Delivery.Dispatch.make({ tenantId, deliveryId: delivery.id, provider: sendgrid, providerMessageId: messageId })
  )
  yield* ledger.append(tenantId, [reported(messageId, type, now, details)])
  return delivery.id
})

/** Fills two tenants with something for every page. */
export const filled = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  const inbox = yield* Inbox.Inbox
  const suppressions = yield* Suppressions.Suppressions
  const ticks = yield* Ticks.Ticks
  const now = yield* DateTime.now
  const kinds = ["delivered", "opened", "delivered", "bounced", "delivered", "deferred", "none", "complained"] as const
  const mailables = ["welcome", "receipt", "weekly digest", "password reset"]
  for (let index = 0; index < 24; index++) {
    yield* sent(
      acme,
      index,
      `person${index}@example.com`,
      mailables[index % 4] ?? "",
      kinds[index % 8] ?? "none",
      { response: "550 5.1.1 The mailbox is not there" }
    )
  }
  const foreign = yield* sent(other, 1, "secret@globex.example", "private", "delivered")
  const attacked = yield* sent(acme, 100, "victim@example.com", hostile.join(" ").slice(0, 250), "bounced", {
    response: hostile.join(" "),
    description: hostile.join(" "),
    userAgent: hostile[1] ?? ""
  })
  yield* ledger.append(acme, Array.from({ length: 5 }, (_, index) => reported(`nobody-${index}`, "delivered", now)))
  yield* ledger.append(acme, [reported("<script>globalThis.hacked=1</script>\"'", "opened", now)])
  for (const [index, text] of [...hostile, "x".repeat(64_000)].entries()) {
    const stored = yield* inbox.store({
      tenantId: acme,
      provider: sendgrid,
      headers: { "x-evil": text.slice(0, 300) },
      body: Buffer.from(index % 2 === 0 ? JSON.stringify([{ event: "delivered", text }]) : text),
      token: Option.none()
    })
    yield* inbox.finish(
      { tenantId: acme, id: stored.id },
      index % 2 === 0 ? { _tag: "Succeeded" } : { _tag: "Failed", reason: `cannot be read: ${text.slice(0, 200)}` }
    )
  }
  yield* suppressions.add({
    tenantId: acme,
    additions: Array.from({ length: 4 }, (_, index) => ({
      recipient: Recipient.Recipient.make(`blocked${index}@example.com`),
      reason: "manual" as const,
      stream: Option.none(),
      since: Option.none()
    })),
    actor: "ann",
    because: Option.some(hostile[1] ?? "")
  })
  for (const [index, error] of [Option.none<string>(), Option.some(hostile[0] ?? "")].entries()) {
    const key = { schedule: "reconcile", tick: DateTime.add(now, { minutes: -5 * index }), node: "node-1" }
    yield* ticks.claim(key)
    yield* ticks.finish(key, { counts: { scanned: 12, linked: 3 }, error })
  }
  yield* Figures.followToNow()
  return { attacked, foreign }
})

/** Something that happens while a page is open. */
export const happening = sent(acme, 500, "late@example.com", "receipt", "delivered")
