/** How long after a webhook and its dispatch have both committed the event counts for the delivery. */
import { Delivery, Event, Ledger, Tenant } from "@waybill/core"
import { Effect, Option, Random } from "effect"
import { SecureRandom } from "effect/crypto"
import * as GraceAndTick from "../baselines/GraceAndTick.ts"
import type { Bench } from "../harness/Bench.ts"
import * as Given from "../harness/Given.ts"
import * as Report from "../harness/Report.ts"
import * as Rounds from "../harness/Rounds.ts"
import * as Server from "../harness/Server.ts"

const tenantId = Tenant.defaultTenantId

/** Waits until a delivery is seen as delivered, and gives the milliseconds since an instant. */
const seen = Effect.fnUntraced(function*(deliveryId: Event.DeliveryId, since: number) {
  const ledger = yield* Ledger.Ledger
  while (true) {
    const delivery = yield* ledger.delivery({ tenantId, deliveryId })
    if (Option.isSome(Option.flatMap(delivery, ({ deliveredAt }) => deliveredAt))) return performance.now() - since
    if (performance.now() - since > 30_000) return yield* Effect.die(new Error("an event was never linked"))
    yield* Effect.sleep("1 millis")
  }
})

const record = Effect.fnUntraced(function*(given: Given.Given) {
  const ledger = yield* Ledger.Ledger
  const random = yield* SecureRandom.SecureRandom
  const id = Event.DeliveryId.make(yield* random.uuidV7())
  yield* ledger.record(Delivery.NewDelivery.make({
    id: Option.some(id),
    recipient: Option.getOrThrow(Given.newEvent(given).recipient).address,
    mailable: "welcome",
    stream: "transactional"
  }))
  return { id, given }
})

/** A webhook up to 5 ms late and its dispatch up to 10 ms; milliseconds from the later commit until the delivery shows it. */
const race = Effect.fnUntraced(function*({ given, id }: Effect.Success<ReturnType<typeof record>>) {
  const ledger = yield* Ledger.Ledger
  const late = (most: number) =>
    Effect.flatMap(Random.nextIntBetween(0, most), (millis) => Effect.sleep(`${millis} millis`))
  const event = Given.newEvent(given)
  const [outcomes, { linked }] = yield* Effect.all([
    Effect.andThen(late(5), ledger.append(tenantId, [event])),
    Effect.andThen(
      late(10),
      ledger.dispatch(Delivery.Dispatch.make({
        deliveryId: id,
        provider: event.provider,
        providerMessageId: given.messageId
      }))
    )
  ], { concurrency: 2 })
  const millis = yield* seen(id, performance.now())
  const [outcome] = outcomes
  const wasOrphan = outcome?._tag === "Appended" && Option.isNone(outcome.deliveryId)
  return { millis, linkedBy: linked > 0 || wasOrphan ? "dispatch" : "webhook" }
})

export const bench: Bench = {
  name: "time-to-link",
  sizes: { pairs: 1_500, rate: 200, rounds: 2 },
  run: Effect.fnUntraced(function*(size) {
    const [pairs, rate, rounds] = [size("pairs"), size("rate"), size("rounds")]
    return yield* Server.inDatabase(
      yield* Server.database(),
      Effect.gen(function*() {
        const round = Effect.fnUntraced(function*(prefix: string) {
          const recorded = yield* Effect.forEach(Given.events(prefix, 0, 1, pairs), record, { concurrency: 10 })
          return yield* Effect.forEach(
            recorded,
            (each, index) => Effect.delay(race(each), `${index * 1000 / rate} millis`),
            { concurrency: "unbounded" }
          )
        })
        yield* round("warm-")
        const results = yield* Effect.forEach(
          Array.from({ length: rounds }, (_, index) => index),
          (index) => round(`pair-${index}-`)
        )
        const of = (q: number) =>
          Rounds.figures(results.map((each) => Rounds.quantile(each.map(({ millis }) => millis), q)))
        const byDispatch = results.flat().filter(({ linkedBy }) => linkedBy === "dispatch").length
        const peer = GraceAndTick.waits()
        return {
          name: "time-to-link",
          summary:
            `${pairs} pairs of a webhook and its dispatch a round, racing, ${rate} pairs a second: from the later ` +
            "commit, as its caller learns of it, until another connection reads the delivery as delivered. Beside it the " +
            "waits of a sweep every five minutes that leaves orphans of the last 60 s alone, calculated.",
          rows: [
            Report.row("waybill: p50", "ms", of(0.5)),
            Report.row("waybill: p99", "ms", of(0.99)),
            Report.row("waybill: slowest", "ms", of(1)),
            Report.row("grace and tick: p50", "ms", Rounds.figures([Rounds.quantile(peer, 0.5)])),
            Report.row("grace and tick: p99", "ms", Rounds.figures([Rounds.quantile(peer, 0.99)]))
          ],
          ratios: [Report.atMost("time-to-link/p99-ms", of(0.99).median, 50)],
          notes: [
            `${byDispatch} of ${
              pairs * rounds
            } events were orphans that the dispatch linked; the rest met their delivery.`
          ],
          plots: []
        }
      }),
      { maxConnections: 20 }
    )
  })
}
