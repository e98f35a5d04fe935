/**
 * Appends events of any kind, step by step: the slow path, by which orphans are made.
 *
 * An event that meets no delivery holds the row of its correlation while it is stored as an orphan, so that a delivery that
 * gets its message id meanwhile waits for it, and then finds it.
 */
import { Correlation, Event, Orphan, Suppression, type Tenant } from "@waybill/core"
import { Effect, Option, Schema } from "effect"
import * as Arr from "effect/Array"
import type { Database } from "../Database.ts"
import type { Deliveries } from "../Deliveries.ts"
import * as Events from "../Events.ts"
import * as Meeting from "../Meeting.ts"
import * as Parameters from "../Parameters.ts"
import type { Suppressions } from "../suppressions/Store.ts"
import { type Call, type Fact, factsOf, isUnbound, type Report, type Stored, subjectOf } from "./Report.ts"

/** A delivery that the event at a position of a batch may be about. */
const CandidateRow = Schema.Struct({ ordinal: Schema.Int, deliveryId: Event.DeliveryId })

const decodeCandidates = Schema.decodeUnknownEffect(Schema.Array(CandidateRow))

/** The stored event of the key of a report, and whether it is about the recipient that the report names. */
const RepeatedRow = Schema.Struct({ ...Events.LinkedRow.fields, ordinal: Schema.Int, isSameRecipient: Schema.Boolean })

const decodeRepeated = Schema.decodeUnknownEffect(Schema.Array(RepeatedRow))

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

