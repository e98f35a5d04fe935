import { assert } from "@effect/vitest"
import { Effect, Option, Schedule, Schema } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as Waybill from "./Waybill.ts"

const bin = fileURLToPath(new URL("../src/bin.ts", import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly millis: number
}

export interface Reply {
  readonly status: number
  readonly type: string
  readonly text: string
}

/** A `waybill serve` in a process of its own. */
export interface Serving {
  readonly url: string
  readonly child: ChildProcess
  /** How long it took to be ready. */
  readonly millis: number
  /** All that it has logged. */
  readonly stderr: () => string
  readonly get: (path: string) => Effect.Effect<Reply>
  /** Sends a signal and waits for the end. */
  readonly stop: (signal: NodeJS.Signals) => Effect.Effect<Ended>
}

const Line = Schema.fromJsonString(
  Schema.Struct({ message: Schema.String, annotations: Schema.Struct({ url: Schema.String }) })
)

const decodeLine = Schema.decodeOption(Line)

/** The address of the line that says that it is ready. */
const urlIn = (stderr: string): Option.Option<string> =>
  Option.flatMap(
    Option.fromUndefinedOr(stderr.split("\n").find((line) => line.includes("\"ready\""))),
    (line) => Option.map(decodeLine(line), ({ annotations }) => annotations.url)
  )

export const get = (url: string): Effect.Effect<Reply> =>
  Effect.promise(async () => {
    const response = await fetch(url)
    return { status: response.status, type: response.headers.get("content-type") ?? "", text: await response.text() }
  })

const ended = (child: ChildProcess, since: number) =>
  Effect.callback<Ended>((resume) => {
    const done = () =>
      resume(Effect.succeed({ code: child.exitCode, signal: child.signalCode, millis: performance.now() - since }))
    if (child.exitCode !== null || child.signalCode !== null) return done()
    child.once("exit", done)
  })

/** Serves until the end of the scope; it may not be ready yet. */
export const startQuietly = Effect.fnUntraced(function*(
  env: Readonly<Record<string, string>>,
  args: ReadonlyArray<string>,
  cwd?: string
) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--conditions=@waybill/source", bin, "serve", ...args], {
        cwd,
        env: {
          PATH: process.env["PATH"] ?? "",
          NODE_COMPILE_CACHE: Waybill.compileCache,
          WAYBILL_LOG_FORMAT: "json",
          ...env
        },
        stdio: ["ignore", "ignore", "pipe"]
      })
    ),
    (child) =>
      Effect.suspend(() => {
        child.kill("SIGCONT")
        child.kill("SIGKILL")
        return ended(child, 0)
      })
  )
  let text = ""
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
  const stop = (signal: NodeJS.Signals) =>
    Effect.suspend(() => {
      const since = performance.now()
      child.kill(signal)
      return ended(child, since)
    })
  return { child, stderr: () => text, stop }
})

/** Serves on any port until the end of the scope, and gives when it is ready. */
export const start = Effect.fnUntraced(function*(
  env: Readonly<Record<string, string>>,
  options: { readonly cwd?: string } = {}
) {
  const began = performance.now()
  const started = yield* startQuietly(env, ["--port", "0"], options.cwd)
  const url = yield* Effect.suspend(() => {
    const { exitCode } = started.child
    if (exitCode !== null) return Effect.die(new Error(`it ended with ${exitCode}: ${started.stderr()}`))
    return Effect.fromOption(urlIn(started.stderr()))
  }).pipe(
    Effect.retry(Schedule.spaced("10 millis")),
    Effect.timeoutOrElse({
      duration: "40 seconds",
      orElse: () => Effect.die(new Error(`it did not become ready: ${started.stderr()}`))
    })
  )
  const serving: Serving = {
    ...started,
    url,
    millis: performance.now() - began,
    get: (path) => get(`${url}${path}`)
  }
  return serving
})

/** Waits until something holds, and fails with the last reason why it does not. */
export const eventually = <A, E, R>(effect: Effect.Effect<A, E, R>, within: `${number} seconds` = "20 seconds") =>
  effect.pipe(
    Effect.sandbox,
    Effect.retry(Schedule.max([Schedule.spaced("50 millis"), Schedule.during(within)])),
    Effect.orDie
  )

/** The value of each series of a metrics page, which must be Prometheus text. */
export const series = (text: string): ReadonlyMap<string, number> => {
  const found = new Map<string, number>()
  assert.isTrue(text.endsWith("\n"))
  for (const line of text.trimEnd().split("\n")) {
    if (line.startsWith("#")) {
      assert.match(line, /^# (?:HELP [a-z_:][a-z0-9_:]* .+|TYPE [a-z_:][a-z0-9_:]* (?:counter|gauge|histogram))$/)
      continue
    }
    const [, name = "", value = ""] =
      /^([a-z_:][a-z0-9_:]*(?:\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})?) ([-+0-9.e]+|\+Inf|-Inf|NaN)$/i.exec(line) ??
        assert.fail(`no line of Prometheus text: ${line}`)
    assert.isFalse(found.has(name), `twice: ${name}`)
    found.set(name, Number(value))
  }
  return found
}
