/**
 * Runs a history, a list of steps in plain values, on a ledger and writes down all that can be seen of it.
 *
 * In the transcript random ids are replaced by ordinals in the order in which they appear, and tenants by their number, so
 * that two ledgers that behave the same give the same lines. One tenant's part can be told by itself.
 *
 * @since 0.1.0
 */
import {
  Audit,
  Block,
  Cursor,
  Delivery,
  DeliveryUpdate,
  Directory,
  Event,
  type EventType,
  IdempotencyKey,
  type JsonBag,
  Ledger,
  LedgerError,
  type Orphan,
  Orphans,
  Provider,
  Recipient,
  Search,
  Suppressions,
  type Tenant,
  Unsent
} from "@waybill/core"
import { Clock, DateTime, Duration, Effect, Option, PubSub, Schema } from "effect"
import * as Arr from "effect/Array"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"
import type * as PgLedger from "../PgLedger.ts"
import * as Given from "./Given.ts"
import { Importer } from "./Importer.ts"
import * as Suppressing from "./internal/suppressing.ts"

/**
 * A provider's report in plain values; numbers name one of a few ids, so that reports collide.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  readonly type: Event.NewEvent["type"]
  /** Seconds after the beginning. */
  readonly at: number
  readonly provider: string
  readonly message: number | undefined
  readonly echo: number | undefined
  readonly recipient: string | undefined
  readonly certain: boolean
  readonly bounce: Event.BounceClass | undefined
  /** A key of its own; without one it follows from all the rest. */
  readonly key: number | undefined
  /** Which words the provider says of it, of a few; they tell it from no other. */
  readonly words?: number | undefined
}

/**
 * A search in plain values, followed to its last page.
 *
 * @category models
 * @since 0.2.0
 */
export interface Asked {
  readonly recipient: string | undefined
  readonly domain: string | undefined
  readonly message: number | undefined
  readonly delivery: number | undefined
  readonly key: number | undefined
  readonly mailable: string | undefined
  readonly provider: string | undefined
  readonly status: EventType.Status | undefined
  readonly last: EventType.EventType | undefined
  readonly event: EventType.EventType | undefined
  /** Seconds after the beginning, as are the next three. */
  readonly recordedFrom: number | undefined
  readonly recordedTo: number | undefined
  readonly happenedFrom: number | undefined
  readonly happenedTo: number | undefined
  /** Seconds. */
  readonly stuckFor: number | undefined
  readonly limit: number
  readonly reach: number
}

/**
 * One step of a history.
 *
 * @category models
 * @since 0.1.0
 */
export type Step =
  | {
    readonly _tag: "Record"
    readonly tenant: number
    /** Without one the ledger gives an id. */
    readonly delivery: number | undefined
    readonly key: number | undefined
    readonly recipient: string
    readonly mailable: string
    /** Transactional without one. */
    readonly stream?: Delivery.Stream | undefined
    readonly ignoreSuppression?: boolean
  }
  | {
    readonly _tag: "Dispatch"
    readonly tenant: number
    readonly delivery: number
    readonly provider: string
    readonly message: number
    readonly expected: number | undefined
  }
  | {
    readonly _tag: "Fail"
    readonly tenant: number
    readonly delivery: number
    readonly code: string
    readonly final: boolean
    readonly attempt: number | undefined
    readonly expected: number | undefined
  }
  | {
    readonly _tag: "Suppress"
    readonly tenant: number
    readonly delivery: number
    readonly expected: number | undefined
  }
  /** Claims unsent deliveries for a minute. */
  | { readonly _tag: "Claim"; readonly tenant: number; readonly limit: number }
  | { readonly _tag: "Append"; readonly tenant: number; readonly reports: ReadonlyArray<Report> }
  /** Appends the latest reports of a tenant again, in one batch. */
  | { readonly _tag: "Repeat"; readonly tenant: number; readonly latest: number; readonly reversed: boolean }
  | {
    readonly _tag: "Import"
    readonly tenant: number
    readonly delivery: number
    readonly provider: string
    readonly message: number
    readonly recipient: string
  }
  | {
    readonly _tag: "Sweep"
    readonly tenant: number
    readonly limit: number
    /** Seconds. */
    readonly grace: number
  }
  /** Links one of the events of a tenant, by the order in which they were appended, by hand. */
  | {
    readonly _tag: "LinkTo"
    readonly tenant: number
    readonly event: number
    readonly delivery: number
    readonly expected: number | undefined
  }
  | { readonly _tag: "Dismiss"; readonly tenant: number; readonly event: number }
  | { readonly _tag: "Retry"; readonly tenant: number; readonly event: number }
  | { readonly _tag: "Forget"; readonly tenant: number; readonly recipient: string }
  | { readonly _tag: "Search"; readonly tenant: number; readonly search: Asked }
  | Suppressing.Step
  /** Moves the clock, also back. */
  | { readonly _tag: "Wait"; readonly seconds: number }

