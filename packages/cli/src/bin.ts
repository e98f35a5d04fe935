/**
 * Composes the `waybill` command and runs it.
 *
 * @since 0.1.0
 */
import { runMain } from "@effect/platform-node/NodeRuntime"
import { layer as nodeServices } from "@effect/platform-node/NodeServices"
import { Cause, Effect, Layer, Ref, References, Schema } from "effect"
import { CliConfig, CliOutput, Command, Flag, GlobalFlag } from "effect/cli"
import { readFileSync } from "node:fs"
import * as AuditCommands from "./AuditCommands.ts"
import * as ConfigCommand from "./ConfigCommand.ts"
import * as DeliveryCommands from "./DeliveryCommands.ts"
import * as DemoCommand from "./DemoCommand.ts"
import * as DoctorCommand from "./DoctorCommand.ts"
import * as Failure from "./Failure.ts"
import * as ForgetCommand from "./ForgetCommand.ts"
import * as IngestCommand from "./IngestCommand.ts"
import * as Logs from "./Logs.ts"
import * as MigrateCommand from "./MigrateCommand.ts"
import * as OrphanCommands from "./OrphanCommands.ts"
import * as PruneCommand from "./PruneCommand.ts"
import * as Quit from "./Quit.ts"
import * as SendTestCommand from "./SendTestCommand.ts"
import * as ServeCommand from "./ServeCommand.ts"
import * as Settings from "./Settings.ts"
import * as StatusCommand from "./StatusCommand.ts"
import * as WebhookCommands from "./WebhookCommands.ts"

const { version } = Schema.decodeUnknownSync(
  Schema.fromJsonString(Schema.Struct({ version: Schema.String }))
)(readFileSync(new URL("../package.json", import.meta.url), "utf8"))

const configFile = GlobalFlag.Setting("config")({
  flag: Flag.File("config").pipe(
    Flag.withDescription("Take settings that the environment does not have from this JSON file"),
    Flag.optional
  )
})

const settings = Layer.unwrap(Effect.map(configFile, Settings.layer))

const waybill = Command.make("waybill").pipe(
  Command.withDescription("Knows what became of every message you sent"),
  Command.withSubcommands([
    MigrateCommand.migrate,
    DeliveryCommands.record,
    DeliveryCommands.dispatch,
    IngestCommand.ingest,
    DeliveryCommands.show,
    OrphanCommands.orphans,
    OrphanCommands.reconcile,
    AuditCommands.verify,
    AuditCommands.rebuild,
    ForgetCommand.forget,
    ServeCommand.serve,
    WebhookCommands.webhooks,
    PruneCommand.prune,
    SendTestCommand.sendTest,
    StatusCommand.status,
    DoctorCommand.doctor,
    ConfigCommand.config,
    DemoCommand.demo
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
  runMain({ disableErrorReporting: true, teardown: Quit.teardown(signalCode) })
)
