/** Makes the figures of mail that nobody sends: of tenants of different sizes, hour by hour, with what goes wrong. */
import { Figure, Figures, type Mailbox, Provider, Tenant } from "@waybill/core"
import { DateTime, Effect, Layer, Option, Ref } from "effect"

type Stream = "bulk" | "transactional"

/** One part of a tenant's mail of an hour. */
export interface Part {
  readonly tenantId: Tenant.TenantId
  readonly hour: number
  readonly stream: Stream
  readonly provider: Provider.Provider
  readonly mailbox: Mailbox.Mailbox
  readonly domain: string
}

/** How likely each thing is that can happen to a message. */
export type Rates = Readonly<
  Record<
    "hardBounced" | "softBounced" | "deferred" | "silent" | "complained" | "slow",
    number
  >
>

/** What is usual: what the big providers call good. */
export const usual: Rates = {
  hardBounced: 0.008,
  softBounced: 0.01,
  deferred: 0.03,
  silent: 0.01,
  complained: 0.0002,
  slow: 0.005
}

export const providers = ["postmark", "ses"].map((name) => Provider.Provider.make(name))

export const tenants: ReadonlyArray<{ readonly id: Tenant.TenantId; readonly daily: number }> = Array.from(
  { length: 20 },
  (_, index) => ({ id: Tenant.TenantId.make(`tenant-${index}`), daily: Math.round(10 * 1.5 ** index) })
)

export const hourMillis = 3_600_000

const domains: ReadonlyArray<readonly [Mailbox.Mailbox, string, number]> = [
  ["gmail", "gmail.com", 0.57],
  ["microsoft", "outlook.com", 0.4],
  ["other", "corp.example", 0.03]
]

const streams: ReadonlyArray<readonly [Stream, number]> = [["bulk", 0.7], ["transactional", 0.3]]

/** Draws numbers from 0 to 1, the same for the same seed. */
const seeded = (seed: number) => {
  let state = seed >>> 0
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

type Next = ReturnType<typeof seeded>

/** How many of some are so, by chance. */
const draw = (next: Next, of: number, rate: number): number => {
  const mean = of * rate
  if (mean === 0) return 0
  if (mean < 30) {
    let [count, product, end] = [-1, 1, Math.exp(-mean)]
    while (product > end) {
      product *= next()
      count++
    }
    return Math.min(of, count)
  }
  let sum = -6
  for (let n = 0; n < 12; n++) sum += next()
  return Math.max(0, Math.min(of, Math.round(mean + sum * Math.sqrt(mean * (1 - rate)))))
}

const slowPart = Figure.bounds.length

/** The row of so many messages at some rates. */
export const rowOf = (part: Part, dispatched: number, rates: Rates, next: Next = seeded(dispatched)): Figures.Row => {
  const of = (name: keyof Rates, whole: number) => draw(next, whole, rates[name])
  const silent = of("silent", dispatched)
  const heard = dispatched - silent
  const hardBounced = of("hardBounced", heard)
  const softBounced = of("softBounced", heard - hardBounced)
  const delivered = heard - hardBounced - softBounced
  const slow = of("slow", delivered)
  const counts: Readonly<Record<string, number>> = {
    dispatched,
    silent,
    hardBounced,
    softBounced,
    delivered,
    deferred: of("deferred", heard),
    complained: part.mailbox === "gmail" ? 0 : of("complained", delivered),
    "within:3": delivered - slow,
    [`within:${slowPart}`]: slow
  }
  return {
    startsAt: DateTime.makeUnsafe(part.hour),
    group: {
      tenant: part.tenantId,
      stream: part.stream,
      provider: Option.some(part.provider),
      mailbox: part.mailbox,
      domain: Option.some(part.domain)
    },
    tally: Figure.tallied.map((name) => counts[name] ?? 0)
  }
}

/** The mail of an hour of some tenants; `ratesOf` says how each part of it fares. */
export const anHour = (
  hour: number,
  ratesOf: (part: Part) => Rates = () => usual,
  of: typeof tenants = tenants
): ReadonlyArray<Figures.Row> => {
  const next = seeded(hour / hourMillis)
  const rows: Array<Figures.Row> = []
  for (const { daily, id } of of) {
    for (const [stream, ofStream] of streams) {
      for (const [mailbox, domain, ofDomain] of domains) {
        for (const [index, provider] of providers.entries()) {
          const dispatched = draw(next, Math.ceil(daily / 4), ofStream * ofDomain * (index === 0 ? 0.4 : 0.6) / 6)
          if (dispatched === 0) continue
          const part = { tenantId: id, hour, stream, provider, mailbox, domain }
          rows.push(rowOf(part, dispatched, ratesOf(part), next))
        }
      }
    }
  }
  return rows
}

/** What has been sent, by the hour. */
export type Sent = Ref.Ref<ReadonlyMap<number, ReadonlyArray<Figures.Row>>>

/** Adds rows to an hour. */
export const send = (sent: Sent, hour: number, rows: ReadonlyArray<Figures.Row>) =>
  Ref.update(sent, (known) => new Map(known).set(hour, [...known.get(hour) ?? [], ...rows]))

/** The figures of what was sent, which follow at once. */
export const figures = (sent: Sent): Layer.Layer<Figures.Figures> =>
  Layer.succeed(
    Figures.Figures,
    Figures.Figures.of({
      follow: () => Effect.succeed({ events: 0, isCurrent: true }),
      read: Effect.fnUntraced(function*(given) {
        const query = yield* Figures.check(given)
        const now = yield* DateTime.now
        const length = query.grain === "hour" ? hourMillis : 24 * hourMillis
        const rows: Array<Figures.Row> = []
        for (const [hour, of] of yield* Ref.get(sent)) {
          const startsAt = Math.floor(hour / length) * length
          if (startsAt < query.from.epochMilliseconds || startsAt >= query.to.epochMilliseconds) continue
          const at = DateTime.makeUnsafe(startsAt)
          for (const { group, tally } of of) rows.push({ startsAt: at, group, tally })
        }
        return Figures.tableOf(query, rows, Option.some(now), now)
      })
    })
  )
