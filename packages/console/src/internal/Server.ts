/** The routes of the console: lets visitors in, reads what they ask for, and answers pages, whatever goes wrong. */
import { Tenant } from "@waybill/core"
import { ByteSize, Duration, Effect, Layer, Option, Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { RateLimiter } from "effect/persistence"
import type * as Principal from "../Principal.ts"
import { html } from "./Html.ts"
import type { Jobs } from "./Jobs.ts"
import * as Live from "./Live.ts"
import * as LogIn from "./LogIn.ts"
import * as Deliveries from "./pages/Deliveries.ts"
import * as OneDelivery from "./pages/OneDelivery.ts"
import * as Orphans from "./pages/Orphans.ts"
import * as Overview from "./pages/Overview.ts"
import * as Recipient from "./pages/Recipient.ts"
import * as Suppressions from "./pages/Suppressions.ts"
import * as Sweeps from "./pages/Sweeps.ts"
import * as Tenants from "./pages/Tenants.ts"
import * as Webhooks from "./pages/Webhooks.ts"
import * as Work from "./pages/Work.ts"
import type { Ports } from "./Ports.ts"
import * as Refusal from "./Refusal.ts"
import * as Shell from "./Shell.ts"
import * as Visit from "./Visit.ts"

/** How the console is mounted. */
export interface Options {
  readonly base: string
  readonly authenticate: Principal.Authenticate
  readonly door: Option.Option<LogIn.Door>
  readonly isSecure: (request: HttpServerRequest.HttpServerRequest) => boolean
  readonly closing: Effect.Effect<void>
}

/** Whatever a page fails with: what it is called, and what it says. */
interface Failure {
  readonly _tag: string
  readonly message: string
}

type Needs = Ports | Jobs

type Shown = (visit: Visit.Visit, id: string | undefined) => Effect.Effect<Shell.Page, Failure, Needs>

/** Does what a form asks for; it answers a page, or the path to go to. */
type Done = (
  visit: Visit.Visit,
  form: URLSearchParams,
  id: string | undefined
) => Effect.Effect<Shell.Page | string, Failure, Needs>

const shown: Readonly<Record<string, Shown>> = {
  "/deliveries": Deliveries.page,
  "/deliveries/:id": OneDelivery.page,
  "/recipient": Recipient.page,
  "/orphans": Orphans.page,
  "/orphans/:id": Orphans.one,
  "/webhooks": Webhooks.page,
  "/webhooks/:id": Webhooks.one,
  "/suppressions": Suppressions.page,
  "/sweeps": Sweeps.page,
  "/tenants": Tenants.page,
  "/jobs/:id": Work.page
}

/** Who does something, as it is recorded: it names no address. */
const actorOf = ({ principal: { name } }: Visit.Visit): string => name.replaceAll("@", " at ").slice(0, 255)

const done: Readonly<Record<string, Done>> = {
  "/acts/preview": Work.preview,
  "/acts/run": (visit, form) => Work.run(visit, actorOf(visit), form),
  "/jobs/:id/cancel": (visit, _form, id) => Work.cancel(visit, id),
  "/orphans/:id/link": (visit, form, id) => Orphans.link(visit, id, form),
  "/suppressions/add": (visit, form) => Suppressions.add(visit, actorOf(visit), form)
}

const statuses: Readonly<Record<string, readonly [status: number, title: string]>> = {
  InvalidInput: [400, "That cannot be read"],
  ForeignCursor: [400, "That page belongs to another list"],
  EventNotFound: [404, "Not found"],
  DeliveryNotFound: [404, "Not found"],
  WebhookNotFound: [404, "Not found"],
  StaleDelivery: [409, "It has changed meanwhile"],
  LiftRefused: [409, "That is not lifted so"]
}

const isRefusal = (failure: Failure): failure is Refusal.Refusal => failure instanceof Refusal.Refusal

/** What a failure says to a visitor. */
const refusalOf = (failure: Failure): Refusal.Refusal => {
  if (isRefusal(failure)) return failure
  const known = statuses[failure._tag]
  return known === undefined
    ? new Refusal.Refusal({
      status: 503,
      title: "Not now",
      detail: "The ledger cannot be read right now. Try again in a moment."
    })
    : new Refusal.Refusal({ status: known[0], title: known[1], detail: failure.message })
}

const pageOf = ({ detail, status, title }: Refusal.Refusal): Shell.Page => ({
  title,
  status,
  body: html`<h1>${title}</h1><p class="note bad">${detail}</p>`
})

const addressOf = (request: HttpServerRequest.HttpServerRequest): URL =>
  new URL(request.originalUrl, "http://console.invalid")

/** The form that a request brings; a large one is refused. */
const formOf = (request: HttpServerRequest.HttpServerRequest) =>
  request.text.pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.megabytes(1)),
    Effect.timeoutOrElse({
      duration: Duration.seconds(15),
      orElse: () => Effect.fail(Refusal.badRequest("The form did not arrive."))
    }),
    Effect.mapBoth({
      onFailure: () => Refusal.badRequest("The form did not arrive, or it is too large."),
      onSuccess: (text) => new URLSearchParams(text)
    })
  )

