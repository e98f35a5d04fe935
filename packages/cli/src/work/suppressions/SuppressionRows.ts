/**
 * Reads and writes suppressions as rows: those of `waybill suppressions export`, and the lists that providers give of theirs.
 *
 * A row has an address, and may have a reason, a stream and a time. The columns go by several names, in whatever case.
 *
 * @since 0.2.0
 */
import { Delivery, Recipient, Suppression, type Suppressions, Timestamp } from "@waybill/core"
import { DateTime, Option, Result, Schema } from "effect"

/**
 * The columns that are written.
 *
 * @category constants
 * @since 0.2.0
 */
export const columns = ["recipient", "reason", "stream", "since"] as const

/**
 * A column of a row.
 *
 * @category models
 * @since 0.2.0
 */
export type Column = typeof columns[number]

/** The names of columns, of which only the letters count. */
const names: ReadonlyMap<string, Column> = new Map([
  ["recipient", "recipient"],
  ["email", "recipient"],
  ["emailaddress", "recipient"],
  ["address", "recipient"],
  ["reason", "reason"],
  ["suppressionreason", "reason"],
  ["stream", "stream"],
  ["since", "since"],
  ["created", "since"],
  ["createdat", "since"]
])

/**
 * The column that a name stands for, if any.
 *
 * @category parsing
 * @since 0.2.0
 */
export const columnOf = (name: string): Column | undefined => names.get(name.toLowerCase().replaceAll(/[^a-z]/g, ""))

/** The words of providers for our reasons. */
const words: ReadonlyMap<string, Suppression.Reason> = new Map([
  ["hardbounce", "bounced"],
  ["bounce", "bounced"],
  ["spamcomplaint", "complained"],
  ["complaint", "complained"],
  ["spamreport", "complained"],
  ["unsubscribe", "unsubscribed"],
  ["manualsuppression", "manual"]
])

const isReason = Schema.is(Suppression.Reason)

const isStream = Schema.is(Delivery.Stream)

const isRecipient = Schema.is(Recipient.Recipient)

const isTimestamp = Schema.is(Timestamp.Timestamp)

const reasonOf = (text: string): Option.Option<Suppression.Reason> => {
  const word = text.trim().toLowerCase()
  return isReason(word) ? Option.some(word) : Option.fromUndefinedOr(words.get(word.replaceAll(/[^a-z]/g, "")))
}

/** 2026-11-28, also with a time behind it. */
const isoTime = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?) ?(Z|UTC|[+-]\d\d:?\d\d)?)?$/i

/** Thu, 13 Oct 2011 18:02:00 UTC */
const mailTime = /^[A-Z][a-z]{2}, (\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d\d:\d\d:\d\d) (UTC|GMT|[+-]\d{4})$/

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

/** The date, time and zone of a text, which is in UTC where it names no zone. */
const partsOf = (text: string): readonly [date: string, time: string, zone: string] | undefined => {
  const [, date, time = "00:00", zone = "Z"] = isoTime.exec(text) ?? []
  if (date !== undefined) return [date, time, zone]
  const [, day = "", month = "", year = "", at = "", of = ""] = mailTime.exec(text) ?? []
  const place = months.indexOf(month) + 1
  return place === 0 ? undefined : [`${year}-${String(place).padStart(2, "0")}-${day.padStart(2, "0")}`, at, of]
}

/** A date that the calendar has: a parser takes the 30th of February for the 1st of March. */
const isDate = (date: string): boolean =>
  Option.exists(DateTime.make(`${date}T00:00:00Z`), (at) => DateTime.formatIso(at).startsWith(date))

const instantOf = (text: string): Option.Option<DateTime.DateTime> => {
  if (/^\d{9,10}$/.test(text)) return DateTime.make(Number(text) * 1000)
  const [date = "", time, zone = ""] = partsOf(text) ?? []
  if (time === undefined || !isDate(date)) return Option.none()
  return DateTime.make(`${date}T${time}${/^[A-Z]/i.test(zone) ? "Z" : zone.replace(/^(...)(\d\d)$/, "$1:$2")}`)
}

const timeOf = (text: string): Option.Option<Timestamp.Timestamp> =>
  Option.filter(Option.map(instantOf(text.trim()), DateTime.toUtc), isTimestamp)

/** A cell that is there and not empty, or else what stands for it. */
const given = <A>(
  cell: string | undefined,
  parse: (text: string) => Option.Option<A>,
  issue: string
): Result.Result<Option.Option<A>, string> => {
  if (cell === undefined || cell.trim() === "") return Result.succeed(Option.none())
  const parsed = parse(cell)
  return Option.isSome(parsed) ? Result.succeed(parsed) : Result.fail(issue)
}

const issues = {
  recipient: "recipient: must be a bare address with an @, at most 320 characters",
  reason: `reason: must be ${Suppression.Reason.literals.join(", ")}; or say --reason for all rows`,
  stream: `stream: must be ${Delivery.Stream.literals.join(", ")}, or empty for all`,
  since: "since: must be a time in ISO 8601, in seconds since 1970 or as in mail",
  future: "since: must not be in the future"
}

/**
 * Reads a row, or says what is wrong with it, without its values.
 *
 * @category parsing
 * @since 0.2.0
 */
export const parse = (
  cells: Readonly<Partial<Record<Column, string>>>,
  /** The reason of all rows, whatever they say. */
  reason: Option.Option<Suppression.Reason>,
  now: Timestamp.Timestamp
): Result.Result<Suppressions.Addition, string> => {
  const recipient = (cells.recipient ?? "").trim()
  if (!isRecipient(recipient)) return Result.fail(issues.recipient)
  const own = Option.isSome(reason) ? Result.succeed(reason) : given(cells.reason, reasonOf, issues.reason)
  const stream = given(
    cells.stream,
    (text) => Option.liftPredicate(isStream)(text.trim().toLowerCase()),
    issues.stream
  )
  const since = given(cells.since, timeOf, issues.since)
  if (Result.isFailure(own)) return Result.fail(own.failure)
  if (Result.isFailure(stream)) return Result.fail(stream.failure)
  if (Result.isFailure(since)) return Result.fail(since.failure)
  if (Option.isNone(own.success)) return Result.fail(issues.reason)
  if (Option.exists(since.success, (at) => Timestamp.isAhead(at, now))) return Result.fail(issues.future)
  return Result.succeed({ recipient, reason: own.success.value, stream: stream.success, since: since.success })
}

/** What a spreadsheet would take for a formula, and what marks that it is none. */
const formula = /^[=+\-@\t\r']/

/**
 * Marks a cell that a spreadsheet would take for a formula, so that it is text there.
 *
 * @category rendering
 * @since 0.2.0
 */
export const guard = (cell: string): string => formula.test(cell) ? `'${cell}` : cell

/**
 * A cell without its mark.
 *
 * @category parsing
 * @since 0.2.0
 */
export const unguard = (cell: string): string =>
  cell.startsWith("'") && formula.test(cell.slice(1)) ? cell.slice(1) : cell

/**
 * Writes a row; none where the address is forgotten.
 *
 * @category rendering
 * @since 0.2.0
 */
export const render = (
  { reason, recipient, since, stream }: Suppression.Suppression
): Option.Option<{ readonly [C in Column]: string | null }> =>
  Option.map(recipient, (recipient) => ({
    recipient,
    reason,
    stream: Option.getOrNull(stream),
    since: DateTime.formatIso(since)
  }))