/**
 * What happens to one ledger.
 *
 * @category models
 * @since 0.1.0
 */
export type History = ReadonlyArray<Step>

/**
 * How many tenants a history may name.
 *
 * @category constants
 * @since 0.1.0
 */
export const tenants = 2

/**
 * The id of a delivery that a step names by its number; it comes before any that a ledger gives.
 *
 * @category constructors
 * @since 0.1.0
 */
export const deliveryId = (delivery: number): Event.DeliveryId =>
  Event.DeliveryId.make(`00000000-0000-4000-8000-${String(delivery).padStart(12, "0")}`)

/**
 * A step in words, for a test that failed.
 *
 * @category formatting
 * @since 0.1.0
 */
export const describe = ({ _tag, ...fields }: Step): string => `${_tag} ${JSON.stringify(fields)}`

const source = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(source).join(", ")}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "undefined"
  return `{ ${Object.entries(value).map(([name, field]) => `${name}: ${source(field)}`).join(", ")} }`
}

/**
 * A history as the source text of its value, a step a line, to be put into a test.
 *
 * @category formatting
 * @since 0.1.0
 */
export const toSource = (history: History): string => `[\n${history.map((step) => `  ${source(step)}`).join(",\n")}\n]`

/** How one run spells ids that must differ from those of all others in a shared store. */
interface Spelling {
  readonly tenants: ReadonlyArray<Tenant.TenantId>
  readonly suffix: string
}

const messageOf = ({ suffix }: Spelling, message: number): string => `m${message}-${suffix}`

/** A message id as a webhook spells it. */
const reportedAs = (spelling: Spelling, provider: string, message: number): Provider.MessageId =>
  Given.messageId(`${messageOf(spelling, message)}${provider === "sendgrid" ? ".filter0001" : ""}`)

/** Payloads from which an error is read, some of whose values are not what they should be. */
const payloads: ReadonlyArray<JsonBag.JsonBag> = [
  { event: "bounce", smtpStatus: 550, status: "5.1.1" },
  { smtpStatus: "550", status: null, code: 1, message: ["it failed"] },
  { smtpStatus: 421.5, code: "busy", message: "\u{1f4ec} it's \"full\"" }
]

const newEvent = (spelling: Spelling) => ({ words, ...report }: Report): Event.NewEvent =>
  Event.NewEvent.make({
    type: report.type,
    occurredAt: Given.afterNoon(report.at),
    provider: Provider.Provider.make(report.provider),
    providerMessageId: Option.map(
      Option.fromUndefinedOr(report.message),
      (message) => reportedAs(spelling, report.provider, message)
    ),
    echoedDeliveryId: Option.map(Option.fromUndefinedOr(report.echo), deliveryId),
    recipient: Option.flatMap(
      Option.fromUndefinedOr(report.recipient),
      (address) => Given.named(address, report.certain)
    ),
    rejectReason: report.bounce === undefined ? Option.none() : Option.some("other"),
    bounceClass: Option.fromUndefinedOr(report.bounce),
    normalizedPayload: payloads[Math.abs(report.at) % payloads.length] ?? {},
    metadata: { at: report.at },
    details: Option.map(Option.fromUndefinedOr(words), (words) => ({ response: `250 of ${words}`, tags: ["welcome"] })),
    idempotencyKey: report.key === undefined
      ? Option.getOrThrow(IdempotencyKey.fromParts(["report", JSON.stringify(report)]))
      : Given.key(`chosen-${report.key}`)
  })

