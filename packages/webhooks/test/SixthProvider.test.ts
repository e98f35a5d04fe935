/**
 * Adds a provider as anyone would: this file defines it, and one row in the table is all that the rest is told.
 */
import { assert, describe, it } from "@effect/vitest"
import { Event, IdempotencyKey, Provider, Recipient, Tenant } from "@waybill/core"
import { Ingestion, Intake, Providers, type Row, Secrets, Webhook } from "@waybill/webhooks"
import { type Sender, Senders } from "@waybill/webhooks/testing"
import { ConfigProvider, DateTime, Effect, Layer, Option, Redacted, Result, Schema } from "effect"
import * as ProviderSettings from "../../cli/src/config/ProviderSettings.ts"
import * as Verification from "../../cli/src/work/Verification.ts"
import * as Edge from "./Edge.ts"
import { bytes, only } from "./Reading.ts"
import * as Schemes from "./Schemes.ts"
import { textOf } from "./Signing.ts"

const name = Provider.Provider.make("pigeon")

const Flights = Schema.fromJsonString(Schema.Array(Schema.Struct({
  ring: Schema.String,
  arrived: Schema.Boolean,
  at: Schema.Finite,
  message: Provider.MessageId,
  loft: Recipient.Recipient
})))

const decode = Schema.decodeUnknownOption(Flights)

const event = ({ arrived, at, loft, message, ring }: (typeof Flights.Type)[number]) =>
  Event.NewEvent.make({
    type: arrived ? "delivered" : "bounced",
    occurredAt: DateTime.makeUnsafe(at),
    provider: name,
    providerMessageId: Option.some(message),
    recipient: Option.some({ address: loft, certain: true }),
    idempotencyKey: IdempotencyKey.IdempotencyKey.make(`webhook:pigeon:id:${ring}`)
  })

/** The webhooks whose birds were fed. */
const fed: Array<string> = []

const pigeon: Row.Row = {
  name,
  schemes: [{
    name: "whistle",
    secrets: { variable: "WAYBILL_PIGEON_WHISTLE", about: "whistle that the birds know" },
    proof: "secret",
    open: Effect.succeed(({ headers, secrets }) =>
      secrets.some((secret) => Redacted.value(secret) === headers["x-whistle"])
        ? Effect.succeed(Webhook.verified())
        : Effect.fail(new Webhook.VerificationError({ provider: name, reason: "BadSignature" }))
    ),
    signing: {
      _tag: "Secret",
      generate: () => Redacted.make("tune"),
      make: (secret) => ({
        secrets: [secret],
        sign: ({ headers, ...request }) => ({
          ...request,
          headers: { ...headers, "x-whistle": Redacted.value(secret) }
        })
      })
    }
  }],
  switches: [{ name: "feedPigeons", variable: "WAYBILL_PIGEON_FEED", about: "whether to feed the birds" }],
  headers: ["x-bird"],
  refusal: 406,
  unavailable: 429,
  normalize: ({ body }) =>
    Option.match(decode(textOf(body)), {
      onNone: () => Result.fail(new Webhook.MalformedBody({ provider: name, reason: "NotJson" })),
      onSome: (flights) => Result.succeed([{ events: flights.map(event), undecodable: [], ignored: [] }])
    }),
  followUp: Effect.succeed(({ id }, credentials) =>
    credentials.pipe(
      Effect.map((found) => Option.exists(found, ({ switches }) => switches.has("feedPigeons")) ? fed.push(id) : 0),
      Effect.mapError((cause) => new Webhook.FollowUpFailed({ provider: name, issue: "no food", cause }))
    )
  ),
  composer: {
    types: ["delivered", "bounced"],
    compose: (reports) => [{
      headers: { "x-bird": "white" },
      body: bytes(JSON.stringify(reports.map(({ at, eventId, messageId, recipient, type }) => ({
        ring: eventId,
        arrived: type === "delivered",
        at: at.epochMilliseconds,
        message: messageId,
        loft: recipient
      }))))
    }]
  }
}

const rows = [...Providers.all, pigeon]

