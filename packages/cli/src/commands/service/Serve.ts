/**
 * Runs the schedules and the HTTP edge in one process.
 *
 * @since 0.1.0
 */
import { Effect, Option, Ref, References } from "effect"
import { Command, Flag, GlobalFlag } from "effect/cli"
import * as EdgeSettings from "../../config/EdgeSettings.ts"
import * as Setting from "../../config/Setting.ts"
import * as Settings from "../../config/Settings.ts"
import * as Quit from "../../terminal/Quit.ts"

const atLeast = Effect.gen(function*() {
  const asked = yield* GlobalFlag.LogLevel
  return Option.isSome(asked) ? asked.value : yield* Setting.read(Settings.logLevel)
})

/** The port of probes and metrics where they have an address of their own, by default. */
const defaultAdminPort = 8026

/** The address of probes and metrics, if either half of it is set. */
const adminAddress = Effect.gen(function*() {
  const host = yield* Setting.read(EdgeSettings.adminHost)
  const port = yield* Setting.read(EdgeSettings.adminPort)
  if (Option.isNone(host) && Option.isNone(port)) return Option.none()
  return Option.some({
    host: Option.getOrElse(host, () => EdgeSettings.host.fallback),
    port: Option.getOrElse(port, () => defaultAdminPort)
  })
})

/**
 * `waybill serve`
 *
 * @category commands
 * @since 0.1.0
 */
export const serve = Command.make(
  "serve",
  {
    port: Flag.Int("port").pipe(
      Flag.filter((port) => port >= 0 && port <= 65_535, () => EdgeSettings.port.issue),
      Flag.withDescription("The port to listen on, 0 for any (default: 8025)"),
      Flag.optional
    ),
    host: Flag.String("host").pipe(
      Flag.filterMap(EdgeSettings.host.parse, () => EdgeSettings.host.issue),
      Flag.withDescription("The address to listen on (default: 127.0.0.1)"),
      Flag.optional
    )
  },
  Effect.fnUntraced(function*(given) {
    const host = yield* Setting.readUnless(given.host, EdgeSettings.host)
    const port = yield* Setting.readUnless(given.port, EdgeSettings.port)
    const admin = yield* adminAddress
    const keepAlive = yield* Setting.read(EdgeSettings.keepAlive)
    const Serve = yield* Effect.promise(() => import("../../work/Serve.ts"))
    yield* Ref.set(yield* Quit.SignalCode, 0)
    return yield* Effect.provideService(
      Serve.run({ host, port, admin, keepAlive }),
      References.MinimumLogLevel,
      yield* atLeast
    )
  })
).pipe(
  Command.withDescription("Run the sweeps, take webhooks over HTTP and answer /healthz, /readyz and /metrics"),
  Command.withExamples([
    { command: "waybill serve", description: "On the embedded database, at 127.0.0.1 port 8025" },
    {
      command: "WAYBILL_DATABASE_URL=postgres://app@localhost/app waybill serve --host 0.0.0.0 --port 8080",
      description: "On a server, for other machines; any number of processes share the sweeps"
    }
  ])
)
