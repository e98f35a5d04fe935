/**
 * Keeps in PostgreSQL whom a tenant must not mail: the causes and lifts of each address, under its digest.
 *
 * Those of events are written by the trigger `events_tell_suppressions`, whoever appends or links an event. What holds is
 * decided by the fold of the core, from the rows of an address: a few, found by the primary key.
 */
import { Act, EventType, Recipient, Suppression, SuppressionStore, type Tenant, type Timestamp } from "@waybill/core"
import { DateTime, Effect, Option, Schema } from "effect"
import type { Database } from "../Database.ts"
import type { Events } from "../Events.ts"
import * as Parameters from "../Parameters.ts"

const at = Schema.DateTimeUtcFromDate

/** A fact of the address at a position; an address without any has one row of nothing. */
const KnownRow = Schema.Struct({
  ordinal: Schema.Int,
  key: Schema.String,
  recipient: Schema.OptionFromNullOr(Recipient.Recipient),
  reason: Schema.NullOr(Suppression.Reason),
  stream: Act.Act.fields.stream,
  lifts: Schema.NullOr(Schema.Boolean),
  at: Schema.NullOr(at),
  rank: Schema.NullOr(Schema.Int),
  eventId: Act.Act.fields.eventId,
  isAct: Schema.NullOr(Schema.Boolean)
})

const decodeKnown = Schema.decodeUnknownEffect(Schema.Array(KnownRow))

const factOf = (
  { at, eventId, isAct, lifts, rank, reason, stream }: typeof KnownRow.Type
): ReadonlyArray<Suppression.Fact> =>
  reason === null || at === null || rank === null
    ? []
    : [{ reason, stream, lifts: lifts === true, at, rank, eventId, isAct: isAct === true }]

const ResetRow = Schema.Struct({ key: Schema.String, at })

const decodeResets = Schema.decodeUnknownEffect(Schema.Array(ResetRow))

const ActRow = Schema.Struct({ ...Act.Act.fields, at, actedAt: at })

const decodeActs = Schema.decodeUnknownEffect(Schema.Array(ActRow))

/** The columns of a fact in a row `s` of `suppressions`. */
const columns =
  `s.reason, s.stream, s.lifts, s.happened_at AS at, s.rank, s.event_id AS "eventId", s.by_hand AS "isAct"`

const resetTypes = EventType.resets.map((type) => `'${type}'`).join(", ")