const filterOf = (spelling: Spelling, search: Asked): Search.Filter => {
  const at = (seconds: number | undefined) => Option.map(Option.fromUndefinedOr(seconds), Given.afterNoon)
  const provider = Option.fromUndefinedOr(search.provider)
  return Search.Filter.make({
    recipient: Option.map(Option.fromUndefinedOr(search.recipient), Given.address),
    recipientDomain: Option.fromUndefinedOr(search.domain),
    providerMessageId: Option.map(
      Option.fromUndefinedOr(search.message),
      (message) => `<${reportedAs(spelling, Option.getOrElse(provider, () => "sendgrid"), message)}>`
    ),
    deliveryId: Option.map(Option.fromUndefinedOr(search.delivery), deliveryId),
    idempotencyKey: Option.map(Option.fromUndefinedOr(search.key), (key) => Given.key(`record-${key}`)),
    mailable: Option.fromUndefinedOr(search.mailable),
    provider: Option.map(provider, (name) => Provider.Provider.make(name)),
    status: Option.fromUndefinedOr(search.status),
    lastEventType: Option.fromUndefinedOr(search.last),
    event: Option.fromUndefinedOr(search.event),
    recordedFrom: at(search.recordedFrom),
    recordedTo: at(search.recordedTo),
    happenedFrom: at(search.happenedFrom),
    happenedTo: at(search.happenedTo),
    stuckFor: Option.map(Option.fromUndefinedOr(search.stuckFor), Duration.seconds)
  })
}

const Failure = Schema.Union([
  Directory.ForeignCursor,
  LedgerError.InvalidInput,
  LedgerError.DeliveryNotFound,
  LedgerError.EventNotFound,
  LedgerError.MalformedPayload,
  LedgerError.DeliveryConflict,
  LedgerError.DispatchConflict,
  LedgerError.StaleDelivery,
  LedgerError.IdempotencyConflict,
  LedgerError.LiftRefused
])

type Failure = typeof Failure.Type

const encodeFailure = Schema.encodeSync(Failure)
const encodeDelivery = Schema.encodeSync(Delivery.Delivery)
const encodeBlock = Schema.encodeSync(Block.Block)
const encodeEvent = Schema.encodeSync(Event.Event)

const sorted = (value: Schema.Json): Schema.Json => {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== "object") return value
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([left], [right]) => (left < right ? -1 : 1))
      .map(([name, item]) => [name, sorted(item)])
  )
}

/** Writes values down, each random id as its ordinal and each tenant as its number. */
const makeWriter = ({ suffix, tenants }: Spelling) => {
  const ordinals = new Map<string, string>()
  const ordinal = (id: string): string => {
    const known = ordinals.get(id)
    if (known !== undefined) return known
    const next = `#${ordinals.size + 1}`
    ordinals.set(id, next)
    return next
  }
  return (value: Schema.Json): string =>
    tenants
      .reduce((text, name, index) => text.replaceAll(name, `tenant ${index}`), JSON.stringify(sorted(value)))
      .replaceAll(`-${suffix}`, "")
      .replace(/00000000-0000-4000-8000-0{10}(\d\d)/g, "delivery $1")
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, ordinal)
}

const outcome = (each: Ledger.Outcome): Schema.Json =>
  Ledger.isConflict(each)
    ? { ...encodeFailure(each) }
    : { _tag: each._tag, eventId: each.eventId, deliveryId: Option.getOrNull(each.deliveryId) }

const linkOf = (link: Orphan.Link): Schema.Json => ({
  ...link,
  insertedAt: DateTime.formatIso(link.insertedAt)
})

const explanationOf = (explanation: Orphan.Explanation): Schema.Json =>
  explanation._tag === "SetAside"
    ? { _tag: explanation._tag, attempts: explanation.attempts, reason: explanation.reason }
    : { ...explanation }

const isOutage = (error: Failure | LedgerError.LedgerError): error is LedgerError.LedgerError =>
  error._tag === "LedgerUnavailable" || error._tag === "SchemaNotMigrated" || error._tag === "SchemaTooNew" ||
  error._tag === "LedgerImmutable"