/** Adds the routes of the console. */
export const layer = (
  options: Options
): Layer.Layer<never, never, HttpRouter.HttpRouter | Needs | RateLimiter.RateLimiter> =>
  HttpRouter.use(Effect.fnUntraced(function*(router) {
    const { authenticate, base, closing, door, isSecure } = options
    const context = yield* Effect.context<Needs | RateLimiter.RateLimiter>()
    const random = yield* SecureRandom.SecureRandom

    /** The cookie of the browser, which every answer to a new one sets. */
    const browserOf = Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest) {
      const known = request.cookies[LogIn.browser]
      if (known !== undefined && /^[\w-]{36}$/.test(known)) return { key: known, isNew: false }
      return { key: yield* random.uuidV4(), isNew: true }
    })

    /** Answers a request by a known browser; whatever goes wrong becomes a page. */
    const answered = <E extends Failure>(
      make: (
        request: HttpServerRequest.HttpServerRequest,
        proof: string,
        url: URL
      ) => Effect.Effect<
        HttpServerResponse.HttpServerResponse,
        E,
        Needs | RateLimiter.RateLimiter | HttpRouter.RouteContext
      >
    ) =>
    (request: HttpServerRequest.HttpServerRequest) =>
      Effect.gen(function*() {
        const { isNew, key } = yield* browserOf(request)
        const proof = Visit.proofOf(key, request.cookies[LogIn.session] ?? "")
        const response = yield* make(request, proof, addressOf(request)).pipe(
          Effect.catch((failure: Failure) => Effect.succeed(Shell.outside(base, pageOf(refusalOf(failure))))),
          Effect.catchDefect(() =>
            Effect.as(
              Effect.logError("console page failed unexpectedly"),
              Shell.outside(
                base,
                pageOf(
                  new Refusal.Refusal({ status: 500, title: "That went wrong", detail: "The page could not be made." })
                )
              )
            )
          )
        )
        return isNew ? LogIn.keep(response, LogIn.browser, key, { base, isSecure: isSecure(request) }) : response
      }).pipe(Effect.provideContext(context))

    const toLogIn = (url: URL) =>
      Shell.goTo(`${base}/log-in?${new URLSearchParams({ next: url.pathname + url.search }).toString()}`)

    const unknown = (url: URL) =>
      Option.isSome(door)
        ? toLogIn(url)
        : Shell.outside(
          base,
          pageOf(
            new Refusal.Refusal({
              status: 401,
              title: "Log in first",
              detail: "This application does not know who you are."
            })
          )
        )

    /** Lets a visitor in, whose tenant is then known. */
    const entered = (
      make: (
        visit: Visit.Visit,
        request: HttpServerRequest.HttpServerRequest
      ) => Effect.Effect<HttpServerResponse.HttpServerResponse, Failure, Needs | HttpRouter.RouteContext>
    ) =>
      answered((request, proof, url) =>
        Effect.gen(function*() {
          const found = yield* authenticate(request)
          if (Option.isNone(found)) return unknown(url)
          const principal = found.value
          const visit = (tenantId: Visit.Visit["tenantId"]): Visit.Visit => ({
            base,
            path: url.pathname.slice(base.length),
            query: url.searchParams,
            principal,
            tenantId,
            proof,
            hasLogOut: Option.isSome(door)
          })
          const own = yield* Visit.tenantFor(principal, new URLSearchParams())
          return yield* Visit.tenantFor(principal, url.searchParams).pipe(
            Effect.flatMap((tenantId) => make(visit(tenantId), request)),
            Effect.catch((failure: Failure) => Effect.succeed(Shell.page(visit(own), pageOf(refusalOf(failure)))))
          )
        })
      )

    /** Checks that a form comes from a page of this browser. */
    const proven = (request: HttpServerRequest.HttpServerRequest, proof: string) =>
      Effect.gen(function*() {
        const form = yield* formOf(request)
        const site = request.headers["sec-fetch-site"]
        const isOwn = site === undefined || site === "same-origin" || site === "none"
        if (!isOwn || !Visit.isSame(form.get("proof") ?? "", proof)) {
          return yield* Refusal.forbidden("The form is not from a page of yours, or that page is old. Load it again.")
        }
        return form
      })

    const id = Effect.map(HttpRouter.params, ({ id }) => id)

    for (const [path, make] of Object.entries(shown)) {
      yield* router.add(
        "GET",
        `/${`${base}${path}`.replace(/^\/+/, "")}`,
        entered((visit) =>
          Effect.flatMap(id, (id) => make(visit, id)).pipe(Effect.map((page) => Shell.page(visit, page)))
        )
      )
    }
    for (const [path, make] of Object.entries(done)) {
      yield* router.add(
        "POST",
        `/${`${base}${path}`.replace(/^\/+/, "")}`,
        entered((visit, request) =>
          Effect.gen(function*() {
            const form = yield* proven(request, visit.proof)
            if (!Visit.mayAct(visit)) return yield* Refusal.forbidden("Your token may read alone.")
            const result = yield* make(visit, form, yield* id)
            return typeof result === "string" ? Shell.goTo(result) : Shell.page(visit, result)
          })
        )
      )
    }
    const under = (path: string): HttpRouter.PathInput => `/${`${base}${path}`.replace(/^\/+/, "")}`
    yield* router.add(
      "GET",
      under("/live"),
      entered((visit, request) =>
        Live.answer(
          visit,
          Effect.map(
            Effect.option(authenticate(request)),
            (found) => Option.exists(Option.flatten(found), ({ scope }) => Tenant.reaches(scope, visit.tenantId))
          ),
          closing
        )
      )
    )
    for (const { path, response } of Object.values(Shell.files)) {
      yield* router.add("GET", under(path), Effect.succeed(response))
    }

    if (Option.isSome(door)) {
      const { admit, closed } = door.value
      const nextOf = (text: string | null): string =>
        text !== null && (text === base || text.startsWith(`${base}/`) || text.startsWith(`${base}?`)) &&
          !/^[/\\]{2}/.test(text)
          ? text
          : base === ""
          ? "/"
          : base
      yield* router.add(
        "GET",
        under("/log-in"),
        answered((_request, proof, url) =>
          Effect.map(closed, (why) =>
            Option.isSome(why)
              ? Shell.outside(base, { title: "No token", status: 403, body: LogIn.closed(why.value) })
              : Shell.outside(base, LogIn.page(base, proof, { next: nextOf(url.searchParams.get("next")) })))
        )
      )
      yield* router.add(
        "POST",
        under("/log-in"),
        answered((request, proof) =>
          Effect.gen(function*() {
            const form = yield* proven(request, proof)
            const next = nextOf(form.get("next"))
            const again = (note: string, status: number) =>
              Shell.outside(base, LogIn.page(base, proof, { next, note, status }))
            if (!(yield* LogIn.mayTry(request))) return again("Too many log-ins were tried. Wait a minute.", 429)
            const text = form.get("token")?.trim() ?? ""
            const found = text.length > 500 ? Option.none() : yield* admit(Redacted.make(text))
            if (Option.isNone(found)) return again("That token is not in force, or it may not use the console.", 401)
            return LogIn.keep(Shell.goTo(next), LogIn.session, text, { base, isSecure: isSecure(request) })
          })
        )
      )
      yield* router.add(
        "POST",
        under("/log-out"),
        answered((request, proof) =>
          Effect.as(
            proven(request, proof),
            HttpServerResponse.expireCookieUnsafe(Shell.goTo(`${base}/log-in`), LogIn.session, {
              path: base === "" ? "/" : base
            })
          )
        )
      )
    }
    // The router takes this path for the console's own, too.
    yield* router.add(
      "*",
      under("/*"),
      entered((visit, { method }) =>
        method === "GET" && (visit.path === "" || visit.path === "/")
          ? Effect.map(Overview.page({ ...visit, path: "" }), (page) => Shell.page(visit, page))
          : Effect.fail(Refusal.notFound("such page"))
      )
    )
  })).pipe(Layer.provide(SecureRandom.layerWebCrypto))
