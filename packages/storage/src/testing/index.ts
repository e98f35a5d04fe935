/**
 * @since 0.1.0
 */
export * as AlertsTest from "./AlertsTest.ts"
export * as CheckpointsTest from "./CheckpointsTest.ts"
export * as FiguresTest from "./FiguresTest.ts"
export * as Generators from "./Generators.ts"
export * as Given from "./Given.ts"
export * as History from "./History.ts"
export * as Importer from "./Importer.ts"
export * as InboxTest from "./InboxTest.ts"
export * as LedgerTest from "./LedgerTest.ts"
export * as SuppressionsTest from "./SuppressionsTest.ts"
export * as TicksTest from "./TicksTest.ts"
export * as TokensTest from "./TokensTest.ts"
