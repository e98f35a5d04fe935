/** Gives the feed page by page, and as server-sent events. */
import { Cursor, type DeliveryUpdate, Event, Ledger, type Tenant } from "@waybill/core"
import { Effect, Option, PubSub, Schema, Stream } from "effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import { Caller } from "../../Access.ts"
import { Api } from "../../Api.ts"
import { Authentication } from "../../Authentication.ts"
import { Closing } from "../../Closing.ts"
import * as parts from "../contract/parts.ts"
import * as answers from "./answers.ts"

/** How often the feed is looked at where nothing wakes it: another process may have appended. */
const every = "1 second"

/** How long to rest between two looks, so that a busy process is not looked at for each of its events. */
const rest = "50 millis"

/** How many empty looks go by before a comment keeps the connection open. */
const quietLooks = 15

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

    const read = (scope: Tenant.Scope, after: Cursor.Cursor, limit: number) => ledger.changes({ scope, after, limit })

    /**
     * The pages of the feed as text, for as long as the caller is let in. A failure ends the stream; whoever connects again goes
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
            if (Option.isNone(yield* authentication.authenticate(request))) return undefined
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
          const { scope } = yield* Caller
          const from = headers["last-event-id"] ?? query.after ?? Cursor.start
          // A place that the feed does not have is answered as a problem, before the stream begins.
          yield* read(scope, from, 1)
          return Stream.scoped(
            Stream.unwrap(Effect.map(ledger.updates, (updates) => followed(request, scope, from, updates)))
          )
        }).pipe(answers.answered)
    })
  })
)
