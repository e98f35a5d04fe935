/** Previews an act on several things, runs it as a job, and shows how far it is. */
import { DateTime, Effect, Option, Stream } from "effect"
import * as Acts from "../Acts.ts"
import { attribute, html } from "../Html.ts"
import { type Job, Jobs } from "../Jobs.ts"
import * as Refusal from "../Refusal.ts"
import type { Page } from "../Shell.ts"
import * as Show from "../Show.ts"
import * as Visit from "../Visit.ts"
import * as Forms from "./Forms.ts"

/** How far a preview counts. */
const countsTo = 10_000

/** The pages that acts begin at. */
const origins = ["/orphans", "/webhooks", "/suppressions"]

const originOf = (form: URLSearchParams): string => {
  const from = form.get("from") ?? ""
  return origins.find((origin) => from === origin || from.startsWith(`${origin}/`)) ?? ""
}

const filterOf = (form: URLSearchParams): URLSearchParams =>
  new URLSearchParams(
    [...form].flatMap(([name, value]): ReadonlyArray<[string, string]> =>
      name.startsWith("filter.") ? [[name.slice("filter.".length), value]] : []
    )
  )

/** What a form asks for. */
const asked = Effect.fnUntraced(function*(form: URLSearchParams) {
  const name = form.get("act") ?? ""
  const act = yield* Option.match(Acts.find(name), {
    onNone: () => Effect.fail(Refusal.badRequest("There is no such act.")),
    onSome: Effect.succeed
  })
  const isAll = form.get("all") === "yes"
  const things = form.getAll("thing")
  if (!isAll && things.length === 0) {
    return yield* Refusal.badRequest("Nothing is ticked. Tick some lines, or choose all that match.")
  }
  return { name, act, isAll, things, filter: filterOf(form), from: originOf(form) }
})

const nounOf = (count: number, noun: string): string =>
  count === countsTo + 1 ? `more than ${Show.count(countsTo, noun)}` : Show.count(count, noun)

/** Says how many of what an act is about, before it is done. */
export const preview = Effect.fnUntraced(function*(visit: Visit.Visit, form: URLSearchParams) {
  const { act, filter, from, isAll, name, things } = yield* asked(form)
  const now = yield* DateTime.now
  const count = isAll
    ? yield* Stream.runCount(Stream.take(act.matching(visit.tenantId, filter, now), countsTo + 1))
    : things.length
  const what = nounOf(count, act.noun)
  const back = Visit.link(visit, from, Object.fromEntries(filter))
  return {
    title: `${act.verb} ${what}`,
    body: html`<h1>${act.verb} ${what}?</h1><p class="lede">${
      isAll
        ? `All that match${
          filter.size === 0 ? "" : ` ${[...filter].map(([name, value]) => `${name} ${value}`).join(", ")}`
        } in the tenant ${visit.tenantId}, as of now.`
        : `In the tenant ${visit.tenantId}.`
    }</p><p>${act.means}</p><form method="post" action="${Visit.link(visit, "/acts/run")}">${
      Forms.proof(visit)
    }<input type="hidden" name="act" value="${name}"><input type="hidden" name="from" value="${from}"><input type="hidden" name="total" value="${count}"><input type="hidden" name="until" value="${now.epochMilliseconds}">${
      isAll
        ? html`<input type="hidden" name="all" value="yes">`
        : things.map((thing) => html`<input type="hidden" name="thing" value="${thing}">`)
    }${[...filter].map(([name, value]) => html`<input type="hidden" name="filter.${name}" value="${value}">`)}${
      act.asksWhy === true
        ? html`<label>Why (it names no address; a complaint needs it)<input name="because" maxlength="500" autocomplete="off"></label>`
        : undefined
    }<div class="acts"><button class="main"${
      attribute("disabled", count === 0)
    }>${act.verb} ${what}</button><a class="button" href="${back}">Leave it</a></div></form>`
  } satisfies Page
})

/** Begins the job, and returns the path to go to. */
export const run = Effect.fnUntraced(function*(visit: Visit.Visit, actor: string, form: URLSearchParams) {
  const { act, filter, from, isAll, things } = yield* asked(form)
  const jobs = yield* Jobs
  const until = DateTime.make(Number(form.get("until") ?? "x"))
  const total = Number(form.get("total") ?? things.length)
  if (isAll && Option.isNone(until)) return yield* Refusal.badRequest("The preview is missing.")
  const because = Option.filter(Option.fromNullishOr(form.get("because")?.trim()), (text) => text !== "")
  const { tenantId } = visit
  const job = yield* jobs.start({
    tenantId,
    actor,
    title: `${act.verb} ${nounOf(total, act.noun)}`,
    from,
    total: Number.isSafeInteger(total) ? total : 0,
    things: isAll && Option.isSome(until)
      ? act.matching(tenantId, filter, DateTime.toUtc(until.value))
      : Stream.fromIterable(things),
    act: (thing) => act.run({ tenantId, actor, because }, thing)
  })
  yield* Effect.logInfo("act begun in the console").pipe(
    Effect.annotateLogs({ act: form.get("act") ?? "", count: total, actor })
  )
  return Visit.link(visit, `/jobs/${job.id}`)
})

const found = Effect.fnUntraced(function*(visit: Visit.Visit, id: string | undefined) {
  const jobs = yield* Jobs
  const job = yield* jobs.find(visit.tenantId, id ?? "")
  return yield* Option.match(job, { onNone: () => Effect.fail(Refusal.notFound("such job")), onSome: Effect.succeed })
})

const tones = { running: "warn", done: "good", cancelled: "warn", failed: "bad" } as const

const shown = Effect.fnUntraced(function*(visit: Visit.Visit, job: Job) {
  const progress = yield* job.progress
  const { changed, failed, lastError, state, tried } = progress
  return {
    title: job.title,
    ...state === "running" && { refresh: 1, reload: 1 },
    body: html`<h1>${job.title}</h1><section class="sheet" data-part="job"><p>${Show.tag(state, tones[state])} begun ${
      Show.time(job.beganAt)
    } by <bdi>${job.actor}</bdi></p><progress aria-label="How far it is" max="${
      Math.max(job.total, tried, 1)
    }" value="${state === "done" ? Math.max(job.total, tried, 1) : tried}"></progress>${
      Show.facts([
        ["looked at", `${tried.toLocaleString("en")} of ${job.total.toLocaleString("en")}`],
        ["changed", changed.toLocaleString("en")],
        ["had changed before", (tried - changed - failed).toLocaleString("en")],
        ["failed", failed === 0 ? undefined : failed.toLocaleString("en")],
        ["last failure", Option.isSome(lastError) ? Show.words(visit, lastError.value) : undefined]
      ])
    }${
      state === "running" && Visit.mayAct(visit)
        ? html`<form method="post" action="${Visit.link(visit, `/jobs/${job.id}/cancel`)}">${
          Forms.proof(visit)
        }<p><button>Cancel</button></p></form>`
        : undefined
    }</section><p><a href="${Visit.link(visit, job.from)}">Back to the list</a></p>`
  } satisfies Page
})

/** How far a job is. */
export const page = Effect.fnUntraced(function*(visit: Visit.Visit, id: string | undefined) {
  return yield* shown(visit, yield* found(visit, id))
})

/** Cancels a job, and returns the path to go to. */
export const cancel = Effect.fnUntraced(function*(visit: Visit.Visit, id: string | undefined) {
  const job = yield* found(visit, id)
  yield* job.cancel
  return Visit.link(visit, `/jobs/${job.id}`)
})
