/**
 * Names the settings of each tenant, by which the webhooks of its providers are verified. The environment and the
 * configuration file say them for the tenant `default`, the configuration file for further tenants.
 *
 * @since 0.2.0
 */
import type { Redacted } from "effect"
import * as Kind from "./Kind.ts"
import type { Setting } from "./Setting.ts"

/**
 * The secrets that the webhooks of each provider are verified with, by the provider's name.
 *
 * @category settings
 * @since 0.1.0
 */
export const secrets: Readonly<Record<string, Setting<ReadonlyArray<Redacted.Redacted>>>> = {
  postmark: Kind.secrets("WAYBILL_POSTMARK_BASIC_AUTH", "user:pass of the webhook's URL"),
  sendgrid: Kind.secrets("WAYBILL_SENDGRID_PUBLIC_KEY", "verification key, as SendGrid shows it"),
  resend: Kind.secrets("WAYBILL_RESEND_SECRET", "signing secret, whsec_…"),
  ses: {
    ...Kind.secrets("WAYBILL_SES_TOPIC_ARNS", "SNS topics that may report"),
    show: (text) => Kind.separated(text).join(",")
  },
  mailgun: Kind.secrets("WAYBILL_MAILGUN_SIGNING_KEY", "webhook signing key")
}

/**
 * Whether subscriptions of Amazon SNS to listed topics are confirmed.
 *
 * @category settings
 * @since 0.1.0
 */
export const sesConfirmSubscriptions = Kind.isTrue(
  "WAYBILL_SES_CONFIRM_SUBSCRIPTIONS",
  "whether to confirm subscriptions of those topics"
)

/**
 * Every setting of a tenant, in the order in which they are shown.
 *
 * @category settings
 * @since 0.2.0
 */
export const all: ReadonlyArray<Setting<unknown>> = [...Object.values(secrets), sesConfirmSubscriptions]
