/**
 * Defines the closed set of failures of a ledger; none carries an address, a subject or a body.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import * as Event from "./Event.ts"
import * as EventName from "./EventName.ts"
import * as IdempotencyKey from "./IdempotencyKey.ts"
import * as Tenant from "./Tenant.ts"

/**
 * What was given cannot be stored exactly, or is not what it says; nothing was written.
 *
 * `issue` names the field and the rule, never the value.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidInput extends Schema.TaggedError<InvalidInput>("@waybill/core/InvalidInput")("InvalidInput", {
  what: Schema.Literals(["delivery", "dispatch", "event", "failure", "query", "suppression", "token", "webhook"]),
  /** The position in the batch; 0 where there is one. */
  index: Schema.Int,
  issue: Schema.String
}) {
  override get message(): string {
    return `invalid ${this.what}: ${this.issue}`
  }
}

/**
 * The error of an input whose field breaks a rule, said as `field: rule`.
 *
 * @category constructors
 * @since 0.2.0
 */
export const invalid = (what: InvalidInput["what"], issue: string, index = 0): InvalidInput =>
  new InvalidInput({ what, index, issue })

/**
 * The tenant has no such delivery, or an orphan's has not been recorded yet.
 *
 * @category errors
 * @since 0.1.0
 */
export class DeliveryNotFound extends Schema.TaggedError<DeliveryNotFound>("@waybill/core/DeliveryNotFound")(
  "DeliveryNotFound",
  { tenantId: Tenant.TenantId }
) {
  override get message(): string {
    return `tenant ${this.tenantId} has no such delivery`
  }
}

/**
 * The tenant has no such event.
 *
 * @category errors
 * @since 0.1.0
 */
export class EventNotFound extends Schema.TaggedError<EventNotFound>("@waybill/core/EventNotFound")("EventNotFound", {
  tenantId: Tenant.TenantId,
  eventId: Event.EventId
}) {
  override get message(): string {
    return `tenant ${this.tenantId} has no event ${this.eventId}`
  }
}

/**
 * An event names neither a message nor a delivery, so that nothing can link it on its own.
 *
 * @category errors
 * @since 0.1.0
 */
export class MalformedPayload extends Schema.TaggedError<MalformedPayload>("@waybill/core/MalformedPayload")(
  "MalformedPayload",
  { tenantId: Tenant.TenantId, eventId: Event.EventId }
) {
  override get message(): string {
    return `event ${this.eventId} names neither a message nor a delivery`
  }
}

/**
 * The id or the idempotency key already stands for a delivery that says something else; nothing was written.
 *
 * @category errors
 * @since 0.1.0
 */
export class DeliveryConflict extends Schema.TaggedError<DeliveryConflict>("@waybill/core/DeliveryConflict")(
  "DeliveryConflict",
  { tenantId: Tenant.TenantId, storedDeliveryId: Event.DeliveryId }
) {
  override get message(): string {
    return `the id or the idempotency key already stands for delivery ${this.storedDeliveryId}, which says something else`
  }
}

/** The line that tells each refusal of a command about a delivery. */
const refusals = {
  "other-message": (id: Event.DeliveryId) => `delivery ${id} was dispatched under another message id`,
  taken: (id: Event.DeliveryId) => `the message id belongs to another delivery to the same recipient, not to ${id}`,
  "handed-over": (id: Event.DeliveryId) => `delivery ${id} was handed to a provider already`
}

/**
 * The delivery was dispatched under another message id, the message id belongs to another delivery to the same recipient, or a
 * provider has the delivery, so that it can neither fail to be sent nor be suppressed; nothing was written.
 *
 * @category errors
 * @since 0.1.0
 */
export class DispatchConflict extends Schema.TaggedError<DispatchConflict>("@waybill/core/DispatchConflict")(
  "DispatchConflict",
  {
    tenantId: Tenant.TenantId,
    deliveryId: Event.DeliveryId,
    reason: Schema.Literals(["other-message", "taken", "handed-over"])
  }
) {
  override get message(): string {
    return refusals[this.reason](this.deliveryId)
  }
}

/**
 * The delivery has another `lockVersion` than the caller has seen; nothing was written.
 *
 * @category errors
 * @since 0.1.0
 */
