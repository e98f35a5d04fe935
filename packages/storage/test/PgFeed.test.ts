/**
 * What becomes of the feed where the database moves to another history of transactions: restored into another cluster, promoted
 * behind, repaired while nodes follow.
 */
import { assert, describe, it } from "@effect/vitest"
import { Audit, Checkpoints, Cursor, Ledger, type LedgerError, Tenant } from "@waybill/core"
import { PgServer, PgStorage } from "@waybill/storage"
import { Given } from "@waybill/storage/testing"
import { DateTime, Effect, Fiber, Layer, Option, Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import { chmod, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as migration0004 from "../src/internal/migrations/migration0004.ts"
import * as PgMigrations from "../src/PgMigrations.ts"
import * as PostgresServer from "./PostgresServer.ts"
import * as TestDatabase from "./TestDatabase.ts"

const tenantId = Tenant.TenantId.make("acme")

const settings = ["fsync=off", "max_connections=40"]

const started = (from?: string) =>
  Effect.acquireRelease(
    Effect.promise(() => PostgresServer.start(settings, {}, from)),
    (server) => Effect.promise(() => server.stop())
  )

const on = (url: string) =>
  PgStorage.layer().pipe(
    Layer.provideMerge(PgServer.layer(Redacted.make(url))),
    Layer.provide(SecureRandom.layerWebCrypto)
  )

const storage = TestDatabase.client().pipe(
  (client) => Layer.provideMerge(PgStorage.layer(), client),
  Layer.provideMerge(SecureRandom.layerWebCrypto)
)

const append = (...messages: ReadonlyArray<string>) =>
  Effect.forEach(
    messages,
    (message) => Ledger.Ledger.use((ledger) => ledger.append(tenantId, [Given.report("delivered", message)])),
    { discard: true }
  )

const read = (after: Cursor.Cursor, limit = 100) =>
  Ledger.Ledger.use((ledger) => ledger.changes({ scope: Tenant.all, after, limit }))

/** Reads on from a place until so many messages were seen, and a little longer, in case one comes again. */
const follow = Effect.fnUntraced(function*(after: Cursor.Cursor, count: number) {
  const seen: Array<string> = []
  let cursor = after
  let idle = 0
  while (idle < 5) {
    const page = yield* read(cursor, 3)
    seen.push(...page.map(({ event }) => event.idempotencyKey.slice("delivered-".length)))
    cursor = page.at(-1)?.cursor ?? cursor
    if (page.length === 0) yield* Effect.sleep("20 millis")
    if (page.length === 0 && seen.length >= count) idle++
  }
  return { seen, cursor }
})

const failure = (after: Cursor.Cursor): Effect.Effect<string, unknown, Ledger.Ledger> =>
  Effect.map(
    Effect.flip(read(after)),
    (error: LedgerError.LedgerError | { readonly _tag: string; readonly reason?: string }) =>
      `${error._tag} ${"reason" in error ? error.reason : ""}`
  )

/** Uses transaction ids up, as the years do. */
const burn = (count: number) =>
  SqlClient.SqlClient.use((sql) =>
    sql.unsafe(`DO $$ BEGIN FOR n IN 1..${count} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`)
  )

const tables = [
  "secrets",
  "recipients",
  "deliveries",
  "events",
  "correlations",
  "orphans",
  "acts",
  "checkpoints",
  "epochs",
  "moved_events"
]

/** A directory that the servers may write to, which run as a user of their own where the run is root's. */
const exchange = Effect.acquireRelease(
  Effect.promise(async () => {
    const directory = await mkdtemp(join(tmpdir(), "waybill-dump-"))
    await chmod(directory, 0o777)
    return directory
  }),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
)

/** Copies the rows of one server to another, with the state of the sequence and the default of the epoch, as a dump has them. */
const restore = Effect.fnUntraced(function*(from: string, to: string) {
  const directory = yield* exchange
  const { epoch, position } = yield* Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    for (const name of tables) yield* sql.unsafe(`COPY waybill.${name} TO '${directory}/${name}'`)
    const [row] = yield* sql<{ readonly epoch: string; readonly position: string }>`
      SELECT (SELECT max(position) FROM waybill.events)::text AS position, column_default AS epoch
      FROM information_schema.columns WHERE table_schema = 'waybill' AND table_name = 'events' AND column_name = 'epoch'
    `
    return row ?? assert.fail("there is no epoch")
  }).pipe(Effect.provide(PgServer.layer(Redacted.make(from))))
  yield* Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* PgMigrations.migrate()
    yield* sql.withTransaction(Effect.gen(function*() {
      yield* sql`SET LOCAL session_replication_role = replica`
      for (const name of ["secrets", "epochs"]) yield* sql.unsafe(`DELETE FROM waybill.${name}`)
      for (const name of tables) yield* sql.unsafe(`COPY waybill.${name} FROM '${directory}/${name}'`)
      yield* sql`SELECT setval(pg_get_serial_sequence('waybill.events', 'position'), ${position}::text::bigint)`
      yield* sql.unsafe(`ALTER TABLE waybill.events ALTER COLUMN epoch SET DEFAULT ${epoch}`)
    }))
  }).pipe(Effect.provide(PgServer.layer(Redacted.make(to))))
})

