/**
 * Understands what Amazon SES publishes: through Amazon SNS, as a signed envelope with the event as text in it or as the event
 * alone (raw message delivery), and through Amazon EventBridge.
 *
 * A valid signature only proves that some topic of Amazon's sent an envelope, so the topics that count are listed: their ARNs
 * are this provider's secrets. Nothing signs the other two, which have to carry a token.
 *
 * The key of an event is a digest of the message id, the type, the recipient and the `feedbackId` or the time to the
 * millisecond, and of the link and the IP address of an opening or a click: Amazon publishes one event several times, and
 * through two channels, under envelopes that differ. Only an event without a time has the envelope's id in its key. A change
 * of subscriptions says all topics at once, so that one message has one at a time.
 *
 * @since 0.1.0
 */
import { type Event, Provider, Recipient } from "@waybill/core"
import { Effect, Option, Result, Schema } from "effect"
import * as Json from "../../internal/json.ts"
import * as Report from "../../internal/report.ts"
import type * as Row from "../../Row.ts"
import type * as Scheme from "../../Scheme.ts"
import * as Token from "../../schemes/Token.ts"
import type * as Webhook from "../../Webhook.ts"
import { composer } from "./SesComposer.ts"
import * as SesEvent from "./SesEvent.ts"
import * as SnsEnvelope from "./SnsEnvelope.ts"
import * as SnsTopic from "./SnsTopic.ts"

const name = Provider.Provider.make("ses")

type Raw = SesEvent.SesEvent

type Parties = NonNullable<Raw["bounce"]>["bouncedRecipients"]

interface Named {
  readonly address: string | undefined
  readonly status?: string | undefined
  /** What the receiving server answered. */
  readonly response?: string | undefined
}

/** The part of an event that is named after its type. */
interface Part {
  readonly meaning: Report.Meaning
  readonly time: string | undefined
  readonly subtype?: string | undefined
  readonly feedbackId?: string | undefined
  /** What Amazon says in words. */
  readonly details?: Report.Report["details"]
  /** The values that tell two engagements of the same instant from each other. */
  readonly distinct?: ReadonlyArray<string | undefined>
  readonly named: ReadonlyArray<Named>
  /** Whether it is about each of those named, and not about one of them. */
  readonly certain: boolean
}

const fromParties = (parties: Parties): ReadonlyArray<Named> =>
  (parties ?? []).map(({ diagnosticCode, emailAddress, status }) => ({
    address: emailAddress,
    status,
    response: diagnosticCode
  }))

const fromAddresses = (addresses: ReadonlyArray<string> | undefined): ReadonlyArray<Named> =>
  (addresses ?? []).map((address) => ({ address }))

const classes: ReadonlyMap<string | undefined, Event.BounceClass> = new Map<string | undefined, Event.BounceClass>([
  ["Permanent", "hard"],
  ["Transient", "soft"]
])

/** A bounce of a recipient on a suppression list was not sent: nothing bounced but what had bounced before. */
const bounce = ({ bounce = {} }: Raw): Part => ({
  meaning: Report.refusal(bounce.bounceSubType, "bounced") ??
    { type: "bounced", rejectReason: "bounced", bounceClass: classes.get(bounce.bounceType) ?? "undetermined" },
  time: bounce.timestamp,
  subtype: bounce.bounceSubType,
  feedbackId: bounce.feedbackId,
  details: { server: bounce.reportingMTA },
  named: fromParties(bounce.bouncedRecipients),
  certain: true
})

/** A complaint of a recipient on a suppression list was not sent; `not-spam` takes an earlier one back. */
const complaint = ({ complaint = {} }: Raw): Part => ({
  meaning: Report.refusal(complaint.complaintSubType, "spam") ??
    (complaint.complaintFeedbackType === "not-spam" ? Report.unknown : { type: "complained" }),
  time: complaint.timestamp,
  subtype: complaint.complaintSubType ?? complaint.complaintFeedbackType,
  feedbackId: complaint.feedbackId,
  details: { description: complaint.complaintFeedbackType, userAgent: complaint.userAgent },
  named: fromParties(complaint.complainedRecipients),
  certain: complaint.complainedRecipients?.length === 1
})

const optedOut = (topics: Raw["subscription"], which: "newTopicPreferences" | "oldTopicPreferences"): Set<string> =>
  new Set(
    (topics?.[which]?.topicSubscriptionStatus ?? [])
      .filter(({ subscriptionStatus }) => subscriptionStatus === "OptOut")
      .map(({ topicName = "" }) => topicName)
  )

const subscription = ({ mail, subscription }: Raw): Part => {
  const before = optedOut(subscription, "oldTopicPreferences")
  const left = [...optedOut(subscription, "newTopicPreferences")].some((topic) => !before.has(topic))
  return {
    meaning: subscription?.newTopicPreferences === undefined
      ? Report.unknown
      : { type: subscription.newTopicPreferences.unsubscribeAll === true || left ? "unsubscribed" : "subscribed" },
    time: subscription?.timestamp,
    details: { list: subscription?.contactList },
    named: fromAddresses(mail?.destination),
    certain: mail?.destination?.length === 1
  }
}