/** An answer as JSON, or a refusal by its tag and fields; an outage is none of both. */
const answer = <A, R>(
  effect: Effect.Effect<A, Failure | LedgerError.LedgerError, R>,
  toJson: (value: A) => Schema.Json
): Effect.Effect<Schema.Json, LedgerError.LedgerError, R> =>
  Effect.matchEffect(effect, {
    onFailure: (error) => isOutage(error) ? Effect.fail(error) : Effect.succeed({ ...encodeFailure(error) }),
    onSuccess: (value) => Effect.succeed(toJson(value))
  })

/**
 * What a run leaves behind.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run {
  readonly tenants: ReadonlyArray<Tenant.TenantId>
  /** What each step answered, the updates it told, and at the end all that is stored. */
  readonly transcript: ReadonlyArray<string>
  /** What of the transcript is one tenant's. */
  readonly transcriptOf: (tenant: number) => ReadonlyArray<string>
}

/**
 * What is done around each step, which it takes.
 *
 * @category models
 * @since 0.1.0
 */
export type Around = (
  step: Step,
  tenants: ReadonlyArray<Tenant.TenantId>,
  take: Effect.Effect<Schema.Json, LedgerError.LedgerError>
) => Effect.Effect<Schema.Json, LedgerError.LedgerError, PgLedger.Ports>

/** A line of a transcript: whose it is, if not everyone's, and what it says. */
interface Line {
  readonly tenant: number | undefined
  readonly label: string
  readonly value?: Schema.Json
}

const written = (lines: ReadonlyArray<Line>, write: (value: Schema.Json) => string): ReadonlyArray<string> =>
  lines.map(({ label, value }) => value === undefined ? label : `${label} ${write(value)}`)