const repair = Audit.Audit.use(({ repairFeed }) => repairFeed)

/** What a reader of before epochs would be given after a place. */
const readWithoutEpochs = (after: Cursor.Cursor) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.map(
      sql<{ readonly key: string }>`
        SELECT idempotency_key AS key FROM waybill.events e
        WHERE (e.transaction_id, e.position) > (${String(Cursor.parts(after)[0])}::text::xid8, ${
        Cursor.parts(after)[1]
      })
          AND e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY e.transaction_id, e.position
      `,
      (rows) => rows.map(({ key }) => key.slice("delivered-".length))
    )
  )

describe("the feed of a dump restored into a younger cluster", () => {
  it.live(
    "stands still with a word instead of skipping, and gives each event once after a repair",
    () =>
      Effect.gen(function*() {
        const [older, younger, third] = yield* Effect.all([started(), started(), started()], { concurrency: 3 })
        yield* Effect.provide(PgMigrations.migrate(), PgServer.layer(Redacted.make(older.url)))
        const dumped = yield* Effect.gen(function*() {
          const checkpoints = yield* Checkpoints.Checkpoints
          yield* append("early-1", "early-2")
          yield* burn(3000)
          yield* append("late-1", "late-2")
          const first = yield* follow(Cursor.start, 4)
          yield* checkpoints.save("old", first.cursor)
          yield* append("late-3")
          return first.cursor
        }).pipe(Effect.provide(on(older.url)))
        yield* restore(older.url, younger.url)

        yield* Effect.gen(function*() {
          const checkpoints = yield* Checkpoints.Checkpoints
          // Written before anybody has noticed.
          yield* append("new-1", "new-2")
          const cursor = Option.getOrThrow(yield* checkpoints.load("old"))
          assert.strictEqual(cursor, dumped)
          assert.deepStrictEqual(yield* readWithoutEpochs(cursor), [])
          for (const after of [cursor, Cursor.start]) {
            assert.strictEqual(yield* failure(after), "CursorAhead restored")
          }

          const repaired = yield* repair
          assert.isTrue(Option.isSome(repaired.epoch))
          assert.deepStrictEqual([repaired.shown, repaired.moved], [3, 2])
          assert.deepStrictEqual(yield* repair, { epoch: Option.none(), shown: 0, moved: 0 })
          yield* append("newer-1")
          const rest = yield* follow(cursor, 4)
          assert.deepStrictEqual(rest.seen, ["late-3", "new-1", "new-2", "newer-1"])
          const whole = yield* follow(Cursor.start, 8)
          assert.deepStrictEqual(whole.seen, ["early-1", "early-2", "late-1", "late-2", ...rest.seen])
          assert.strictEqual(whole.cursor, rest.cursor)
          yield* checkpoints.save("old", rest.cursor)
          yield* burn(10_000)
          yield* append("newer-2")
          assert.deepStrictEqual((yield* follow(rest.cursor, 1)).seen, ["newer-2"])
        }).pipe(Effect.provide(on(younger.url)))

        // And once more: what was moved stays where it is, and no epoch is counted twice.
        yield* restore(younger.url, third.url)
        yield* Effect.gen(function*() {
          const checkpoints = yield* Checkpoints.Checkpoints
          const cursor = Option.getOrThrow(yield* checkpoints.load("old"))
          yield* append("last-1")
          assert.strictEqual(yield* failure(cursor), "CursorAhead restored")
          assert.deepInclude(yield* repair, { moved: 1 })
          yield* append("last-2")
          assert.deepStrictEqual((yield* follow(cursor, 3)).seen, ["newer-2", "last-1", "last-2"])
          const whole = yield* follow(Cursor.start, 11)
          assert.lengthOf(whole.seen, 11)
          assert.lengthOf(new Set(whole.seen), 11)
        }).pipe(Effect.provide(on(third.url)))
      }),
    120_000
  )
})

