/**
 * The fields that are read of what Amazon SES publishes about a message, whichever channel brought it.
 *
 * @since 0.2.0
 */
import { Schema } from "effect"
import * as Json from "../../internal/json.ts"

/**
 * Reads an event of Amazon SES; a field of another kind than expected counts as missing.
 *
 * @category decoding
 * @since 0.2.0
 */
export const decode = Json.decoder(() => {
  const parties = Json.lenient(Schema.Array(
    Schema.Struct({ emailAddress: Json.text, status: Json.text, diagnosticCode: Json.text })
  ))
  const topics = Json.lenient(Schema.Struct({
    unsubscribeAll: Json.flag,
    topicSubscriptionStatus: Json.lenient(
      Schema.Array(Schema.Struct({ topicName: Json.text, subscriptionStatus: Json.text }))
    )
  }))
  const engaged = Json.lenient(Schema.Struct({
    timestamp: Json.text,
    ipAddress: Json.text,
    userAgent: Json.text,
    link: Json.text
  }))
  return Schema.Struct({
    eventType: Json.text,
    notificationType: Json.text,
    mail: Json.lenient(Schema.Struct({
      messageId: Json.text,
      timestamp: Json.text,
      destination: Json.texts,
      headers: Json.lenient(Schema.Array(Schema.Struct({ name: Json.text, value: Json.text }))),
      tags: Json.lenient(Schema.Record(Schema.String, Schema.Array(Schema.String)))
    })),
    bounce: Json.lenient(Schema.Struct({
      bounceType: Json.text,
      bounceSubType: Json.text,
      bouncedRecipients: parties,
      reportingMTA: Json.text,
      timestamp: Json.text,
      feedbackId: Json.text
    })),
    complaint: Json.lenient(Schema.Struct({
      complaintSubType: Json.text,
      complaintFeedbackType: Json.text,
      complainedRecipients: parties,
      userAgent: Json.text,
      timestamp: Json.text,
      feedbackId: Json.text
    })),
    delivery: Json.lenient(Schema.Struct({
      timestamp: Json.text,
      recipients: Json.texts,
      smtpResponse: Json.text,
      reportingMTA: Json.text
    })),
    deliveryDelay: Json.lenient(
      Schema.Struct({
        timestamp: Json.text,
        delayType: Json.text,
        delayedRecipients: parties,
        reportingMTA: Json.text
      })
    ),
    subscription: Json.lenient(
      Schema.Struct({
        contactList: Json.text,
        timestamp: Json.text,
        newTopicPreferences: topics,
        oldTopicPreferences: topics
      })
    ),
    reject: Json.lenient(Schema.Struct({ reason: Json.text })),
    failure: Json.lenient(Schema.Struct({ errorMessage: Json.text })),
    open: engaged,
    click: engaged
  })
})

/**
 * An event as Amazon SES writes it.
 *
 * @category models
 * @since 0.2.0
 */
export type SesEvent = Json.Decoded<typeof decode>