export class StaleDelivery extends Schema.TaggedError<StaleDelivery>("@waybill/core/StaleDelivery")("StaleDelivery", {
  tenantId: Tenant.TenantId,
  deliveryId: Event.DeliveryId,
  expectedVersion: Schema.Int,
  actualVersion: Schema.Int
}) {
  override get message(): string {
    return `delivery ${this.deliveryId} is at version ${this.actualVersion}, not ${this.expectedVersion}`
  }
}

/**
 * Nothing was lifted: nothing is suppressed so, or a complaint was to be lifted without saying why.
 *
 * @category errors
 * @since 0.2.0
 */
export class LiftRefused extends Schema.TaggedError<LiftRefused>("@waybill/core/LiftRefused")("LiftRefused", {
  tenantId: Tenant.TenantId,
  reason: Schema.Literals(["nothing-to-lift", "no-reason-given"])
}) {
  override get message(): string {
    return this.reason === "nothing-to-lift"
      ? `nothing of tenant ${this.tenantId} is suppressed for that address, reason and stream`
      : "a complaint is lifted only by saying why"
  }
}

/**
 * An event's key already stands for an event that says something else; the stored one is unchanged.
 *
 * `append` gives it as the outcome of one event, so that the rest of a batch stands.
 *
 * @category errors
 * @since 0.1.0
 */
export class IdempotencyConflict extends Schema.TaggedError<IdempotencyConflict>("@waybill/core/IdempotencyConflict")(
  "IdempotencyConflict",
  {
    tenantId: Tenant.TenantId,
    idempotencyKey: IdempotencyKey.IdempotencyKey,
    storedEventId: Event.EventId,
    /** The words by which the provider named the stored event, such as `clicked`: another word tells another event. */
    storedName: EventName.EventName
  }
) {
  override get message(): string {
    return `the idempotency key already stands for event ${this.storedEventId}, which says something else`
  }
}

/**
 * The ledger is append-only and refused to change or remove an event (SQLSTATE 45A01 in PostgreSQL).
 *
 * @category errors
 * @since 0.1.0
 */
export class LedgerImmutable extends Schema.TaggedError<LedgerImmutable>("@waybill/core/LedgerImmutable")(
  "LedgerImmutable",
  { operation: Schema.Literals(["UPDATE", "DELETE", "TRUNCATE"]) }
) {
  override get message(): string {
    return `the ledger is append-only: ${this.operation} was refused`
  }
}

/**
 * The schema does not exist or lacks migrations; nothing was written.
 *
 * @category errors
 * @since 0.1.0
 */
export class SchemaNotMigrated extends Schema.TaggedError<SchemaNotMigrated>("@waybill/core/SchemaNotMigrated")(
  "SchemaNotMigrated",
  { schema: Schema.String }
) {
  override get message(): string {
    return `the schema ${this.schema} is not migrated`
  }
}

const reasons = Schema.Literals([
  "connection",
  "authentication",
  "permission",
  "timeout",
  "contention",
  "full",
  "refused",
  "unreachable",
  "name",
  "silent",
  "authority",
  "certificate-name",
  "certificate-expired",
  "tls",
  "tls-required",
  "tls-missing",
  "database",
  "too-many-connections",
  "startup-parameter",
  "pooler",
  "read-only",
  "no-host",
  "stopping",
  "server"
])

