/**
 * Writes the suppressions of a tenant to standard output, page by page.
 *
 * @since 0.2.0
 */
import { type Suppression, Suppressions, type Tenant } from "@waybill/core"
import { Console, Effect, Option, Ref, Stdio, Stream } from "effect"
import * as SuppressionFile from "./SuppressionFile.ts"

/**
 * What to export.
 *
 * @category models
 * @since 0.2.0
 */
export interface Query extends Pick<Suppressions.Query, "reason" | "stream"> {
  readonly tenantId: Tenant.TenantId
}

/** All that a query finds, by pages that are asked for when the one before was written. */
const all = (query: Query) =>
  Stream.unwrap(
    Effect.map(Suppressions.Suppressions, (suppressions) =>
      Stream.paginate(Option.none<string>(), (after) =>
        Effect.map(
          suppressions.list({
            ...query,
            from: Option.none(),
            to: Option.none(),
            after,
            limit: Suppressions.maxRecipients
          }),
          ({ next, suppressions }): readonly [
            ReadonlyArray<Suppression.Suppression>,
            Option.Option<Option.Option<string>>
          ] => [suppressions, Option.map(next, Option.some)]
        )))
  )

/**
 * Writes what a query finds; says on standard error how many have no address any more.
 *
 * @category running
 * @since 0.2.0
 */
export const run = Effect.fnUntraced(function*(query: Query, format: SuppressionFile.Format) {
  const stdio = yield* Stdio.Stdio
  const forgotten = yield* Ref.make(0)
  const counted = all(query).pipe(
    Stream.tap(({ recipient }) => Option.isNone(recipient) ? Ref.update(forgotten, (n) => n + 1) : Effect.void)
  )
  yield* SuppressionFile.encode(counted, format).pipe(Stream.run(stdio.stdout({ endOnDone: false })))
  const left = yield* Ref.get(forgotten)
  if (left > 0) yield* Console.error(`waybill: ${left} left out, whose addresses are forgotten`)
})
