/**
 * Tells by which address the public reached a request: some providers sign it, and some carry a secret in its query.
 */
import type * as Webhook from "../Webhook.ts"

export interface Options {
  readonly publicUrl?: string | undefined
  readonly trustProxy?: boolean
}

const host = /^[A-Za-z0-9.:[\]_-]{1,255}$/

/** The first of a list, as the proxy that is nearest to the sender has it. */
const first = (header: string | undefined): string | undefined => header?.split(",", 1)[0]?.trim()

/** A trusted proxy wins: it alone knows which of several addresses was asked. */
const origin = (headers: Webhook.Request["headers"], { publicUrl, trustProxy = false }: Options): string => {
  const said = trustProxy ? first(headers["x-forwarded-host"]) ?? headers["host"] : undefined
  const scheme = first(headers["x-forwarded-proto"])?.toLowerCase()
  if (said !== undefined && host.test(said) && (scheme === "https" || scheme === "http")) return `${scheme}://${said}`
  return publicUrl?.replace(/\/+$/, "") ?? `http://${headers["host"] ?? ""}`
}

/** The address of a request, from the path and query as they came. */
export const of = (url: string, headers: Webhook.Request["headers"], options: Options): string =>
  `${origin(headers, options)}${url}`