/** The line that tells each cause, empty where its name does, and what to do about it; neither names an address or a secret. */
const causes: Readonly<Record<typeof reasons.Type, readonly [line: string, advice: string]>> = {
  connection: ["", "see that the database runs, and that the URL names its host and port"],
  authentication: ["", "see that the URL names the right role and password, and that pg_hba.conf lets it in"],
  permission: ["", "GRANT CONNECT ON DATABASE … and USAGE ON SCHEMA … TO this role"],
  timeout: ["", "see what the database is busy with: SELECT * FROM pg_stat_activity"],
  contention: ["", "see what the database is busy with: SELECT * FROM pg_stat_activity"],
  full: ["", "give the database more disk or memory"],
  refused: [
    "nothing listens at the host and port",
    "see that the server runs, and that the URL names its host and port"
  ],
  unreachable: ["no way leads to the host", "see the network between here and the host, and its firewalls"],
  name: [
    "the name of the host is not known",
    "see that the URL spells the host right, and that this machine resolves it"
  ],
  silent: ["it gave no answer in time", "see the network between here and the server, and that the server is alive"],
  authority: [
    "the server's certificate is not signed by an authority that is trusted",
    "name the authority's certificate by sslrootcert (or sslrootcert=system for a public one)"
  ],
  "certificate-name": [
    "the server's certificate is not for the name of the host",
    "use the name that is in the certificate, or sslmode=verify-ca to check the authority alone"
  ],
  "certificate-expired": [
    "the server's certificate has expired or is not valid yet",
    "renew it on the server, and see that the clocks are right"
  ],
  tls: ["TLS could not be agreed on", "see the server's log and its ssl_min_protocol_version"],
  "tls-required": ["the server demands TLS", "use sslmode=require or stricter"],
  "tls-missing": [
    "TLS was asked for and the server has none",
    "switch it on at the server, or use sslmode=disable where the network is trusted"
  ],
  database: ["there is no such database", "see that the URL names the database, or create it"],
  "too-many-connections": [
    "the server takes no more connections",
    "lower WAYBILL_MAX_CONNECTIONS, raise max_connections, or put a pooler in between"
  ],
  "startup-parameter": [
    "a startup parameter was refused, as a pooler does",
    "set WAYBILL_POOLER to transaction or session"
  ],
  pooler: [
    "a pooler gave the statements of one session to different servers",
    "set WAYBILL_POOLER=transaction"
  ],
  "read-only": [
    "the server refuses writes",
    "use the primary: name every host in the URL, with target_session_attrs=read-write"
  ],
  "no-host": [
    "no host of the URL is what target_session_attrs asks for",
    "see which of the servers is the primary, and that the URL names it"
  ],
  stopping: ["the server is starting, stopping or recovering", "wait, and see the server's log if it goes on"],
  server: ["the server could not do its work", "see the server's log for the SQLSTATE"]
}

/**
 * A newer program has migrated the schema, in a way that this one must not write to; nothing was written.
 *
 * @category errors
 * @since 0.2.0
 */
export class SchemaTooNew extends Schema.TaggedError<SchemaTooNew>("@waybill/core/SchemaTooNew")("SchemaTooNew", {
  schema: Schema.String,
  /** The number of the newest migration that this program knows. */
  known: Schema.Int,
  /** The number of the migration that a program has to know. */
  needed: Schema.Int
}) {
  override get message(): string {
    return `the schema ${this.schema} is too new: a program has to know migration ${this.needed}, this one knows ${this.known}`
  }
}

/**
 * A place of the feed is ahead of the database that was asked for what follows it: to go on from there would pass over
 * events in silence.
 *
 * `restored`: the database was restored into another cluster, and its feed stands still until it is repaired. `lost`: the
 * database does not have this place, as where it lost its latest events or another ledger gave the place; a new place has to
 * be chosen.
 *
 * @category errors
 * @since 0.2.0
 */
export class CursorAhead extends Schema.TaggedError<CursorAhead>("@waybill/core/CursorAhead")("CursorAhead", {
  reason: Schema.Literals(["restored", "lost"])
}) {
  override get message(): string {
    return this.reason === "restored"
      ? "the feed stands still, since the database was restored into another cluster; run waybill feed repair"
      : "the cursor is ahead of its database, which does not have that place of the feed; choose another place: " +
        "waybill feed reset NAME --to start|now|TIME"
  }
}

/**
 * The database could not be asked or gave no answer in time; an append or a command may be sent again, since it takes
 * effect once.
 *
 * @category errors
 * @since 0.1.0
 */
export class LedgerUnavailable extends Schema.TaggedError<LedgerUnavailable>("@waybill/core/LedgerUnavailable")(
  "LedgerUnavailable",
  {
    /** `contention` is a deadlock or a serialization failure that outlasted its retries; `server` is none of the others. */
    reason: reasons,
    cause: Schema.Defect()
  }
) {
  override get message(): string {
    const [line] = causes[this.reason]
    return `the database is not available (${line === "" ? this.reason : line})`
  }

  /** What to do about it; it names no address and no secret. */
  get advice(): string {
    return causes[this.reason][1]
  }
}

/**
 * Why the database is not available.
 *
 * @category models
 * @since 0.2.0
 */
export type Unavailability = LedgerUnavailable["reason"]

/**
 * What any operation may fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type LedgerError = LedgerUnavailable | SchemaNotMigrated | SchemaTooNew | LedgerImmutable
