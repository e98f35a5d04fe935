/**
 * Posts a signed webhook as a provider would, to see that an endpoint takes it.
 *
 * @since 0.1.0
 */
import { EventType, Recipient } from "@waybill/core"
import { Effect, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

/**
 * The endpoint did not take the webhook.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotTaken extends Schema.TaggedError<NotTaken>("waybill/NotTaken")("NotTaken", { status: Schema.Int }) {
  override get message(): string {
    return `the endpoint answered ${this.status}`
  }
}

/**
 * `waybill send-test`
 *
 * @category commands
 * @since 0.1.0
 */
export const sendTest = Command.make(
  "send-test",
  {
    provider: Flag.String("provider").pipe(Flag.withDescription("Whose webhook to send, such as postmark")),
    type: Flag.Literals("type", EventType.ReportedType.literals).pipe(
      Flag.withDescription("What the webhook reports, such as bounced")
    ),
    url: Flag.String("url").pipe(
      Flag.filter((url) => /^https?:\/\/[^/]/.test(url) && URL.canParse(url), () => "must be an http or https URL"),
      Flag.withDescription("Where to post it, such as http://localhost:8025/webhooks/postmark")
    ),
    messageId: Flag.String("message-id").pipe(
      Flag.withSchema(Schema.String.check(Schema.isPattern(/^[!-~]{1,255}$/))),
      Flag.withDescription("The message it is about (default: a new one)"),
      Flag.optional
    ),
    recipient: Flag.String("recipient").pipe(
      Flag.withSchema(Recipient.Recipient),
      Flag.withDescription("Whom the message went to (default: reader@example.com)"),
      Flag.withDefault(Recipient.Recipient.make("reader@example.com"))
    ),
    privateKey: Flag.File("private-key").pipe(
      Flag.withDescription(
        "The key to sign SendGrid's or Postal's webhooks with, in PEM; the endpoint has its public key"
      ),
      Flag.optional
    ),
    tenantId: Parameters.tenantId,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ json, ...asked }) {
    const SendTest = yield* Effect.promise(() => import("../../work/SendTest.ts"))
    const { answer, messageId, status } = yield* SendTest.send(asked)
    const { provider, type } = asked
    yield* Output.write(
      json,
      { provider, type, messageId, status, answer },
      () => `${provider} ${type} of ${messageId}: answered ${status} ${answer}`.trim()
    )
    if (status < 200 || status > 299) yield* new NotTaken({ status })
  })
).pipe(
  Command.withDescription("Post a webhook as a provider would, signed with the configured secret"),
  Command.withExamples([
    {
      command: "waybill send-test --provider postmark --type bounced --url http://localhost:8025/webhooks/postmark",
      description: "A bounce of a message that nobody sent: an orphan"
    },
    {
      command:
        "waybill send-test --provider sendgrid --type delivered --url http://localhost:8025/webhooks/sendgrid --private-key key.pem",
      description: "SendGrid alone has the key to its public key; this one is of a test"
    }
  ])
)
