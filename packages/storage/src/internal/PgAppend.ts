import { Correlation, Event, type Ledger, LedgerError, Recipient, type Tenant, type Timestamp } from "@waybill/core"
import { Effect, Fiber, Option, Schema } from "effect"
import * as Arr from "effect/Array"
import * as PgError from "../PgError.ts"
import * as PgRows from "../PgRows.ts"
import * as Coalescer from "./Coalescer.ts"
import * as PgProjection from "./PgProjection.ts"
import { type PgSession, StoredRow } from "./PgSession.ts"

/** A delivery that the event at a position of a batch may be about. */
const CandidateRow = Schema.Struct({ ordinal: Schema.Int, deliveryId: Event.DeliveryId })

const decodeCandidates = Schema.decodeUnknownEffect(Schema.Array(CandidateRow))

/** The stored event of the key of a report, and whether it is about the recipient that the report names. */
const RepeatedRow = Schema.Struct({ ...StoredRow.fields, ordinal: Schema.Int, isSameRecipient: Schema.Boolean })

const decodeRepeated = Schema.decodeUnknownEffect(Schema.Array(RepeatedRow))

/** One of the events of an append, as the orphan it is until it meets a delivery. */
interface Report {
  readonly event: Event.Event
  readonly correlation: Option.Option<string>
  /** The folded address that it names for certain. */
  readonly recipient: string | null
}

/** The events of one append, in their order. */
type Call = ReadonlyArray<Report>

/** What is stored under the key of a report, the delivery it is about as of now, and whether the report names its recipient. */
interface Stored {
  readonly event: Event.Event
  readonly deliveryId: Option.Option<Event.DeliveryId>
  readonly isSameRecipient: boolean
}

/** What tells apart the reports of a batch that are compared with a stored event. */
const subjectOf = ({ event, recipient }: Report): string => `${event.idempotencyKey} ${recipient ?? ""}`

/** A delivery that a stored event moves. */
interface Fact {
  readonly event: Event.Event
  readonly deliveryId: Event.DeliveryId
}

/** How long a run that other callers wait for waits for a lock. */
const haste = "100ms"

const isHeldUp = (error: LedgerError.LedgerError): boolean =>
  error._tag === "LedgerUnavailable" && error.reason === "timeout"

const certainRecipient = (event: Event.NewEvent): string | null =>
  Option.isSome(event.recipient) && event.recipient.value.certain
    ? Recipient.folded(event.recipient.value.address)
    : null

/** The inserted events of some calls, by their ids, each with the delivery it is bound to. */
type Inserted = ReadonlyMap<Event.EventId, Option.Option<Event.DeliveryId>>

/** The outcome of an event whose key stood for something before. */
const repeated = (report: Event.Event, stored: Stored): Ledger.Outcome =>
  Event.saysTheSame(stored.event, report, stored.isSameRecipient)
    ? { _tag: "Duplicate", eventId: stored.event.id, deliveryId: stored.deliveryId }
    : new LedgerError.IdempotencyConflict({
      tenantId: report.tenantId,
      idempotencyKey: report.idempotencyKey,
      storedEventId: stored.event.id
    })

/** The columns of an event that is bound as it is inserted, and their types, in the order of `boundParameters`. */
const boundColumns = {
  id: "uuid",
  type: "text",
  occurred_at: "timestamptz",
  inserted_at: "timestamptz",
  provider: "text",
  provider_message_id: "text",
  provider_event_id: "text",
  reject_reason: "text",
  bounce_class: "text",
  normalized_payload: "jsonb",
  metadata: "jsonb",
  trace_id: "text",
  idempotency_key: "text"
}