/** An event about the message as a whole, and so about each of its recipients; it has the message's own time. */
const whole = ({ failure, mail, reject }: Raw, meaning: Report.Meaning): Part => ({
  meaning,
  details: { description: reject?.reason ?? failure?.errorMessage },
  time: mail?.timestamp,
  named: fromAddresses(mail?.destination),
  certain: true
})

/** An event of one recipient that does not say which. */
const engagement = (
  { mail }: Raw,
  type: "opened" | "clicked" | "unknown",
  part: Raw["open"]
): Part => ({
  meaning: { type },
  time: part?.timestamp,
  details: { url: part?.link, ip: part?.ipAddress, userAgent: part?.userAgent },
  distinct: [part?.link, part?.ipAddress],
  named: fromAddresses(mail?.destination?.slice(0, 1)),
  certain: type !== "unknown" && mail?.destination?.length === 1
})

const part = (type: string, raw: Raw): Part => {
  switch (type) {
    case "Send":
      return whole(raw, { type: "sent" })
    case "Reject":
      return whole(raw, { type: "rejected", rejectReason: "blocked" })
    case "Rendering Failure":
      return whole(raw, { type: "failed" })
    case "Delivery":
      return {
        meaning: { type: "delivered" },
        time: raw.delivery?.timestamp,
        details: { response: raw.delivery?.smtpResponse, server: raw.delivery?.reportingMTA },
        named: fromAddresses(raw.delivery?.recipients),
        certain: true
      }
    case "DeliveryDelay":
      return {
        meaning: { type: "deferred" },
        time: raw.deliveryDelay?.timestamp,
        subtype: raw.deliveryDelay?.delayType,
        details: { server: raw.deliveryDelay?.reportingMTA },
        named: fromParties(raw.deliveryDelay?.delayedRecipients),
        certain: true
      }
    case "Bounce":
      return bounce(raw)
    case "Complaint":
      return complaint(raw)
    case "Subscription":
      return subscription(raw)
    case "Open":
      return engagement(raw, "opened", raw.open)
    case "Click":
      return engagement(raw, "clicked", raw.click)
    default:
      return engagement(raw, "unknown", undefined)
  }
}

const echoed = ({ mail }: Raw): string | undefined =>
  mail?.tags?.["waybill_delivery_id"]?.[0] ??
    mail?.headers?.find(({ name }) => name?.toLowerCase() === "x-waybill-delivery-id")?.value

/** Whether the message was sent to an address; a report from elsewhere may name another, where that mailbox forwards to. */
const isSentTo = ({ mail }: Raw, recipient: Option.Option<Event.NamedRecipient>): boolean =>
  Option.exists(
    recipient,
    ({ address }) =>
      (mail?.destination ?? []).some((each) =>
        Option.exists(Report.recipient(each, true), (known) => Recipient.isSame(known.address, address))
      )
  )

/** The tags that the app gave to the message; Amazon adds its own, which begin with `ses:`. */
const tagged = ({ mail }: Raw): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(mail?.tags ?? {})
      .filter(([name]) => !name.startsWith("ses:"))
      .map(([name, values]) => [name, values.join(", ")])
  )

/** Notifications that are not about a message that was sent. */
const otherNotifications = new Set(["Received", "AmazonSnsSubscriptionSucceeded"])

/** What is around an event: an id and a time of its own, for one that has none. */
interface Around {
  readonly id: string | undefined
  readonly time: string | undefined
}

const published = (value: unknown, around: Around, { receivedAt }: Webhook.Received): Report.Item => {
  const decoded = SesEvent.decode(value)
  if (Option.isNone(decoded)) return Report.undecodable("NotAnObject")
  const raw = decoded.value
  const type = raw.eventType ?? raw.notificationType
  if (type === undefined || type === "") return Report.undecodable("MissingType")
  if (otherNotifications.has(type)) return Report.ignored(type)
  const { certain, details, distinct = [], feedbackId, meaning, named, subtype, time } = part(type, raw)
  const first = named.length === 0 ? { address: raw.mail?.destination?.[0] } : undefined
  return Report.events(...(first === undefined ? named : [first]).map(({ address, response, status }: Named) => {
    const recipient = Report.recipient(address, certain && first === undefined)
    const isCertain = isSentTo(raw, recipient)
    const otherRecipient = Option.isSome(recipient) && raw.mail?.destination !== undefined && !isCertain
    return {
      provider: name,
      meaning,
      payload: {
        event: type,
        subtype,
        status,
        otherRecipient
      },
      details: {
        ...details,
        ...(response !== undefined && { response }),
        otherRecipient: otherRecipient ? address : undefined,
        metadata: tagged(raw)
      },
      occurredAt: Option.getOrElse(
        Option.orElse(Report.fromIso(time), () => Report.fromIso(around.time)),
        () => receivedAt
      ),
      messageId: raw.mail?.messageId,
      eventId: feedbackId,
      deliveryId: echoed(raw),
      recipient: isCertain ? recipient : Report.recipient(address, false),
      key: Report.keyOfNature(
        name,
        feedbackId ?? time ?? around.id,
        value,
        raw.mail?.messageId,
        type,
        address,
        ...distinct
      )
    }
  }))
}

