/**
 * Looks for anything that keeps an installation from working, and names the remedy.
 *
 * @since 0.1.0
 */
import { Tenant } from "@waybill/core"
import type * as PgHealth from "@waybill/storage/PgHealth"
import { Duration, Effect, Option, Schema } from "effect"
import { Command } from "effect/cli"
import * as EdgeSettings from "../../config/EdgeSettings.ts"
import * as Setting from "../../config/Setting.ts"
import * as Settings from "../../config/Settings.ts"
import * as Database from "../../store/Database.ts"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

/**
 * Something is wrong with the installation.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unwell extends Schema.TaggedError<Unwell>("waybill/Unwell")("Unwell", { wrong: Schema.Int }) {
  override get message(): string {
    return `${this.wrong} of the checks found something wrong`
  }
}

/**
 * How far two clocks may be apart.
 *
 * @category constants
 * @since 0.1.0
 */
export const tolerableSkew: Duration.Duration = Duration.seconds(1)

/**
 * How long a transaction may stay open.
 *
 * @category constants
 * @since 0.1.0
 */
export const tolerableTransaction: Duration.Duration = Duration.seconds(60)

/** The finding of one check. */
interface Check {
  readonly check: string
  readonly ok: boolean
  readonly found: string
  /** The remedy; empty if all is well. Where a check is ok all the same, it is a warning. */
  readonly advice: string
}

const judge = (check: string, ok: boolean, found: string, advice: string): Check => ({
  check,
  ok,
  found,
  advice: ok ? "" : advice
})

const versionOf = (version: number): string => `PostgreSQL ${Math.floor(version / 10_000)}.${version % 10_000}`

const rowLevelSecurity = ({ rowLevelSecurity }: PgHealth.Findings, isSet: boolean): Check =>
  judge(
    "row-level security",
    isSet || !rowLevelSecurity,
    rowLevelSecurity ?
      `its policies apply to this role, ${isSet ? "and" : "but"} tenants are ${isSet ? "" : "not "}named` :
      "its policies do not apply to this role",
    "set WAYBILL_ROW_LEVEL_SECURITY=true, or this role sees no rows at all"
  )

const transactions = ({ open }: PgHealth.Findings): Check =>
  judge(
    "open transactions",
    open.length === 0,
    open.length === 0
      ? `none is older than ${Duration.toSeconds(tolerableTransaction)} seconds`
      : open.map(({ application, processId, seconds, state }) =>
        `${processId ?? "prepared"} of ${application === "" ? "unnamed" : application}: ${state} for ${
          Math.floor(seconds)
        } s`
      ).join("; "),
    "they hold locks, delay the feed and keep the database from cleaning up: end their program, or" +
      " SELECT pg_terminate_backend(<process>) (a prepared one: ROLLBACK PREPARED)"
  )

const repair = "run waybill feed repair as the owner of the schema"

/** Nothing where the schema has no feed that this role could look at, which other checks say. */
const feed = ({ feed }: PgHealth.Findings): ReadonlyArray<Check> => {
  if (feed === null) return []
  const { ahead, held, restored } = feed
  return [
    judge(
      "feed",
      !restored && held === 0,
      restored
        ? "the database was restored into another cluster, and the feed stands still"
        : held === 0
        ? "no event is held back"
        : `${held} restored events are held back until this cluster has used as many transaction ids`,
      repair
    ),
    judge(
      "consumers",
      ahead.length === 0,
      ahead.length === 0 ? "none is ahead of the database" : `ahead of the database: ${ahead.join(", ")}`,
      restored || held > 0
        ? repair
        : "see waybill feed list, and let each begin at a place it has: waybill feed reset NAME --to start|now|TIME"
    )
  ]
}

/** What to do, where the URL is this command's setting. */
const named = (advice: string): string => advice.replaceAll("the URL", "WAYBILL_DATABASE_URL")

const poolers: Readonly<Record<PgHealth.Findings["pooler"], string>> = {
  transaction: "in transaction mode: limits are set in each transaction, and statements have no names",
  session: "in session mode: limits are set in each transaction",
  none: "there is none"
}

