/**
 * Composes the `waybill` command and runs it.
 *
 * A command is two modules. The one in `commands/` defines what it takes and prints; every start loads all of them, to parse the
 * command line. The one in `work/` does what was asked, and only the chosen command loads it, by `import()`. So `--help` and
 * `waybill show` start without the HTTP server, the intake of webhooks and their libraries, which take longer to load than most
 * commands take to run. A command that needs few modules does its work itself. A folder of `commands/` is named after what its
 * commands are about: `deliveries`, `orphans`, `webhooks`, the `ledger` as a whole, or the `service` that runs it. `store/` loads the storage adapter that the
 * settings name in the same way. `config/` holds the settings, and `terminal/` what all commands share: flags, output, logs
 * and exit codes.
 *
 * @since 0.1.0
 */
import { runMain } from "@effect/platform-node/NodeRuntime"
import { layer as nodeServices } from "@effect/platform-node/NodeServices"
import { Cause, Effect, Layer, Ref, References, Schema } from "effect"
import { CliConfig, CliOutput, Command, Flag, GlobalFlag } from "effect/cli"
import { readFileSync } from "node:fs"
import * as Deliveries from "./commands/deliveries/Deliveries.ts"
import * as Find from "./commands/deliveries/Find.ts"
import * as Forget from "./commands/deliveries/Forget.ts"
import * as Unsent from "./commands/deliveries/Unsent.ts"
import * as Audit from "./commands/ledger/Audit.ts"
import * as Feed from "./commands/ledger/Feed.ts"
import * as Figures from "./commands/ledger/Figures.ts"
import * as Prune from "./commands/ledger/Prune.ts"
import * as Orphans from "./commands/orphans/Orphans.ts"
import * as Alerts from "./commands/service/Alerts.ts"
import * as Config from "./commands/service/Config.ts"
import * as Demo from "./commands/service/Demo.ts"
import * as Doctor from "./commands/service/Doctor.ts"
import * as Migrate from "./commands/service/Migrate.ts"
import * as Serve from "./commands/service/Serve.ts"
import * as Status from "./commands/service/Status.ts"
import * as Tokens from "./commands/service/Tokens.ts"
import * as Suppressions from "./commands/suppressions/Suppressions.ts"
import * as Unsubscribe from "./commands/suppressions/Unsubscribe.ts"
import * as Ingest from "./commands/webhooks/Ingest.ts"
import * as SendTest from "./commands/webhooks/SendTest.ts"
import * as Webhooks from "./commands/webhooks/Webhooks.ts"
import * as ConfigFile from "./config/ConfigFile.ts"
import { Version } from "./config/Version.ts"
import * as Failure from "./terminal/Failure.ts"
import * as Logs from "./terminal/Logs.ts"
import * as Quit from "./terminal/Quit.ts"

const { version } = Schema.decodeUnknownSync(
  Schema.fromJsonString(Schema.Struct({ version: Schema.String }))
)(readFileSync(new URL("../package.json", import.meta.url), "utf8"))

const configFile = GlobalFlag.Setting("config")({
  flag: Flag.File("config").pipe(
    Flag.withDescription("Take settings that the environment does not have from this JSON file"),
    Flag.optional
  )
})

const settings = Layer.unwrap(Effect.map(configFile, ConfigFile.layer))

const waybill = Command.make("waybill").pipe(
  Command.withDescription("Knows what became of every message you sent"),
  Command.withSubcommands([
    Migrate.migrate,
    Deliveries.record,
    Deliveries.dispatch,
    Unsent.fail,
    Unsent.suppress,
    Ingest.ingest,
    Deliveries.show,
    Find.find,
    Find.history,
    Orphans.orphans,
    Orphans.reconcile,
    Figures.figures,
    Audit.verify,
    Audit.rebuild,
    Feed.feed,
    Suppressions.suppressions,
    Unsubscribe.unsubscribe,
    Forget.forget,
    Serve.serve,
    Tokens.tokens,
    Webhooks.webhooks,
    Prune.prune,
    SendTest.sendTest,
    Status.status,
    Alerts.alerts,
    Doctor.doctor,
    Config.config,
    Demo.demo
  ]),
  Command.provide(Layer.provideMerge(Logs.layer, settings)),
  Command.withGlobalFlags([configFile])
)

const presentation = Layer.mergeAll(
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel] }),
  CliOutput.layerPresenter(Failure.presenter(CliOutput.defaultPresenter)),
  Layer.succeed(References.MinimumLogLevel, "Warn")
)

const signalCode = Ref.makeUnsafe(130)

waybill.pipe(
  Command.run({ version }),
  Effect.catchCause((cause) =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.interrupt
      : Effect.flatMap(Failure.report(cause), (code) => Effect.fail(new Quit.Quit({ code })))
  ),
  Effect.provide(Layer.merge(nodeServices, presentation)),
  Effect.provideService(Quit.SignalCode, signalCode),
  Effect.provideService(Version, version),
  runMain({ disableErrorReporting: true, teardown: Quit.teardown(signalCode) })
)
