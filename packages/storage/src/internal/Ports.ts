/** Names the ports that storage gives, whichever adapter keeps them. */
import type {
  Alerts,
  Audit,
  Checkpoints,
  Directory,
  Figures,
  Inbox,
  Ledger,
  Orphans,
  Suppressions,
  Ticks,
  Tokens,
  Unsent
} from "@waybill/core"

/**
 * What is told to a ledger, what waits in it for events or to be sent, whom not to mail by it, how it is compared, searched and
 * counted.
 */
export type OfLedger =
  | Ledger.Ledger
  | Orphans.Orphans
  | Unsent.Unsent
  | Suppressions.Suppressions
  | Audit.Audit
  | Directory.Directory
  | Figures.Figures

/** Every port of the core. */
export type All =
  | OfLedger
  | Inbox.Inbox
  | Ticks.Ticks
  | Checkpoints.Checkpoints
  | Tokens.Tokens
  | Alerts.Alerts