/** Opens the suppressions of a schema. */
export const make = Effect.fnUntraced(
  function*({ quoted, refine, sql, table, transaction }: Database, { newIds }: Events) {
    const softness = yield* Suppression.SoftBounces
    const suppressions = table("suppressions")

    const known = Effect.fnUntraced(function*(rows: ReadonlyArray<unknown>) {
      const decoded = yield* Effect.orDie(decodeKnown(rows))
      return Array.from(Map.groupBy(decoded, ({ ordinal }) => ordinal).values()).flatMap((own) => {
        const [first] = own
        const of = (row: typeof KnownRow.Type): SuppressionStore.Known => ({
          key: row.key,
          recipient: row.recipient,
          facts: own.flatMap(factOf)
        })
        return first === undefined ? [] : [of(first)]
      })
    })

    // $1 is the tenant, $2 the addresses.
    const recipientsText = `
    SELECT given.ordinal::integer, encode(given.digest, 'hex') AS key, NULL AS recipient, ${columns}
    FROM (
      SELECT ordinal, ${quoted("recipient_digest")}($1, address) AS digest
      FROM unnest((SELECT $2::text[])) WITH ORDINALITY AS given (address, ordinal) OFFSET 0
    ) given
    LEFT JOIN ${quoted("suppressions")} s ON s.tenant_id = $1 AND s.recipient_digest = given.digest
    ORDER BY given.ordinal
  `

    const ofRecipients: SuppressionStore.Store["ofRecipients"] = (tenantId, recipients) =>
      refine(Effect.flatMap(sql.unsafe(recipientsText, [tenantId, Parameters.texts(recipients)]), known))

    const next: SuppressionStore.Store["next"] = ({ from, isExclusive, limit, reason, tenantId }) => {
      const begin = Option.match(from, {
        onNone: () => sql``,
        onSome: (key) => sql`AND k.recipient_digest ${sql.literal(isExclusive ? ">" : ">=")} decode(${key}, 'hex')`
      })
      const ofReason = Option.isSome(reason) ? sql`AND k.reason = ${reason.value}` : sql``
      // An address is listed under the first spelling that is found of it, in its canonical form.
      return refine(Effect.flatMap(
        sql`
        SELECT page.ordinal::integer, encode(page.digest, 'hex') AS key, coalesce(
          (SELECT n.recipient FROM ${table("suppressed_recipients")} n
            WHERE n.tenant_id = ${tenantId} AND n.recipient_digest = page.digest),
          (SELECT ${table("canonical_recipient")}(d.recipient) FROM ${table("deliveries")} d
            WHERE d.tenant_id = ${tenantId} AND d.recipient_digest = page.digest LIMIT 1)
        ) AS recipient, ${sql.literal(columns)}
        FROM (
          SELECT digest, row_number() OVER (ORDER BY digest) AS ordinal FROM (
            SELECT DISTINCT k.recipient_digest AS digest FROM ${suppressions} k
            WHERE k.tenant_id = ${tenantId} ${ofReason} ${begin}
            ORDER BY k.recipient_digest LIMIT ${limit}
          ) keys
        ) page
        CROSS JOIN LATERAL (
          SELECT * FROM ${suppressions} own WHERE own.tenant_id = ${tenantId} AND own.recipient_digest = page.digest OFFSET 0
        ) s
        ORDER BY page.ordinal
      `,
        known
      ))
    }

    // $1 is the tenant; the digests, and between when and when to look. A delivery whose last event is older has nothing to tell.
    const resetsText = `
    WITH given AS MATERIALIZED (
      SELECT decode(key, 'hex') AS digest, key, span_from, span_to
      FROM ${Parameters.unnested(["text", "timestamptz", "timestamptz"], 2)} AS given (key, span_from, span_to)
    ), told AS (
      SELECT given.*, own.id, own.source_event_id FROM given
      JOIN ${quoted("deliveries")} d ON d.tenant_id = $1 AND d.recipient_digest = given.digest
        AND d.last_event_at >= given.span_from
      JOIN ${quoted("events")} own ON own.tenant_id = $1 AND own.delivery_id = d.id
        AND (own.type IN (${resetTypes}) OR own.source_event_id IS NOT NULL)
    ), found AS (
      SELECT key, span_from, span_to, coalesce(source_event_id, id) AS id FROM told
      UNION ALL
      SELECT given.key, given.span_from, given.span_to, e.id FROM given
      JOIN ${quoted("recipients")} r ON r.tenant_id = $1 AND r.digest = given.digest
      JOIN ${quoted("events")} e ON e.tenant_id = $1 AND e.recipient_pseudonym = r.pseudonym
        AND e.echoed_delivery_id IS NULL
      WHERE NOT EXISTS (SELECT FROM ${quoted("events")} link WHERE link.source_event_id = e.id)
    )
    SELECT found.key, e.occurred_at AS at FROM found JOIN ${quoted("events")} e ON e.id = found.id
    WHERE e.type IN (${resetTypes}) AND e.occurred_at BETWEEN found.span_from AND found.span_to
  `

    const resets: SuppressionStore.Store["resets"] = (tenantId, asked) =>
      refine(Effect.gen(function*() {
        const rows = yield* sql.unsafe(resetsText, [
          tenantId,
          Parameters.texts(asked.map(({ key }) => key)),
          Parameters.instants(asked.map(({ from }) => from.epochMilliseconds)),
          Parameters.instants(asked.map(({ to }) => to.epochMilliseconds))
        ])
        const found = new Map<string, Array<Timestamp.Timestamp>>()
        for (const { at, key } of yield* Effect.orDie(decodeResets(rows))) {
          const own = found.get(key)
          if (own === undefined) found.set(key, [at])
          else own.push(at)
        }
        return found
      }))

    const acts: SuppressionStore.Store["acts"] = (tenantId, recipient) =>
      refine(Effect.flatMap(
        sql`
        SELECT a.act AS kind, a.reason, a.stream, a.lifts, a.happened_at AS at, a.acted_at AS "actedAt", a.actor, a.because,
          a.event_id AS "eventId"
        FROM ${table("acts")} a
        WHERE a.tenant_id = ${tenantId}
          AND a.recipient_digest = (SELECT ${table("recipient_digest")}(${tenantId}, ${recipient}))
        ORDER BY a.id
      `,
        (rows) => Effect.orDie(decodeActs(rows))
      ))

    /** Writes acts and the facts that they are, each under the digest of its address. */
    const writeActs = Effect.fnUntraced(function*(
      tenantId: Tenant.TenantId,
      written: ReadonlyArray<{ readonly key: string; readonly act: Act.Act }>
    ) {
      if (written.length === 0) return
      const ids = yield* newIds(written.length)
      yield* sql`
      WITH given AS MATERIALIZED (
        SELECT decode(key, 'hex') AS digest, fact_id, kind, reason, stream, lifts, happened_at, rank, acted_at, actor,
          because, event_id
        FROM unnest(
          ${Parameters.texts(written.map(({ key }) => key))}, ${Parameters.uuids(ids)},
          ${Parameters.texts(written.map(({ act }) => act.kind))},
          ${Parameters.texts(written.map(({ act }) => act.reason))},
          ${Parameters.texts(written.map(({ act }) => Option.getOrNull(act.stream)))},
          ${Parameters.booleans(written.map(({ act }) => act.lifts))},
          ${Parameters.instants(written.map(({ act }) => act.at.epochMilliseconds))},
          ${Parameters.integers(written.map(({ act }) => Act.factOf(act).rank))},
          ${Parameters.instants(written.map(({ act }) => act.actedAt.epochMilliseconds))},
          ${Parameters.texts(written.map(({ act }) => Option.getOrNull(act.actor)))},
          ${Parameters.texts(written.map(({ act }) => Option.getOrNull(act.because)))},
          ${Parameters.uuids(written.map(({ act }) => Option.getOrNull(act.eventId)))}
        ) AS given (key, fact_id, kind, reason, stream, lifts, happened_at, rank, acted_at, actor, because, event_id)
      ), recorded AS (
        INSERT INTO ${
        table("acts")
      } (tenant_id, act, event_id, acted_at, fact_id, recipient_digest, reason, stream, lifts,
          happened_at, rank, actor, because)
        SELECT ${tenantId}, kind, event_id, acted_at, fact_id, digest, reason, stream, lifts, happened_at, rank, actor, because
        FROM given
      )
      INSERT INTO ${suppressions} (tenant_id, recipient_digest, id, reason, stream, lifts, happened_at, rank, event_id, by_hand)
      SELECT ${tenantId}, digest, fact_id, reason, stream, lifts, happened_at, rank, event_id, true FROM given
    `
    })

    /** Keeps the addresses that an act or an event without a delivery names. */
    const nameRecipients = (tenantId: Tenant.TenantId, recipients: ReadonlyArray<string>) =>
      recipients.length === 0 ? Effect.void : Effect.asVoid(sql`
      INSERT INTO ${table("suppressed_recipients")} (tenant_id, recipient_digest, recipient)
      SELECT DISTINCT ON (digest) ${tenantId}, digest, recipient FROM (
        SELECT ${table("recipient_digest")}(${tenantId}, address) AS digest, ${
        table("canonical_recipient")
      }(address) AS recipient
        FROM unnest(${Parameters.texts(recipients)}) AS given (address)
      ) named ORDER BY digest
      ON CONFLICT DO NOTHING
    `)

    const write: SuppressionStore.Store["write"] = (tenantId, given) =>
      refine(Effect.gen(function*() {
        yield* writeActs(tenantId, given)
        yield* nameRecipients(tenantId, given.map(({ recipient }) => recipient))
      }))

    const store: SuppressionStore.Store = { atomic: transaction, ofRecipients, next, resets, acts, write }

    /**
     * Puts what is kept of an address in the place of what its events said, and takes the address away. The caller holds its
     * deliveries.
     */
    const keep = Effect.fnUntraced(function*(
      query: { readonly tenantId: Tenant.TenantId; readonly recipient: Recipient.Recipient }
    ) {
      const { recipient, tenantId } = query
      const kept = yield* SuppressionStore.keptOf(query, store, softness, yield* DateTime.now)
      const digest = sql`(SELECT ${table("recipient_digest")}(${tenantId}, ${recipient}))`
      yield* sql`
      DELETE FROM ${suppressions} WHERE tenant_id = ${tenantId} AND recipient_digest = ${digest} AND NOT by_hand
    `
      yield* writeActs(tenantId, kept)
      yield* sql`
      DELETE FROM ${table("suppressed_recipients")} WHERE tenant_id = ${tenantId} AND recipient_digest = ${digest}
    `
    })

    return { port: SuppressionStore.make(store, softness), store, softness, keep, nameRecipients }
  }
)

/** The suppressions of a schema. */
export type Suppressions = Effect.Success<ReturnType<typeof make>>
