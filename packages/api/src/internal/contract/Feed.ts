/** Says how the feed of events is followed. */
import { Cursor, Event } from "@waybill/core"
import { Schema } from "effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { Access, Answers } from "../../Access.ts"
import * as parts from "./parts.ts"

/** An event of the feed, and its place. */
export const Change = Schema.Struct({ cursor: Cursor.Cursor, event: Event.Event })

const after = Schema.optionalKey(Cursor.Cursor.annotate({ description: "The place to go on after (the start)" }))

const changes = HttpApiEndpoint.get("changes", "/feed", {
  headers: parts.headers,
  query: { after, limit: parts.limit },
  success: Schema.Struct({ changes: Schema.Array(Change), next: Cursor.Cursor })
}).annotateMerge(parts.about(parts.looking, {
  summary: "Read the events after a place",
  description:
    "Each once and none passed over, in the order of the feed. `next` is where to go on, also after an empty page."
}))

const stream = HttpApiEndpoint.get("stream", "/feed/stream", {
  headers: {
    ...parts.headers,
    "last-event-id": Schema.optionalKey(
      Cursor.Cursor.annotate({ description: "The place to go on after; wins over `after`" })
    )
  },
  query: { after },
  success: HttpApiSchema.StreamUint8Array({ contentType: "text/event-stream" })
}).annotateMerge(parts.about(parts.looking, {
  summary: "Follow the events as they come",
  description:
    "Server-sent events: `id` is the place, `event` the type, `data` the event. A client that connects again with " +
    "`Last-Event-ID` misses nothing and gets nothing twice. It ends when the caller's token does."
}))

/** How the feed of events is followed. */
export const Feed = HttpApiGroup.make("feed").add(changes, stream).middleware(Access).middleware(Answers)
