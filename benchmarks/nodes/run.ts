/**
 * Runs three `waybill serve` processes on one server with a cron of one second, kills one and freezes another on the way, and
 * checks what their ticks and links have become.
 *
 * Usage: npx node --conditions=@waybill/source benchmarks/nodes/run.ts [--seconds N] [--grace-seconds N] [--per-second N]
 */
import { NodeRuntime } from "@effect/platform-node"
import { Delivery, Event, IdempotencyKey, Ledger, Provider, Recipient, Tenant } from "@waybill/core"
import { PgLedger, PgMigrations, PgServer } from "@waybill/storage"
import { Clock, Console, DateTime, Effect, Fiber, Layer, Option, Random, Redacted, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import { type ChildProcess, spawn } from "node:child_process"
import { argv, env, execPath } from "node:process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as PostgresServer from "../../packages/storage/test/PostgresServer.ts"

const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    seconds: { type: "string", default: "60" },
    "grace-seconds": { type: "string", default: "1" },
    "per-second": { type: "string", default: "40" }
  }
})

const seconds = Number(values.seconds)
const graceSeconds = Number(values["grace-seconds"])
const perSecond = Number(values["per-second"])

/** How late an orphan may be linked, in milliseconds after it is linkable and past its grace. */
const tolerable = 3000

const bin = fileURLToPath(new URL("../../packages/cli/src/bin.ts", import.meta.url))

interface Node {
  readonly name: string
  readonly child: ChildProcess
  readonly log: () => string
}

/** Serves until the end of the scope. */
const startNode = Effect.fnUntraced(function*(url: string, name: string) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(execPath, ["--conditions=@waybill/source", bin, "serve", "--port", "0"], {
        env: {
          PATH: env["PATH"] ?? "",
          WAYBILL_DATABASE_URL: url,
          WAYBILL_NODE: name,
          WAYBILL_RECONCILE_CRON: "* * * * * *",
          WAYBILL_GRACE: `${graceSeconds}s`,
          WAYBILL_MAX_CONNECTIONS: "4"
        },
        stdio: ["ignore", "ignore", "pipe"]
      })
    ),
    (child) =>
      Effect.suspend(() => {
        child.kill("SIGCONT")
        child.kill("SIGKILL")
        return ended(child)
      })
  )
  let log = ""
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (log += chunk))
  yield* Effect.suspend(() => log.includes(" ready ") ? Effect.void : Effect.fail("not ready" as const)).pipe(
    Effect.eventually,
    Effect.timeout("30 seconds")
  )
  const node: Node = { name, child, log: () => log }
  return node
})

const ended = (child: ChildProcess) =>
  Effect.callback<number | null>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.succeed(child.exitCode))
    child.once("exit", (code) => resume(Effect.succeed(code)))
  })

const provider = Provider.Provider.make("postmark")

/** When the delivery of each orphan was there for a sweep to see, in milliseconds. */
const committedAt = new Map<string, number>()

/** An event first, and its delivery some time later, written past the ledger, so that a sweep alone can link them. */
const feedOne = Effect.fnUntraced(function*(number: number) {
  const ledger = yield* Ledger.Ledger
  const sql = yield* SqlClient.SqlClient
  const random = yield* SecureRandom.SecureRandom
  const tenantId = Tenant.TenantId.make(number % 3 === 0 ? "acme" : "default")
  const messageId = `message-${number}`
  const address = Recipient.Recipient.make(`reader-${number}@example.com`)
  yield* ledger.append(tenantId, [
    Event.NewEvent.make({
      type: "delivered",
      occurredAt: yield* DateTime.now,
      provider,
      providerMessageId: Option.some(Provider.MessageId.make(messageId)),
      recipient: Option.some({ address, certain: true }),
      idempotencyKey: IdempotencyKey.IdempotencyKey.make(`nodes:${number}`)
    })
  ])
  yield* Effect.sleep(yield* Random.nextIntBetween(0, 2000))
  const id = Event.DeliveryId.make(yield* random.uuidV7())
  yield* sql`
    INSERT INTO waybill.deliveries (id, tenant_id, mailable, stream, recipient, provider, provider_message_id)
    VALUES (${id}, ${tenantId}, 'nodes', ${Delivery.Stream.literals[0]}, ${address}, ${provider}, ${messageId})
  `
  committedAt.set(`nodes:${number}`, yield* Clock.currentTimeMillis)
})

