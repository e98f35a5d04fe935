/** The ports that pages are made over. */
import type { Alerts, Directory, Figures, Inbox, Ledger, Orphans, Suppressions, Ticks } from "@waybill/core"

/** The ports that pages are made over. */
export type Ports =
  | Ledger.Ledger
  | Directory.Directory
  | Orphans.Orphans
  | Inbox.Inbox
  | Suppressions.Suppressions
  | Ticks.Ticks
  | Figures.Figures
  | Alerts.Alerts
