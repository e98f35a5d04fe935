/** What stands around every page, and what every answer says to the browser. */
import { Tenant } from "@waybill/core"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { createHash } from "node:crypto"
import { attribute, documentOf, type Html, html } from "./Html.ts"
import { css } from "./Look.ts"
import { js } from "./Script.ts"
import * as Visit from "./Visit.ts"

const policy = [
  "default-src 'none'",
  "style-src 'self'",
  "script-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types waybill"
].join("; ")

/** What every answer says to the browser. */
export const headers: Readonly<Record<string, string>> = {
  "content-security-policy": policy,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "cache-control": "no-store"
}

const icon =
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0b5a8a"/>
<path d="M7 11l3 11 6-9 6 9 3-11" fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round"/></svg>`

const named = (name: string, ending: string, text: string, contentType: string) => ({
  path: `/${name}-${createHash("sha256").update(text).digest("hex").slice(0, 12)}.${ending}`,
  response: HttpServerResponse.text(text, {
    contentType,
    headers: { ...headers, "cache-control": "public, max-age=31536000, immutable" }
  })
})

/** The files that pages ask for, under names that change with what they hold. */
export const files = {
  css: named("console", "css", css, "text/css; charset=utf-8"),
  js: named("console", "js", js, "text/javascript; charset=utf-8"),
  icon: named("icon", "svg", icon, "image/svg+xml")
}

/** A page. */
export interface Page {
  readonly title: string
  readonly body: Html
  readonly status?: number
  /** After how many seconds the page asks for its parts again. */
  readonly refresh?: number
  /** After how many seconds a browser without scripts loads the page again, such as while a job runs. */
  readonly reload?: number
}

/** The pages that one goes to from every page. */
const places = [
  ["", "Overview", "o"],
  ["/deliveries", "Deliveries", "d"],
  ["/orphans", "Orphans", "r"],
  ["/webhooks", "Webhooks", "w"],
  ["/suppressions", "Suppressions", "s"],
  ["/sweeps", "Sweeps", "e"]
] as const

const isHere = (path: string, place: string): boolean =>
  place === "" ? path === "" : path === place || path.startsWith(`${place}/`)

const keys =
  html`<dialog id="keys" aria-labelledby="keys-title"><h2 id="keys-title">Keys</h2><dl class="facts"><dt><kbd>/</kbd></dt><dd>search</dd><dt><kbd>j</kbd> <kbd>k</kbd></dt><dd>next and previous line</dd><dt><kbd>Enter</kbd></dt><dd>open the line</dd><dt><kbd>x</kbd></dt><dd>tick the line</dd><dt><kbd>?</kbd></dt><dd>these keys</dd></dl><form method="dialog"><p><button>Close</button></p></form></dialog>`

const top = (visit: Visit.Visit): Html =>
  html`<header class="top"><div><a class="brand" href="${
    Visit.link(visit, "")
  }">Waybill</a><nav class="main" aria-label="Pages">${
    places.map(([path, name, key]) =>
      html`<a href="${Visit.link(visit, path)}" data-key="${key}"${
        attribute("aria-current", isHere(visit.path, path) ? "page" : undefined)
      }>${name}</a>`
    )
  }</nav><div class="who">${
    visit.principal.scope === Tenant.all
      ? html`<a href="${Visit.link(visit, "/tenants")}" title="Switch the tenant">${visit.tenantId}</a>`
      : html`<span>${visit.tenantId}</span>`
  }<span>${visit.principal.name}, ${visit.principal.role}</span>${
    visit.hasLogOut
      ? html`<form method="post" action="${visit.base}/log-out"><input type="hidden" name="proof" value="${visit.proof}"><button class="plain">Log out</button></form>`
      : undefined
  }</div></div></header>`

const around = (base: string, page: Page, before: Html | undefined): string =>
  documentOf(
    html`<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${page.title} · Waybill</title>${
      page.reload === undefined
        ? undefined
        : html`<noscript><meta http-equiv="refresh" content="${page.reload}"></noscript>`
    }<link rel="icon" href="${base}${files.icon.path}"><link rel="stylesheet" href="${base}${files.css.path}"><script type="module" src="${base}${files.js.path}"></script></head><body${
      attribute("data-refresh", page.refresh === undefined ? undefined : String(page.refresh))
    }><a class="skip" href="#main">To the content</a>${before}<main id="main">${page.body}</main>${
      before === undefined ? undefined : html`<footer>Times are UTC. Press <kbd>?</kbd> for keys.</footer>${keys}`
    }</body></html>`
  )

const answer = (text: string, status = 200): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(text, { status, contentType: "text/html; charset=utf-8", headers })

/** Answers a page to a visitor. */
export const page = (visit: Visit.Visit, page: Page): HttpServerResponse.HttpServerResponse =>
  answer(around(visit.base, page, top(visit)), page.status)

/** Answers a page to whoever is not known. */
export const outside = (base: string, page: Page): HttpServerResponse.HttpServerResponse =>
  answer(around(base, page, undefined), page.status)

/** Sends the browser to another page, which it asks for anew. */
export const goTo = (location: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.empty({ status: 303, headers: { ...headers, location } })