const boundParameters = (reports: ReadonlyArray<Report>) => [
  PgRows.uuids(reports.map(({ event }) => event.id)),
  PgRows.texts(reports.map(({ event }) => event.type)),
  PgRows.instants(reports.map(({ event }) => event.occurredAt.epochMilliseconds)),
  PgRows.instants(reports.map(({ event }) => event.insertedAt.epochMilliseconds)),
  PgRows.texts(reports.map(({ event }) => Option.getOrNull(event.provider))),
  PgRows.texts(reports.map(({ event }) => Option.getOrNull(event.providerMessageId))),
  PgRows.texts(reports.map(({ event }) => Option.getOrNull(event.providerEventId))),
  PgRows.texts(reports.map(({ event }) => Option.getOrNull(event.rejectReason))),
  PgRows.texts(reports.map(({ event }) => Option.getOrNull(event.bounceClass))),
  PgRows.bags(reports.map(({ event }) => event.normalizedPayload)),
  PgRows.bags(reports.map(({ event }) => event.metadata)),
  PgRows.texts(reports.map(({ event }) => Option.getOrNull(event.traceId))),
  PgRows.texts(reports.map(({ event }) => event.idempotencyKey)),
  PgRows.texts(reports.map(({ recipient }) => recipient))
]

/** Whether some calls, all of whose events name a message, may move a delivery once each. */
const isSimple = (calls: ReadonlyArray<Call>): boolean => {
  const seen = new Set<string>()
  return calls.every((reports) => {
    const own = new Set<string>()
    for (const { correlation, event } of reports) {
      if (Option.isNone(correlation) || Option.isSome(event.echoedDeliveryId) || seen.has(correlation.value)) {
        return false
      }
      own.add(correlation.value)
    }
    for (const key of own) seen.add(key)
    return true
  })
}

const isUnbound = ({ event }: Report): boolean => Option.isNone(event.deliveryId)

/** What the inserted events of each call move. */
const factsOf = (calls: ReadonlyArray<Call>, inserted: Inserted): ReadonlyArray<ReadonlyArray<Fact>> =>
  calls.map((reports) => {
    const facts: Array<Fact> = []
    for (const { event } of reports) {
      const deliveryId = inserted.get(event.id)
      if (deliveryId !== undefined && Option.isSome(deliveryId)) facts.push({ event, deliveryId: deliveryId.value })
    }
    return facts
  })

/** Parts the facts of calls so that no part moves a delivery for two of them: it changes once a call, in their order. */
const waves = (calls: ReadonlyArray<ReadonlyArray<Fact>>): ReadonlyArray<ReadonlyArray<Fact>> => {
  const parts: Array<Array<Fact>> = []
  const moved = new Map<Event.DeliveryId, { readonly facts: ReadonlyArray<Fact>; readonly part: number }>()
  for (const facts of calls) {
    for (const fact of facts) {
      const last = moved.get(fact.deliveryId)
      const part = last === undefined ? 0 : last.facts === facts ? last.part : last.part + 1
      moved.set(fact.deliveryId, { facts, part })
      const found = parts[part]
      if (found === undefined) parts.push([fact])
      else found.push(fact)
    }
  }
  return parts
}

