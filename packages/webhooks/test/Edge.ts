/** A real server on the loopback interface that takes signed webhooks into a ledger. */
import { NodeHttpServer } from "@effect/platform-node"
import { assert } from "@effect/vitest"
import { Delivery, Inbox, Ledger, Orphans, Provider, Recipient, type Suppressions, Tenant } from "@waybill/core"
import { MemoryInbox, MemoryLedger, PgInbox, PgLedger } from "@waybill/storage"
import {
  Ingestion,
  Intake,
  Providers,
  type Row,
  Secrets,
  Sns,
  type SnsCertificates,
  SnsSubscriptions,
  type Webhook,
  WebhookRoutes
} from "@waybill/webhooks"
import type { Sender } from "@waybill/webhooks/testing"
import { DateTime, Effect, Layer, Logger, Option, Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import { FetchHttpClient, HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import * as TestDatabase from "../../storage/test/TestDatabase.ts"
import * as Signing from "./Signing.ts"

export const sender = (name: string): Sender.Sender =>
  Signing.senders.find(({ provider }) => provider === name) ?? assert.fail(`there is no sender ${name}`)

export const secretsOf = (senders: ReadonlyArray<Sender.Sender>): Secrets.TenantSecrets => ({
  secrets: Object.fromEntries(senders.flatMap(({ secrets }) => Object.entries(secrets)))
})

export type Storage = Inbox.Inbox | Ledger.Ledger | Orphans.Orphans | Suppressions.Suppressions

/** An inbox in memory, beside any ledger. */
export const memoryInbox = Layer.fresh(MemoryInbox.layer).pipe(Layer.provide(SecureRandom.layerWebCrypto))

export const memory: Layer.Layer<Storage> = Layer.provideMerge(MemoryInbox.layer, MemoryLedger.layer).pipe(
  Layer.provide(SecureRandom.layerWebCrypto)
)

export const postgres = Layer.provideMerge(PgInbox.layer(), PgLedger.layer()).pipe(
  Layer.provideMerge(TestDatabase.client()),
  Layer.provide(SecureRandom.layerWebCrypto)
)

export interface Setting<E> {
  readonly storage: Layer.Layer<Storage, E>
  readonly providers?: ReadonlyArray<Row.Row>
  readonly tenants?: Readonly<Record<string, Secrets.TenantSecrets>>
  /** In place of those of the tenants. */
  readonly secrets?: Layer.Layer<Secrets.Secrets, E>
  readonly certificates?: Layer.Layer<SnsCertificates.SnsCertificates>
  readonly routes?: WebhookRoutes.Options
  readonly subscriptions?: Layer.Layer<SnsSubscriptions.SnsSubscriptions>
}

/** The providers, with Amazon's certificates and subscriptions replaced. */
export const rows = (
  certificates: Layer.Layer<SnsCertificates.SnsCertificates> = Signing.certificates,
  subscriptions: Layer.Layer<SnsSubscriptions.SnsSubscriptions> = SnsSubscriptions.layerNone
): ReadonlyArray<Row.Row> =>
  Signing.rows.map((row): Row.Row => {
    if (row.name !== "ses") return row
    const [signature, ...others] = row.schemes
    return {
      ...row,
      schemes: [{ ...signature, open: Effect.provide(Sns.verify(row.name), certificates) }, ...others],
      followUp: Effect.provide(Sns.followUp(row.name), subscriptions)
    }
  })

/** A table of rows, opened. */
export const table = (rows: ReadonlyArray<Row.Row>): Layer.Layer<Providers.Providers> =>
  Providers.layer.pipe(Layer.provide([Layer.succeed(Providers.Table, rows), FetchHttpClient.layer]))

/** The providers of the table in use. */
export const providers = Providers.Providers.useSync((providers) => providers)

export const secret = (text: string): Redacted.Redacted => Redacted.make(text)

/** Everything that any server of this process has logged. */
export const logged: Array<unknown> = []

/** Keeps what is logged in `logged`. */
export const logger = Logger.layer([Logger.map(Logger.formatStructured, (entry) => void logged.push(entry))])

/** The server, and everything behind it. */
export const layer = <E>({ certificates, providers, routes, secrets, storage, subscriptions, tenants }: Setting<E>) =>
  HttpRouter.serve(WebhookRoutes.layer({ publicUrl: "https://hooks.example", ...routes }), {
    disableLogger: true,
    disableListenLog: true
  }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
    Layer.provideMerge(Layer.merge(Ingestion.layer, Intake.layer)),
    Layer.provideMerge(storage),
    Layer.provide(secrets ?? Secrets.layer(tenants ?? { default: secretsOf(Signing.senders) })),
    Layer.provideMerge(table(providers ?? rows(certificates, subscriptions))),
    Layer.provide(logger)
  )

export const port = HttpServer.HttpServer.useSync(({ address }) =>
  address._tag === "UnixPathAddress" ? assert.fail("it listens on a path") : address.port
)

export interface Reply {
  readonly status: number
  readonly text: string
  readonly headers: Headers
}

export const call = Effect.fnUntraced(function*(path: string, init: RequestInit) {
  const at = yield* port
  return yield* Effect.promise(async (): Promise<Reply> => {
    const response = await fetch(`http://127.0.0.1:${at}${path}`, init)
    return { status: response.status, text: await response.text(), headers: response.headers }
  })
})

export const post = (path: string, { body, headers }: Webhook.Request) =>
  call(path, { method: "POST", headers, body: new Uint8Array(body) })

export const report = (
  type: Sender.Report["type"],
  n: number,
  fields: Partial<Sender.Report> = {}
): Sender.Report => ({
  type,
  messageId: `message-${n}`,
  recipient: `reader-${n}@reader.example`,
  at: DateTime.makeUnsafe(1_795_000_000_000 + n * 1000),
  eventId: `${type}-${n}`,
  ...fields
})

/** The requests that report something, signed now. */
export const signed = (name: string, ...reports: ReadonlyArray<Sender.Report>) =>
  Effect.map(DateTime.now, (now) => sender(name).send(reports, now))

export const send = Effect.fnUntraced(function*(name: string, ...reports: ReadonlyArray<Sender.Report>) {
  const requests = yield* signed(name, ...reports)
  return yield* Effect.forEach(requests, (request) => post(`/webhooks/${name}`, request))
})

export const tenant = (text: string): Tenant.TenantId => Tenant.TenantId.make(text)

/** All that the ledger has of a tenant, oldest first. */
export const orphans = (scope: Tenant.Scope = Tenant.defaultTenantId) =>
  Orphans.Orphans.use((orphans) =>
    orphans.find({ scope, limit: 10_000, insertedFrom: Option.none(), failedOnly: false })
  ).pipe(Effect.map((found) => found.map(({ event }) => event)))

export const webhooks = (scope: Tenant.Scope = Tenant.defaultTenantId) =>
  Inbox.Inbox.use((inbox) => inbox.list({ scope, status: Option.none(), limit: 10_000 }))

export const statuses = (scope: Tenant.Scope = Tenant.defaultTenantId) =>
  Effect.map(webhooks(scope), (found) => found.map(({ status }) => status).toReversed())

/** A delivery to the reader of a report. */
export const recorded = (n: number) =>
  Ledger.Ledger.use((ledger) =>
    ledger.record(
      Delivery.NewDelivery.make({
        tenantId: Tenant.defaultTenantId,
        recipient: Recipient.Recipient.make(`reader-${n}@reader.example`),
        mailable: "receipt",
        stream: "transactional"
      })
    )
  )

export const dispatched = (delivery: Delivery.Delivery, provider: string, n: number) =>
  Ledger.Ledger.use((ledger) =>
    ledger.dispatch({
      tenantId: delivery.tenantId,
      deliveryId: delivery.id,
      provider: Provider.Provider.make(provider),
      providerMessageId: `message-${n}`,
      expectedVersion: Option.none()
    })
  )
