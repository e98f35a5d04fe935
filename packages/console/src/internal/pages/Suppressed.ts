/** Says what keeps mail from an address. */
import type { Suppression } from "@waybill/core"
import { Option } from "effect"
import { type Html, html } from "../Html.ts"
import * as Show from "../Show.ts"

/** The stream that a suppression is about. */
export const streamOf = ({ stream }: Pick<Suppression.Held, "stream">): string =>
  Option.getOrElse(stream, () => "all mail")

/** What keeps mail from an address, in a sentence. */
export const sentence = (suppressed: ReadonlyArray<Suppression.Suppression>): Html =>
  html`Suppressed: ${
    suppressed.map((each, index) =>
      html`${index === 0 ? "" : "; "}${each.reason} (${streamOf(each)}) since ${Show.time(each.since)}`
    )
  }.`