/**
 * What an append answered for one of its reports.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answer {
  readonly key: IdempotencyKey.IdempotencyKey
  readonly outcome: Ledger.Outcome
}

/** Gives steps to a ledger; how time goes by is the caller's matter. */
const makeStepper = Effect.fnUntraced(function*(spelling: Spelling, wait: (seconds: number) => Effect.Effect<void>) {
  const ledger = yield* Ledger.Ledger
  const orphans = yield* Orphans.Orphans
  const directory = yield* Directory.Directory
  const unsent = yield* Unsent.Unsent
  const suppressions = yield* Suppressions.Suppressions
  const importer = yield* Effect.serviceOption(Importer)
  const reported = new Map<number, Array<Event.NewEvent>>()
  const answered = new Map<number, Array<Answer>>()
  const unknown = Event.EventId.make(deliveryId(99))

  const tenant = (index: number): Tenant.TenantId => spelling.tenants[index] ?? Given.nobody
  const reportsOf = (index: number) => reported.get(index) ?? []
  const answersOf = (index: number): ReadonlyArray<Answer> => answered.get(index) ?? []
  const eventsOf = (index: number) =>
    answersOf(index).flatMap(({ outcome }) => outcome._tag === "Appended" ? [outcome.eventId] : [])
  const eventKey = (index: number, event: number) => ({
    tenantId: tenant(index),
    eventId: eventsOf(index)[event] ?? unknown
  })

  const append = (index: number, events: ReadonlyArray<Event.NewEvent>) =>
    answer(
      Effect.tap(ledger.append(tenant(index), events), (outcomes) =>
        Effect.sync(() => {
          const answers = Arr.zipWith(events, outcomes, ({ idempotencyKey }, outcome) => ({
            key: idempotencyKey,
            outcome
          }))
          answered.set(index, [...answersOf(index), ...answers])
        })),
      (outcomes) => outcomes.map(outcome)
    )

  /** The pages of a search, each by the ids of its deliveries. */
  const pages = Effect.fnUntraced(function*(index: number, search: Asked) {
    const query = {
      tenantId: tenant(index),
      filter: filterOf(spelling, search),
      limit: search.limit,
      reach: search.reach
    }
    const found: Array<ReadonlyArray<Event.DeliveryId>> = []
    let after: Option.Option<Directory.Cursor> = Option.none()
    do {
      const page: Directory.Page = yield* directory.search({ ...query, after })
      found.push(page.deliveries.map(({ id }) => id))
      after = page.next
    } while (Option.isSome(after))
    return found
  })

  const take = (step: Step): Effect.Effect<Schema.Json, LedgerError.LedgerError> => {
    switch (step._tag) {
      case "Record":
        return answer(
          ledger.record(Given.delivery(tenant(step.tenant), {
            id: Option.map(Option.fromUndefinedOr(step.delivery), deliveryId),
            idempotencyKey: Option.map(Option.fromUndefinedOr(step.key), (key) => Given.key(`record-${key}`)),
            recipient: Recipient.Recipient.make(step.recipient),
            mailable: step.mailable,
            stream: step.stream ?? "transactional",
            ignoreSuppression: step.ignoreSuppression === true
          })),
          ({ created, delivery, linked, suppressedBy }) => ({
            created,
            delivery: encodeDelivery(delivery),
            linked,
            suppressedBy: Option.getOrNull(Option.map(suppressedBy, (block) => ({ ...encodeBlock(block) })))
          })
        )
      case "Dispatch":
        return answer(
          ledger.dispatch(
            Given.dispatch(
              { tenantId: tenant(step.tenant), id: deliveryId(step.delivery) },
              ` <${messageOf(spelling, step.message)}>`,
              {
                provider: Provider.Provider.make(step.provider),
                expectedVersion: Option.fromUndefinedOr(step.expected)
              }
            )
          ),
          ({ delivery, linked }) => ({ delivery: encodeDelivery(delivery), linked })
        )
      case "Fail":
        return answer(
          ledger.fail({
            tenantId: tenant(step.tenant),
            deliveryId: deliveryId(step.delivery),
            error: { code: step.code, message: Option.some(`${step.code} by ann@example.com`) },
            final: step.final,
            attempt: Option.fromUndefinedOr(step.attempt),
            expectedVersion: Option.fromUndefinedOr(step.expected)
          }),
          ({ attempt, delivery, noted }) => ({ attempt, delivery: encodeDelivery(delivery), noted })
        )
      case "Suppress":
        return answer(
          ledger.suppress({
            tenantId: tenant(step.tenant),
            deliveryId: deliveryId(step.delivery),
            because: Option.none(),
            expectedVersion: Option.fromUndefinedOr(step.expected)
          }),
          ({ delivery, noted }) => ({ delivery: encodeDelivery(delivery), noted })
        )
      case "Claim":
        return Effect.flatMap(DateTime.now, (now) =>
          answer(
            unsent.claim({
              scope: tenant(step.tenant),
              limit: step.limit,
              dueTo: now,
              until: DateTime.add(now, { minutes: 1 })
            }),
            (claims) => claims.map(({ attempt, delivery }) => ({ attempt, delivery: encodeDelivery(delivery) }))
          ))
      case "Append": {
        const events = step.reports.map(newEvent(spelling))
        reported.set(step.tenant, [...reportsOf(step.tenant), ...events])
        return append(step.tenant, events)
      }
      case "Repeat": {
        const again = reportsOf(step.tenant).slice(-step.latest)
        return append(step.tenant, step.reversed ? again.toReversed() : again)
      }
      case "Import":
        return Effect.flatMap(
          Effect.orDie(Effect.fromOption(importer)),
          ({ importDelivery }) =>
            importDelivery({
              tenantId: tenant(step.tenant),
              id: deliveryId(step.delivery),
              provider: Provider.Provider.make(step.provider),
              providerMessageId: Given.messageId(messageOf(spelling, step.message)),
              recipient: Recipient.Recipient.make(step.recipient)
            })
        )
      case "Sweep":
        return Effect.flatMap(DateTime.now, (now) =>
          answer(
            orphans.link({
              scope: tenant(step.tenant),
              limit: step.limit,
              insertedFrom: DateTime.subtract(now, { days: 7 }),
              insertedTo: DateTime.subtract(now, { seconds: step.grace })
            }),
            ({ failed, links, scanned }) => ({ failed, links: links.map(linkOf), scanned })
          ))
      case "LinkTo":
        return answer(
          orphans.linkTo({
            ...eventKey(step.tenant, step.event),
            deliveryId: deliveryId(step.delivery),
            expectedVersion: Option.fromUndefinedOr(step.expected)
          }),
          (linked) => linked
        )
      case "Dismiss":
        return answer(orphans.dismiss(eventKey(step.tenant, step.event)), (dismissed) => dismissed)
      case "Retry":
        return answer(orphans.retry(eventKey(step.tenant, step.event)), (released) => released)
      case "Search":
        return answer(pages(step.tenant, step.search), (found) => found)
      case "Forget":
        return answer(
          ledger.forget({ tenantId: tenant(step.tenant), recipient: Recipient.Recipient.make(step.recipient) }),
          (counts) => ({ ...counts })
        )
      case "Add":
      case "Lift":
      case "Check":
      case "List":
      case "Recall":
        return answer(
          Suppressing.take(step, tenant(step.tenant)).pipe(
            Effect.provideService(Suppressions.Suppressions, suppressions)
          ),
          (json) => json
        )
    }
    return Effect.as(wait(step.seconds), null)
  }

  return { take, eventsOf, answersOf }
})

