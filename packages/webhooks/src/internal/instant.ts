/**
 * Reads times in whatever form a provider has them: seconds or milliseconds since 1970, as a number or as text, and ISO 8601.
 */
import { type DateTime, Option } from "effect"
import * as Report from "./report.ts"

/** Reads seconds, or milliseconds where there are thirteen digits, which seconds do not reach for 300 centuries. */
const fromEpoch = (value: string | number | undefined): Option.Option<DateTime.Utc> => {
  const text = String(value ?? "").trim()
  return /^\d{13}(?:\.\d{1,20})?$/.test(text) ? Report.fromSeconds(Number(text) / 1000) : Report.fromSeconds(text)
}

/** Reads a time of any form; without an offset it is UTC. */
export const read = (value: string | number | undefined): Option.Option<DateTime.Utc> =>
  Option.orElse(fromEpoch(value), () => Report.fromIso(String(value ?? "").trim()))
