/**
 * Generates histories that collide: few tenants, ids, keys, addresses and instants, so that equal ones meet.
 *
 * @since 0.1.0
 */
import { Delivery, Event, EventType, Suppression } from "@waybill/core"
import { Arbitrary, Schema } from "effect"
import type * as History from "./History.ts"

const integer = (minimum: number, maximum: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/**
 * How large a generated history may grow: the `size` of its checks.
 *
 * @category constants
 * @since 0.1.0
 */
export const size = 24

/** One of some generators, each as often as its weight says; a failure shrinks towards the first. */
const weighted = <A>(
  first: readonly [weight: number, of: Arbitrary.Arbitrary<A>],
  ...others: ReadonlyArray<readonly [weight: number, of: Arbitrary.Arbitrary<A>]>
): Arbitrary.Arbitrary<A> => {
  const tickets = [first, ...others].flatMap(([weight, of]) => Array.from({ length: weight }, () => of))
  return Arbitrary.flatMap(integer(0, tickets.length - 1), (ticket) => tickets[ticket] ?? first[1])
}

const sometimes = <A>(
  of: Arbitrary.Arbitrary<A>,
  absent: number,
  present: number
): Arbitrary.Arbitrary<A | undefined> => weighted<A | undefined>([absent, Arbitrary.Constant(undefined)], [present, of])

const tenant = weighted([7, Arbitrary.Constant(0)], [1, Arbitrary.Constant(1)])

const few = weighted([4, Arbitrary.Constant(0)], [2, Arbitrary.Constant(1)], [1, Arbitrary.Constant(2)])

const delivery = few

const message = few

const provider = weighted<string>([9, Arbitrary.Constant("postmark")], [1, Arbitrary.Constant("sendgrid")])

const recipient = weighted<string>(
  [4, Arbitrary.Constant("ann@example.com")],
  [1, Arbitrary.Constant("Ann@Example.COM")],
  [2, Arbitrary.Constant("bob@example.com")],
  [1, Arbitrary.Constant("j\u00f6@b\u00fccher.example")],
  [1, Arbitrary.Constant("JO\u0308@xn--bcher-kva.example.")]
)

const boolean = Arbitrary.schema(Schema.Boolean)

const stream = Arbitrary.schema(Delivery.Stream)

const reason = Arbitrary.schema(Suppression.Reason)

/**
 * A provider's report.
 *
 * @category generators
 * @since 0.1.0
 */
export const report: Arbitrary.Arbitrary<History.Report> = Arbitrary.all({
  type: weighted(
    [2, Arbitrary.Constant<EventType.ReportedType>("delivered")],
    [1, Arbitrary.Constant<EventType.ReportedType>("bounced")],
    [2, Arbitrary.schema(EventType.ReportedType)]
  ),
  at: integer(-2, 3),
  provider,
  message: sometimes(message, 1, 12),
  echo: sometimes(delivery, 5, 1),
  recipient: sometimes(recipient, 1, 2),
  certain: boolean,
  bounce: sometimes(Arbitrary.schema(Event.BounceClass), 2, 1),
  key: sometimes(integer(0, 2), 7, 1),
  words: sometimes(integer(0, 1), 1, 2)
})

const record: Arbitrary.Arbitrary<History.Step> = Arbitrary.all({
  _tag: Arbitrary.Constant("Record"),
  tenant,
  delivery: sometimes(delivery, 1, 9),
  key: sometimes(integer(0, 1), 6, 1),
  recipient,
  mailable: weighted([8, Arbitrary.Constant("welcome")], [1, Arbitrary.Constant("receipt")]),
  stream: sometimes(stream, 1, 1),
  ignoreSuppression: weighted([5, Arbitrary.Constant(false)], [1, Arbitrary.Constant(true)])
})

const dispatch: Arbitrary.Arbitrary<History.Step> = Arbitrary.all({
  _tag: Arbitrary.Constant("Dispatch"),
  tenant,
  delivery,
  provider,
  message,
  expected: sometimes(integer(1, 3), 5, 1)
})

const fail: Arbitrary.Arbitrary<History.Step> = Arbitrary.all({
  _tag: Arbitrary.Constant("Fail"),
  tenant,
  delivery,
  code: weighted([2, Arbitrary.Constant("timeout")], [1, Arbitrary.Constant("refused")]),
  final: weighted([3, Arbitrary.Constant(false)], [1, Arbitrary.Constant(true)]),
  attempt: sometimes(integer(1, 3), 1, 1),
  expected: sometimes(integer(1, 3), 5, 1)
})

const ofSender = weighted<History.Step>(
  [3, fail],
  [
    1,
    Arbitrary.all({
      _tag: Arbitrary.Constant("Suppress"),
      tenant,
      delivery,
      expected: sometimes(integer(1, 3), 5, 1)
    })
  ],
  [2, Arbitrary.all({ _tag: Arbitrary.Constant("Claim"), tenant, limit: integer(1, 3) })]
)

const append: Arbitrary.Arbitrary<History.Step> = Arbitrary.all({
  _tag: Arbitrary.Constant("Append"),
  tenant,
  reports: Arbitrary.array(report, { maxLength: 4 })
})

const repeat: Arbitrary.Arbitrary<History.Step> = Arbitrary.all({
  _tag: Arbitrary.Constant("Repeat"),
  tenant,
  latest: integer(1, 5),
  reversed: boolean
})

const sweep: Arbitrary.Arbitrary<History.Step> = Arbitrary.all({
  _tag: Arbitrary.Constant("Sweep"),
  tenant,
  limit: weighted([1, Arbitrary.Constant(1)], [2, Arbitrary.Constant(100)]),
  grace: weighted([2, Arbitrary.Constant(0)], [1, Arbitrary.Constant(60)])
})

const wait: Arbitrary.Arbitrary<History.Step> = Arbitrary.all({
  _tag: Arbitrary.Constant("Wait"),
  seconds: integer(-30, 90)
})

const instant = sometimes(integer(-60, 90), 5, 1)

const eventType = weighted<EventType.EventType>(
  [2, Arbitrary.Constant<EventType.EventType>("bounced")],
  [3, Arbitrary.schema(EventType.EventType)]
)

const search: Arbitrary.Arbitrary<History.Step> = Arbitrary.all({
  _tag: Arbitrary.Constant("Search"),
  tenant,
  search: Arbitrary.all({
    recipient: sometimes(recipient, 5, 1),
    domain: sometimes(
      weighted<string>([1, Arbitrary.Constant("EXAMPLE.com.")], [1, Arbitrary.Constant("b\u00fccher.example")]),
      7,
      1
    ),
    message: sometimes(message, 5, 1),
    delivery: sometimes(delivery, 9, 1),
    key: sometimes(integer(0, 1), 9, 1),
    mailable: sometimes(Arbitrary.Constant("welcome"), 5, 1),
    provider: sometimes(provider, 5, 1),
    status: sometimes(Arbitrary.schema(EventType.Status), 4, 1),
    last: sometimes(eventType, 7, 1),
    event: sometimes(eventType, 3, 1),
    recordedFrom: instant,
    recordedTo: instant,
    happenedFrom: instant,
    happenedTo: instant,
    stuckFor: sometimes(integer(0, 60), 5, 1),
    limit: integer(1, 3),
    reach: integer(1, 4)
  })
})

const byHand = weighted<History.Step>(
  [
    2,
    Arbitrary.all({
      _tag: Arbitrary.Constant("LinkTo"),
      tenant,
      event: integer(0, 5),
      delivery,
      expected: sometimes(integer(1, 3), 3, 1)
    })
  ],
  [1, Arbitrary.all({ _tag: Arbitrary.Constant("Dismiss"), tenant, event: integer(0, 5) })],
  [1, Arbitrary.all({ _tag: Arbitrary.Constant("Retry"), tenant, event: integer(0, 5) })],
  [1, Arbitrary.all({ _tag: Arbitrary.Constant("Forget"), tenant, recipient })]
)

const ofSuppressions = weighted<History.Step>(
  [
    2,
    Arbitrary.all({
      _tag: Arbitrary.Constant("Add"),
      tenant,
      additions: Arbitrary.array(
        Arbitrary.all({
          recipient,
          reason,
          stream: sometimes(stream, 1, 1),
          since: sometimes(integer(-90, 90), 1, 1)
        }),
        { maxLength: 3 }
      )
    })
  ],
  [
    3,
    Arbitrary.all({
      _tag: Arbitrary.Constant("Lift"),
      tenant,
      recipient,
      reason,
      stream: sometimes(stream, 4, 1),
      because: sometimes(Arbitrary.Constant("asked by phone"), 1, 3)
    })
  ],
  [
    1,
    Arbitrary.all({
      _tag: Arbitrary.Constant("Check"),
      tenant,
      recipients: Arbitrary.array(recipient, { maxLength: 3 }),
      stream: sometimes(stream, 1, 1)
    })
  ],
  [
    1,
    Arbitrary.all({
      _tag: Arbitrary.Constant("List"),
      tenant,
      reason: sometimes(reason, 2, 1),
      stream: sometimes(stream, 2, 1),
      from: sometimes(integer(-60, 90), 3, 1),
      to: sometimes(integer(-60, 90), 3, 1),
      limit: integer(1, 3)
    })
  ],
  [1, Arbitrary.all({ _tag: Arbitrary.Constant("Recall"), tenant, recipient, limit: integer(1, 5) })]
)

const importing: Arbitrary.Arbitrary<History.Step> = Arbitrary.all({
  _tag: Arbitrary.Constant("Import"),
  tenant,
  delivery,
  provider,
  message,
  recipient
})

const steps = (more: ReadonlyArray<readonly [number, Arbitrary.Arbitrary<History.Step>]>) =>
  Arbitrary.array(
    weighted(
      [5, append],
      [4, record],
      [5, dispatch],
      [1, repeat],
      [2, wait],
      [1, sweep],
      [1, byHand],
      [4, search],
      [2, ofSender],
      [3, ofSuppressions],
      ...more
    ),
    { maxLength: size }
  )

/**
 * A history of what the port can do.
 *
 * @category generators
 * @since 0.1.0
 */
export const history: Arbitrary.Arbitrary<History.History> = steps([])

/**
 * A history in which another writer inserts deliveries too.
 *
 * @category generators
 * @since 0.1.0
 */
export const historyWithImports: Arbitrary.Arbitrary<History.History> = steps([[4, importing], [4, sweep]])