const environment = ConfigProvider.layer(
  ConfigProvider.fromUnknown({ WAYBILL_PIGEON_WHISTLE: "old, tune", WAYBILL_PIGEON_FEED: "true" })
)

const layer = Edge.layer({
  storage: Edge.memory,
  providers: rows,
  secrets: Secrets.layerConfig().pipe(Layer.provide([Layer.succeed(Providers.Table, rows), environment]))
})

const sent = (whistle: string, ...reports: ReadonlyArray<Sender.Report>) =>
  Effect.map(DateTime.now, (now) => only(Schemes.withSecret(pigeon, Redacted.make(whistle)).send(reports, now)))

describe("A sixth provider", () => {
  it.live(
    "has its route, its secrets, its answers, its follow-up and its events from its row alone",
    () =>
      Effect.gen(function*() {
        const reports = [Edge.report("delivered", 1), Edge.report("bounced", 2)]
        const reply = yield* Edge.post("/webhooks/pigeon", yield* sent("tune", ...reports))
        assert.deepStrictEqual([reply.status, reply.text], [200, "orphan"])
        const refused = yield* Edge.post("/webhooks/pigeon", yield* sent("noise", ...reports))
        assert.deepStrictEqual([refused.status, refused.text], [406, "refused"])
        assert.deepStrictEqual((yield* Edge.orphans()).map(({ type }) => type), ["delivered", "bounced"])
        const kept = only(yield* Edge.webhooks())
        assert.strictEqual(kept.status, "succeeded")
        assert.deepStrictEqual(fed, [kept.id])
      }).pipe(Effect.provide(layer, { local: true })),
    30_000
  )

  it.live(
    "comes in by the same intake without HTTP, and is told what became of each event",
    () =>
      Effect.gen(function*() {
        const intake = yield* Intake.Intake
        const ingestion = yield* Ingestion.Ingestion
        const providers = yield* Providers.Providers
        const provider = Option.getOrThrow(providers.get("pigeon"))
        const tenantId = Tenant.defaultTenantId
        const request = yield* sent("old", Edge.report("delivered", 3), Edge.report("bounced", 4))
        const receivedAt = yield* DateTime.now
        const { received, token } = yield* intake.verify(provider, tenantId, Effect.succeed({ ...request, receivedAt }))
        const take = ingestion.ingest({ ...received, provider, tenantId, token })
        const outcomes = Effect.map(
          take,
          ({ events }) => events.map(({ event, outcome }) => [event.type, outcome._tag])
        )
        assert.deepStrictEqual(yield* outcomes, [["delivered", "Appended"], ["bounced", "Appended"]])
        assert.deepStrictEqual(yield* outcomes, [["delivered", "Duplicate"], ["bounced", "Duplicate"]])
      }).pipe(Effect.provide(layer, { local: true })),
    30_000
  )

  it.effect("has its setting, its line of the doctor and its sender from its row alone", () =>
    Effect.gen(function*() {
      const settings = ProviderSettings.secretsOf([pigeon])
      assert.deepInclude(settings["pigeon"], {
        name: "WAYBILL_PIGEON_WHISTLE",
        about: "whistle that the birds know",
        fallback: ""
      })
      const credentials = (secrets: ReadonlyArray<string>) => ({
        secrets: secrets.map((secret) => Redacted.make(secret)),
        switches: new Set<string>()
      })
      assert.deepStrictEqual(Verification.of(pigeon, credentials([])), Option.none())
      assert.deepStrictEqual(
        Option.map(Verification.of(pigeon, credentials(["tune"])), ({ found }) => found),
        Option.some("verified by a secret that every request carries (WAYBILL_PIGEON_WHISTLE)")
      )
      const { row, sender } = yield* Senders.generateOf(pigeon)
      const request = only(sender.send([Edge.report("delivered", 1)], yield* DateTime.now))
      assert.deepStrictEqual(sender.secrets, { pigeon: [Redacted.make("tune")] })
      yield* Schemes.verify(row, { ...request, receivedAt: yield* DateTime.now, secrets: Schemes.secretsOf(sender) })
    }))
})