/** Opens the slow path of a schema. */
export const make = (
  { quoted, sql, table }: Database,
  events: Events.Events,
  deliveries: Deliveries,
  meeting: Meeting.Meeting,
  { nameRecipients }: Suppressions
) => {
  // $1 is the tenant.
  const candidatesText = `
    SELECT given.ordinal, d.id AS "deliveryId"
    FROM ${Parameters.unnested(["integer", "uuid", "text", "text", "text"], 2)}
      AS given (ordinal, delivery_id, provider, message_id, recipient)
    JOIN ${quoted("deliveries")} d ON d.tenant_id = $1 AND ${Meeting.isTo(quoted, "given.recipient")}
  `
  const echoedText = `${candidatesText} AND d.id = given.delivery_id`
  const messageText = `${candidatesText}
      AND d.provider = given.provider AND d.provider_message_id = given.message_id
    WHERE given.delivery_id IS NULL`

  /** Finds the deliveries of a tenant that have the key of an event and may be the one it names, by its position. */
  const findCandidates = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, reports: ReadonlyArray<Report>) {
    const parameters = [
      tenantId,
      Parameters.integers(reports.map((_, index) => index)),
      Parameters.uuids(reports.map(({ event }) => Option.getOrNull(event.echoedDeliveryId))),
      Parameters.texts(reports.map(({ event }) => Option.getOrNull(event.provider))),
      Parameters.texts(reports.map(({ event }) => Option.getOrNull(event.providerMessageId))),
      Parameters.texts(reports.map(({ recipient }) => recipient))
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
      // The statement has left out the deliveries to others.
      const met = Correlation.decide(
        (candidates.get(index) ?? []).map(({ deliveryId }) => ({ deliveryId, recipient: "same" }))
      )
      return met._tag === "Met" ? { ...report, event: Event.bind(report.event, met.deliveryId) } : report
    })
  })

  /** Binds each report to the delivery it is about; one without holds its correlation until the end. */
  const bind = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, reports: ReadonlyArray<Report>) {
    const decided = yield* decide(tenantId, reports)
    const unbound = decided.filter(isUnbound)
    if (unbound.length === 0) return decided
    yield* meeting.lock(tenantId, Arr.getSomes(unbound.map(({ correlation }) => correlation)))
    return [...decided.filter((report) => !isUnbound(report)), ...yield* decide(tenantId, unbound)]
  })

  const insertOrphans = (reports: ReadonlyArray<Report>, tenantId: Tenant.TenantId) =>
    reports.length === 0 ? Effect.void : sql`
      INSERT INTO ${table("orphans")} (event_id, tenant_id, correlation, recipient_digest, inserted_at)
      SELECT event_id, ${tenantId}, correlation, ${table("recipient_digest")}(${tenantId}, recipient), inserted_at
      FROM unnest(
        ${Parameters.uuids(reports.map(({ event }) => event.id))},
        ${Parameters.texts(reports.map(({ correlation }) => Option.getOrNull(correlation)))},
        ${Parameters.texts(reports.map(({ recipient }) => recipient))},
        ${Parameters.instants(reports.map(({ event }) => event.insertedAt.epochMilliseconds))}
      ) AS given (event_id, correlation, recipient, inserted_at)
    `

  /** Inserts events as orphans where they meet no delivery, moves the deliveries of the rest, and returns what was new. */
  const insert = Effect.fnUntraced(function*(
    tenantId: Tenant.TenantId,
    reports: ReadonlyArray<Report>,
    calls: ReadonlyArray<Call>
  ) {
    const bound = yield* bind(tenantId, reports)
    const recipients = new Map(bound.map(({ event, recipient }) => [event.id, recipient]))
    const ids = yield* events.insert(
      bound.map(({ event }) => event),
      (event) => Option.isNone(event.deliveryId) ? recipients.get(event.id) ?? null : null
    )
    const fresh = bound.filter(({ event }) => ids.has(event.id))
    const inserted = new Map(fresh.map(({ event }) => [event.id, event.deliveryId]))
    const orphans = fresh.filter(isUnbound)
    yield* insertOrphans(orphans, tenantId)
    yield* nameRecipients(
      tenantId,
      orphans.flatMap(({ event, recipient }) =>
        recipient !== null && Suppression.causing.includes(event.type) ? [recipient] : []
      )
    )
    for (const wave of waves(factsOf(calls, inserted))) {
      yield* deliveries.move(
        wave.map(({ deliveryId, event }) => ({ tenantId, deliveryId, eventId: event.id, at: event.insertedAt })),
        reports.some(({ details }) => Option.isSome(details))
      )
    }
    return inserted
  })

  /**
   * Finds what is stored under the keys of some reports, by their subjects.
   *
   * It names the recipient of an event that met its delivery by the delivery, of an orphan by the digest of its pseudonym; a
   * forgotten one counts as the same: `Report.isSameRecipient`.
   */
  const findStored = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, reports: ReadonlyArray<Report>) {
    const subjects = Array.from(new Map(reports.map((report) => [subjectOf(report), report])))
    const rows = yield* sql`
      SELECT ${events.columns}, link.delivery_id AS "linkedDeliveryId", given.ordinal,
        CASE
          WHEN e.delivery_id IS NOT NULL THEN d.recipient IS NULL OR ${
      sql.literal(Meeting.isTo(quoted, "given.recipient"))
    }
          WHEN e.recipient_pseudonym IS NULL OR e.echoed_delivery_id IS NOT NULL THEN given.recipient IS NULL
          ELSE known.digest IS NULL
            OR known.digest IS NOT DISTINCT FROM ${table("recipient_digest")}(e.tenant_id, given.recipient)
        END AS "isSameRecipient"
      FROM unnest(
        (SELECT ${Parameters.integers(subjects.map((_, index) => index))}::integer[]),
        (SELECT ${Parameters.texts(subjects.map(([, { event }]) => event.idempotencyKey))}::text[]),
        (SELECT ${Parameters.texts(subjects.map(([, { recipient }]) => recipient))}::text[])
      ) AS given (ordinal, key, recipient)
      JOIN ${table("events")} e ON e.tenant_id = ${tenantId} AND e.idempotency_key = given.key
      LEFT JOIN ${table("events")} link ON link.source_event_id = e.id
      LEFT JOIN ${table("deliveries")} d ON d.tenant_id = e.tenant_id AND d.id = e.delivery_id
      LEFT JOIN ${table("recipients")} known
        ON known.tenant_id = e.tenant_id AND known.pseudonym = e.recipient_pseudonym
    `
    return new Map(
      (yield* Effect.orDie(decodeRepeated(rows))).map(
        ({ isSameRecipient, linkedDeliveryId, ordinal, ...event }): readonly [string, Stored] => [
          subjects[ordinal]?.[0] ?? "",
          { event, isSameRecipient, deliveryId: Orphan.deliveryOf(event, linkedDeliveryId) }
        ]
      )
    )
  })

  return { insert, findStored }
}
