/** Folding a long history into what is known. */
import { Event, EventType, JsonBag, Projection, Provider } from "@waybill/core"
import { DateTime, Effect, Option } from "effect"
import type { Bench } from "../harness/Bench.ts"
import * as Report from "../harness/Report.ts"
import * as Rounds from "../harness/Rounds.ts"

const provider = Option.some(Provider.Provider.make("postmark"))
const hard: Option.Option<Event.BounceClass> = Option.some("hard")

const history = (count: number): ReadonlyArray<Projection.Fact> =>
  Array.from({ length: count }, (_, index) => {
    const type = EventType.ReportedType.literals[index * 7 % EventType.ReportedType.literals.length] ?? "opened"
    return {
      id: Event.EventId.make(`01900000-0000-7000-8000-${index.toString(16).padStart(12, "0")}`),
      type,
      occurredAt: DateTime.makeUnsafe(Date.UTC(2026, 0, 1) + index * 7919 % 1_000_003),
      provider,
      rejectReason: Option.none(),
      bounceClass: type === "bounced" ? hard : Option.none(),
      normalizedPayload: JsonBag.empty
    }
  })

/** The bytes that one fold allocates, of a heap that is not collected meanwhile. */
const allocated = (facts: ReadonlyArray<Projection.Fact>): number => {
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  Projection.fold(facts)
  return process.memoryUsage().heapUsed - before
}

export const bench: Bench = {
  name: "fold",
  sizes: { facts: 1_000_000, rounds: 9 },
  run: Effect.fnUntraced(function*(size) {
    const facts = history(size("facts"))
    const short = facts.slice(0, 1000)
    const rates: Array<number> = []
    for (let round = 0; round < size("rounds") + 2; round++) {
      const { seconds } = yield* Rounds.timed(Effect.sync(() => Projection.fold(facts)))
      if (round >= 2) rates.push(facts.length / seconds)
    }
    const bytes = (given: ReadonlyArray<Projection.Fact>) =>
      Rounds.figures(Array.from({ length: size("rounds") }, () => allocated(given)))
    const [few, many] = [bytes(short), bytes(facts)]
    return {
      name: "fold",
      summary: `\`Projection.fold\` over ${facts.length} events of every type in no order, in one thread.`,
      rows: [
        Report.row("waybill", "events/s", Rounds.figures(rates)),
        Report.row("allocated by a fold of 1 000 events", "bytes", few),
        Report.row(`allocated by a fold of ${Report.figure(facts.length)} events`, "bytes", many)
      ],
      ratios: [
        Report.atLeast("fold/million-events-a-second", Rounds.median(rates) / 1e6, 5),
        Report.atMost("fold/bytes-allocated-an-event", (many.median - few.median) / facts.length, 8)
      ],
      notes: ["An object takes 12 bytes at least: below that, no event leaves one behind."],
      plots: []
    }
  })
}
