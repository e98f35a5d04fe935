/** Gives the feed page by page, and as server-sent events. */
import { Cursor, type DeliveryUpdate, Event, Ledger, Tenant } from "@waybill/core"
import { Cause, Effect, Metric, Option, PubSub, Schema, Stream } from "effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpEffect from "effect/http/HttpEffect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Caller } from "../../Access.ts"
import { Api } from "../../Api.ts"
import { Authentication, type Principal } from "../../Authentication.ts"
import { Closing } from "../../Closing.ts"
import * as Problem from "../../Problem.ts"
import * as Requests from "../../Requests.ts"
import * as parts from "../contract/parts.ts"
import * as Places from "../places.ts"
import * as answers from "./answers.ts"

/** How often the feed is looked at where nothing wakes it: another process may have appended. */
const every = "1 second"

/** How long to rest between two looks, so that a busy process is not looked at for each of its events. */
const rest = "50 millis"

/** How many empty looks go by before a comment keeps the connection open. */
const quietLooks = 15

/** How many streams may be open in this process. */
const limits: Places.Limits = { each: 20, all: 1000 }

const tooMany = new Problem.ServiceUnavailable({
  tag: "TooManyStreams",
  detail: `${limits.each} streams may be open for one caller, and ${limits.all} in all`
})

/** A proxy that kept events back would make a stream of no use. */
const unbuffered = HttpEffect.appendPreResponseHandler((_, response) =>
  Effect.succeed(HttpServerResponse.setHeaders(response, { "cache-control": "no-cache", "x-accel-buffering": "no" }))
)

const looking: ReadonlyArray<string> = parts.looking

/** Whether a principal may still follow a scope. */
const mayFollow = (scope: Tenant.Scope) => (principal: Principal): boolean =>
  looking.includes(principal.role) && (principal.scope === Tenant.all || principal.scope === scope)

/** Tells that a stream failed, by the tag of what failed it. */
const tellFailed = (cause: Cause.Cause<{ readonly _tag: string }>) =>
  Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.andThen(
    Metric.update(Requests.streamsFailed, 1),
    Effect.logWarning("a stream of the feed failed").pipe(
      Effect.annotateLogs({
        reason: Option.match(Cause.findErrorOption(cause), { onNone: () => "Died", onSome: ({ _tag }) => _tag })
      })
    )
  )

const encodeEvent = Schema.encodeSync(Schema.fromJsonString(Schema.toCodecJson(Event.Event)))

const utf8 = new TextEncoder()

/** A change as a server-sent event; JSON has no line breaks. */
const block = ({ cursor, event }: Ledger.Change): string =>
  `id: ${cursor}\nevent: ${event.type}\ndata: ${encodeEvent(event)}\n\n`

/** Waits until this process has told of something, or the time for a look has come. */
const woken = (updates: PubSub.Subscription<DeliveryUpdate.DeliveryUpdate>) =>
  Effect.delay(Effect.asVoid(Effect.timeoutOption(PubSub.takeAll(updates), every)), rest)

/** Answers `/feed`. */
export const layer = HttpApiBuilder.group(
  Api,
  "feed",
  Effect.fnUntraced(function*(handlers) {
    const ledger = yield* Ledger.Ledger
    const authentication = yield* Authentication
    const closing = yield* Closing
    const places = Places.make(limits)

    const read = (scope: Tenant.Scope, after: Cursor.Cursor, limit: number) => ledger.changes({ scope, after, limit })

    /**
     * The pages of the feed as text, for as long as the caller may look at them. A failure ends the stream; whoever connects again goes
     * on after the last event that arrived.
     */
    const followed = (
      request: HttpServerRequest.HttpServerRequest,
      scope: Tenant.Scope,
      from: Cursor.Cursor,
      updates: PubSub.Subscription<DeliveryUpdate.DeliveryUpdate>
    ) =>
      Stream.unfold(
        { after: from, quiet: 0, isFirst: true },
        ({ after, isFirst, quiet }) =>
          Effect.gen(function*() {
            const page = yield* read(scope, after, parts.pageSize)
            if (!Option.exists(yield* authentication.authenticate(request), mayFollow(scope))) return undefined
            const last = page.at(-1)
            if (last !== undefined) {
              return [page.map(block).join(""), { after: last.cursor, quiet: 0, isFirst: false }] as const
            }
            yield* isFirst ? Effect.void : woken(updates)
            const isQuiet = isFirst || quiet + 1 >= quietLooks
            return [isQuiet ? ": waiting\n\n" : "", { after, quiet: isQuiet ? 0 : quiet + 1, isFirst: false }] as const
          })
      ).pipe(
        Stream.filter((text) => text !== ""),
        Stream.map((text) => utf8.encode(text)),
        Stream.interruptWhen(closing.awaited),
        Stream.tapCause(tellFailed),
        Stream.catchCause(() => Stream.empty)
      )

    return handlers.handleAll({
      changes: ({ query }) =>
        Effect.gen(function*() {
          const { scope } = yield* Caller
          const after = query.after ?? Cursor.start
          const changes = yield* read(scope, after, answers.pageSize(query))
          return { changes, next: changes.at(-1)?.cursor ?? after }
        }).pipe(answers.answered),

      stream: ({ headers, query, request }) =>
        Effect.gen(function*() {
          const { principal, scope } = yield* Caller
          const from = headers["last-event-id"] ?? query.after ?? Cursor.start
          // A place that the feed does not have is answered as a problem, before the stream begins.
          yield* answers.answered(read(scope, from, 1))
          if (places.isFull(principal)) return yield* tooMany
          yield* unbuffered
          return Stream.scoped(Stream.unwrap(Effect.gen(function*() {
            // Taken as it begins: an answer that is never read holds none.
            yield* Effect.acquireRelease(Effect.sync(() => places.take(principal)), (end) => Effect.sync(end))
            return followed(request, scope, from, yield* ledger.updates)
          })))
        })
    })
  })
)
