/**
 * Checks what is given to the ledger before anything is written, the same for every adapter.
 *
 * @since 0.1.0
 */
import { DateTime, Effect, Option, Result, Schema, SchemaIssue } from "effect"
import * as Act from "./Act.ts"
import * as Alert from "./Alert.ts"
import * as Alerts from "./Alerts.ts"
import type * as Audit from "./Audit.ts"
import * as Block from "./Block.ts"
import type * as Checkpoints from "./Checkpoints.ts"
import * as Cursor from "./Cursor.ts"
import * as Delivery from "./Delivery.ts"
import * as Event from "./Event.ts"
import { invalid, type InvalidInput } from "./LedgerError.ts"
import * as Provider from "./Provider.ts"
import * as Recipient from "./Recipient.ts"
import * as Suppressions from "./Suppressions.ts"
import * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import * as Ticks from "./Ticks.ts"
import * as Timestamp from "./Timestamp.ts"
import type * as Unsent from "./Unsent.ts"

/**
 * The most rows that one call returns or claims.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxLimit = 10_000

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** The first complaint, as `field: rule`; it names no value. */
const complaint = (issue: SchemaIssue.Issue): string => {
  const [first] = format(issue).issues
  const path = (first?.path ?? []).map((key) => String(typeof key === "object" ? key.key : key)).join(".")
  const rule = first?.message ?? "is not what it should be"
  return path === "" ? rule : `${path}: ${rule}`
}

/**
 * Checks what is given to an operation by a schema; the first complaint names the field and no value.
 *
 * @category validation
 * @since 0.2.0
 */
export const check = <A, E>(what: InvalidInput["what"], schema: Schema.Codec<A, E>) => {
  const validate = Schema.decodeUnknownResult(Schema.toType(schema))
  return (input: A, index = 0): Result.Result<A, InvalidInput> =>
    Result.mapError(validate(input), (error) => invalid(what, complaint(error.issue), index))
}

/**
 * Says what is wrong with the filter of a search.
 *
 * @category validation
 * @since 0.2.0
 */
export const filter = <A>(checked: Result.Result<A, Schema.SchemaError>): Result.Result<A, InvalidInput> =>
  Result.mapError(checked, (error) => invalid("query", complaint(error.issue)))

/**
 * Checks the tenant of a call.
 *
 * @category validation
 * @since 0.1.0
 */
export const tenant = check("query", Schema.Struct({ tenantId: Tenant.TenantId }))

/**
 * Checks a delivery to be recorded.
 *
 * @category validation
 * @since 0.1.0
 */
export const delivery = check("delivery", Delivery.NewDelivery)

/**
 * Checks a dispatch.
 *
 * @category validation
 * @since 0.1.0
 */
export const dispatch = check("dispatch", Delivery.Dispatch)

/**
 * Checks a failed attempt to send.
 *
 * @category validation
 * @since 0.2.0
 */
export const fail = check("failure", Delivery.Fail)

/**
 * Checks a suppression of one delivery.
 *
 * @category validation
 * @since 0.2.0
 */
export const suppress = check("suppression", Delivery.Suppress)

const unsentTimes = check("query", Schema.Struct({ dueTo: Timestamp.Timestamp, until: Timestamp.Timestamp }))

/**
 * Checks a claim of unsent deliveries.
 *
 * @category validation
 * @since 0.2.0
 */
export const unsent = Effect.fnUntraced(function*(query: Unsent.Claim) {
  yield* limit(query.limit)
  yield* Effect.fromResult(unsentTimes(query))
})

/**
 * Checks a link by hand.
 *
 * @category validation
 * @since 0.1.0
 */
export const linkTo = check(
  "query",
  Schema.Struct({
    tenantId: Tenant.TenantId,
    eventId: Event.EventId,
    deliveryId: Event.DeliveryId,
    expectedVersion: Schema.OptionFromNullOr(Schema.Int)
  })
)

/**
 * The canonical message id of a dispatch.
 *
 * @category validation
 * @since 0.1.0
 */
