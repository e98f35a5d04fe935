/**
 * Compares the stored projections with the ledger, and repairs them.
 *
 * @since 0.1.0
 */
import type { Drift } from "@waybill/core"
import * as Auditor from "@waybill/runtime/Auditor"
import { Effect, Layer, Option, Schema } from "effect"
import { Command } from "effect/cli"
import { stderr } from "node:process"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

const layer = Layer.provide(Auditor.layer, Store.layer)

/**
 * The stored projections differ from the ledger.
 *
 * @category errors
 * @since 0.1.0
 */
export class Drifted extends Schema.TaggedError<Drifted>("waybill/Drifted")("Drifted", { drifted: Schema.Int }) {
  override get message(): string {
    return `${this.drifted} drifts from the ledger; waybill rebuild repairs them`
  }
}

const line = ({ deliveries, drifted, figures, orphans, suppressions }: Auditor.Progress): string =>
  `${deliveries} deliveries, ${orphans} orphans, the suppressions of ${suppressions} addresses, ` +
  `the figures of ${figures} days, ${drifted} drifts`

/** Rewrites one line on a terminal; a file or a pipe gets none. */
const showProgress = (sofar: Auditor.Progress) =>
  Effect.sync(() => {
    if (stderr.isTTY) stderr.write(`\r\u001b[Kcomparing ${sofar.part}: ${line(sofar)}`)
  })

const clearProgress = Effect.sync(() => {
  if (stderr.isTTY) stderr.write("\r\u001b[K")
})

const shown = (drift: Drift.Drift) => {
  const { _tag, tenantId } = drift
  switch (drift._tag) {
    case "Projection":
      return { drift: _tag, tenantId, id: drift.deliveryId, fields: drift.fields }
    case "Occurrences":
    case "Contribution":
      return { drift: _tag, tenantId, id: drift.deliveryId, fields: [] }
    case "Suppressions":
      return { drift: _tag, tenantId, id: drift.key, fields: [] }
    case "Figures":
      return { drift: _tag, tenantId, id: drift.day, fields: [] }
    default:
      return { drift: _tag, tenantId, id: drift.eventId, fields: [] }
  }
}

const report = (json: boolean, verb: string, audited: Auditor.Audited) => {
  const { contributions, deliveries, drifted, figures, orphans, suppressions } = audited
  const drifts = audited.drifts.map(shown)
  return Output.write(json, { deliveries, orphans, suppressions, contributions, figures, drifted, drifts }, () =>
    [
      `${deliveries} deliveries, ${orphans} orphans, the suppressions of ${suppressions} addresses and the figures of ` +
      `${figures} days compared, ` +
      `${drifted} drifts ${verb}`,
      ...drifts.length === 0 ? [] : [Output.table(
        ["drift", "tenant", "id", "fields"],
        drifts.map(({ drift, fields, id, tenantId }) => [drift, tenantId, id, fields.join(" ")]),
        ""
      )]
    ].join("\n"))
}

const flags = { tenantId: Parameters.anyTenantId, json: Parameters.json }

const options = (tenantId: Option.Option<Drift.Drift["tenantId"]>): Auditor.AuditOptions => ({
  ...(Option.isSome(tenantId) ? { tenantId: tenantId.value } : {}),
  onPage: showProgress
})

/**
 * `waybill verify`
 *
 * @category commands
 * @since 0.1.0
 */
export const verify = Command.make(
  "verify",
  flags,
  Effect.fnUntraced(function*({ json, tenantId }) {
    const auditor = yield* Auditor.Auditor
    const audited = yield* Effect.ensuring(auditor.verify(options(tenantId)), clearProgress)
    yield* report(json, "found", audited)
    if (audited.drifted > 0) yield* new Drifted({ drifted: audited.drifted })
  }, Effect.provide(layer))
).pipe(
  Command.withDescription(
    "Compare deliveries, the queue of orphans, the suppressions and the figures with the ledger; exit 1 where they drifted"
  ),
  Command.withExamples([
    { command: "waybill verify", description: "Compare everything and change nothing" },
    { command: "waybill verify --tenant-id acme --json", description: "One tenant, for a script" }
  ])
)

/**
 * `waybill rebuild`
 *
 * @category commands
 * @since 0.1.0
 */
export const rebuild = Command.make(
  "rebuild",
  flags,
  Effect.fnUntraced(function*({ json, tenantId }) {
    const auditor = yield* Auditor.Auditor
    const audited = yield* Effect.ensuring(auditor.rebuild(options(tenantId)), clearProgress)
    yield* report(json, "repaired", audited)
  }, Effect.provide(layer))
).pipe(
  Command.withDescription(
    "Bring deliveries, the queue of orphans, the suppressions and the figures in line with the ledger, while traffic goes on"
  ),
  Command.withExamples([
    { command: "waybill rebuild", description: "Repair what drifted and touch nothing else" }
  ])
)
