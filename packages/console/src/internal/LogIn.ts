/** The log-in by a token: its form, how often it may be tried, and the cookie that keeps it. */
import type { LedgerError } from "@waybill/core"
import { Effect, Option, type Redacted } from "effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { RateLimiter } from "effect/persistence"
import type * as Principal from "../Principal.ts"
import { type Html, html } from "./Html.ts"
import type * as Shell from "./Shell.ts"

/** The cookie of the session: the token itself, which no script can read. */
export const session = "waybill_console"

/** The cookie of the browser, before and after a log-in; the proof of a form is made with it. */
export const browser = "waybill_browser"

/** Returns who a token lets in. */
export type Admit = (
  text: Redacted.Redacted
) => Effect.Effect<Option.Option<Principal.Principal>, LedgerError.LedgerError>

/** How the console lets in by tokens. */
export interface Door {
  readonly admit: Admit
  /** Why nobody is let in for now, where that is so. */
  readonly closed: Effect.Effect<Option.Option<string>, LedgerError.LedgerError>
}

/** How often a log-in may be tried from one address, and from all. */
export const limits = { window: "1 minute", each: 10, all: 100 } as const

/** Says whether a log-in may be tried now. */
export const mayTry = Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest) {
  const limiter = yield* RateLimiter.RateLimiter
  const { window } = limits
  const from = Option.getOrElse(request.remoteAddress, () => "unknown")
  return yield* limiter.consume({ key: `console log-in ${from}`, limit: limits.each, window, onExceeded: "fail" }).pipe(
    Effect.andThen(limiter.consume({ key: "console log-in", limit: limits.all, window, onExceeded: "fail" })),
    Effect.isSuccess
  )
})

/** The form. */
export const page = (
  base: string,
  proof: string,
  { next, note, status }: { readonly next: string; readonly note?: string; readonly status?: number }
): Shell.Page => ({
  title: "Log in",
  ...status !== undefined && { status },
  body: html`<div class="center"><h1>Waybill</h1><p class="lede">Log in with a token of the role read or operate.</p>${
    note === undefined ? undefined : html`<p class="note bad" role="alert">${note}</p>`
  }<form class="sheet" method="post" action="${base}/log-in"><input type="hidden" name="proof" value="${proof}"><input type="hidden" name="next" value="${next}"><label>Token<input type="password" name="token" required autocomplete="current-password" autofocus></label><button class="main">Log in</button></form><p class="soft small">A token is made by <code>waybill tokens create --name you --role operate</code>.</p></div>`
})

/** A page in place of the form, where nobody is let in. */
export const closed = (why: string): Html =>
  html`<div class="center"><h1>Waybill</h1><p class="note warn">${why}</p></div>`

/** Sets a cookie that scripts cannot read and other sites cannot send. */
export const keep = (
  response: HttpServerResponse.HttpServerResponse,
  name: string,
  value: string,
  { base, isSecure }: { readonly base: string; readonly isSecure: boolean }
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.setCookieUnsafe(response, name, value, {
    httpOnly: true,
    sameSite: "strict",
    path: base === "" ? "/" : base,
    secure: isSecure
  })