describe("the feed of a server that was promoted behind", () => {
  it.live(
    "refuses a place that was lost, also when other transactions have taken its id, and keeps those it has",
    () =>
      Effect.gen(function*() {
        const primary = yield* started()
        yield* Effect.provide(PgMigrations.migrate(), PgServer.layer(Redacted.make(primary.url)))
        const kept = yield* Effect.gen(function*() {
          yield* append("kept-1", "kept-2")
          return (yield* follow(Cursor.start, 2)).cursor
        }).pipe(Effect.provide(on(primary.url)))
        yield* Effect.promise(primary.halt)
        const standby = yield* started(primary.databaseDir)
        yield* Effect.promise(primary.resume)
        const lost = yield* Effect.gen(function*() {
          yield* burn(500)
          yield* append("lost-1", "lost-2")
          return (yield* follow(kept, 2)).cursor
        }).pipe(Effect.provide(on(primary.url)))

        yield* Effect.gen(function*() {
          const checkpoints = yield* Checkpoints.Checkpoints
          const before = yield* DateTime.now
          yield* append("new-1")
          assert.strictEqual(yield* failure(lost), "CursorAhead lost")
          assert.deepStrictEqual((yield* follow(kept, 1)).seen, ["new-1"])
          yield* burn(2000)
          yield* append("new-2")
          assert.deepStrictEqual(yield* readWithoutEpochs(lost), ["new-2"])
          assert.strictEqual(yield* failure(lost), "CursorAhead lost")

          assert.isTrue(Option.isSome((yield* repair).epoch))
          assert.isTrue(Option.isNone((yield* repair).epoch))
          yield* append("new-3")
          assert.strictEqual(yield* failure(lost), "CursorAhead lost")
          assert.deepStrictEqual((yield* follow(kept, 3)).seen, ["new-1", "new-2", "new-3"])
          const again = yield* checkpoints.reset("outside", { _tag: "At", instant: before })
          assert.deepStrictEqual((yield* follow(again, 3)).seen, ["new-1", "new-2", "new-3"])
        }).pipe(Effect.provide(on(standby.url)))
      }),
    120_000
  )
})

/** What a cluster with another identity looks like, while nobody has repaired the feed. */
const tamper = SqlClient.SqlClient.use((sql) =>
  sql`UPDATE waybill.epochs SET system_identifier = 1 WHERE epoch = (SELECT max(epoch) FROM waybill.epochs)`
)

