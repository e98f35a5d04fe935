/** Reads from what a connection failed with why it did. */
import { type LedgerUnavailable } from "@waybill/core/LedgerError"
import { Predicate } from "effect"
import { Fault } from "./Fault.ts"

type Reason = LedgerUnavailable["reason"]

/** What the operating system, the resolver of names and OpenSSL say. */
const codes: Readonly<Record<string, Reason>> = {
  ECONNREFUSED: "refused",
  ENOENT: "refused",
  ENOTFOUND: "name",
  EAI_AGAIN: "name",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
  EHOSTDOWN: "unreachable",
  ETIMEDOUT: "silent",
  ERR_TLS_CERT_ALTNAME_INVALID: "certificate-name",
  CERT_HAS_EXPIRED: "certificate-expired",
  CERT_NOT_YET_VALID: "certificate-expired",
  CERT_SIGNATURE_FAILURE: "authority",
  CERT_UNTRUSTED: "authority",
  DEPTH_ZERO_SELF_SIGNED_CERT: "authority",
  INVALID_CA: "authority",
  SELF_SIGNED_CERT_IN_CHAIN: "authority",
  UNABLE_TO_GET_ISSUER_CERT: "authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "authority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "authority"
}

/** What servers and poolers say in words alone, of the connections that they refuse. */
const words: ReadonlyArray<readonly [RegExp, Reason]> = [
  [/unsupported startup parameter|unrecognized configuration parameter/, "startup-parameter"],
  [/no encryption|SSL off|SSL required/, "tls-required"],
  [/no such database/, "database"],
  [/no more connections allowed/, "too-many-connections"],
  [/Connection timed out|cancellation timed out/, "silent"]
]

/** What an error and those beneath it say of why a connection failed; nothing where none says more than that it did. */
export const reasonOf = (error: unknown): Reason | undefined => {
  for (let depth = 0, cause = error; depth < 8 && Predicate.isObject(cause); depth++) {
    if (cause instanceof Fault) return cause.reason
    const code = Predicate.hasProperty(cause, "code") ? String(cause.code) : ""
    const known = codes[code]
    if (known !== undefined) return known
    if (code.startsWith("ERR_SSL_") || code === "EPROTO") return "tls"
    const message = Predicate.hasProperty(cause, "message") ? String(cause.message) : ""
    for (const [said, reason] of words) if (said.test(message)) return reason
    cause = Predicate.hasProperty(cause, "reason")
      ? cause.reason
      : Predicate.hasProperty(cause, "cause")
      ? cause.cause
      : undefined
  }
  return undefined
}