/**
 * All events of a tenant in the order of the feed, as soon as it gives so many.
 *
 * @category reading
 * @since 0.1.0
 */
export const feedOf = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, count: number) {
  const ledger = yield* Ledger.Ledger
  const read = Effect.orDie(ledger.changes({ scope: tenantId, after: Cursor.start, limit: 10_000 }))
  let changes = yield* read
  for (let tries = 0; tries < 1000 && changes.length < count; tries++) {
    yield* TestClock.withLive(Effect.sleep("5 millis"))
    changes = yield* read
  }
  return changes.map(({ event }) => event)
})

/** What is kept of the words, as JSON. */
const saidIn = (details: Ledger.TimelineEntry["details"]): Schema.Json =>
  Option.getOrNull(Option.map(details, ({ response = null, tags = null }) => ({ response, tags })))

/** All that is stored for one tenant. */
const describeTenant = Effect.fnUntraced(function*(
  tenant: number,
  tenantId: Tenant.TenantId,
  appended: ReadonlyArray<Event.EventId>
) {
  const ledger = yield* Ledger.Ledger
  const orphans = yield* Orphans.Orphans
  const audit = yield* Audit.Audit
  const limit = 10_000
  const lines: Array<Line> = [{ tenant, label: `tenant ${tenant}` }]
  const add = (label: string, value: Schema.Json) => lines.push({ tenant, label, value })
  const known = new Set(appended)
  for (const delivery of yield* Effect.orDie(ledger.deliveries({ tenantId, after: Option.none(), limit }))) {
    add("delivery", encodeDelivery(delivery))
    for (const { details, event, linkedBy } of yield* ledger.timeline({ tenantId, deliveryId: delivery.id })) {
      known.add(event.id)
      add("  ", { event: encodeEvent(event), linkedBy: Option.getOrNull(linkedBy), said: saidIn(details) })
    }
  }
  const pending = orphans.find({ scope: tenantId, limit, insertedFrom: Option.none(), failedOnly: false })
  for (const { event } of yield* Effect.orDie(pending)) add("orphan", encodeEvent(event))
  for (const id of appended) {
    const explanation = yield* Effect.orDie(orphans.explain({ tenantId, eventId: id }))
    const attempt = yield* answer(orphans.attemptLink({ tenantId, id }), ({ delivery }) => delivery.id)
    add("event", { id, explanation: explanationOf(explanation), attempt })
  }
  // The feed of a tenant is long to look for where a store has many others.
  const fed = known.size === 0 ? [] : yield* feedOf(tenantId, known.size)
  for (const { id, type } of fed) add("change", { id, type })
  const now = yield* DateTime.now
  for (const { expired, failed, oldest, pending } of yield* orphans.backlog({ scope: tenantId, horizon: now })) {
    add("backlog", { expired, failed, oldest: DateTime.formatIso(oldest), pending })
  }
  yield* Effect.orDie(Suppressing.described(tenantId, add))
  for (const part of ["deliveries", "orphans", "suppressions"] as const) {
    const page = yield* Effect.orDie(audit.verify({ part, scope: tenantId, after: Option.none(), limit }))
    add(part, { checked: page.checked, drifts: page.drifts.map(({ _tag }) => _tag) })
  }
  return lines
})

const newSpelling = Effect.gen(function*() {
  const random = yield* SecureRandom.SecureRandom
  return { tenants: yield* Effect.replicateEffect(Given.tenant, tenants), suffix: yield* random.uuidV4() }
})

