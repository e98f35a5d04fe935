/**
 * @since 0.1.0
 */
export * as MemoryCheckpoints from "./MemoryCheckpoints.ts"
export * as MemoryInbox from "./MemoryInbox.ts"
export * as MemoryLedger from "./MemoryLedger.ts"
export * as MemoryTicks from "./MemoryTicks.ts"
export * as PgCheckpoints from "./PgCheckpoints.ts"
export * as PgError from "./PgError.ts"
export * as PgHealth from "./PgHealth.ts"
export * as PgInbox from "./PgInbox.ts"
export * as PgLedger from "./PgLedger.ts"
export * as PgLite from "./PgLite.ts"
export * as PgMigrations from "./PgMigrations.ts"
export * as PgNotifications from "./PgNotifications.ts"
export * as PgRows from "./PgRows.ts"
export * as PgServer from "./PgServer.ts"
export * as PgTicks from "./PgTicks.ts"
export * as PgUrl from "./PgUrl.ts"
