/**
 * Reads where the ledger is kept from a database URL.
 *
 * @since 0.2.0
 */
import { Option, Redacted } from "effect"

/**
 * Where the ledger is kept.
 *
 * @category models
 * @since 0.1.0
 */
export type Location =
  | { readonly _tag: "Memory" }
  | { readonly _tag: "Embedded"; readonly directory: string }
  | { readonly _tag: "Server"; readonly url: Redacted.Redacted }

/**
 * Reads a database URL; none if the text is not one.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (text: string): Option.Option<Location> => {
  if (text === "memory:") return Option.some({ _tag: "Memory" })
  if (text.startsWith("pglite:")) {
    const directory = text.slice("pglite:".length)
    return directory === "" ? Option.none() : Option.some({ _tag: "Embedded", directory })
  }
  // The rest of it is read, and what is wrong with it said, when it is connected to.
  return /^postgres(?:ql)?:\/\/./.test(text) ? Option.some({ _tag: "Server", url: Redacted.make(text) }) : Option.none()
}
