/** Gives the ports of the ledger over one store in memory. */
import {
  Audit as CoreAudit,
  Checkpoints as CoreCheckpoints,
  Directory as CoreDirectory,
  Figures as CoreFigures,
  Ledger,
  Orphans as CoreOrphans,
  Suppressions as CoreSuppressions,
  Unsent as CoreUnsent
} from "@waybill/core"
import { Context } from "effect"
import type * as StoragePorts from "../Ports.ts"
import * as Audit from "./Audit.ts"
import * as Checkpoints from "./Checkpoints.ts"
import * as Commands from "./Commands.ts"
import * as Directory from "./Directory.ts"
import * as Figures from "./Figures.ts"
import * as Orphans from "./Orphans.ts"
import * as Reads from "./Reads.ts"
import type * as Store from "./Store.ts"
import * as Suppressions from "./Suppressions.ts"
import * as Unsent from "./Unsent.ts"

/** The ports over a store. */
export const over = (store: Store.Store): Context.Context<StoragePorts.OfLedger> =>
  Context.make(
    Ledger.Ledger,
    Ledger.Ledger.of({ ...Commands.make(store), ...Reads.make(store), updates: store.subscribe })
  ).pipe(
    Context.add(CoreOrphans.Orphans, CoreOrphans.Orphans.of(Orphans.make(store))),
    Context.add(CoreAudit.Audit, CoreAudit.Audit.of(Audit.make(store))),
    Context.add(CoreDirectory.Directory, Directory.make(store)),
    Context.add(CoreFigures.Figures, Figures.make(store)),
    Context.add(CoreUnsent.Unsent, CoreUnsent.Unsent.of(Unsent.make(store))),
    Context.add(CoreSuppressions.Suppressions, Suppressions.make(store))
  )

/** The ports over a store, and the checkpoints of its feed. */
export const withCheckpoints = (
  store: Store.Store
): Context.Context<StoragePorts.OfLedger | CoreCheckpoints.Checkpoints> =>
  Context.add(over(store), CoreCheckpoints.Checkpoints, Checkpoints.make(store))
