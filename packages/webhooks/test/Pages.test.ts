/** Compares the pages of the providers with their rows. */
import { assert, describe, it } from "@effect/vitest"
import { Providers } from "@waybill/webhooks"
import { readFileSync } from "node:fs"

const page = (name: string): string =>
  readFileSync(new URL(`../../../docs/providers/${name}.md`, import.meta.url), "utf8")

const headings = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^## (.*)$/gm)].map(([, heading = ""]) => heading)

describe.each(Providers.all)("the page of $name", ({ name, schemes, switches = [] }) => {
  it("has the form of all, and names each setting of the row", () => {
    const text = page(name)
    assert.deepStrictEqual(headings(text), [
      "Set up",
      "Our delivery id",
      "What events become",
      "Duplicates",
      "Retries"
    ])
    for (
      const variable of [
        ...schemes.map(({ secrets }) => secrets.variable),
        ...switches.map((each) => each.variable)
      ]
    ) {
      assert.include(text, variable)
    }
    assert.include(text, `/webhooks/${name}`)
  })

  it("is in the table of all", () => {
    assert.match(page("README"), new RegExp(`\\]\\(${name}\\.md\\) *\\| \`${name}\` *\\|`))
  })
})