/** Feeds at a steady pace until it is interrupted; what was begun goes on. */
const feed = Effect.gen(function*() {
  for (let number = 0;; number++) {
    yield* Effect.forkScoped(feedOne(number))
    yield* Effect.sleep(1000 / perSecond)
  }
})

const Ticks = Schema.Array(Schema.Struct({
  second: Schema.Int,
  rows: Schema.Int,
  node: Schema.String,
  ended: Schema.Boolean,
  error: Schema.NullOr(Schema.String),
  linked: Schema.Int
}))

const Links = Schema.Array(Schema.Struct({
  key: Schema.String,
  links: Schema.Int,
  insertedAt: Schema.Finite,
  linkedAt: Schema.NullOr(Schema.Finite)
}))

const readTicks = SqlClient.SqlClient.use((sql) =>
  Effect.flatMap(
    sql`
      SELECT extract(epoch FROM tick)::integer AS second, count(*)::integer AS rows, min(node) AS node,
        bool_and(ended_at IS NOT NULL) AS ended, min(error) AS error,
        coalesce(sum((counts->>'linked')::integer), 0)::integer AS linked
      FROM waybill.sweeps WHERE schedule = 'reconcile' GROUP BY tick ORDER BY tick
    `,
    Schema.decodeUnknownEffect(Ticks)
  )
)

const readLinks = SqlClient.SqlClient.use((sql) =>
  Effect.flatMap(
    sql`
      SELECT o.idempotency_key AS key, count(r.id)::integer AS links,
        extract(epoch FROM o.inserted_at)::float8 * 1000 AS "insertedAt",
        extract(epoch FROM min(r.inserted_at))::float8 * 1000 AS "linkedAt"
      FROM waybill.events o LEFT JOIN waybill.events r ON r.source_event_id = o.id
      WHERE o.idempotency_key LIKE 'nodes:%' GROUP BY o.id
    `,
    Schema.decodeUnknownEffect(Links)
  )
)