/**
 * Runs a history on tenants that no other run has, beginning at noon of 2026-03-01 by the test clock.
 *
 * An `Import` asks for an `Importer`.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*(
  history: History,
  around: Around = (_, __, take) => take
): Effect.fn.Return<Run, LedgerError.LedgerError, PgLedger.Ports | SecureRandom.SecureRandom> {
  const ledger = yield* Ledger.Ledger
  const spelling = yield* newSpelling
  const { eventsOf, take } = yield* makeStepper(
    spelling,
    (seconds) => Effect.flatMap(Clock.currentTimeMillis, (now) => TestClock.setTime(now + seconds * 1000))
  )
  const lines: Array<Line> = []
  yield* TestClock.setTime(Given.noon.epochMilliseconds)

  yield* Effect.scoped(Effect.gen(function*() {
    const updates = yield* ledger.updates
    for (const step of history) {
      const tenant = step._tag === "Wait" ? undefined : step.tenant
      lines.push({ tenant, label: describe(step) })
      lines.push({ tenant, label: "  ", value: yield* around(step, spelling.tenants, take(step)) })
      for (const update of yield* PubSub.takeUpTo(updates, DeliveryUpdate.capacity)) {
        const of = spelling.tenants.indexOf(update.tenantId)
        if (of !== -1) lines.push({ tenant: of, label: "   update", value: { ...update } })
      }
    }
  }))
  for (const [index, tenantId] of spelling.tenants.entries()) {
    lines.push(...yield* describeTenant(index, tenantId, eventsOf(index)))
  }
  return {
    tenants: spelling.tenants,
    transcript: written(lines, makeWriter(spelling)),
    transcriptOf: (index) =>
      written(lines.filter(({ tenant }) => tenant === undefined || tenant === index), makeWriter(spelling))
  }
})

/**
 * What was seen of one tenant while a history ran from several fibers.
 *
 * @category models
 * @since 0.1.0
 */
export interface Seen {
  readonly tenantId: Tenant.TenantId
  /** What all appends answered. */
  readonly answers: ReadonlyArray<Answer>
  /** What was told of its deliveries. */
  readonly updates: ReadonlyArray<DeliveryUpdate.DeliveryUpdate>
}

/** A clock that shows what it is set to and whose sleeps are real, so that a call that backs off goes on. */
const settableClock = Effect.gen(function*() {
  const live = yield* TestClock.withLive(Clock.clockWith(Effect.succeed))
  let now = Given.noon.epochMilliseconds
  const nanos = () => BigInt(now) * 1_000_000n
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => now,
    currentTimeMillis: Effect.sync(() => now),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => live.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: live.monotonicTimeNanos,
    sleep: (duration) => live.sleep(duration)
  }
  const wait = (seconds: number) => Effect.sync(() => void (now += seconds * 1000))
  return { clock, wait }
})

/**
 * Runs a history on tenants that no other run has from several fibers at once, which take its steps in turn: a step waits
 * for those of its own fiber alone.
 *
 * @category running
 * @since 0.1.0
 */
export const runConcurrently = Effect.fnUntraced(function*(
  history: History,
  fibers: number
): Effect.fn.Return<ReadonlyArray<Seen>, LedgerError.LedgerError, PgLedger.Ports | SecureRandom.SecureRandom> {
  const ledger = yield* Ledger.Ledger
  const spelling = yield* newSpelling
  const { clock, wait } = yield* settableClock
  const { answersOf, take } = yield* makeStepper(spelling, wait)
  const updates = yield* Effect.scoped(Effect.gen(function*() {
    const subscription = yield* ledger.updates
    yield* Effect.forEach(
      Array.from({ length: fibers }, (_, fiber) => history.filter((_, index) => index % fibers === fiber)),
      (steps) => Effect.forEach(steps, (step) => Effect.andThen(Effect.yieldNow, take(step)), { discard: true }),
      { concurrency: "unbounded", discard: true }
    )
    return yield* PubSub.takeUpTo(subscription, DeliveryUpdate.capacity)
  })).pipe(Effect.provideService(Clock.Clock, clock))
  return spelling.tenants.map((tenantId, index) => ({
    tenantId,
    answers: answersOf(index),
    updates: updates.filter((update) => update.tenantId === tenantId)
  }))
})
