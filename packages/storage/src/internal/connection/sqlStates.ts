/** Sorts the SQLSTATEs of PostgreSQL: whose fault an error is, and why the database is not available where it is its own. */
import { type LedgerUnavailable } from "@waybill/core/LedgerError"

type Reason = LedgerUnavailable["reason"]

/**
 * The classes that are about the data of a statement: they would come again however well the database is. 42 is the
 * statement's own: its syntax and the names in it. Program limits (54) are reached by values that are too large or too deep.
 */
const ofData = new Set(["21", "22", "23", "27", "42", "44", "45", "54", "P0"])

/** SQLSTATEs that say more than their class. */
const states: Readonly<Record<string, Reason>> = {
  "08P01": "connection",
  "25006": "read-only",
  "26000": "pooler",
  "3D000": "database",
  "40001": "contention",
  "40002": "contention",
  "40P01": "contention",
  "42501": "permission",
  "42P05": "pooler",
  "53300": "too-many-connections",
  "55P03": "timeout",
  "57014": "timeout"
}

/** What the rest of a class says. */
const classes: Readonly<Record<string, Reason>> = {
  "08": "connection",
  "28": "authentication",
  "40": "connection",
  "53": "full",
  "57": "stopping"
}

/** Why the database is not available where it answers with a SQLSTATE; nothing where the SQLSTATE is about the data. */
export const reasonOf = (state: string): Reason | undefined => {
  const known = states[state]
  if (known !== undefined) return known
  const group = state.slice(0, 2)
  return ofData.has(group) ? undefined : classes[group] ?? "server"
}