const percentile = (sorted: ReadonlyArray<number>, part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0

interface Disturbance {
  readonly second: number
  readonly what: string
}

/** What may be said of the ticks: which seconds have no row, and which rows never ended. */
const judgeTicks = (ticks: typeof Ticks.Type, disturbances: ReadonlyArray<Disturbance>) => {
  const bySecond = new Map(ticks.map((tick) => [tick.second, tick]))
  const first = ticks[0]?.second ?? 0
  const last = ticks.at(-1)?.second ?? 0
  const absent: Array<number> = []
  for (let second = first; second <= last; second++) if (!bySecond.has(second)) absent.push(second)
  const isAfterNext = (second: number) =>
    !disturbances.some((disturbance) => second >= disturbance.second && second <= disturbance.second + 1)
  return {
    first,
    absent,
    missing: absent.filter(isAfterNext),
    twice: ticks.filter(({ rows }) => rows > 1),
    unended: ticks.filter(({ ended }) => !ended),
    failed: ticks.filter(({ error }) => error !== null)
  }
}

const nowSecond = Effect.map(Clock.currentTimeMillis, (millis) => Math.floor(millis / 1000))

const disturb = Effect.fnUntraced(function*(nodes: ReadonlyArray<Node>) {
  const disturbances: Array<Disturbance> = []
  const note = (what: string) => Effect.map(nowSecond, (second) => void disturbances.push({ second, what }))
  const [, killed, frozen] = nodes
  yield* Effect.sleep(seconds * 1000 / 3)
  yield* note(`killed ${killed?.name}`)
  killed?.child.kill("SIGKILL")
  yield* Effect.sleep(seconds * 1000 / 4)
  yield* note(`froze ${frozen?.name}`)
  frozen?.child.kill("SIGSTOP")
  yield* Effect.sleep(seconds * 1000 / 4)
  yield* note(`thawed ${frozen?.name}`)
  frozen?.child.kill("SIGCONT")
  yield* Effect.sleep(seconds * 1000 / 6)
  return disturbances
})

const judge = Effect.fnUntraced(
  function*(disturbances: ReadonlyArray<Disturbance>, codes: ReadonlyArray<number | null>) {
    const ticks = yield* readTicks
    const links = yield* readLinks
    const judged = judgeTicks(ticks, disturbances)
    const delays = links.flatMap(({ insertedAt, key, linkedAt }) => {
      const committed = committedAt.get(key)
      return linkedAt === null || committed === undefined
        ? []
        : [Math.max(0, linkedAt - Math.max(insertedAt + graceSeconds * 1000, committed))]
    }).toSorted((one, other) => one - other)
    const unlinked = links.filter(({ linkedAt }) => linkedAt === null)
    const late = delays.filter((delay) => delay > tolerable)
    const doubled = links.filter((link) => link.links > 1)
    const ago = (second: number) => `${second - judged.first} s`
    const byNode = Object.entries(Object.groupBy(ticks, ({ node }) => node))

    yield* Console.log([
      ...disturbances.map(({ second, what }) => `${ago(second).padStart(5)}  ${what}`),
      `ticks: ${ticks.length} in ${(ticks.at(-1)?.second ?? 0) - judged.first + 1} seconds, ` +
      byNode.map(([node, claimed]) => `${claimed?.length ?? 0} by ${node}`).join(", "),
      `ticks with more than one row: ${judged.twice.length}`,
      `ticks without a row: ${judged.absent.length}${judged.absent.map((second) => ` (at ${ago(second)})`).join("")}`,
      `of these after the next of a disturbance: ${judged.missing.length}`,
      `ticks that never ended: ${
        judged.unended.map(({ node, second }) => `at ${ago(second)} by ${node}`).join(", ") || 0
      }`,
      `ticks that failed: ${judged.failed.map(({ error, second }) => `at ${ago(second)} (${error})`).join(", ") || 0}`,
      `orphans: ${links.length}, linked ${links.length - unlinked.length}, ` +
      `by sweeps that ended ${ticks.reduce((sum, { linked }) => sum + linked, 0)}`,
      `from linkable to linked: median ${Math.round(percentile(delays, 0.5))} ms, 99 % within ` +
      `${Math.round(percentile(delays, 0.99))} ms, at most ${Math.round(delays.at(-1) ?? 0)} ms`,
      `orphans not linked: ${unlinked.length}`,
      `orphans linked more than ${tolerable / 1000} s after their grace: ${late.length}`,
      `orphans linked twice: ${doubled.length}`,
      `exit codes on SIGTERM: ${codes.join(", ")}`
    ].join("\n"))
    const wrong = judged.twice.length + judged.missing.length + unlinked.length + late.length + doubled.length +
      codes.filter((code) => code !== 0).length
    if (wrong > 0) yield* Effect.fail("the nodes did not hold" as const)
  }
)

const main = Effect.gen(function*() {
  const server = yield* Effect.acquireRelease(
    Effect.promise(() => PostgresServer.start(["max_connections=100"])),
    (started) => Effect.promise(() => started.stop())
  )
  const program = Effect.gen(function*() {
    const nodes = yield* Effect.forEach(["one", "two", "three"], (name) => startNode(server.url, name), {
      concurrency: "unbounded"
    })
    yield* Console.log(
      `three nodes, a tick each second, a grace of ${graceSeconds} s, ${perSecond} orphans a second for ${seconds} s`
    )
    const feeding = yield* Effect.forkChild(feed)
    const disturbances = yield* disturb(nodes)
    yield* Fiber.interrupt(feeding)
    yield* Effect.sleep((graceSeconds + 5) * 1000)
    const living = nodes.filter(({ child }) => child.signalCode === null)
    const codes = yield* Effect.forEach(living, ({ child }) => {
      child.kill("SIGTERM")
      return ended(child)
    }, { concurrency: "unbounded" })
    yield* judge(disturbances, codes)
  })
  yield* Effect.provide(
    program,
    PgLedger.layer().pipe(
      Layer.provideMerge(Layer.effectDiscard(PgMigrations.migrate())),
      Layer.provideMerge(
        Layer.merge(PgServer.layer(Redacted.make(server.url), { maxConnections: 20 }), SecureRandom.layerWebCrypto)
      )
    )
  )
}).pipe(Effect.scoped)

NodeRuntime.runMain(main)
