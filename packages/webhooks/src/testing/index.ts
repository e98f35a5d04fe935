/**
 * Exports what stands in for the providers.
 *
 * @since 0.1.0
 */
export * as SesSender from "../providers/sns/SesSender.ts"
export * as Sender from "../Sender.ts"
export * as Senders from "./Senders.ts"
