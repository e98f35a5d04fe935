/** Names the ports that storage gives, whichever adapter keeps them. */
import type { Audit, Checkpoints, Directory, Inbox, Ledger, Orphans, Ticks, Tokens, Unsent } from "@waybill/core"

/** What is told to a ledger, what waits in it for events or to be sent, how it is compared and how it is searched. */
export type OfLedger = Ledger.Ledger | Orphans.Orphans | Audit.Audit | Directory.Directory | Unsent.Unsent

/** Every port of the core. */
export type All = OfLedger | Inbox.Inbox | Ticks.Ticks | Checkpoints.Checkpoints | Tokens.Tokens
