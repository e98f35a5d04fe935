/** Appending the events of webhooks in batches, with and without what their provider says in words. */
import { Details, Ledger, Tenant } from "@waybill/core"
import { Effect, type Option } from "effect"
import { SqlClient } from "effect/sql"
import type { Bench } from "../harness/Bench.ts"
import * as Fill from "../harness/Fill.ts"
import * as Given from "../harness/Given.ts"
import * as Report from "../harness/Report.ts"
import * as Rounds from "../harness/Rounds.ts"
import * as Server from "../harness/Server.ts"

/** What a provider says of a bounce or of a click, in its usual length. */
const said = (messageId: string): Option.Option<Details.Details> =>
  Details.make({
    response: `550 5.1.1 <${messageId}@example.com>: the email account that you tried to reach does not exist`,
    description: "The server was unable to deliver your message",
    userAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    tags: ["welcome"],
    metadata: { order: messageId }
  })

export const bench: Bench = {
  name: "details",
  sizes: { events: 10_000, batch: 500, rounds: 5 },
  run: Effect.fnUntraced(function*(size) {
    const [events, batch, rounds] = [size("events"), size("batch"), Math.max(2, size("rounds"))]
    const name = yield* Server.database()
    return yield* Server.inDatabase(
      name,
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const sql = yield* SqlClient.SqlClient
        const prefixes = { without: "a-", with: "b-" }
        yield* Fill.dispatched(prefixes.without, { from: 1, count: events })
        yield* Fill.dispatched(prefixes.with, { from: 1, count: events })
        yield* Fill.settle

        const append = (side: "without" | "with") => (round: number) =>
          Effect.gen(function*() {
            const inputs = Given.events(prefixes[side], round, 1, events).map((given) =>
              Object.assign(Given.newEvent(given), side === "with" ? { details: said(given.messageId) } : {})
            )
            const { seconds } = yield* Rounds.timedAlone(
              Effect.forEach(
                Given.chunks(inputs, batch),
                (each) => ledger.append(Tenant.defaultTenantId, each),
                { discard: true }
              )
            )
            return events / seconds
          })
        const rates = yield* Rounds.alternate(rounds, { without: append("without"), with: append("with") })
        const [kept] = yield* sql<{ readonly count: number }>`
          SELECT count(*)::integer AS count FROM waybill.event_details
        `
        if ((kept?.count ?? 0) % events !== 0 || kept?.count === 0) {
          return yield* Effect.die(new Error(`the details of ${kept?.count} events are kept`))
        }

        // The first round of each side warms its statements and connections up.
        const figures = (side: "without" | "with") => Rounds.figures(rates(side).slice(1))
        const [without, withDetails] = [figures("without"), figures("with")]
        return {
          name: "details",
          summary:
            `${events} events a round in batches of ${batch}, one batch after the other, each of another delivery, which is ` +
            "known; half of the rounds with details of usual length.",
          rows: [
            Report.row("without details", "events/s", without),
            Report.row("with details", "events/s", withDetails)
          ],
          ratios: [Report.atLeast("details/without", withDetails.median / without.median, 0.85)],
          notes: [],
          plots: []
        }
      })
    )
  })
}
