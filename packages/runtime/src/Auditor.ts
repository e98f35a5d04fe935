/**
 * Compares all that is stored with the ledger, page by page, and repairs it where asked: deliveries with the fold of their
 * events, the queue of pending orphans with the orphans that wait, and the figures with what they count.
 *
 * Each page is one transaction, so that an audit of any size holds nothing for long.
 *
 * @since 0.1.0
 */
import { Audit, type Drift, type LedgerError, Tenant } from "@waybill/core"
import { Context, Effect, Layer, Option } from "effect"

/**
 * How many rows one page compares by default.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultPageSize = 1000

/**
 * How many drifts are returned at most; all are counted.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxDrifts = 1000

/**
 * The rows to compare.
 *
 * @category models
 * @since 0.1.0
 */
export interface AuditOptions {
  /** One tenant; without it all of them. */
  readonly tenantId?: Tenant.TenantId
  /** How many rows one page compares at most: 1 to 10,000; 1000 by default. */
  readonly pageSize?: number
  /** Told after each page what was found so far. */
  readonly onPage?: (sofar: Progress) => Effect.Effect<void>
}

/**
 * How far a comparison has come.
 *
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  readonly part: Audit.Query["part"]
  /** How many deliveries were compared. */
  readonly deliveries: number
  /** How many orphans were compared. */
  readonly orphans: number
  /** Of how many addresses the suppressions were compared. */
  readonly suppressions: number
  /** Of how many deliveries it was compared how they count. */
  readonly contributions: number
  /** Of how many tenants' days the figures were compared. */
  readonly figures: number
  /** How many drifts there were. */
  readonly drifted: number
}

/**
 * The findings of a comparison.
 *
 * @category models
 * @since 0.1.0
 */
export interface Audited extends Omit<Progress, "part"> {
  /** The first thousand drifts. */
  readonly drifts: ReadonlyArray<Drift.Drift>
}

/**
 * Compares what is stored with the ledger.
 *
 * @category services
 * @since 0.1.0
 */
export class Auditor extends Context.Service<Auditor, {
  /** Compares and changes nothing. */
  readonly verify: (
    options?: AuditOptions
  ) => Effect.Effect<Audited, LedgerError.InvalidInput | LedgerError.LedgerError>

  /**
   * Compares and repairs the drifts it returns; what has not drifted is not touched. Interrupted, it lets the page in hand
   * commit and begins no other.
   */
  readonly rebuild: (
    options?: AuditOptions
  ) => Effect.Effect<Audited, LedgerError.InvalidInput | LedgerError.LedgerError>
}>()("@waybill/runtime/Auditor") {}

const parts = ["deliveries", "orphans", "suppressions", "contributions", "figures"] as const

const audit = (operation: Audit.Audit["Service"]["verify"]) =>
  Effect.fnUntraced(function*(options: AuditOptions = {}) {
    const compared = { deliveries: 0, orphans: 0, suppressions: 0, contributions: 0, figures: 0 }
    const drifts: Array<Drift.Drift> = []
    let drifted = 0
    const compare = Effect.fnUntraced(function*(part: Audit.Query["part"], after: Option.Option<string>) {
      const page = yield* operation({
        part,
        scope: options.tenantId ?? Tenant.all,
        after,
        limit: options.pageSize ?? defaultPageSize
      })
      compared[part] += page.checked
      drifted += page.drifts.length
      drifts.push(...page.drifts.slice(0, maxDrifts - drifts.length))
      if (options.onPage !== undefined) yield* options.onPage({ part, ...compared, drifted })
      return page.next
    }, Effect.uninterruptible)
    for (const part of parts) {
      let next = yield* compare(part, Option.none())
      while (Option.isSome(next)) {
        yield* Effect.yieldNow
        next = yield* compare(part, next)
      }
    }
    return { ...compared, drifted, drifts }
  })

/**
 * The auditor of a ledger.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Auditor, never, Audit.Audit> = Layer.effect(
  Auditor,
  Effect.map(Audit.Audit, (stored) =>
    Auditor.of({
      verify: Effect.fn("Auditor.verify")(audit(stored.verify)),
      rebuild: Effect.fn("Auditor.rebuild")(audit(stored.rebuild))
    }))
)
