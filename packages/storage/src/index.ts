/**
 * @since 0.1.0
 */
export * as MemoryInbox from "./MemoryInbox.ts"
export * as MemoryLedger from "./MemoryLedger.ts"
export * as MemoryStorage from "./MemoryStorage.ts"
export * as PgError from "./PgError.ts"
export * as PgHealth from "./PgHealth.ts"
export * as PgInbox from "./PgInbox.ts"
export * as PgLedger from "./PgLedger.ts"
export * as PgLite from "./PgLite.ts"
export * as PgMigrations from "./PgMigrations.ts"
export * as PgNotifications from "./PgNotifications.ts"
export * as PgServer from "./PgServer.ts"
export * as PgStorage from "./PgStorage.ts"
export * as PgUrl from "./PgUrl.ts"
