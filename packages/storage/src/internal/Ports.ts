/** Names the ports that storage gives, whichever adapter keeps them. */
import type { Audit, Checkpoints, Inbox, Ledger, Orphans, Ticks, Tokens } from "@waybill/core"

/** What is told to a ledger, what waits in it, and how it is compared. */
export type OfLedger = Ledger.Ledger | Orphans.Orphans | Audit.Audit

/** Every port of the core. */
export type All = OfLedger | Inbox.Inbox | Ticks.Ticks | Checkpoints.Checkpoints | Tokens.Tokens