/** Takes the schema back to before the feed had epochs. */
const undo = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DROP TABLE waybill.epochs, waybill.moved_events`
  yield* sql`DROP FUNCTION waybill.has_place`
  yield* sql`ALTER TABLE waybill.events DROP COLUMN epoch`
  yield* sql`CREATE INDEX events_feed ON waybill.events (transaction_id, position)`
})

describe("the migration that gives the feed epochs", () => {
  it.live(
    "keeps the places that were given before it, and roles and policies that follow the feed",
    () =>
      Effect.gen(function*() {
        const owner = yield* TestDatabase.fresh
        const role = `app_${globalThis.crypto.randomUUID().replaceAll("-", "")}`
        const asOwner = Effect.provide(on(Redacted.value(owner)))
        const plainly = Effect.provide(PgServer.layer(owner))
        const drop = SqlClient.SqlClient.use((sql) =>
          Effect.andThen(sql.unsafe(`DROP OWNED BY ${role}`), sql.unsafe(`DROP ROLE ${role}`))
        )
        yield* Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          yield* PgMigrations.migrate()
          yield* PgMigrations.enableRowLevelSecurity()
          yield* PgMigrations.grant(role)
          yield* sql.unsafe(`ALTER ROLE ${role} LOGIN PASSWORD 'waybill'`)
        }).pipe(plainly)
        yield* Effect.addFinalizer(() => Effect.orDie(plainly(drop)))
        const before = yield* asOwner(Effect.andThen(append("m-1", "m-2", "m-3"), follow(Cursor.start, 3)))
        const [first] = yield* asOwner(read(Cursor.start, 1))
        yield* plainly(undo)
        // What the owner of a large ledger does before, while it serves.
        yield* plainly(SqlClient.SqlClient.use((sql) =>
          Effect.andThen(
            sql`ALTER TABLE waybill.events ADD COLUMN IF NOT EXISTS epoch integer NOT NULL DEFAULT 0`,
            sql`CREATE INDEX CONCURRENTLY IF NOT EXISTS events_place ON waybill.events (epoch, transaction_id, position)`
          )
        ))
        yield* plainly(SqlClient.SqlClient.use((sql) =>
          sql.withTransaction(
            Effect.forEach(migration0004.statements("waybill"), (statement) => sql.unsafe(statement), { discard: true })
          )
        ))

        const address = new URL(Redacted.value(owner))
        address.username = role
        address.password = "waybill"
        const asRole = PgStorage.layer({ rowLevelSecurity: true }).pipe(
          Layer.provide(PgServer.layer(Redacted.make(address.href))),
          Layer.provide(SecureRandom.layerWebCrypto)
        )
        yield* Effect.gen(function*() {
          const cursor = first?.cursor ?? assert.fail("the feed is empty")
          assert.deepStrictEqual((yield* follow(cursor, 2)).seen, before.seen.slice(1))
          yield* append("m-4")
          assert.deepStrictEqual((yield* follow(before.cursor, 1)).seen, ["m-4"])
        }).pipe(Effect.provide(asRole))
      }),
    60_000
  )
})

describe("a repair of the feed", () => {
  it.live("loses and doubles nothing for three nodes that follow while others write", () =>
    Effect.gen(function*() {
      const total = 400
      const messages = Array.from({ length: total }, (_, index) => `m-${index}`)
      const node = Effect.gen(function*() {
        const seen: Array<string> = []
        let cursor = Cursor.start
        while (seen.length < total) {
          const page: ReadonlyArray<Ledger.Change> = yield* read(cursor, 7).pipe(
            Effect.catchTag("CursorAhead", () => Effect.succeed([]))
          )
          seen.push(...page.map(({ event }) => event.idempotencyKey.slice("delivered-".length)))
          cursor = page.at(-1)?.cursor ?? cursor
          if (page.length === 0) yield* Effect.sleep("5 millis")
        }
        assert.deepStrictEqual(yield* read(cursor), [])
        return seen
      })
      const nodes = yield* Effect.forkChild(Effect.all([node, node, node], { concurrency: 3 }))
      const writers = yield* Effect.forkChild(
        Effect.forEach(messages, (message) => append(message), { concurrency: 6, discard: true })
      )
      const epochs: Array<number> = []
      for (let round = 0; round < 5; round++) {
        yield* Effect.sleep("40 millis")
        yield* tamper
        const [one, other] = yield* Effect.all([repair, repair], { concurrency: 2 })
        epochs.push(...Option.toArray(one.epoch), ...Option.toArray(other.epoch))
      }
      yield* Fiber.join(writers)
      const [first, ...others] = yield* Fiber.join(nodes)
      assert.deepStrictEqual(epochs.toSorted((left, right) => left - right), epochs)
      assert.lengthOf(new Set(epochs), 5)
      assert.sameMembers(first, messages)
      for (const seen of others) assert.deepStrictEqual(seen, first)
    }).pipe(Effect.provide(storage)), 60_000)

  it.live("waits for a transaction that is writing, and nothing of it is passed over", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* append("before")
      yield* tamper
      const writing = yield* sql.withTransaction(Effect.andThen(append("slow"), Effect.sleep("1 seconds"))).pipe(
        Effect.forkChild({ startImmediately: true })
      )
      yield* Effect.sleep("200 millis")
      const repaired = yield* repair
      assert.isTrue(Option.isSome(repaired.epoch))
      yield* append("after")
      assert.deepStrictEqual((yield* follow(Cursor.start, 3)).seen, ["before", "slow", "after"])
      yield* Fiber.join(writing)
    }).pipe(Effect.provide(storage)), 60_000)
})
