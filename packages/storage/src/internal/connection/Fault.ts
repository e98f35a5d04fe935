/** Says why a connection could not be made or was given up, in the words of `LedgerUnavailable`. */
import { type LedgerUnavailable } from "@waybill/core/LedgerError"

/** A connection that could not be made or was given up, and why. */
export class Fault extends Error {
  readonly reason: LedgerUnavailable["reason"]
  constructor(reason: LedgerUnavailable["reason"], message: string) {
    super(message)
    this.reason = reason
  }
}
