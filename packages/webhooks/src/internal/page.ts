/**
 * Writes the pages that a recipient sees: one heading, one sentence, and a button where there is something to do.
 *
 * A page works without scripts, loads nothing, and is told to show nothing but what is in it.
 */
import { HttpServerResponse } from "effect/http"
import { createHash } from "node:crypto"

export interface Page {
  readonly title: string
  readonly text: string
  /** The button that sends a form back to the page's own address. */
  readonly button?: { readonly label: string; readonly fields: Readonly<Record<string, string>> }
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;"
}

const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character] ?? "")

const style =
  `:root{color-scheme:light dark;--ground:#f5f5f2;--card:#fff;--ink:#1c1c1a;--soft:#55554f;--line:#d9d9d2;--act:#1f4fbf;--on:#fff}
@media (prefers-color-scheme:dark){:root{--ground:#161614;--card:#20201d;--ink:#f0f0ea;--soft:#b4b4aa;--line:#3a3a35;--act:#9db8ff;--on:#101828}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--ground);color:var(--ink);font:1rem/1.55 system-ui,sans-serif}
main{width:100%;max-width:28rem;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem}
h1{margin:0 0 .5rem;font-size:1.375rem;line-height:1.25}
p{margin:0;color:var(--soft);overflow-wrap:anywhere}
form{margin:1.5rem 0 0}
button{width:100%;min-height:3rem;padding:.6rem 1rem;font:inherit;font-weight:600;color:var(--on);background:var(--act);border:0;border-radius:.5rem;cursor:pointer}
button:focus-visible{outline:3px solid var(--ink);outline-offset:3px}`

const styleHash = createHash("sha256").update(style).digest("base64")

const headers = {
  "content-security-policy":
    `default-src 'none'; style-src 'sha256-${styleHash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-robots-tag": "noindex, nofollow",
  "cache-control": "no-store"
}

const form = ({ fields, label }: NonNullable<Page["button"]>): string =>
  `<form method="post">${
    Object.entries(fields).map(([name, value]) =>
      `<input type="hidden" name="${escape(name)}" value="${escape(value)}">`
    ).join("")
  }<button type="submit">${escape(label)}</button></form>`

/** The text of a page. */
export const render = ({ button, text, title }: Page): string =>
  `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${escape(title)}</h1>
<p>${escape(text)}</p>
${button === undefined ? "" : form(button)}
</main>
</body>
</html>
`

/** The answer with a page. */
export const respond = (
  page: Page,
  status: number,
  more: Readonly<Record<string, string>> = {}
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(render(page), {
    status,
    contentType: "text/html; charset=utf-8",
    headers: { ...headers, ...more }
  })
