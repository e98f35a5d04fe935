/**
 * Posts what is told of alerts to an address, signed as Standard Webhooks says, and tries again until it is taken.
 *
 * It posts to no address within the network unless that is allowed, and follows no redirection. Nothing of the address or of an
 * answer is logged.
 *
 * @since 0.2.0
 */
import { Alert, AlertRule, Alerts, Provider, Retry, Tenant } from "@waybill/core"
import * as Attributes from "@waybill/core/Attributes"
import { Data, DateTime, Duration, Effect, Layer, Option, Predicate, Redacted, Schedule } from "effect"
import * as Http from "node:http"
import * as Https from "node:https"
import * as StandardWebhooks from "../schemes/StandardWebhooks.ts"
import * as PublicAddress from "./PublicAddress.ts"

/**
 * Where notices are posted, and how they are signed.
 *
 * @category models
 * @since 0.2.0
 */
export interface Target {
  /** An `http` or `https` URL. */
  readonly url: Redacted.Redacted
  /** A key of Standard Webhooks, `whsec_` and base64. */
  readonly secret: Redacted.Redacted
  /** Whether an address of a private network is taken too. */
  readonly allowPrivate: boolean
}

/**
 * A notice was not taken; it says why without the address.
 *
 * @category errors
 * @since 0.2.0
 */
export class NotPosted extends Data.TaggedError("NotPosted")<{ readonly reason: string }> {
  override get message(): string {
    return `the alert was not taken: ${this.reason}`
  }
}

const isKey = /^whsec_[A-Za-z0-9+/]{32,}={0,2}$/

/**
 * Reads a secret: `whsec_` and the base64 of 24 to 64 bytes.
 *
 * @category parsing
 * @since 0.2.0
 */
export const parseSecret = (text: string): Option.Option<Redacted.Redacted> => {
  const bytes = Buffer.from(text.slice("whsec_".length), "base64")
  return isKey.test(text) && bytes.length >= 24 && bytes.length <= 64
    ? Option.some(Redacted.make(text))
    : Option.none()
}

/**
 * Reads an address that can be posted to.
 *
 * @category parsing
 * @since 0.2.0
 */
export const parseUrl = (text: string): Option.Option<Redacted.Redacted> =>
  /^https?:\/\/[^/]/.test(text) && URL.canParse(text) ? Option.some(Redacted.make(text)) : Option.none()

/**
 * A notice as it is posted; one by way of trial has no alert.
 *
 * @category models
 * @since 0.2.0
 */
export type Posted = Omit<Alert.Notice, "position" | "alertId" | "isMuted"> & {
  readonly alertId: Alert.AlertId | null
}

/**
 * The body of a notice, in Standard Webhooks' form: `type`, `timestamp` and `data`.
 *
 * @category getters
 * @since 0.2.0
 */
export const bodyOf = ({ alertId, at, kind, line, of, rule, subject, tenantId, value }: Posted): string =>
  JSON.stringify({
    type: alertId === null ? "alert.test" : `alert.${kind}`,
    timestamp: DateTime.formatIso(at),
    data: {
      alertId,
      tenantId: tenantId === Tenant.all ? null : tenantId,
      rule,
      subject,
      value,
      of,
      line,
      summary: Alert.sentence({ kind, rule, subject, value, of, line }),
      advice: AlertRule.defaults[rule].advice
    }
  })

const scheme = StandardWebhooks.make(Provider.Provider.make("waybill"), {
  variable: "WAYBILL_ALERT_SECRET",
  about: "the key that posted alerts are signed with",
  prefixes: ["webhook"],
  key: "base64",
  signature: "versioned"
})

const signed = ({ secret }: Target, id: string, body: string, at: DateTime.Utc) => {
  const request = {
    headers: { "content-type": "application/json", "user-agent": "waybill", "webhook-id": id },
    body: new TextEncoder().encode(body)
  }
  return scheme.signing._tag === "Secret" ? scheme.signing.make(secret).sign(request, at) : request
}

/** How long an answer may take. */
const within = Duration.seconds(15)

