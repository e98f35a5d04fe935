import { assert, it } from "@effect/vitest"
import { Orphans, Tenant, Tokens } from "@waybill/core"
import { Context, Effect, Layer, Option } from "effect"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import type { Browser, BrowserContext, Page } from "playwright-core"
import * as Chromium from "./Browser.ts"
import * as Served from "./Served.ts"

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

/** A fault that axe found. */
interface Violation {
  readonly id: string
  readonly impact: string
  readonly nodes: ReadonlyArray<{ readonly html: string }>
}

class Open extends Context.Service<Open, {
  readonly url: string
  readonly browser: Browser
  readonly ids: { readonly attacked: string; readonly foreign: string }
}>()("@waybill/console/test/Open") {}

const opened = Layer.effect(
  Open,
  Effect.gen(function*() {
    const ids = yield* Served.filled
    return { url: yield* Served.url, browser: yield* Chromium.open, ids }
  })
).pipe(Layer.provideMerge(Served.layer))

const pages = (ids: { readonly attacked: string }) =>
  [
    ["overview", ""],
    ["deliveries", "/deliveries"],
    ["delivery", `/deliveries/${ids.attacked}`],
    ["recipient", `/recipient?delivery=${ids.attacked}`],
    ["orphans", "/orphans"],
    ["webhooks", "/webhooks"],
    ["suppressions", "/suppressions"],
    ["sweeps", "/sweeps"]
  ] as const

/** A context whose pages count what a policy refuses. */
const visiting = (options: Parameters<Browser["newContext"]>[0] = {}) =>
  Effect.acquireRelease(
    Open.use(({ browser }) => Effect.promise(() => browser.newContext(options))),
    (context) => Effect.promise(() => context.close())
  ).pipe(Effect.tap((context) =>
    Effect.promise(() =>
      context.addInitScript({
        content: `globalThis.refused = []
          document.addEventListener("securitypolicyviolation", (event) => refused.push(event.violatedDirective + " " + event.blockedURI))`
      })
    )
  ))

const logIn = async (page: Page, base: string, text: string) => {
  await page.goto(`${base}/log-in`)
  await page.fill("input[name=token]", text)
  await page.click("button.main")
  await page.waitForSelector("nav.main")
}

const refused = (page: Page): Promise<ReadonlyArray<string>> => page.evaluate("globalThis.refused")

const entered = Effect.fnUntraced(function*(
  context: BrowserContext,
  role: Tokens.Role = "operate",
  scope: Tenant.Scope = Served.acme
) {
  const { url } = yield* Open
  const token = yield* Served.token(role, scope)
  const page = yield* Effect.promise(() => context.newPage())
  yield* Effect.promise(() => logIn(page, `${url}/console`, token.text))
  return { page, token, base: `${url}/console` }
})

const send = Effect.fnUntraced(function*(path: string, init: RequestInit = {}) {
  const { url } = yield* Open
  const response = yield* Effect.promise((signal) => fetch(url + path, { redirect: "manual", signal, ...init }))
  return { response, status: response.status, text: yield* Effect.promise(() => response.text()) }
})