/** Appends the events of one call, or of several that were made at once. */
export const make = Effect.fnUntraced(function*(session: PgSession) {
  const {
    deliveries,
    eventColumns,
    events,
    insertEvents,
    isJoined,
    lockCorrelations,
    move,
    newEventIds,
    one,
    orphans,
    publish,
    quoted,
    sql,
    table,
    transaction
  } = session

  const candidatesText = `
    SELECT given.ordinal, d.id AS "deliveryId"
    FROM ${PgRows.unnested(["integer", "uuid", "text", "text", "text"])}
      AS given (ordinal, delivery_id, provider, message_id, recipient)
    JOIN ${quoted("deliveries")} d ON d.tenant_id = $6
      AND (given.recipient IS NULL OR lower(d.recipient COLLATE "C") = given.recipient)
  `
  const echoedText = `${candidatesText} AND d.id = given.delivery_id`
  const messageText = `${candidatesText}
      AND d.provider = given.provider AND d.provider_message_id = given.message_id
    WHERE given.delivery_id IS NULL`

  /** The deliveries of a tenant that have the key of an event and may be the one it names, by its position. */
  const findCandidates = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, reports: ReadonlyArray<Report>) {
    const parameters = [
      PgRows.integers(reports.map((_, index) => index)),
      PgRows.uuids(reports.map(({ event }) => Option.getOrNull(event.echoedDeliveryId))),
      PgRows.texts(reports.map(({ event }) => Option.getOrNull(event.provider))),
      PgRows.texts(reports.map(({ event }) => Option.getOrNull(event.providerMessageId))),
      PgRows.texts(reports.map(({ recipient }) => recipient)),
      tenantId
    ]
    const isEchoed = reports.some(({ event }) => Option.isSome(event.echoedDeliveryId))
    const rows = [
      ...isEchoed ? yield* sql.unsafe(echoedText, parameters) : [],
      ...yield* sql.unsafe(messageText, parameters)
    ]
    return Map.groupBy(yield* Effect.orDie(decodeCandidates(rows)), ({ ordinal }) => ordinal)
  })

  const decide = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, reports: ReadonlyArray<Report>) {
    const candidates = yield* findCandidates(tenantId, reports)
    return reports.map((report, index): Report => {
      const meeting = Correlation.decide(
        (candidates.get(index) ?? []).map(({ deliveryId }) => ({ deliveryId, recipient: "same" }))
      )
      return meeting._tag === "Met" ? { ...report, event: Event.bind(report.event, meeting.deliveryId) } : report
    })
  })

  /** Binds each report to the delivery it is about; one without holds its correlation until the end. */
  const bind = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, reports: ReadonlyArray<Report>) {
    const decided = yield* decide(tenantId, reports)
    const unbound = decided.filter(isUnbound)
    if (unbound.length === 0) return decided
    yield* lockCorrelations(tenantId, Arr.getSomes(unbound.map(({ correlation }) => correlation)))
    return [...decided.filter((report) => !isUnbound(report)), ...yield* decide(tenantId, unbound)]
  })

  /** What is stored under the keys of some reports, by their subjects. */
  const findStored = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, reports: ReadonlyArray<Report>) {
    const subjects = Array.from(new Map(reports.map((report) => [subjectOf(report), report])))
    const rows = yield* sql`
      SELECT ${eventColumns}, link.delivery_id AS "linkedDeliveryId", given.ordinal,
        CASE
          WHEN e.delivery_id IS NOT NULL THEN
            given.recipient IS NULL OR d.recipient IS NULL OR lower(d.recipient COLLATE "C") = given.recipient
          WHEN e.recipient_pseudonym IS NULL THEN given.recipient IS NULL
          ELSE known.digest IS NULL
            OR known.digest IS NOT DISTINCT FROM ${table("recipient_digest")}(e.tenant_id, given.recipient)
        END AS "isSameRecipient"
      FROM unnest(
        (SELECT ${PgRows.integers(subjects.map((_, index) => index))}::integer[]),
        (SELECT ${PgRows.texts(subjects.map(([, { event }]) => event.idempotencyKey))}::text[]),
        (SELECT ${PgRows.texts(subjects.map(([, { recipient }]) => recipient))}::text[])
      ) AS given (ordinal, key, recipient)
      JOIN ${events} e ON e.tenant_id = ${tenantId} AND e.idempotency_key = given.key
      LEFT JOIN ${events} link ON link.source_event_id = e.id
      LEFT JOIN ${deliveries} d ON d.tenant_id = e.tenant_id AND d.id = e.delivery_id
      LEFT JOIN ${table("recipients")} known
        ON known.tenant_id = e.tenant_id AND known.pseudonym = e.recipient_pseudonym
    `
    return new Map(
      (yield* Effect.orDie(decodeRepeated(rows))).map(
        ({ isSameRecipient, linkedDeliveryId, ordinal, ...event }): readonly [string, Stored] => [
          subjects[ordinal]?.[0] ?? "",
          { event, isSameRecipient, deliveryId: Option.orElse(event.deliveryId, () => linkedDeliveryId) }
        ]
      )
    )
  })

  const insertOrphans = (reports: ReadonlyArray<Report>, tenantId: Tenant.TenantId) =>
    reports.length === 0 ? Effect.void : sql`
      INSERT INTO ${orphans} (event_id, tenant_id, correlation, recipient_digest, inserted_at)
      SELECT event_id, ${tenantId}, correlation, ${table("recipient_digest")}(${tenantId}, recipient), inserted_at
      FROM unnest(
        ${PgRows.uuids(reports.map(({ event }) => event.id))},
        ${PgRows.texts(reports.map(({ correlation }) => Option.getOrNull(correlation)))},
        ${PgRows.texts(reports.map(({ recipient }) => recipient))},
        ${PgRows.instants(reports.map(({ event }) => event.insertedAt.epochMilliseconds))}
      ) AS given (event_id, correlation, recipient, inserted_at)
    `

  const columns = Object.keys(boundColumns)
  const appendText = `
    WITH patience AS MATERIALIZED (
      SELECT set_config('lock_timeout', coalesce($${columns.length + 4}, current_setting('lock_timeout')), true)
    ), met AS MATERIALIZED (
      SELECT given.*, d.tenant_id, d.id AS delivery_id
      FROM patience
      CROSS JOIN ${PgRows.unnested([...Object.values(boundColumns), "text"])}
        AS given (${columns.join(", ")}, recipient)
      JOIN ${quoted("deliveries")} d ON d.tenant_id = $${columns.length + 2}
        AND d.provider = given.provider AND d.provider_message_id = given.provider_message_id
        AND (given.recipient IS NULL OR lower(d.recipient COLLATE "C") = given.recipient)
    ), counted AS (
      SELECT count(*) AS rows, count(DISTINCT id) AS events FROM met
    ), inserted AS (
      INSERT INTO ${quoted("events")} (tenant_id, delivery_id, ${columns.join(", ")})
      SELECT tenant_id, delivery_id, ${columns.join(", ")} FROM met
      WHERE (SELECT rows = $${columns.length + 3} AND events = rows FROM counted)
      ORDER BY idempotency_key COLLATE "C"
      ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
      RETURNING id, tenant_id, delivery_id, type, occurred_at, inserted_at AS at, provider, bounce_class
    ), moved AS (${PgProjection.moveText(quoted, "inserted")})
    SELECT id, delivery_id AS "deliveryId" FROM inserted
  `

  /**
   * Inserts events and moves their deliveries by one statement, where each names a message of exactly one delivery, and gives
   * the inserted ones; inserts none of them where one does not.
   */
  const insertBound = Effect.fnUntraced(function*(
    tenantId: Tenant.TenantId,
    reports: ReadonlyArray<Report>,
    hurried: boolean
  ) {
    const rows = yield* sql.unsafe<{ readonly id: Event.EventId; readonly deliveryId: Event.DeliveryId }>(
      appendText,
      [...boundParameters(reports), tenantId, reports.length, hurried ? haste : null]
    )
    return new Map(rows.map(({ deliveryId, id }) => [id, Option.some(deliveryId)]))
  })

  /** Inserts events as orphans where they meet no delivery, moves the deliveries of the rest, and gives the inserted ones. */
  const insert = Effect.fnUntraced(function*(
    tenantId: Tenant.TenantId,
    reports: ReadonlyArray<Report>,
    calls: ReadonlyArray<Call>
  ) {
    const bound = yield* bind(tenantId, reports)
    const recipients = new Map(bound.map(({ event, recipient }) => [event.id, recipient]))
    const ids = yield* insertEvents(
      bound.map(({ event }) => event),
      (event) => Option.isNone(event.deliveryId) ? recipients.get(event.id) ?? null : null
    )
    const fresh = bound.filter(({ event }) => ids.has(event.id))
    const inserted = new Map(fresh.map(({ event }) => [event.id, event.deliveryId]))
    yield* insertOrphans(fresh.filter(isUnbound), tenantId)
    for (const wave of waves(factsOf(calls, inserted))) {
      yield* move(
        wave.map(({ deliveryId, event }) => ({ tenantId, deliveryId, eventId: event.id, at: event.insertedAt }))
      )
    }
    return inserted
  })

  /** Tells of the inserted events. */
  const announce = (tenantId: Tenant.TenantId, calls: ReadonlyArray<Call>, inserted: Inserted) =>
    publish(() =>
      factsOf(calls, inserted).flat().map(({ deliveryId, event }): Ledger.DeliveryUpdate => ({
        tenantId,
        deliveryId,
        eventId: event.id,
        type: event.type,
        cause: "append"
      }))
    )

  /** Gives the outcomes of every call. */
  const settle = Effect.fnUntraced(function*(
    tenantId: Tenant.TenantId,
    calls: ReadonlyArray<Call>,
    inserted: Inserted
  ) {
    const again = calls.flat().filter(({ event }) => !inserted.has(event.id))
    const stored = again.length === 0 ? new Map<string, Stored>() : yield* findStored(tenantId, again)
    const lost = again.find((report) => !stored.has(subjectOf(report)))
    if (lost !== undefined) return yield* Effect.die(new Error("an event is neither inserted nor stored"))
    return calls.map((call) =>
      call.flatMap((report): ReadonlyArray<Ledger.Outcome> => {
        const { event } = report
        const deliveryId = inserted.get(event.id)
        if (deliveryId !== undefined) return [{ _tag: "Appended", eventId: event.id, deliveryId }]
        const known = stored.get(subjectOf(report))
        return known === undefined ? [] : [repeated(event, known)]
      })
    )
  })

  /**
   * Goes on in a fiber of its own where its caller is interrupted, so that what is stored is told too; within a caller's
   * transaction it is the caller's to undo.
   */
  const undivided = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(
      isJoined,
      (joined) => joined ? effect : Effect.flatMap(Effect.forkDetach(effect, { startImmediately: true }), Fiber.join)
    )

  const run = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, calls: ReadonlyArray<Call>, hurried: boolean) {
    const firsts = new Map<string, Report>()
    for (const call of calls) {
      for (const report of call) {
        if (!firsts.has(report.event.idempotencyKey)) firsts.set(report.event.idempotencyKey, report)
      }
    }
    const reports = Array.from(firsts.values())
    const bound = isSimple(calls)
      ? yield* undivided(one(
        tenantId,
        Effect.tap(insertBound(tenantId, reports, hurried), (inserted) => announce(tenantId, calls, inserted))
      ))
      : undefined
    if (bound !== undefined && bound.size > 0) return yield* one(tenantId, settle(tenantId, calls, bound))
    return yield* transaction(
      tenantId,
      Effect.gen(function*() {
        if (hurried) yield* sql`SELECT set_config('lock_timeout', ${haste}, true)`
        const inserted = yield* insert(tenantId, reports, calls)
        yield* announce(tenantId, calls, inserted)
        return yield* settle(tenantId, calls, inserted)
      })
    )
  })

  const coalesced = yield* Coalescer.make({ run, isHeldUp, isLost: PgError.isLost, weigh: (call: Call) => call.length })

  /** Appends checked events; together with other calls that are made at once, but never within a caller's transaction. */
  return Effect.fnUntraced(function*(
    tenantId: Tenant.TenantId,
    given: ReadonlyArray<Event.NewEvent>,
    now: Timestamp.Timestamp
  ) {
    const ids = yield* newEventIds(given.length)
    const call = Arr.zipWith(ids, given, (id, input): Report => {
      const event = Event.fromNew(input, { id, tenantId, deliveryId: Option.none(), insertedAt: now })
      return { event, correlation: Correlation.ofEvent(event), recipient: certainRecipient(input) }
    })
    if (!(yield* isJoined)) return yield* coalesced(tenantId, call)
    return (yield* run(tenantId, [call], false)).flat()
  })
})
