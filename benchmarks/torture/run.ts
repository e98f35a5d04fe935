/**
 * Kills, freezes and cuts off workers, crashes their server, and checks that what was acknowledged is in the ledger once.
 *
 * Usage: npm run torture -- [--rounds N] [--seed S] [--workers N] [--seconds N]
 */
import { NodeRuntime } from "@effect/platform-node"
import { Audit, Orphans, Tenant } from "@waybill/core"
import { PgLedger, PgMigrations, PgServer } from "@waybill/storage"
import { Console, DateTime, Effect, Option, Random, Redacted, Ref } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import { type ChildProcess, spawn } from "node:child_process"
import { argv, execPath, stderr } from "node:process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as PostgresServer from "../../packages/storage/test/PostgresServer.ts"
import { type Acknowledged } from "./script.ts"

const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    rounds: { type: "string", default: "10" },
    seed: { type: "string" },
    workers: { type: "string", default: "3" },
    seconds: { type: "string", default: "1.5" }
  }
})

const rounds = Number(values.rounds)
const workerCount = Number(values.workers)
const seconds = Number(values.seconds)

const counts = {
  kills: 0,
  freezes: 0,
  terminations: 0,
  restarts: 0,
  acknowledged: 0,
  lost: 0,
  duplicated: 0,
  drifted: 0
}

const worker = fileURLToPath(new URL("worker.ts", import.meta.url))

interface Acknowledgements {
  readonly appended: Map<string, Set<string>>
  readonly deliveries: Set<string>
  readonly dispatched: Map<string, string>
}

const note = (acknowledged: Acknowledged, into: Acknowledgements) => {
  counts.acknowledged++
  switch (acknowledged._tag) {
    case "appended": {
      const keys = into.appended.get(acknowledged.tenantId) ?? new Set<string>()
      for (const [key] of acknowledged.events) keys.add(key)
      into.appended.set(acknowledged.tenantId, keys)
      break
    }
    case "recorded":
      into.deliveries.add(`${acknowledged.tenantId} ${acknowledged.deliveryId}`)
      break
    case "dispatched":
      into.dispatched.set(`${acknowledged.tenantId} ${acknowledged.deliveryId}`, acknowledged.messageId)
  }
}

/** Starts a worker and notes what it is told, until it ends. */
const startWorker = (url: string, seed: string, run: string, into: Acknowledgements): ChildProcess => {
  const child = spawn(execPath, ["--conditions=@waybill/source", worker, seed, run], {
    env: { ...process.env, WAYBILL_DATABASE_URL: url },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let complaint = ""
  createInterface({ input: child.stdout }).on("line", (line) => {
    // The last line of a killed worker may be cut.
    if (line.startsWith("{\"_tag\"") && line.endsWith("}")) note(JSON.parse(line), into)
    else complaint += `${line}\n`
  })
  child.stderr.on("data", (chunk) => {
    complaint += String(chunk)
  })
  child.once("exit", (code) => {
    if (code !== null && code !== 0) {
      counts.lost++
      stderr.write(`a worker failed by itself (exit ${code}):\n${complaint.slice(-2000)}\n`)
    }
  })
  return child
}

const ended = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("close", () => resume(Effect.void))
  })

const disturb = Effect.fnUntraced(
  function*(
    server: PostgresServer.PostgresServer,
    children: Array<ChildProcess>,
    restart: (index: number) => ChildProcess
  ) {
    const index = yield* Random.nextIntBetween(0, children.length - 1)
    const child = children[index]
    const kind = yield* Random.nextIntBetween(0, 9)
    if (child === undefined) return
    if (kind <= 3) {
      counts.kills++
      child.kill("SIGKILL")
      yield* ended(child)
      children[index] = restart(index)
    } else if (kind <= 6) {
      counts.freezes++
      child.kill("SIGSTOP")
      yield* Effect.sleep(`${yield* Random.nextIntBetween(50, 600)} millis`)
      child.kill("SIGCONT")
    } else if (kind <= 8) {
      counts.terminations++
      yield* SqlClient.SqlClient.use((sql) =>
        sql`
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'waybill' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 2
      `
      ).pipe(Effect.provide(PgServer.layer(Redacted.make(server.url), { maxConnections: 1 })), Effect.ignore)
    } else {
      counts.restarts++
      yield* Effect.promise(() => server.crash())
    }
  }
)

