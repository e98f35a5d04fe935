/** Lists raw webhooks, and shows one. */
import { Inbox, Place } from "@waybill/core"
import { DateTime, Effect, Option, Schema } from "effect"
import { foreign, type Html, html } from "../Html.ts"
import * as Refusal from "../Refusal.ts"
import type { Page } from "../Shell.ts"
import * as Show from "../Show.ts"
import * as Visit from "../Visit.ts"
import * as Forms from "./Forms.ts"

const pageSize = 50

/** How many webhooks a page looks at, where it shows those of one provider. */
const reach = 1000

const tones: Readonly<Record<Inbox.WebhookStatus, "good" | "bad" | "warn" | "plain">> = {
  received: "plain",
  processing: "plain",
  succeeded: "good",
  failed: "warn",
  dead: "bad"
}

const lineOf = (visit: Visit.Visit, webhook: Inbox.Summary): Forms.Line => ({
  thing: webhook.id,
  label: `the webhook of ${DateTime.formatIso(webhook.receivedAt)}`,
  cells: [
    html`<a href="${Visit.link(visit, `/webhooks/${webhook.id}`)}">${Show.time(webhook.receivedAt)}</a>`,
    webhook.provider,
    Show.tag(webhook.status, tones[webhook.status]),
    String(webhook.attempts),
    Option.match(webhook.lastError, { onNone: () => "", onSome: (error) => Show.words(visit, error) })
  ]
})

const lastId = "ffffffff-ffff-ffff-ffff-ffffffffffff"

/** Where a list begins: at a place, or a little after an instant. */
const startOf = Effect.fnUntraced(function*(visit: Visit.Visit) {
  const after = yield* Visit.parsed(visit, "after", Place.Place, "is no place in a list")
  if (Option.isSome(after)) return after
  const at = Option.flatMap(Visit.asked(visit, "at"), DateTime.make)
  return Option.flatMap(at, (at) => Place.Place.makeOption(`${at.epochMilliseconds + 5000}.${lastId}`))
})

/** The list. */
export const page = Effect.fnUntraced(function*(visit: Visit.Visit) {
  const inbox = yield* Inbox.Inbox
  const status = yield* Visit.choice(visit, "status", Inbox.WebhookStatus)
  const provider = Option.getOrElse(Visit.asked(visit, "provider"), () => "")
  const after = yield* startOf(visit)
  const limit = provider === "" ? pageSize : reach
  const looked = yield* inbox.list({
    scope: visit.tenantId,
    status,
    limit,
    ...Option.isSome(after) && { after: after.value }
  })
  const found = looked.filter((webhook) => provider === "" || webhook.provider === provider)
  const shown = found.slice(0, pageSize)
  const end = found.length > pageSize ? shown.at(-1) : looked.length === limit ? looked.at(-1) : undefined
  const at = Visit.asked(visit, "at")
  return {
    title: "Webhooks",
    refresh: 15,
    body: html`<h1>Webhooks</h1><p class="lede">What providers posted, raw as it came, newest first.</p>${
      Option.isSome(at) ?
        html`<p class="note">Those that came by <bdi>${at}</bdi>. <a href="${
          Visit.here(visit, { at: undefined, event: undefined, delivery: undefined })
        }">Show the newest</a>${
          visit.query.has("delivery")
            ? html` · <a href="${
              Visit.link(visit, `/deliveries/${visit.query.get("delivery") ?? ""}`)
            }">Back to the delivery</a>`
            : undefined
        }</p>` :
        undefined
    }<form class="filter" action="${visit.base}/webhooks"><input type="hidden" name="tenant" value="${visit.tenantId}"><label>Status<select name="status">${
      Show.options(Inbox.WebhookStatus.literals, status)
    }</select></label><label>Provider<input name="provider" value="${provider}"></label><button>Show</button></form>${
      shown.length === 0
        ? html`<div data-part="list">${Show.empty("No webhook matches, or it is no longer kept.")}</div>`
        : Forms.list(
          visit,
          ["Received", "Provider", "Status", "Tries", "Last error"],
          shown.map((each) => lineOf(visit, each)),
          ["replay"]
        )
    }${Forms.next(visit, end === undefined ? undefined : Place.of(end.receivedAt, end.id))}`
  } satisfies Page
})

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const fromJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

/** A body as it is read best: JSON with indents, else text, else its bytes. */
const readable = (body: Uint8Array): { readonly kind: string; readonly text: string } => {
  try {
    const text = strict.decode(body)
    return Option.match(fromJson(text), {
      onNone: () => ({ kind: "text", text }),
      onSome: (value) => ({ kind: "JSON", text: JSON.stringify(value, null, 2) })
    })
  } catch {
    return { kind: "bytes, in base64", text: Buffer.from(body).toString("base64") }
  }
}

const content = (visit: Visit.Visit, { body, headers }: Inbox.Webhook): Html => {
  if (!Visit.seesAddresses(visit)) {
    return html`<p class="note">Raw webhooks name addresses, which your token is not shown.</p>`
  }
  const { kind, text } = readable(body)
  const most = 200_000
  return html`<h2>Body</h2><p class="soft small">${kind}, ${Show.count(body.length, "byte")}${
    text.length > most ? ", the beginning" : ""
  }</p><pre tabindex="0" aria-label="Body"><bdi>${text.slice(0, most)}</bdi></pre><h2>Headers</h2><div class="sheet">${
    Show.facts(Object.entries(headers).map(([name, value]) => [name, html`<code>${foreign(value)}</code>`] as const))
  }</div>`
}

/** One webhook. */
export const one = Effect.fnUntraced(function*(visit: Visit.Visit, id: string | undefined) {
  const inbox = yield* Inbox.Inbox
  const webhookId = yield* Effect.mapError(
    Schema.decodeUnknownEffect(Inbox.WebhookId)(id),
    () => Refusal.notFound("such webhook")
  )
  const found = yield* inbox.get(visit.tenantId, webhookId)
  if (Option.isNone(found)) return yield* Refusal.notFound("such webhook")
  const webhook = found.value
  return {
    title: "Webhook",
    body: html`<p class="small"><a href="${
      Visit.link(visit, "/webhooks")
    }">Webhooks</a></p><h1>Webhook of <bdi>${webhook.provider}</bdi></h1><div class="sheet" data-part="facts">${
      Show.facts([
        ["status", Show.tag(webhook.status, tones[webhook.status])],
        [
          "last error",
          Option.match(webhook.lastError, { onNone: () => undefined, onSome: (error) => Show.words(visit, error) })
        ],
        ["received", Show.time(webhook.receivedAt)],
        ["processed", Show.maybeTime(webhook.processedAt)],
        ["tries", String(webhook.attempts)],
        ["id", html`<code>${webhook.id}</code>`]
      ])
    }</div><div class="acts">${Forms.one(visit, "replay", webhook.id)}</div>${content(visit, webhook)}`
  } satisfies Page
})