const writes = ({ refusal }: PgHealth.Findings): Check =>
  judge(
    "writes",
    refusal === undefined,
    refusal ?? "a row was written, and not kept",
    "use the primary (name every host in WAYBILL_DATABASE_URL, with target_session_attrs=read-write), and see its disk"
  )

const migrations = (schema: string, { newer, pending, tooNew }: PgHealth.Findings): Check => {
  if (tooNew !== undefined) return judge("migrations", false, tooNew.message, "upgrade this program")
  const upToDate = newer.length === 0
    ? `the schema ${schema} is up to date`
    : `the schema ${schema} has ${newer.join(", ")} of a newer program, beside which this one may write`
  return judge(
    "migrations",
    pending.length === 0,
    pending.length === 0 ? upToDate : `the schema ${schema} lacks ${pending.join(", ")}`,
    "run waybill migrate as the owner of the schema"
  )
}

const judgeAll = (schema: string, findings: PgHealth.Findings, isSet: boolean): ReadonlyArray<Check> => {
  const { disabledTriggers, missing, oldestVersion, skew, version } = findings
  return [
    judge(
      "version",
      version >= oldestVersion,
      versionOf(version),
      `upgrade to ${versionOf(oldestVersion)} or newer`
    ),
    judge(
      "clock",
      Math.abs(skew.millis) - skew.uncertainty <= Duration.toMillis(tolerableSkew),
      `the database's is ${Math.abs(skew.millis)} ms ${skew.millis < 0 ? "behind" : "ahead"}` +
        ` (± ${Math.ceil(skew.uncertainty)} ms)`,
      "let NTP or chrony set the clocks of this machine and of the database's: ticks and grace are told by them"
    ),
    migrations(schema, findings),
    judge(
      "privileges",
      missing.length === 0,
      missing.length === 0 ? "this role may do all that is needed" : `this role lacks ${missing.join(", ")}`,
      "run waybill migrate --grant-to <role> as the owner of the schema, and GRANT <role> TO this role"
    ),
    judge(
      "ledger guard",
      disabledTriggers.length === 0,
      disabledTriggers.length === 0 ? "every trigger is on" : `off: ${disabledTriggers.join(", ")}`,
      "ALTER TABLE … ENABLE ALWAYS TRIGGER … as the owner of the schema, then run waybill verify"
    ),
    judge("pooler", true, poolers[findings.pooler], ""),
    writes(findings),
    rowLevelSecurity(findings, isSet),
    transactions(findings),
    ...feed(findings)
  ]
}

/** Webhooks that are not in the ledger keep nothing from working, so they are a warning. */
const webhooks = Effect.gen(function*() {
  const Backlog = yield* Effect.promise(() => import("@waybill/runtime/Backlog"))
  const found = Backlog.warnings(yield* Backlog.unfinished)
  const check: Check = {
    check: "webhooks",
    ok: true,
    found: found.length === 0 ? "none was given up or is to be tried again" : found.join(", "),
    advice: found.length === 0
      ? ""
      : "waybill webhooks list says why; mend it, then run waybill webhooks replay --dead"
  }
  return check
})

/** Links to unsubscribe keep nothing else from working, so what they lack is a warning. */
const unsubscribe = Effect.gen(function*() {
  const keys = yield* Setting.read(EdgeSettings.unsubscribeKeys)
  const url = yield* Setting.read(EdgeSettings.publicUrl)
  const note = (found: string, advice: string): Check => ({ check: "unsubscribe", ok: true, found, advice })
  if (Option.isNone(keys)) return note("there are no keys, so that messages have no links", "")
  const signs = `links are signed with the key ${keys.value.first.id}`
  const others = keys.value.byId.size - 1
  const found = others === 0 ? signs : `${signs}, and ${others} more ${others === 1 ? "is" : "are"} good`
  if (Option.isNone(url)) return note(found, "set WAYBILL_PUBLIC_URL to the address that they are to begin with")
  return note(
    found,
    url.value.startsWith("https:")
      ? ""
      : "mailbox providers take https alone: set WAYBILL_PUBLIC_URL to such an address"
  )
}).pipe(
  Effect.catchTag(
    "BadSetting",
    (error) => Effect.succeed(judge("unsubscribe", false, error.message, "set it right, or serve does not start"))
  )
)

