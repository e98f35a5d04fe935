import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { attribute, html } from "../src/internal/Html.ts"

/** What a browser makes of an escaped text. */
const read = (text: string): string =>
  text.replace(
    /&(amp|lt|gt|quot|#39);/g,
    (_, name: string) => ({ amp: "&", lt: "<", gt: ">", quot: "\"", "#39": "'" })[name] ?? ""
  )

const letters = Schema.Literals("<>&\"'`=/ -!ascript\u202e\u2069\u0007\n".split(""))

const texts = Arbitrary.schema(Schema.Array(letters).check(Schema.isMaxLength(40)))

describe("a template", () => {
  it.prop("takes any string as text, in text and in an attribute", [texts], ([letters]) => {
    const text = letters.join("")
    const inText = html`<p>${text}</p>`.text
    const inAttribute = html`<p title="${text}">a</p>`.text
    const inner = inText.slice("<p>".length, -"</p>".length)
    assert.notMatch(inner, /[<>"']/)
    assert.notMatch(inAttribute.slice("<p title=\"".length, -"\">a</p>".length), /[<>"']/)
    assert.strictEqual(
      read(inner),
      text.replaceAll("\u0007", "\ufffd").replaceAll("\u202e", "\u27e8U+202E\u27e9")
        .replaceAll("\u2069", "\u27e8U+2069\u27e9")
    )
  })

  it("refuses a place in a tag without quotes, in a script and in a style", () => {
    const text = "x"
    assert.throws(() => html`<p title=${text}>a</p>`)
    assert.throws(() => html`<p ${text}>a</p>`)
    assert.throws(() => html`<script>${text}</script>`)
    assert.throws(() => html`<style>${text}</style>`)
    assert.throws(() => html`<!-- ${text} -->`)
    assert.strictEqual(html`<p${attribute("title", "\"x\"")}>a</p>`.text, "<p title=\"&quot;x&quot;\">a</p>")
  })
})
