/**
 * Decides whether a request may come in. It is the one door, for the HTTP route, for a command and for any other way in.
 *
 * @since 0.2.0
 */
import { type Inbox, Provider, Tenant } from "@waybill/core"
import { Context, Effect, Layer, Option, Schema } from "effect"
import type { SecretsUnavailable } from "./Credentials.ts"
import * as Row from "./Row.ts"
import { Secrets } from "./Secrets.ts"
import type * as Webhook from "./Webhook.ts"

/**
 * There is no such tenant.
 *
 * @category errors
 * @since 0.2.0
 */
export class UnknownTenant extends Schema.TaggedError<UnknownTenant>("@waybill/webhooks/UnknownTenant")(
  "UnknownTenant",
  { tenantId: Tenant.TenantId }
) {
  override get message(): string {
    return `there is no tenant ${this.tenantId}`
  }
}

/**
 * A tenant has no secret for a provider, so that none of its requests can be verified; the fault is ours.
 *
 * @category errors
 * @since 0.2.0
 */
export class NoSecret extends Schema.TaggedError<NoSecret>("@waybill/webhooks/NoSecret")("NoSecret", {
  provider: Provider.Provider
}) {
  override get message(): string {
    return `no secret is configured for ${this.provider}`
  }
}

/**
 * A provider only tries the address, before its secret can be known here; there is nothing to take in.
 *
 * @category errors
 * @since 0.2.0
 */
export class Greeting extends Schema.TaggedError<Greeting>("@waybill/webhooks/Greeting")("Greeting", {
  provider: Provider.Provider
}) {
  override get message(): string {
    return `${this.provider} only tries the address: there is nothing to take in`
  }
}

/**
 * Why a request does not come in.
 *
 * @category errors
 * @since 0.2.0
 */
export type IntakeError =
  | UnknownTenant
  | SecretsUnavailable
  | NoSecret
  | Greeting
  | Webhook.VerificationError
  | Webhook.VerificationUnavailable

/**
 * A request that passed verification.
 *
 * @category models
 * @since 0.2.0
 */
export interface Admitted {
  readonly received: Webhook.Received
  /** The token to be consumed with it, so that its signature is good for no other body. */
  readonly token: Option.Option<Inbox.Token>
  /** Whether the request only sets the webhooks up: it is about no mail by which its tenant could be told. */
  readonly setup: Option.Option<Row.Setup>
}

/**
 * The door through which webhooks come in.
 *
 * @category services
 * @since 0.2.0
 */
export class Intake extends Context.Service<Intake, {
  /**
   * Verifies a request with a tenant's secrets. The request is read only where there is something to verify it with, and
   * where what came before its body, if it is given, does not tell already that it is to be refused.
   */
  readonly verify: <E, R>(
    provider: Row.OpenRow,
    tenantId: Tenant.TenantId,
    request: Effect.Effect<Webhook.Received, E, R>,
    head?: Omit<Webhook.Request, "body">
  ) => Effect.Effect<Admitted, IntakeError | E, R>
  /** Fails where there is no such tenant. */
  readonly knows: (
    provider: Row.OpenRow,
    tenantId: Tenant.TenantId
  ) => Effect.Effect<void, UnknownTenant | SecretsUnavailable>
}>()("@waybill/webhooks/Intake") {}

/**
 * Verifies with the secrets of the installation.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer: Layer.Layer<Intake, never, Secrets> = Layer.effect(
  Intake,
  Effect.gen(function*() {
    const secrets = yield* Secrets
    const lookup = Effect.fnUntraced(function*(provider: Row.OpenRow, tenantId: Tenant.TenantId) {
      const credentials = yield* secrets.lookup(tenantId, provider.name)
      return Option.isSome(credentials) ? credentials.value : yield* new UnknownTenant({ tenantId })
    })
    const verify = Effect.fn("Intake.verify")(function*<E, R>(
      provider: Row.OpenRow,
      tenantId: Tenant.TenantId,
      request: Effect.Effect<Webhook.Received, E, R>,
      head?: Omit<Webhook.Request, "body">
    ) {
      const { isGreeting, name, setup } = provider
      const used = Row.inUse(provider, yield* lookup(provider, tenantId))
      if (used.length === 0 && isGreeting === undefined) return yield* new NoSecret({ provider: name })
      if (head !== undefined && isGreeting === undefined) yield* Row.admit(used, head)
      const received = yield* request
      if (isGreeting?.(received) === true) return yield* new Greeting({ provider: name })
      if (used.length === 0) return yield* new NoSecret({ provider: name })
      const { token } = yield* Row.verify(used, received)
      const admitted: Admitted = {
        received,
        token: Option.map(token, (value) => ({ value, verifiedBy: tenantId })),
        setup: setup?.(received) ?? Option.none()
      }
      return admitted
    })
    return Intake.of({
      verify,
      knows: (provider, tenantId) => Effect.asVoid(lookup(provider, tenantId))
    })
  })
)