/** Examines the database, and something beside it where that can be asked for. */
const examineWith = <E, R>(others: Effect.Effect<Check, E, R>) =>
  Effect.gen(function*() {
    const { examine, kind, schema } = yield* Database.Database
    const findings = yield* examine(tolerableTransaction)
    const answers = judge("database", true, kind === "Memory" ? "in memory, nothing to look at" : "it answers", "")
    return Option.match(findings, {
      onNone: () => Effect.succeed([answers]),
      onSome: Effect.fnUntraced(function*(found) {
        const isSet = yield* Setting.read(Settings.rowLevelSecurity)
        const checks = [answers, ...judgeAll(schema, found, isSet)]
        // Where it cannot be asked for them, another check says why.
        return [...checks, ...Option.toArray(yield* Effect.option(others))]
      })
    })
  }).pipe(Effect.flatten)

/** One line for each provider that is set up, of each tenant. */
const verifications = Effect.gen(function*() {
  const Verification = yield* Effect.promise(() => import("../../work/Verification.ts"))
  return (yield* Verification.all).map(({ advice, found, provider, tenantId }): Check => ({
    check: `webhooks of ${provider}${tenantId === Tenant.defaultTenantId ? "" : ` (${tenantId})`}`,
    ok: true,
    found,
    advice
  }))
})

/**
 * `waybill doctor`
 *
 * @category commands
 * @since 0.1.0
 */
export const doctor = Command.make(
  "doctor",
  { json: Parameters.json },
  Effect.fnUntraced(function*({ json }) {
    const examined = yield* Effect.provide(examineWith(webhooks), Store.layer).pipe(
      // A schema that cannot be written to has no inbox to ask.
      Effect.catchTag(
        ["SchemaNotMigrated", "SchemaTooNew"],
        () => Effect.provide(examineWith(Effect.fail("no inbox")), Database.layer)
      ),
      Effect.catchTag(
        "LedgerUnavailable",
        (error) => Effect.succeed([judge("database", false, error.message, named(error.advice))])
      ),
      Effect.catchTag(
        "UnusableUrl",
        (error) =>
          Effect.succeed([judge("database", false, error.message, "see the table of parameters in docs/operations.md")])
      ),
      Effect.catchTag("UnusableDirectory", (error) =>
        Effect.succeed([
          judge("database", false, error.message, "see that WAYBILL_DATABASE_URL names a directory that can be written")
        ])),
      Effect.catchTag(
        "SchemaTooNew",
        (error) => Effect.succeed([judge("migrations", false, error.message, "upgrade this program")])
      ),
      Effect.catchTag("DatabaseInUse", (error) =>
        Effect.succeed([
          judge("database", false, error.message, "stop that process, or ask its /readyz and /metrics")
        ]))
    )
    const verified = yield* Effect.catchTag(
      verifications,
      "BadSetting",
      ({ issue, name }) => Effect.succeed([judge(`setting ${name}`, false, issue, "mend it: no webhook is taken in")])
    )
    const checks = [...examined, yield* unsubscribe, ...verified]
    const wrong = checks.filter(({ ok }) => !ok).length
    yield* Output.write(
      json,
      { ok: wrong === 0, checks: checks.map((check) => ({ ...check })) },
      () =>
        checks.map(({ advice, check, found, ok }) =>
          `${ok ? advice === "" ? "ok   " : "note " : "WRONG"}  ${check}: ${found}${
            advice === "" ? "" : `\n       ${advice}`
          }`
        ).join("\n")
    )
    if (wrong > 0) yield* new Unwell({ wrong })
  })
).pipe(
  Command.withDescription(
    "Look for what keeps Waybill from working, and say what to do about it; exit 1 where anything is"
  ),
  Command.withExamples([
    {
      command: "waybill doctor",
      description: "Clocks, privileges, migrations, the feed and transactions that stay open"
    },
    { command: "waybill doctor --json", description: "For a script" }
  ])
)