const notification = (envelope: SnsEnvelope.SnsEnvelope, received: Webhook.Received): Report.Item =>
  Option.match(Json.parse(envelope.Message ?? ""), {
    onNone: () => Report.ignored("text"),
    onSome: (value) => published(value, { id: envelope.MessageId, time: envelope.Timestamp }, received)
  })

/** What EventBridge puts around an event. */
const decodeBridge = Json.decoder(() =>
  Schema.Struct({
    id: Json.text,
    time: Json.text,
    source: Schema.Literal("aws.ses"),
    "detail-type": Schema.String,
    detail: Schema.Unknown
  })
)

type Bridge = Json.Decoded<typeof decodeBridge>

/** Events of the account, such as advice, are about no message. */
const bridged = ({ detail, id, time, "detail-type": kind }: Bridge, received: Webhook.Received): Report.Item =>
  Option.isNone(Option.filter(SesEvent.decode(detail), ({ mail }) => mail !== undefined))
    ? Report.ignored(kind)
    : published(detail, { id, time }, received)

const isEvent = ({ eventType, mail, notificationType }: Raw): boolean =>
  mail !== undefined && (eventType ?? notificationType) !== undefined

const item = (value: unknown, received: Webhook.Received): Option.Option<Report.Item> => {
  const envelope = Option.getOrElse(SnsEnvelope.decode(value), (): SnsEnvelope.SnsEnvelope => ({}))
  switch (envelope.Type) {
    case "Notification":
      return Option.some(notification(envelope, received))
    case "SubscriptionConfirmation":
    case "UnsubscribeConfirmation":
      return Option.some(Report.ignored(envelope.Type))
    default:
      return Option.orElse(
        Option.map(decodeBridge(value), (bridge) => bridged(bridge, received)),
        () =>
          Option.exists(SesEvent.decode(value), isEvent)
            ? Option.some(published(value, { id: undefined, time: undefined }, received))
            : Option.none()
      )
  }
}

/**
 * Reduces what was published to one event for each recipient it is about; what is about a subscription is no mail.
 *
 * @category normalization
 * @since 0.1.0
 */
export const normalize: Row.Row["normalize"] = (received) =>
  Result.flatMap(Report.json(name, received), (value) => {
    if (Option.isNone(SnsEnvelope.decode(value))) return Report.malformed(name, "NotAnObject")
    return Option.match(item(value, received), {
      onNone: () => Report.malformed(name, "UnknownEnvelope"),
      onSome: (item) => Result.succeed([Report.collect([item])])
    })
  })

const isEnvelope = ({ body }: Webhook.Request): boolean =>
  Option.exists(SnsEnvelope.read(body), ({ Type }) => Type !== undefined)

/**
 * The modules that ask Amazon over HTTP are loaded when the row is opened: a command that only lists the providers does not
 * wait for them.
 */
const sns = Effect.promise(() => import("./Sns.ts"))

const certificates = Effect.promise(() => import("./SnsCertificates.ts"))

const subscriptions = Effect.promise(() => import("./SnsSubscriptions.ts"))

const sender = Effect.promise(() => import("./SesSender.ts"))

const signature: Scheme.Scheme = {
  name: "signature",
  secrets: { variable: "WAYBILL_SES_TOPIC_ARNS", about: "SNS topics that may report", isPublic: true },
  proof: "signature",
  isFor: isEnvelope,
  admit: SnsTopic.admit(name),
  open: Effect.flatMap(
    Effect.all([sns, certificates]),
    ([Sns, SnsCertificates]) => Effect.provide(Sns.verify(name), SnsCertificates.layer)
  ),
  signing: {
    _tag: "Nothing",
    generate: Effect.flatMap(sender, ({ generate }) => generate),
    issue: "an endpoint believes the certificates of Amazon alone"
  }
}

/**
 * The row of Amazon SES in the table of providers.
 *
 * @category providers
 * @since 0.1.0
 */
export const row: Row.Row = {
  name,
  schemes: [signature, {
    ...Token.make(name, "WAYBILL_SES_TOKEN", "token of EventBridge and of raw message delivery, which nobody signs"),
    isFor: (request) => !isEnvelope(request)
  }],
  switches: [{
    name: SnsEnvelope.confirmSubscriptions,
    variable: "WAYBILL_SES_CONFIRM_SUBSCRIPTIONS",
    about: "whether to confirm subscriptions of those topics"
  }],
  headers: ["x-amz-sns-message-type", "x-amz-sns-message-id", "x-amz-sns-topic-arn"],
  refusal: 401,
  unavailable: 503,
  setup: ({ body }) =>
    Option.exists(SnsEnvelope.read(body), ({ Type }) => Type !== undefined && Type !== "Notification")
      ? Option.some({})
      : Option.none(),
  normalize,
  followUp: Effect.flatMap(
    Effect.all([sns, subscriptions]),
    ([Sns, SnsSubscriptions]) => Effect.provide(Sns.followUp(name), SnsSubscriptions.layer)
  ),
  composer
}
