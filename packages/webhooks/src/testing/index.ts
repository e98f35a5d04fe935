/**
 * Exports every sender under its name.
 *
 * @since 0.1.0
 */
export * as MailgunSender from "./MailgunSender.ts"
export * as PostmarkSender from "./PostmarkSender.ts"
export * as ResendSender from "./ResendSender.ts"
export * as Sender from "./Sender.ts"
export * as Senders from "./Senders.ts"
export * as SendGridSender from "./SendGridSender.ts"
export * as SesSender from "./SesSender.ts"
