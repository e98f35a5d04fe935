/**
 * @since 0.1.0
 */
export * as Answer from "./Answer.ts"
export * as Ingestion from "./Ingestion.ts"
export * as Mailgun from "./Mailgun.ts"
export * as Postmark from "./Postmark.ts"
export * as Providers from "./Providers.ts"
export * as ProviderTable from "./ProviderTable.ts"
export * as Resend from "./Resend.ts"
export * as Secrets from "./Secrets.ts"
export * as SendGrid from "./SendGrid.ts"
export * as Ses from "./Ses.ts"
export * as SnsCertificates from "./SnsCertificates.ts"
export * as SnsSubscriptions from "./SnsSubscriptions.ts"
export * as Webhook from "./Webhook.ts"
export * as WebhookRoutes from "./WebhookRoutes.ts"
