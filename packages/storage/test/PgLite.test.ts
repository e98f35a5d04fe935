import { assert, describe, it } from "@effect/vitest"
import { PgLite, PgMigrations } from "@waybill/storage"
import { Effect, Exit, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { spawn, spawnSync } from "node:child_process"
import fs from "node:fs"
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises"
import { syncBuiltinESMExports } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as Template from "../src/internal/pglite/Template.ts"

const program = fileURLToPath(new URL("embeddedOwner.ts", import.meta.url))

const directory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "waybill-embedded-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)

/** A process that opens the database of a directory once it is told to, and what it says. */
const contender = Effect.fnUntraced(function*(path: string) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--conditions=@waybill/source", program, path], { stdio: ["pipe", "pipe", "inherit"] })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const says = Effect.promise(async () => String((await lines.next()).value))
  assert.strictEqual(yield* says, "ready")
  const go = Effect.sync(() => child.stdin.write("\n"))
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  const kill = Effect.promise(() => {
    child.kill("SIGKILL")
    return ended
  })
  const freeze = Effect.sync(() => child.kill("SIGSTOP"))
  return { go, says, kill, freeze, opens: Effect.andThen(go, says) }
})

/** Mounts a disk of a size in a directory, until the scope closes; false where that is not allowed. */
const mounted = (path: string, size: string) =>
  Effect.acquireRelease(
    Effect.sync(() => spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path]).status === 0),
    (isMounted) => Effect.sync(() => isMounted && spawnSync("umount", ["-l", path]))
  )

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

const all = { concurrency: "unbounded" } as const

const rows = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  return (yield* sql`SELECT at FROM opened`).length
})

const opened = (path: string) => Effect.provide(rows, PgLite.layer({ directory: path }))

