/** A benchmark: its name, the sizes it can be given, and how it is run. */
import { type Effect, type Scope } from "effect"
import type { Report } from "./Report.ts"
import type { Server } from "./Server.ts"

export interface Bench {
  readonly name: string
  /** The sizes and their defaults. */
  readonly sizes: Readonly<Record<string, number>>
  readonly run: (size: (name: string) => number) => Effect.Effect<Report, unknown, Server | Scope.Scope>
}
