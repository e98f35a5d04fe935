/**
 * Names the settings of what `serve` answers over HTTP: where it listens, and within which limits.
 *
 * @since 0.2.0
 */
import { Inbox } from "@waybill/core"
import * as Unsubscribe from "@waybill/webhooks/Unsubscribe"
import { Duration, Option } from "effect"
import * as Kind from "./Kind.ts"
import type * as Setting from "./Setting.ts"

/**
 * The address that `serve` listens on.
 *
 * @category settings
 * @since 0.1.0
 */
export const host = Kind.text({
  name: "WAYBILL_HOST",
  about: "address that serve listens on",
  fallback: "127.0.0.1",
  issue: "must be an address or a host name",
  pattern: /^[A-Za-z0-9.:_-]{1,255}$/
})

/**
 * The port that `serve` listens on.
 *
 * @category settings
 * @since 0.1.0
 */
export const port: Setting.Setting<number> = {
  ...Kind.whole({
    name: "WAYBILL_PORT",
    about: "port that serve listens on",
    fallback: "8025",
    from: 0,
    to: 65_535
  }),
  issue: "must be a port from 0 to 65535"
}

/**
 * The address that probes and metrics are served on, if it is one of their own.
 *
 * @category settings
 * @since 0.2.0
 */
export const adminHost: Setting.Setting<Option.Option<string>> = Kind.optional({
  ...host,
  name: "WAYBILL_ADMIN_HOST",
  about: "address of their own for probes and metrics",
  fallback: ""
})

/**
 * The port that probes and metrics are served on, if it is one of their own.
 *
 * @category settings
 * @since 0.2.0
 */
export const adminPort: Setting.Setting<Option.Option<number>> = Kind.optional({
  ...port,
  name: "WAYBILL_ADMIN_PORT",
  about: "port of their own for probes and metrics",
  fallback: ""
})

/**
 * How long an idle connection is kept open.
 *
 * @category settings
 * @since 0.2.0
 */
export const keepAlive = Kind.durationWithin({
  name: "WAYBILL_KEEP_ALIVE",
  about: "how long an idle connection is kept open; longer than the load balancer before it does",
  fallback: "75s",
  from: Duration.seconds(1),
  to: Duration.hours(1),
  range: "1s to 1h"
})

/**
 * The largest webhook that is taken.
 *
 * @category settings
 * @since 0.1.0
 */
export const maxBodySize = Kind.size({
  name: "WAYBILL_MAX_BODY_SIZE",
  about: `largest webhook that is taken, as it is decoded, at most ${Inbox.maxBodyBytes / 1_000_000} MB`,
  fallback: "10 MB",
  maxBytes: Inbox.maxBodyBytes
})

/**
 * How long a webhook may take to arrive.
 *
 * @category settings
 * @since 0.1.0
 */
export const bodyTimeout = Kind.duration("WAYBILL_BODY_TIMEOUT", "how long a webhook may take to arrive", "15s")

/**
 * The bytes of webhooks that are in memory at once, and of requests of the API.
 *
 * @category settings
 * @since 0.2.0
 */
export const maxBodiesInFlight = Kind.size({
  name: "WAYBILL_MAX_BODIES_IN_FLIGHT",
  about: "bytes of all webhooks, and of all API requests, in hand at once; more are asked to come again",
  fallback: "64 MB",
  maxBytes: 1_000_000_000_000
})

/**
 * The address under which others reach `serve`, which links begin with.
 *
 * @category settings
 * @since 0.2.0
 */
export const publicUrl: Setting.Setting<Option.Option<string>> = Kind.optional(Kind.url({
  name: "WAYBILL_PUBLIC_URL",
  about: "address under which others reach serve, such as https://mail.example.com",
  fallback: "",
  issue: "must be an https URL without user and query, or an http URL of this machine",
  parse: (text) => Option.getSuccess(Unsubscribe.parseUrl(text))
}))

/**
 * Whether a proxy says by which address `serve` was reached.
 *
 * @category settings
 * @since 0.2.0
 */
export const trustProxy = Kind.isTrue(
  "WAYBILL_TRUST_PROXY",
  "whether a proxy before serve says by X-Forwarded-Proto and -Host which address was asked"
)

/**
 * The keys that links to unsubscribe are signed with.
 *
 * @category settings
 * @since 0.2.0
 */
export const unsubscribeKeys: Setting.Setting<Option.Option<Unsubscribe.Keys>> = Kind.optional(Kind.secret({
  name: "WAYBILL_UNSUBSCRIBE_KEYS",
  about: "keys of links to unsubscribe, id:secret,…; the first signs, and without any there are no links",
  fallback: "",
  issue:
    "must be id:secret, or several separated by commas: each with an id of its own, of letters, digits, - and _, and" +
    ` a secret of at least ${Unsubscribe.minSecretBytes} bytes`,
  parse: (text) => Option.getSuccess(Unsubscribe.parseKeys(text))
}))

/**
 * The parts that `serve` can answer by.
 *
 * @category constants
 * @since 0.2.0
 */
export const parts = ["webhooks", "api", "console", "probes", "metrics"] as const

/**
 * A part that `serve` can answer by.
 *
 * @category models
 * @since 0.2.0
 */
export type Part = typeof parts[number]

const isPart = (text: string): text is Part => parts.some((part) => part === text)

/**
 * The parts that `serve` answers by; the schedules run whatever they are.
 *
 * @category settings
 * @since 0.2.0
 */
export const served: Setting.Setting<ReadonlySet<Part>> = Kind.plain({
  name: "WAYBILL_SERVE",
  about: `what serve answers: some of ${parts.join(", ")}, with commas between`,
  fallback: parts.join(","),
  issue: `must be some of ${parts.join(", ")}, with commas between`,
  parse: (text: string) => {
    const named = text.split(",").map((part) => part.trim()).filter((part) => part !== "")
    const known = named.filter(isPart)
    return known.length === named.length ? Option.some(new Set(known)) : Option.none()
  }
})
