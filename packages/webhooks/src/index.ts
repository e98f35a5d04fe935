/**
 * Exports every module of the package under its name.
 *
 * @since 0.1.0
 */
export * as Answer from "./Answer.ts"
export * as Credentials from "./Credentials.ts"
export * as Ingestion from "./Ingestion.ts"
export * as Intake from "./Intake.ts"
export * as Processed from "./Processed.ts"
export * as Providers from "./Providers.ts"
export * as Mailgun from "./providers/Mailgun.ts"
export * as Postmark from "./providers/Postmark.ts"
export * as Resend from "./providers/Resend.ts"
export * as SendGrid from "./providers/SendGrid.ts"
export * as Ses from "./providers/Ses.ts"
export * as Sns from "./providers/sns/Sns.ts"
export * as SnsCertificates from "./providers/sns/SnsCertificates.ts"
export * as SnsEnvelope from "./providers/sns/SnsEnvelope.ts"
export * as SnsSignature from "./providers/sns/SnsSignature.ts"
export * as SnsSubscriptions from "./providers/sns/SnsSubscriptions.ts"
export * as SnsTopic from "./providers/sns/SnsTopic.ts"
export * as Refusals from "./Refusals.ts"
export * as Row from "./Row.ts"
export * as Secrets from "./Secrets.ts"
export * as Unsubscribe from "./Unsubscribe.ts"
export * as UnsubscribeRoutes from "./UnsubscribeRoutes.ts"
export * as Webhook from "./Webhook.ts"
export * as WebhookRoutes from "./WebhookRoutes.ts"