const codeOf = (error: unknown): string =>
  Predicate.hasProperty(error, "code") && typeof error.code === "string" && /^[A-Z][A-Z0-9_]{1,40}$/.test(error.code)
    ? error.code
    : "it cannot be reached"

const isPrivate = "it leads to an address of a private network, which WAYBILL_ALERT_PRIVATE=true allows"

/** Sends a request and returns the status of its answer, whose body is not read. */
const send = (
  { allowPrivate, url: redacted }: Target,
  { body, headers }: { readonly headers: Readonly<Record<string, string>>; readonly body: Uint8Array }
): Effect.Effect<number, NotPosted> =>
  Effect.callback<number, NotPosted>((resume) => {
    const url = new URL(Redacted.value(redacted))
    const literal = PublicAddress.literalOf(url)
    if (!allowPrivate && literal !== undefined && !PublicAddress.isPublic(literal)) {
      return resume(Effect.fail(new NotPosted({ reason: isPrivate })))
    }
    const request = (url.protocol === "https:" ? Https : Http).request(url, {
      method: "POST",
      agent: false,
      headers: { ...headers, "content-length": body.length },
      ...!allowPrivate && { lookup: PublicAddress.lookup }
    })
    request.once("response", (response) => {
      resume(Effect.succeed(response.statusCode ?? 0))
      response.destroy()
    })
    request.on("error", (error) => {
      const code = codeOf(error)
      resume(Effect.fail(new NotPosted({ reason: code === PublicAddress.refusedCode ? isPrivate : code })))
    })
    request.end(body)
    return Effect.sync(() => request.destroy())
  }).pipe(
    Effect.timeoutOrElse({
      duration: within,
      orElse: () => Effect.fail(new NotPosted({ reason: "it does not answer" }))
    })
  )

/**
 * Posts one notice under an id that stays the same over retries, and fails unless the answer is of the class 2xx.
 *
 * @category posting
 * @since 0.2.0
 */
export const post = Effect.fnUntraced(function*(target: Target, id: string, notice: Posted) {
  const status = yield* send(target, signed(target, id, bodyOf(notice), yield* DateTime.now))
  if (status < 200 || status > 299) yield* new NotPosted({ reason: `it answers ${status}` })
})

/** How long another process leaves a claimed notice alone: more than posting those that are claimed at once may take. */
const lease = Duration.minutes(5)

const atOnce = 10

/**
 * Posts what is due, and notes of each when it is to be tried again if it was not taken; returns how many were taken.
 *
 * @category posting
 * @since 0.2.0
 */
export const postDue = Effect.fn("AlertPost.postDue")(function*(target: Target) {
  const alerts = yield* Alerts.Alerts
  const claimed = yield* alerts.claim({ limit: atOnce, lease })
  const taken = yield* Effect.forEach(
    claimed,
    ({ attempts, notice }) =>
      post(target, `alert_${notice.alertId}_${notice.position}`, notice).pipe(
        Effect.as(true),
        Effect.catch(({ reason }) =>
          Effect.logWarning("alert not posted").pipe(
            Effect.annotateLogs({ reason }),
            Attributes.annotateLogs({ rule: notice.rule }),
            Effect.as(false)
          )
        ),
        Effect.tap((isTaken) =>
          Effect.flatMap(DateTime.now, (now) =>
            alerts.posted(
              notice,
              isTaken ? Option.none() : Option.some(DateTime.addDuration(now, Retry.waitAfter(attempts)))
            ))
        )
      )
  )
  return taken.filter((isTaken) => isTaken).length
})

/**
 * Posts what is told for as long as the layer lives, looking every five seconds by default; of several processes one posts each.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (
  target: Target,
  options: { readonly every?: Duration.Input } = {}
): Layer.Layer<never, never, Alerts.Alerts> =>
  Layer.effectDiscard(
    postDue(target).pipe(
      Effect.catchCause(() => Effect.logWarning("alerts not posted")),
      Effect.repeat(Schedule.spaced(options.every ?? "5 seconds")),
      Effect.forkScoped
    )
  )
