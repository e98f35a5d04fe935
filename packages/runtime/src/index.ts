/**
 * @since 0.1.0
 */
export * as Alerts from "./Alerts.ts"
export * as Answers from "./Answers.ts"
export * as Auditor from "./Auditor.ts"
export * as Backlog from "./Backlog.ts"
export * as DeliveryUpdates from "./DeliveryUpdates.ts"
export * as Feed from "./Feed.ts"
export * as Health from "./Health.ts"
export * as Metrics from "./Metrics.ts"
export * as Outbox from "./Outbox.ts"
export * as Pruner from "./Pruner.ts"
export * as Reconciler from "./Reconciler.ts"
export * as Schedules from "./Schedules.ts"
export * as SpanGuard from "./SpanGuard.ts"
export * as Telemetry from "./Telemetry.ts"