/** What the ledger says of a run, by plain SQL and by its own audit. */
const check = Effect.fnUntraced(function*(run: string, told: Acknowledgements) {
  const sql = yield* SqlClient.SqlClient
  const orphans = yield* Orphans.Orphans
  const audit = yield* Audit.Audit
  const now = yield* DateTime.now
  const window = { insertedFrom: DateTime.subtract(now, { days: 1 }), insertedTo: DateTime.add(now, { days: 1 }) }
  while ((yield* orphans.link({ scope: Tenant.all, limit: 1000, ...window })).scanned > 0);

  for (const [tenantId, keys] of told.appended) {
    const rows = yield* sql<{ readonly key: string; readonly count: number }>`
      SELECT idempotency_key AS key, count(*)::integer AS count FROM waybill.events
      WHERE tenant_id = ${tenantId} AND idempotency_key LIKE ${`webhook:${run}:%`} GROUP BY idempotency_key
    `
    const stored = new Map(rows.map(({ count, key }) => [key, count]))
    for (const key of keys) if (!stored.has(key)) counts.lost++
    for (const count of stored.values()) if (count > 1) counts.duplicated++
  }
  const deliveries = yield* sql<{ readonly key: string; readonly message: string | null }>`
    SELECT tenant_id || ' ' || id AS key, provider_message_id AS message FROM waybill.deliveries
    WHERE idempotency_key LIKE ${`record:${run}-%`}
  `
  const messages = new Map(deliveries.map(({ key, message }) => [key, message]))
  for (const key of told.deliveries) if (!messages.has(key)) counts.lost++
  for (const [key, message] of told.dispatched) if (messages.get(key) !== message) counts.lost++
  const [doubled] = yield* sql<{ readonly count: number }>`
    SELECT count(*)::integer AS count FROM (
      SELECT source_event_id FROM waybill.events WHERE source_event_id IS NOT NULL
      GROUP BY source_event_id HAVING count(*) > 1
    ) twice
  `
  counts.duplicated += doubled?.count ?? 0
  // Law 5: an orphan whose delivery is there is linked.
  const [stuck] = yield* sql<
    { readonly count: number }
  >`SELECT count(*)::integer AS count FROM waybill.orphans WHERE ready`
  counts.lost += stuck?.count ?? 0
  for (const part of ["deliveries", "orphans"] as const) {
    let after = Option.none<string>()
    do {
      const page = yield* audit.verify({ part, scope: Tenant.all, after, limit: 1000 })
      counts.drifted += page.drifts.length
      after = page.next
    } while (Option.isSome(after))
  }
})

const round = Effect.fnUntraced(function*(server: PostgresServer.PostgresServer, seed: string, number: number) {
  const run = `${seed}.${number}`
  const told: Acknowledgements = { appended: new Map(), deliveries: new Set(), dispatched: new Map() }
  const generation = yield* Ref.make(0)
  const restart = (index: number) => {
    const next = Effect.runSync(Ref.updateAndGet(generation, (n) => n + 1))
    return startWorker(server.url, `${run}.${index}.${next}`, run, told)
  }
  const children = Array.from({ length: workerCount }, (_, index) => restart(index))
  // A disturbance before the first calls would find nothing to disturb.
  const before = counts.acknowledged
  yield* Effect.sleep("20 millis").pipe(
    Effect.repeat({ until: () => counts.acknowledged > before + 20 }),
    Effect.timeoutOption("20 seconds")
  )
  const disturbances = yield* Random.nextIntBetween(2, 4)
  for (let index = 0; index < disturbances; index++) {
    yield* Effect.sleep(`${yield* Random.nextIntBetween(50, Math.ceil((seconds * 1000) / disturbances))} millis`)
    yield* disturb(server, children, restart)
  }
  for (const child of children) {
    child.kill("SIGCONT")
    child.kill("SIGKILL")
    yield* ended(child)
  }
  yield* check(run, told).pipe(
    Effect.provide(PgLedger.layer()),
    Effect.provide(SecureRandom.layerWebCrypto),
    Effect.provide(PgServer.layer(Redacted.make(server.url), { maxConnections: 2 }))
  )
  yield* Console.log(
    `round ${
      number + 1
    }/${rounds}: ${counts.acknowledged} acknowledged, ${counts.kills} kills, ${counts.freezes} freezes, ` +
      `${counts.terminations} terminations, ${counts.restarts} restarts; lost ${counts.lost}, ` +
      `duplicated ${counts.duplicated}, drifted ${counts.drifted}`
  )
})

const main = Effect.gen(function*() {
  const seed = values.seed ?? String(yield* Random.nextIntBetween(1, 1_000_000))
  yield* Console.log(`seed ${seed}: npm run torture -- --rounds ${rounds} --seed ${seed}`)
  const server = yield* Effect.acquireRelease(
    Effect.promise(() => PostgresServer.start(["max_connections=200"])),
    (started) => Effect.promise(() => started.stop())
  )
  yield* PgMigrations.migrate().pipe(Effect.provide(PgServer.layer(Redacted.make(server.url))))
  yield* Effect.forEach(
    Array.from({ length: rounds }, (_, index) => index),
    (index) => round(server, seed, index),
    { discard: true }
  ).pipe(Random.withSeed(seed))
  yield* Console.log(
    [`rounds: ${rounds}`, ...Object.entries(counts).map(([name, count]) => `${name}: ${count}`)].join("\n")
  )
  if (counts.lost + counts.duplicated + counts.drifted > 0) {
    yield* Effect.fail("the ledger did not hold" as const)
  }
}).pipe(Effect.scoped)

NodeRuntime.runMain(main)