export const messageId = (command: Delivery.Dispatch): Result.Result<Provider.MessageId, InvalidInput> =>
  Result.fromOption(
    Provider.canonicalMessageId(command.provider, command.providerMessageId),
    () => invalid("dispatch", "providerMessageId: must be the id that the provider gave")
  )

/**
 * Checks one event to be appended, which stands at a position of its batch.
 *
 * @category validation
 * @since 0.1.0
 */
export const event = check("event", Event.NewEvent)

/**
 * Checks a batch of events to be appended by a tenant and fails with the first complaint.
 *
 * @category validation
 * @since 0.1.0
 */
export const events = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, batch: ReadonlyArray<Event.NewEvent>) {
  yield* Effect.fromResult(tenant({ tenantId }))
  for (const [index, each] of batch.entries()) {
    const checked = event(each, index)
    if (Result.isFailure(checked)) yield* checked.failure
  }
})

/**
 * Checks a place in the feed.
 *
 * @category validation
 * @since 0.1.0
 */
export const cursor = (place: Cursor.Cursor): Result.Result<Cursor.Cursor, InvalidInput> =>
  Schema.is(Cursor.Cursor)(place)
    ? Result.succeed(place)
    : Result.fail(invalid("query", "after: must be a cursor that the feed gave"))

const { counts, error, node, schedule, tick } = Ticks.Tick.fields

/**
 * Checks the claim of a tick.
 *
 * @category validation
 * @since 0.1.0
 */
export const claim = check("query", Schema.Struct({ schedule, tick, node }))

/**
 * Checks how a tick ended.
 *
 * @category validation
 * @since 0.1.0
 */
export const finish = check("query", Schema.Struct({ schedule, tick, counts, error }))

/**
 * Checks whose ticks to return.
 *
 * @category validation
 * @since 0.1.0
 */
export const recent = check("query", Schema.Struct({ schedule: Schema.OptionFromNullOr(schedule) }))

/**
 * Checks the name of a consumer of the feed.
 *
 * @category validation
 * @since 0.1.0
 */
export const consumer = check("query", Schema.Struct({ consumer: Text.bounded(255) }))

const beginningAt = check("query", Schema.Struct({ instant: Timestamp.Timestamp }))

/**
 * Checks where a consumer of the feed is to begin.
 *
 * @category validation
 * @since 0.2.0
 */
export const beginning = (given: Checkpoints.Beginning): Result.Result<Checkpoints.Beginning, InvalidInput> =>
  given._tag === "At" ? Result.map(beginningAt(given), () => given) : Result.succeed(given)

/**
 * Where a page of an audit begins: after a row's id, and after its tenant where rows of several are compared.
 *
 * @category models
 * @since 0.1.0
 */
export interface Place {
  readonly id: string
  readonly tenantId: string
}

const isId = Schema.is(Event.EventId)

const isTenant = Schema.is(Tenant.TenantId)

/**
 * Tells whether a text is the digest that stands for an address.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isDigest = (text: string): boolean => /^[0-9a-f]{64}$/.test(text)

const isTimestamp = Schema.is(Timestamp.Timestamp)
const isDay = (text: string): boolean =>
  Option.exists(
    DateTime.make(`${text}T00:00:00Z`),
    (at) => isTimestamp(DateTime.toUtc(at)) && DateTime.formatIso(at) === `${text}T00:00:00.000Z`
  )

/** What the rows of a part are known by, where that is no id. */
const forms: Readonly<Partial<Record<Audit.Query["part"], (text: string) => boolean>>> = {
  suppressions: isDigest,
  figures: isDay
}

/**
 * Checks the place of an audit: an orphan's id; or a delivery's id, what stands for an address or a day, a space and its tenant.
 *
 * @category validation
 * @since 0.1.0
 */
export const place = (
  { after, part }: Pick<Audit.Query, "after" | "part">
): Result.Result<Option.Option<Place>, InvalidInput> => {
  if (Option.isNone(after)) return Result.succeed(Option.none())
  const [id, tenantId, ...rest] = after.value.split(" ")
  const form = forms[part]
  const isOfPart = form === undefined ? isId(id) : form(id ?? "")
  const isPlace = isOfPart && rest.length === 0 && (part === "orphans" ? tenantId === undefined : isTenant(tenantId))
  return isPlace
    ? Result.succeed(Option.some({ id: id ?? "", tenantId: tenantId ?? "" }))
    : Result.fail(invalid("query", "after: must be the next of a page"))
}

