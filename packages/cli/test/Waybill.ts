import { assert } from "@effect/vitest"
import { PgMigrations, PgServer } from "@waybill/storage"
import { Effect, Redacted, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { spawn } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const bin = fileURLToPath(new URL("../src/bin.ts", import.meta.url))

export interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Where node keeps what it compiled, so that each of many processes begins sooner. */
export const compileCache = join(tmpdir(), "waybill-compiled")

/** Runs the command as a process of its own, with nothing but these variables set. */
export const run = (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>>,
  stdin: string | Uint8Array = ""
): Effect.Effect<Run> =>
  Effect.callback<Run>((resume) => {
    const child = spawn(process.execPath, ["--conditions=@waybill/source", bin, ...args], {
      env: { PATH: process.env["PATH"] ?? "", NODE_COMPILE_CACHE: compileCache, ...env }
    })
    const output = { stdout: "", stderr: "" }
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text))
    child.once("error", (error) => resume(Effect.die(error)))
    child.once("close", (code) => resume(Effect.succeed({ code, ...output })))
    child.stdin.on("error", () => {})
    child.stdin.end(stdin)
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Runs the command with --json and reads the one document it prints. */
export const json = Effect.fnUntraced(function*<A, I>(
  schema: Schema.Codec<A, I>,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>>,
  stdin: string | Uint8Array = ""
) {
  const { code, stderr, stdout } = yield* run([...args, "--json"], env, stdin)
  assert.strictEqual(code, 0, stderr)
  assert.match(stdout, /^[^\n]+\n$/)
  return yield* Effect.orDie(Schema.decodeEffect(Schema.fromJsonString(schema))(stdout))
})

/** A directory that is gone after the test. */
export const directory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "waybill-cli-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)

/** Writes a file in a directory and gives its path. */
export const file = (path: string, name: string, content: string | Uint8Array): Effect.Effect<string> =>
  Effect.as(Effect.promise(() => writeFile(join(path, name), content)), join(path, name))

/** The variables of a schema on the server of the tests that nothing has migrated; dropped with the scope. */
export const server = Effect.acquireRelease(
  Effect.sync(() => ({
    WAYBILL_DATABASE_URL: process.env["WAYBILL_TEST_DATABASE_URL"] ?? assert.fail("there is no server"),
    WAYBILL_SCHEMA: `cli_${globalThis.crypto.randomUUID().replaceAll("-", "")}`
  })),
  (env) =>
    SqlClient.SqlClient.use((sql) => sql`DROP SCHEMA IF EXISTS ${sql(env.WAYBILL_SCHEMA)} CASCADE`).pipe(
      Effect.provide(PgServer.layer(Redacted.make(env.WAYBILL_DATABASE_URL))),
      Effect.orDie
    )
)

/** The variables that name a schema. */
export type Env = typeof server extends Effect.Effect<infer A, infer _E, infer _R> ? A : never

/** The variables of a fresh, migrated schema on the server of the tests. */
export const migrated = Effect.tap(server, (env) =>
  PgMigrations.migrate(env.WAYBILL_SCHEMA).pipe(
    Effect.provide(PgServer.layer(Redacted.make(env.WAYBILL_DATABASE_URL))),
    Effect.orDie
  ))

export const Recorded = Schema.Struct({ id: Schema.String, created: Schema.Boolean })

export const Dispatched = Schema.Struct({ id: Schema.String, linked: Schema.Int })

export const Migrated = Schema.Struct({ applied: Schema.Array(Schema.String) })

export const Swept = Schema.Struct({
  scanned: Schema.Int,
  linked: Schema.Int,
  failed: Schema.Int,
  remaining: Schema.Int
})

export const Orphans = Schema.Struct({
  orphans: Schema.Array(Schema.Struct({
    eventId: Schema.String,
    tenantId: Schema.String,
    provider: Schema.NullOr(Schema.String),
    providerMessageId: Schema.NullOr(Schema.String),
    type: Schema.String,
    occurredAt: Schema.String,
    insertedAt: Schema.String,
    expired: Schema.Boolean,
    attempts: Schema.Int,
    reason: Schema.NullOr(Schema.String),
    nextAttemptAt: Schema.NullOr(Schema.String)
  }))
})

export const Failed = Schema.Struct({
  id: Schema.String,
  attempt: Schema.Int,
  noted: Schema.Boolean,
  status: Schema.String
})

export const Suppressed = Schema.Struct({ id: Schema.String, noted: Schema.Boolean, status: Schema.String })

export const Shown = Schema.Struct({
  delivery: Schema.Record(Schema.String, Schema.Json),
  timeline: Schema.Array(Schema.Struct({
    eventId: Schema.String,
    type: Schema.String,
    occurredAt: Schema.String,
    linkedBy: Schema.NullOr(Schema.String),
    details: Schema.NullOr(Schema.Record(Schema.String, Schema.Json))
  }))
})

export const Ingested = Schema.Struct({
  events: Schema.Array(Schema.Struct({
    id: Schema.String,
    type: Schema.String,
    outcome: Schema.Literals(["appended", "duplicate", "conflict"]),
    deliveryId: Schema.NullOr(Schema.String),
    orphan: Schema.Boolean
  }))
})
