/** Appending the events of webhooks whose deliveries are known: in batches, and one by one from many callers at once. */
import { type Event, Ledger, Tenant } from "@waybill/core"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import * as Emmett from "../baselines/Emmett.ts"
import * as PlainTransaction from "../baselines/PlainTransaction.ts"
import * as StatementPair from "../baselines/StatementPair.ts"
import type { Bench } from "../harness/Bench.ts"
import * as Fill from "../harness/Fill.ts"
import * as Given from "../harness/Given.ts"
import * as Report from "../harness/Report.ts"
import * as Rounds from "../harness/Rounds.ts"
import * as Server from "../harness/Server.ts"

/** Appends one by one from some callers at once, and gives the events a second and the latencies in milliseconds. */
const oneByOne = Effect.fnUntraced(function*<E, R>(
  events: ReadonlyArray<Given.Given>,
  concurrency: number,
  append: (event: Given.Given) => Effect.Effect<unknown, E, R>
) {
  const latencies: Array<number> = []
  const { seconds } = yield* Rounds.timedAlone(Effect.forEach(
    events,
    (event) => Effect.map(Rounds.timed(append(event)), ({ seconds }) => latencies.push(seconds * 1000)),
    { concurrency, discard: true }
  ))
  return {
    rate: events.length / seconds,
    p50: Rounds.quantile(latencies, 0.5),
    p99: Rounds.quantile(latencies, 0.99)
  }
})

/** Every delivery of a side was moved by the last round. */
const checkMoved = Effect.fnUntraced(function*(prefix: string, count: number, round: number) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ readonly count: number }>`
    SELECT count(*)::integer AS count FROM waybill.deliveries d JOIN waybill.events e ON e.id = d.last_event_id
    WHERE d.provider_message_id LIKE ${`${prefix}%`} AND e.provider_event_id = d.provider_message_id || ${`-${round}`}
  `
  if (row?.count !== count) yield* Effect.die(new Error(`${prefix} moved ${row?.count} of ${count}`))
})

export const bench: Bench = {
  name: "append",
  sizes: { events: 10_000, batch: 500, singles: 4_000, callers: 64, rounds: 5 },
  run: Effect.fnUntraced(function*(size) {
    const [events, batch, singles, callers] = [size("events"), size("batch"), size("singles"), size("callers")]
    const rounds = Math.max(2, size("rounds"))
    const name = yield* Server.database()
    const { address } = yield* Server.Server
    const emmett = yield* Emmett.open(address(yield* Server.database()))
    return yield* Server.inDatabase(
      name,
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const prefixes = { batches: "a-", pair: "b-", single: "c-", plain: "d-" }
        yield* Fill.dispatched(prefixes.batches, { from: 1, count: events })
        yield* Fill.dispatched(prefixes.pair, { from: 1, count: events })
        yield* Fill.dispatched(prefixes.single, { from: 1, count: singles })
        yield* Fill.dispatched(prefixes.plain, { from: 1, count: singles })
        yield* Fill.settle

        const batches = yield* Rounds.alternate(rounds, {
          waybill: (round) =>
            Effect.gen(function*() {
              const given = Given.chunks(Given.events(prefixes.batches, round, 1, events).map(Given.newEvent), batch)
              const { seconds } = yield* Rounds.timedAlone(
                Effect.forEach(given, (each) => ledger.append(Tenant.defaultTenantId, each), { discard: true })
              )
              yield* checkMoved(prefixes.batches, events, round)
              return events / seconds
            }),
          pair: (round) =>
            Effect.gen(function*() {
              const given = Given.chunks(Given.events(prefixes.pair, round, 1, events), batch)
                .map(StatementPair.parameters)
              const { seconds } = yield* Rounds.timedAlone(
                Effect.forEach(given, StatementPair.append, { discard: true })
              )
              yield* checkMoved(prefixes.pair, events, round)
              return events / seconds
            })
        })

        const ones = yield* Rounds.alternate(rounds, {
          waybill: (round) =>
            Effect.gen(function*() {
              const inputs = new Map<string, Event.NewEvent>()
              const given = Given.events(prefixes.single, round, 1, singles)
              for (const each of given) inputs.set(each.eventId, Given.newEvent(each))
              const result = yield* oneByOne(given, callers, (event) => {
                const input = inputs.get(event.eventId)
                return ledger.append(Tenant.defaultTenantId, input === undefined ? [] : [input])
              })
              yield* checkMoved(prefixes.single, singles, round)
              return result
            }),
          plain: (round) =>
            Effect.gen(function*() {
              const result = yield* oneByOne(
                Given.events(prefixes.plain, round, 1, singles),
                callers,
                PlainTransaction.append
              )
              yield* checkMoved(prefixes.plain, singles, round)
              return result
            }),
          emmett: (round) => oneByOne(Given.events("e-", round, 1, singles), callers, emmett.append)
        })

        // The first round of each side warms its statements and connections up.
        const rates = (side: "waybill" | "pair") => Rounds.figures(batches(side).slice(1))
        const of = (side: "waybill" | "plain" | "emmett", figure: "rate" | "p50" | "p99") =>
          Rounds.figures(ones(side).slice(1).map((result) => result[figure]))
        const [ours, pair] = [rates("waybill"), rates("pair")]
        const store = `Emmett ${emmett.version}`
        const at = `${callers} at once`
        return {
          name: "append",
          summary:
            `${events} events a round in batches of ${batch}, one batch after the other; ${singles} single events a ` +
            `round by ${callers} callers at once. Every event is of another delivery, which is known. Emmett appends to a ` +
            "stream a delivery, with its own driver and its default pool of 10 connections, as many as the others have.",
          rows: [
            Report.row(`waybill, batches of ${batch}`, "events/s", ours),
            Report.row("statement pair", "events/s", pair),
            Report.row(`waybill, ${at}`, "events/s", of("waybill", "rate")),
            Report.row(`one transaction each, ${at}`, "events/s", of("plain", "rate")),
            Report.row(`${store}, ${at}`, "events/s", of("emmett", "rate")),
            Report.row(`waybill, ${at}: p50`, "ms", of("waybill", "p50")),
            Report.row(`waybill, ${at}: p99`, "ms", of("waybill", "p99")),
            Report.row(`one transaction each, ${at}: p99`, "ms", of("plain", "p99")),
            Report.row(`${store}, ${at}: p99`, "ms", of("emmett", "p99"))
          ],
          ratios: [
            Report.atLeast("append/statement-pair", ours.median / pair.median, 0.75),
            Report.atLeast("append/emmett", of("waybill", "rate").median / of("emmett", "rate").median, 2.5),
            Report.atMost("append/emmett-p99", of("waybill", "p99").median / of("emmett", "p99").median, 1),
            Report.atLeast("append/plain-transaction", of("waybill", "rate").median / of("plain", "rate").median, 0.8)
          ],
          notes: [],
          plots: []
        }
      })
    )
  })
}