it.layer(opened, { timeout: "2 minutes", excludeTestServices: true })("the console", (it) => {
  it.effect(
    "is seen whole in light and dark, wide and narrow, with no serious fault and nothing refused",
    () =>
      Effect.gen(function*() {
        const { ids } = yield* Open
        for (const colorScheme of ["light", "dark"] as const) {
          const context = yield* visiting({ colorScheme, viewport: { width: 1440, height: 900 }, bypassCSP: false })
          const { base, page } = yield* entered(context)
          for (const [name, path] of pages(ids)) {
            yield* Effect.promise(() => page.goto(base + path))
            assert.strictEqual(
              yield* Effect.promise(() => page.evaluate("globalThis.hacked")),
              undefined,
              name
            )
            assert.deepStrictEqual(yield* Effect.promise(() => refused(page)), [], name)
            const violations = yield* Effect.promise(async () => {
              const session = await context.newCDPSession(page)
              await session.send("Runtime.evaluate", { expression: axe })
              return page.evaluate<ReadonlyArray<Violation>>("axe.run().then(({ violations }) => violations)")
            })
            const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical")
            assert.deepStrictEqual(
              serious.map(({ id, nodes }) => [name, colorScheme, id, nodes[0]?.html]),
              []
            )
            const directory = process.env["WAYBILL_SCREENSHOTS"]
            if (directory !== undefined) {
              yield* Effect.promise(() =>
                page.screenshot({ path: `${directory}/${name}-${colorScheme}-1440.png`, fullPage: true })
              )
              yield* Effect.promise(() => page.setViewportSize({ width: 390, height: 844 }))
              yield* Effect.promise(() =>
                page.screenshot({ path: `${directory}/${name}-${colorScheme}-390.png`, fullPage: true })
              )
            } else {
              yield* Effect.promise(() => page.setViewportSize({ width: 390, height: 844 }))
            }
            const overflow = yield* Effect.promise(() =>
              page.evaluate<number>("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            )
            assert.isAtMost(overflow, 1, `${name} is wider than a phone`)
            yield* Effect.promise(() => page.setViewportSize({ width: 1440, height: 900 }))
          }
        }
      }),
    120_000
  )

  it.effect("dismisses all that match, after a preview, with scripts off", () =>
    Effect.gen(function*() {
      const context = yield* visiting({ javaScriptEnabled: false })
      const { base, page } = yield* entered(context)
      yield* Effect.promise(async () => {
        await page.goto(`${base}/orphans`)
        await page.locator("td.tick input").first().check()
        await page.click("button[value=retry]")
        await page.waitForSelector("text=Retry 1 orphan?")
        await page.click("button.main")
        await page.waitForSelector("text=had changed before")
      })
      const before = yield* Orphans.Orphans.use(({ find }) =>
        find({ scope: Served.acme, limit: 100, failedOnly: false, insertedFrom: Option.none() })
      )
      assert.isAbove(before.length, 3)
      yield* Effect.promise(async () => {
        await page.goto(`${base}/orphans`)
        await page.check("input[name=all]")
        await page.click("button[value=dismiss]")
        await page.waitForSelector(`text=Dismiss ${before.length} orphans?`)
        await page.click("button.main")
        await page.waitForSelector("text=done")
        await page.goto(`${base}/orphans`)
        await page.waitForSelector("text=No event waits for its delivery.")
      })
    }), 60_000)

  it.effect("finds a delivery and replays a webhook by keyboard alone", () =>
    Effect.gen(function*() {
      const context = yield* visiting()
      const { base, page } = yield* entered(context)
      yield* Effect.promise(async () => {
        await page.goto(`${base}/deliveries`)
        await page.keyboard.press("/")
        await page.keyboard.type("person3@example.com")
        await page.keyboard.press("Enter")
        await page.waitForURL(/q=person3/)
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.waitForSelector("ol.line")
        assert.include(await page.textContent("h1"), "person3@example.com")
        await page.goto(`${base}/webhooks?status=failed`)
        await page.keyboard.press("?")
        await page.waitForSelector("dialog[open]")
        await page.keyboard.press("Escape")
        await page.keyboard.press("j")
        await page.keyboard.press("x")
        await page.focus("button[value=replay]")
        await page.keyboard.press("Enter")
        await page.waitForSelector("text=Replay 1 webhook?")
        await page.focus("button.main")
        await page.keyboard.press("Enter")
        await page.waitForSelector("text=done")
      })
      assert.deepStrictEqual(yield* Effect.promise(() => refused(page)), [])
    }), 60_000)

  it.effect("tells what just happened", () =>
    Effect.gen(function*() {
      const context = yield* visiting()
      const { base, page } = yield* entered(context)
      yield* Effect.promise(async () => {
        const live = page.waitForResponse((response) => response.url().includes("/live"))
        await page.goto(base)
        await live
      })
      yield* Served.happening
      yield* Effect.promise(() => page.waitForSelector("ol.live li a"))
      assert.deepStrictEqual(yield* Effect.promise(() => refused(page)), [])
    }), 60_000)

  it.effect("masks addresses for those who read, and lets them change nothing", () =>
    Effect.gen(function*() {
      const { ids } = yield* Open
      const context = yield* visiting()
      const { base, page } = yield* entered(context, "read")
      for (const [name, path] of pages(ids)) {
        yield* Effect.promise(() => page.goto(base + path))
        const text = yield* Effect.promise(() => page.textContent("body"))
        assert.notMatch(text ?? "", /person\d+@|victim@|blocked\d@/, name)
        assert.strictEqual(yield* Effect.promise(() => page.locator("button[name=act]").count()), 0, name)
      }
      const proof = yield* Effect.promise(() => page.inputValue("header input[name=proof]"))
      const answer = yield* Effect.promise(() =>
        page.request.post(`${base}/acts/preview`, { form: { proof, act: "dismiss", all: "yes" } })
      )
      assert.strictEqual(answer.status(), 403)
    }), 60_000)

  it.effect("shows nothing of another tenant, and takes no forged form", () =>
    Effect.gen(function*() {
      const { ids } = yield* Open
      const context = yield* visiting()
      const { base, page } = yield* entered(context)
      const get = (path: string) => Effect.promise(async () => (await page.request.get(base + path)).status())
      assert.strictEqual(yield* get(`/deliveries/${ids.foreign}`), 404)
      assert.strictEqual(yield* get(`/deliveries/${ids.foreign}?tenant=globex`), 404)
      assert.strictEqual(yield* get("/deliveries?tenant=globex"), 404)
      assert.strictEqual(yield* get(`/recipient?delivery=${ids.foreign}`), 404)
      assert.strictEqual(yield* get("/tenants"), 404)
      assert.strictEqual(yield* get("/nothing"), 404)
      assert.strictEqual(yield* get("/deliveries?after=junk"), 400)
      const post = (form: Record<string, string>) =>
        Effect.promise(async () => (await page.request.post(`${base}/acts/preview`, { form })).status())
      assert.strictEqual(yield* post({ act: "dismiss", all: "yes" }), 403)
      assert.strictEqual(yield* post({ act: "dismiss", all: "yes", proof: "forged" }), 403)
    }), 60_000)

  it.effect("puts whoever bears a revoked token out at once", () =>
    Effect.gen(function*() {
      const context = yield* visiting()
      const { base, page, token } = yield* entered(context)
      yield* Tokens.Tokens.use(({ revoke }) => revoke(Tenant.all, token.id))
      yield* Effect.promise(() => page.goto(`${base}/deliveries`))
      assert.include(page.url(), "/log-in")
      const cookies = yield* Effect.promise(() => context.cookies())
      assert.isTrue(cookies.every(({ httpOnly, sameSite }) => httpOnly && sameSite === "Strict"))
    }), 60_000)

  it.effect("limits how often a log-in is tried", () =>
    Effect.gen(function*() {
      const first = yield* send("/console/log-in")
      const cookie = (first.response.headers.get("set-cookie") ?? "").split(";")[0] ?? ""
      const proof = /name="proof" value="([^"]+)"/.exec(first.text)?.[1] ?? ""
      const tries = yield* Effect.forEach(
        Array.from({ length: 14 }),
        () =>
          send("/console/log-in", {
            method: "POST",
            headers: { cookie, "content-type": "application/x-www-form-urlencoded" },
            body: new URLSearchParams({ proof, token: "waybill_wrong" }).toString()
          })
      )
      assert.isTrue(tries.every(({ status }) => status === 401 || status === 429))
      assert.strictEqual(tries.at(-1)?.status, 429)
    }))

  it.effect("asks the application that mounts it who a request is from", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* send("/own/mail/deliveries")).status, 401)
      const { status, text } = yield* send("/own/mail/deliveries", { headers: { "x-user": "ann" } })
      assert.strictEqual(status, 200)
      assert.include(text, "/own/mail/orphans")
      assert.notInclude(text, "Log out")
      assert.strictEqual((yield* send("/console/deliveries")).status, 303)
    }))
})
