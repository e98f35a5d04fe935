import { assert, describe, it } from "@effect/vitest"
import { PgLite } from "@waybill/storage"
import { Effect, Exit } from "effect"
import { SqlClient } from "effect/sql"
import { spawn, spawnSync } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

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
