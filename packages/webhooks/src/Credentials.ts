/**
 * Holds what a tenant's webhooks of one provider are verified with.
 *
 * @since 0.2.0
 */
import { type Redacted, Schema } from "effect"

/**
 * The secrets and switches with which a tenant's webhooks of one provider are taken.
 *
 * @category models
 * @since 0.1.0
 */
export interface Credentials {
  /** All of the provider's first scheme that are active: during a rotation the old one and the new one. */
  readonly secrets: ReadonlyArray<Redacted.Redacted>
  /** Those of its further schemes, by their names. Without any secret at all the provider is not set up. */
  readonly furtherSecrets?: ReadonlyMap<string, ReadonlyArray<Redacted.Redacted>>
  /** The names of the providers' switches that are on. */
  readonly switches: ReadonlySet<string>
}

/**
 * The secrets cannot be looked up now; a later attempt may succeed.
 *
 * @category errors
 * @since 0.1.0
 */
export class SecretsUnavailable extends Schema.TaggedError<SecretsUnavailable>("@waybill/webhooks/SecretsUnavailable")(
  "SecretsUnavailable",
  { cause: Schema.Defect() }
) {
  override get message(): string {
    return "the secrets of webhooks cannot be looked up"
  }
}