describe("an embedded database", () => {
  it.live("is taken over by one of many when its owner was killed", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const owner = yield* contender(path)
      assert.strictEqual(yield* owner.opens, "open")
      const contenders = yield* Effect.forEach(numbers(4), () => contender(path), all)
      yield* owner.kill
      yield* Effect.forEach(contenders, ({ go }) => go, all)
      const said = yield* Effect.forEach(contenders, ({ says }) => says, all)
      assert.deepStrictEqual(said.toSorted(), ["DatabaseInUse", "DatabaseInUse", "DatabaseInUse", "open"])
      yield* Effect.forEach(contenders, ({ kill }) => kill, all)
      assert.strictEqual(yield* opened(path), 2)
    }), 120_000)

  it.live("stays its owner's while that is frozen", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const owner = yield* contender(path)
      assert.strictEqual(yield* owner.opens, "open")
      yield* owner.freeze
      const error = yield* Effect.flip(opened(path))
      assert.deepStrictEqual(error, new PgLite.DatabaseInUse({ directory: path }))
      yield* owner.kill
      assert.strictEqual(yield* opened(path), 1)
    }), 120_000)

  it.live("is opened once at a time in one process too", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const create = SqlClient.SqlClient.use((sql) => sql`CREATE TABLE opened (at timestamptz)`)
      yield* Effect.andThen(create, Effect.flip(opened(path))).pipe(
        Effect.tap((error) => Effect.sync(() => assert.strictEqual(error._tag, "DatabaseInUse"))),
        Effect.provide(PgLite.layer({ directory: path }))
      )
      assert.strictEqual(yield* opened(path), 0)
    }), 120_000)

  it.live("has a secret and an identity of its own, and keeps both", () =>
    Effect.gen(function*() {
      const known = (options: PgLite.Options) =>
        Effect.provide(
          Effect.gen(function*() {
            const sql = yield* SqlClient.SqlClient
            assert.deepStrictEqual(yield* PgMigrations.pending(), [])
            const rows = yield* sql<{
              readonly secret: string
              readonly identifier: string
              readonly isOfFeed: boolean
            }>`
              SELECT encode(secret, 'hex') AS secret, s.system_identifier::text AS identifier,
                s.system_identifier = e.system_identifier AS "isOfFeed"
              FROM waybill.secrets, pg_control_system() s, waybill.epochs e
            `
            assert.lengthOf(rows, 1)
            assert.isTrue(rows[0]?.isOfFeed, "the feed takes its database for a restored one")
            return rows.flatMap(({ identifier, secret }) => [secret, identifier])
          }),
          Layer.provideMerge(Layer.effectDiscard(PgMigrations.migrate()), PgLite.layer(options))
        )
      const path = yield* directory
      const first = yield* known({ directory: join(path, "one") })
      const others = yield* Effect.forEach([{ directory: join(path, "two") }, {}, {}], known)
      assert.strictEqual(new Set([first, ...others].flat()).size, 8)
      assert.deepStrictEqual(yield* known({ directory: join(path, "one") }), first)
    }), 120_000)

  it.live(
    "begins anew where its making was broken off, and draws its secret where that was",
    () =>
      Effect.gen(function*() {
        const path = yield* directory
        yield* Effect.promise(() => mkdir(join(path, "data.new", "base"), { recursive: true }))
        yield* Effect.promise(() =>
          Template.place(path, "data", PgMigrations.fingerprint(), new URL("../src/PgLite.ts", import.meta.url).href)
        )
        assert.deepStrictEqual(yield* Effect.promise(() => readdir(path)), ["data"])
        const secrets = SqlClient.SqlClient.use((sql) => sql`SELECT secret FROM waybill.secrets`)
        assert.lengthOf(yield* Effect.provide(secrets, PgLite.layer({ directory: path })), 1)
        assert.notInclude(yield* Effect.promise(() => readdir(join(path, "data"))), Template.unkeyed)
      }),
    120_000
  )

  it.live("synchronizes its log with the disk before it acknowledges a commit", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const written = new Set<string>()
      const { fsyncSync } = fs
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          fs.fsyncSync = (file) => {
            fsyncSync(file)
            written.add(fs.readlinkSync(`/proc/self/fd/${file}`))
          }
          syncBuiltinESMExports()
        }),
        () =>
          Effect.sync(() => {
            fs.fsyncSync = fsyncSync
            syncBuiltinESMExports()
          })
      )
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE opened (at timestamptz)`
        for (let commit = 0; commit < 3; commit++) {
          written.clear()
          yield* sql`INSERT INTO opened VALUES (now())`
          assert.isNotEmpty([...written].filter((file) => /\/pg_wal\/[0-9A-F]{24}$/.test(file)))
        }
        written.clear()
        yield* sql`CHECKPOINT`
        assert.isNotEmpty([...written].filter((file) => /\/base\/\d+\/\d+$/.test(file)))
      }).pipe(Effect.provide(PgLite.layer({ directory: path })))
    }), 120_000)

  it.live("gives up its log as it goes, so that it opens soon after it was killed", () =>
    Effect.gen(function*() {
      const path = yield* directory
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE opened (at timestamptz, filler text)`
        for (let round = 0; round < 6; round++) {
          yield* sql`INSERT INTO opened SELECT now(), repeat('x', 1000) FROM generate_series(1, 32 * 1024)`
        }
        const [log] = yield* sql<{ readonly length: number; readonly written: number }>`
          SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), redo_lsn)::float8 AS length,
            pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS written
          FROM pg_control_checkpoint()
        `
        assert.isAbove(log?.written ?? 0, 200e6)
        assert.isBelow(log?.length ?? Number.POSITIVE_INFINITY, 120e6)
      }).pipe(Effect.provide(PgLite.layer({ directory: path })))
    }), 120_000)

  it.live("keeps nothing of a transaction whose connection broke off", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE opened (at timestamptz)`
      const broken = yield* Effect.exit(sql.withTransaction(Effect.andThen(
        sql`INSERT INTO opened VALUES (now())`,
        // More than the client reads back.
        sql`SELECT repeat('x', 20 * 1024 * 1024) AS text`
      )))
      assert.isTrue(Exit.isFailure(broken))
      assert.strictEqual(yield* rows, 0)
      yield* sql.withTransaction(sql`INSERT INTO opened VALUES (now())`)
      assert.strictEqual(yield* rows, 1)
    }).pipe(Effect.provide(PgLite.layer())), 120_000)

  it.live("says that the disk is full, where a test may mount a small one", () =>
    Effect.gen(function*() {
      const path = yield* directory
      if (yield* mounted(path, "8m")) {
        const error = yield* Effect.flip(opened(join(path, "db")))
        assert.deepInclude(error, { _tag: "LedgerUnavailable", reason: "full" })
      } else {
        yield* Effect.logWarning("no disk could be mounted, nothing was tested")
      }
    }))
})
