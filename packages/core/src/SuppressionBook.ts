/**
 * Gathers what is known of addresses from the reports and deliveries of a store that can read them all.
 *
 * @since 0.2.0
 */
import { Effect, Option } from "effect"
import * as Act from "./Act.ts"
import type * as Commit from "./Commit.ts"
import type * as Delivery from "./Delivery.ts"
import type * as Event from "./Event.ts"
import * as EventType from "./EventType.ts"
import * as Orphan from "./Orphan.ts"
import * as Recipient from "./Recipient.ts"
import * as Report from "./Report.ts"
import * as Suppression from "./Suppression.ts"
import type * as SuppressionStore from "./SuppressionStore.ts"
import type * as Tenant from "./Tenant.ts"
import * as Text from "./Text.ts"
import type * as Timestamp from "./Timestamp.ts"

/**
 * All that a store holds of one tenant which may say something of suppressions.
 *
 * @category models
 * @since 0.2.0
 */
export interface Book {
  /** The reports of the types of `Suppression.causing` and `EventType.resets`, at least. */
  readonly reports: ReadonlyArray<Commit.Stored>
  readonly deliveries: ReadonlyArray<Delivery.Delivery>
  /** The delivery of an id; none where the tenant has none. */
  readonly find: (deliveryId: Event.DeliveryId) => Option.Option<Delivery.Delivery>
  readonly acts: ReadonlyArray<{ readonly key: string; readonly act: Act.Act }>
  /** The addresses that acts named, until they are forgotten. */
  readonly addresses: ReadonlyArray<Recipient.Recipient>
}

const about = (stored: Commit.Stored, { find }: Book) =>
  Report.about(stored, Orphan.deliveryOf(stored.event, stored.linkedTo), find)

const causing = new Set<EventType.EventType>(Suppression.causing)

const reportsIn = ({ reports }: Book) => reports.filter(({ event }) => causing.has(event.type))

/** The facts of events, each with whom it is about. */
const factsIn = (
  book: Book
): ReadonlyArray<{ readonly recipient: Recipient.Recipient; readonly fact: Suppression.Fact }> =>
  reportsIn(book).flatMap((stored) => {
    const { recipient, stream } = about(stored, book)
    const fact = Suppression.factOf(stored.event, stream)
    return Option.isSome(recipient) && Option.isSome(fact) ? [{ recipient: recipient.value, fact: fact.value }] : []
  })

/**
 * What is known of every address of which something is, in the order of their keys.
 *
 * @category folding
 * @since 0.2.0
 */
export const gather = (
  book: Book,
  keyOf: (recipient: Recipient.Recipient) => string
): ReadonlyArray<SuppressionStore.Known> => {
  const facts = new Map<string, Array<Suppression.Fact>>()
  const addresses = new Map<string, Recipient.Recipient>()
  const add = (key: string, fact: Suppression.Fact): void => {
    const known = facts.get(key)
    if (known === undefined) facts.set(key, [fact])
    else known.push(fact)
  }
  const name = (recipient: Recipient.Recipient): void => {
    addresses.set(keyOf(recipient), Recipient.Recipient.make(Recipient.canonical(recipient)))
  }
  for (const { named } of reportsIn(book)) Option.toArray(Option.flatMap(named, ({ address }) => address)).forEach(name)
  for (const { fact, recipient } of factsIn(book)) add(keyOf(recipient), fact)
  for (const { act, key } of book.acts) add(key, Act.factOf(act))
  for (const { recipient } of book.deliveries) Option.toArray(recipient).forEach(name)
  book.addresses.forEach(name)
  return Array.from(facts, ([key, facts]): SuppressionStore.Known => ({
    key,
    recipient: Option.fromUndefinedOr(addresses.get(key)),
    facts
  })).toSorted((left, right) => Text.compare(left.key, right.key))
}

/**
 * The part of a store that reads, over books.
 *
 * @category constructors
 * @since 0.2.0
 */
export const reads = (
  bookOf: (tenantId: Tenant.TenantId) => Effect.Effect<Book>,
  keyOf: (tenantId: Tenant.TenantId) => (recipient: Recipient.Recipient) => string
): Pick<SuppressionStore.Store, "ofRecipients" | "next" | "resets" | "acts"> => {
  const gathered = (tenantId: Tenant.TenantId) => Effect.map(bookOf(tenantId), (book) => gather(book, keyOf(tenantId)))
  return {
    ofRecipients: (tenantId, recipients) =>
      Effect.map(bookOf(tenantId), (book) => {
        const facts = factsIn(book)
        return recipients.map((recipient): SuppressionStore.Known => {
          const key = keyOf(tenantId)(recipient)
          const acts = book.acts.filter((each) => each.key === key).map(({ act }) => Act.factOf(act))
          return {
            key,
            recipient: Option.none(),
            facts: [
              ...facts.filter((each) => Recipient.isSame(each.recipient, recipient)).map(({ fact }) => fact),
              ...acts
            ]
          }
        })
      }),
    next: ({ from, isExclusive, limit, reason, tenantId }) =>
      Effect.map(gathered(tenantId), (all) =>
        all
          .filter(({ facts, key }) =>
            (Option.isNone(from) || key > from.value || (!isExclusive && key === from.value)) &&
            (Option.isNone(reason) || facts.some((fact) => fact.reason === reason.value))
          )
          .slice(0, limit)),
    resets: (tenantId, asked) =>
      Effect.map(bookOf(tenantId), (book) => {
        const found = new Map(asked.map(({ key }): readonly [string, Array<Timestamp.Timestamp>] => [key, []]))
        for (const stored of book.reports) {
          if (!EventType.resets.includes(stored.event.type)) continue
          const { recipient } = about(stored, book)
          if (Option.isSome(recipient)) found.get(keyOf(tenantId)(recipient.value))?.push(stored.event.occurredAt)
        }
        return found
      }),
    acts: (tenantId, recipient) =>
      Effect.map(
        bookOf(tenantId),
        ({ acts }) => acts.filter(({ key }) => key === keyOf(tenantId)(recipient)).map(({ act }) => act)
      )
  }
}
