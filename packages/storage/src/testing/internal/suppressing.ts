/** Takes the steps of a history that are about suppressions, and writes down what is suppressed after it. */
import { Act, type Delivery, Recipient, Suppression, Suppressions, type Tenant } from "@waybill/core"
import { DateTime, Effect, Option, Schema } from "effect"
import * as Given from "../Given.ts"

/** A step about suppressions, in plain values; instants are seconds after the beginning. */
export type Step =
  | {
    readonly _tag: "Add"
    readonly tenant: number
    readonly additions: ReadonlyArray<{
      readonly recipient: string
      readonly reason: Suppression.Reason
      readonly stream: Delivery.Stream | undefined
      readonly since: number | undefined
    }>
  }
  | {
    readonly _tag: "Lift"
    readonly tenant: number
    readonly recipient: string
    readonly reason: Suppression.Reason
    readonly stream: Delivery.Stream | undefined
    readonly because: string | undefined
  }
  | {
    readonly _tag: "Check"
    readonly tenant: number
    readonly recipients: ReadonlyArray<string>
    readonly stream: Delivery.Stream | undefined
  }
  /** Lists what is suppressed, page by page to the last. */
  | {
    readonly _tag: "List"
    readonly tenant: number
    readonly reason: Suppression.Reason | undefined
    readonly stream: Delivery.Stream | undefined
    readonly from: number | undefined
    readonly to: number | undefined
    readonly limit: number
  }
  | { readonly _tag: "Recall"; readonly tenant: number; readonly recipient: string; readonly limit: number }

const encode = Schema.encodeSync(Suppression.Suppression)
const encodeAct = Schema.encodeSync(
  Schema.Struct({
    kind: Act.Act.fields.kind,
    actedAt: Act.Act.fields.actedAt,
    actor: Act.Act.fields.actor,
    because: Act.Act.fields.because
  })
)

const entry = ({ act, at, eventId, lifts, reason, stream }: Suppressions.Entry): Schema.Json => ({
  reason,
  stream: Option.getOrNull(stream),
  lifts,
  at: DateTime.formatIso(at),
  eventId: Option.getOrNull(eventId),
  act: Option.getOrNull(Option.map(act, (act) => ({ ...encodeAct(act) })))
})

const shown = (suppression: Suppression.Suppression): Schema.Json => ({ ...encode(suppression) })

/** Each store has an order of its own. */
const inOrder = (values: ReadonlyArray<Schema.Json>): ReadonlyArray<Schema.Json> =>
  values.map((value) => ({ text: JSON.stringify(value), value }))
    .toSorted((left, right) => left.text < right.text ? -1 : 1)
    .map(({ value }) => value)

/** Every suppression that a listing shows, and how many each of its pages had. */
const pages = Effect.fnUntraced(function*(query: Omit<Suppressions.Query, "after">) {
  const suppressions = yield* Suppressions.Suppressions
  const found: Array<Suppression.Suppression> = []
  const sizes: Array<number> = []
  let after = Option.none<string>()
  do {
    const page: Suppressions.Page = yield* suppressions.list({ ...query, after })
    found.push(...page.suppressions)
    sizes.push(page.suppressions.length)
    after = page.next
  } while (Option.isSome(after))
  return { found, sizes }
})

/** Takes a step for its tenant, and gives its answer as JSON. */
export const take = Effect.fnUntraced(function*(step: Step, tenantId: Tenant.TenantId) {
  const suppressions = yield* Suppressions.Suppressions
  switch (step._tag) {
    case "Add": {
      const answer: Schema.Json = yield* suppressions.add({
        tenantId,
        additions: step.additions.map(({ reason, recipient, since, stream }) => ({
          recipient: Recipient.Recipient.make(recipient),
          reason,
          stream: Option.fromUndefinedOr(stream),
          since: Option.map(Option.fromUndefinedOr(since), Given.afterNoon)
        })),
        actor: "operator",
        because: Option.none()
      })
      return answer
    }
    case "Lift": {
      const lifted = yield* suppressions.lift({
        tenantId,
        recipient: Recipient.Recipient.make(step.recipient),
        reason: step.reason,
        stream: Option.fromUndefinedOr(step.stream),
        actor: "operator",
        because: Option.fromUndefinedOr(step.because)
      })
      return lifted.map(shown)
    }
    case "Check": {
      const held = yield* suppressions.check({
        tenantId,
        recipients: step.recipients.map((recipient) => Recipient.Recipient.make(recipient)),
        stream: Option.fromUndefinedOr(step.stream)
      })
      return held.map(shown)
    }
    case "List": {
      const { found, sizes } = yield* pages({
        tenantId,
        reason: Option.fromUndefinedOr(step.reason),
        stream: Option.fromUndefinedOr(step.stream),
        from: Option.map(Option.fromUndefinedOr(step.from), Given.afterNoon),
        to: Option.map(Option.fromUndefinedOr(step.to), Given.afterNoon),
        limit: step.limit
      })
      return { found: inOrder(found.map(shown)), sizes }
    }
    default: {
      const recalled = yield* suppressions.history({
        tenantId,
        recipient: Recipient.Recipient.make(step.recipient),
        limit: step.limit
      })
      return recalled.map(entry)
    }
  }
})

/** What is suppressed of a tenant, and the history of each address that a step may name. */
export const described = Effect.fnUntraced(function*(
  tenantId: Tenant.TenantId,
  write: (label: string, value: Schema.Json) => void
) {
  const suppressions = yield* Suppressions.Suppressions
  const { found } = yield* pages({
    tenantId,
    reason: Option.none(),
    stream: Option.none(),
    from: Option.none(),
    to: Option.none(),
    limit: 1000
  })
  for (const each of inOrder(found.map(shown))) write("suppressed", each)
  for (const address of ["ann@example.com", "bob@example.com", "j\u00f6@b\u00fccher.example"]) {
    const recipient = Recipient.Recipient.make(address)
    const entries = yield* suppressions.history({ tenantId, recipient, limit: 1000 })
    for (const each of entries) write(address, entry(each))
    const held = yield* suppressions.check({ tenantId, recipients: [recipient], stream: Option.none() })
    write(`${address} now`, held.map(shown))
  }
})