/**
 * Checks how many rows a call asks for: 1 to 10,000.
 *
 * @category validation
 * @since 0.1.0
 */
export const limit = (rows: number): Effect.Effect<number, InvalidInput> =>
  Number.isInteger(rows) && rows >= 1 && rows <= maxLimit
    ? Effect.succeed(rows)
    : Effect.fail(invalid("query", `limit: must be a whole number from 1 to ${maxLimit}`))

const { reason, stream } = Block.Block.fields

const instant = Schema.OptionFromNullOr(Timestamp.Timestamp)

const few = <S extends Schema.Constraint>(item: S) =>
  Schema.Array(item).check(
    Schema.isMaxLength(Suppressions.maxRecipients, { message: `must be at most ${Suppressions.maxRecipients}` })
  )

/**
 * Checks which addresses are asked for.
 *
 * @category validation
 * @since 0.2.0
 */
export const recipients: (query: Suppressions.Check) => Result.Result<Suppressions.Check, InvalidInput> = check(
  "query",
  Schema.Struct({ tenantId: Tenant.TenantId, recipients: few(Recipient.Recipient), stream })
)

/**
 * Checks which suppressions are listed.
 *
 * @category validation
 * @since 0.2.0
 */
export const listing = check(
  "query",
  Schema.Struct({
    tenantId: Tenant.TenantId,
    reason: Schema.OptionFromNullOr(reason),
    stream,
    from: instant,
    to: instant
  })
)

const by = { actor: Act.Because, because: Schema.OptionFromNullOr(Act.Because) }

const addition: (command: Suppressions.Add) => Result.Result<Suppressions.Add, InvalidInput> = check(
  "suppression",
  Schema.Struct({
    tenantId: Tenant.TenantId,
    additions: few(Schema.Struct({ recipient: Recipient.Recipient, reason, stream, since: instant })),
    ...by
  })
)

/**
 * Checks additions by hand. None may begin in the future (`Timestamp.isAhead`): its lift would hide every cause until then.
 *
 * @category validation
 * @since 0.2.0
 */
export const additions = (
  command: Suppressions.Add,
  now: Timestamp.Timestamp
): Result.Result<Suppressions.Add, InvalidInput> =>
  Result.flatMap(addition(command), (checked) => {
    const index = checked.additions.findIndex(({ since }) => Option.exists(since, (at) => Timestamp.isAhead(at, now)))
    return index < 0
      ? Result.succeed(checked)
      : Result.fail(invalid("suppression", `additions.${index}.since: must not be in the future`))
  })

/**
 * Checks a lift by hand.
 *
 * @category validation
 * @since 0.2.0
 */
export const lift: (command: Suppressions.Lift) => Result.Result<Suppressions.Lift, InvalidInput> = check(
  "suppression",
  Schema.Struct({ tenantId: Tenant.TenantId, recipient: Recipient.Recipient, reason, stream, ...by })
)

const scopeOf = Schema.decodeUnknownOption(Schema.Struct({ reason, stream }))

/**
 * The reason and the stream that a place of a listing names, where it names any.
 *
 * @category validation
 * @since 0.2.0
 */
export const scope = (
  given: { readonly reason: string; readonly stream: string | null }
): Option.Option<Pick<Block.Block, "reason" | "stream">> => scopeOf(given)

/**
 * Checks what rules say.
 *
 * @category validation
 * @since 0.2.0
 */
export const verdict = check("query", Alert.Verdict)

/**
 * Checks the mute of a rule.
 *
 * @category validation
 * @since 0.2.0
 */
export const mute = check("query", Alert.Mute)

/**
 * Checks how webhooks were answered.
 *
 * @category validation
 * @since 0.2.0
 */
export const answered = check("query", Schema.Struct({ answered: Schema.Array(Alerts.Answered) }))
