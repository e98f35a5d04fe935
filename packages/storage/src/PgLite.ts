/**
 * Runs PostgreSQL inside this process (PGlite) and answers its wire protocol, so that the same client, SQL and migrations
 * serve the embedded database and a server.
 *
 * There is one connection. A directory belongs to one process at a time.
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg"
import { PGlite } from "@electric-sql/pglite"
import { LedgerUnavailable } from "@waybill/core/LedgerError"
import { Effect, type Layer, Schema, type Scope } from "effect"
import { type SqlClient } from "effect/sql"
import { mkdir, readFile, rm, writeFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import { kill, pid } from "node:process"
import { Duplex } from "node:stream"

/**
 * Another process uses the directory of the embedded database.
 *
 * @category errors
 * @since 0.1.0
 */
export class DatabaseInUse
  extends Schema.TaggedError<DatabaseInUse>("@waybill/storage/DatabaseInUse")("DatabaseInUse", {
    directory: Schema.String,
    /** The process that uses it. */
    processId: Schema.Int,
    /** The file that says so; where that process is another program by now, it may be removed. */
    lockFile: Schema.String
  })
{
  override get message(): string {
    return `the database in ${this.directory} is in use by process ${this.processId} (see ${this.lockFile})`
  }
}

/** Carries the bytes of the client to the database and back, in their order. */
class Wire extends Duplex {
  readonly database: PGlite
  constructor(database: PGlite) {
    super()
    this.database = database
  }
  override _read() {}
  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void) {
    this.database.execProtocolRaw(chunk).then(
      (answer) => {
        if (answer.length > 0) this.push(answer)
        done()
      },
      (error: unknown) => done(error instanceof Error ? error : new Error(String(error)))
    )
  }
  override _final(done: (error?: Error | null) => void) {
    this.push(null)
    done()
  }
}

const unavailable = (cause: unknown) => new LedgerUnavailable({ reason: "connection", cause })

const isAlive = (processId: number): boolean => {
  try {
    return kill(processId, 0)
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

/** Takes the lock of a directory; a lock whose process has ended, or had our own id before us, is taken over. */
const acquireLock = Effect.fnUntraced(function*(directory: string) {
  const lockFile = join(directory, "waybill.lock")
  yield* Effect.tryPromise({ try: () => mkdir(directory, { recursive: true }), catch: unavailable })
  const take = Effect.tryPromise({ try: () => writeFile(lockFile, String(pid), { flag: "wx" }), catch: unavailable })
  yield* Effect.catch(take, () =>
    Effect.gen(function*() {
      const text = yield* Effect.tryPromise({ try: () => readFile(lockFile, "utf8"), catch: unavailable })
      const processId = Number.parseInt(text, 10)
      if (processId !== pid && isAlive(processId)) return yield* new DatabaseInUse({ directory, processId, lockFile })
      yield* Effect.promise(() => rm(lockFile, { force: true }))
      return yield* take
    }))
  return lockFile
})

/** The directories that this process has open: a second database on one of them would corrupt it. */
const opened = new Set<string>()

const claim = Effect.fnUntraced(function*(directory: string): Effect.fn.Return<
  void,
  DatabaseInUse | LedgerUnavailable,
  Scope.Scope
> {
  if (opened.has(directory)) {
    yield* new DatabaseInUse({ directory, processId: pid, lockFile: join(directory, "waybill.lock") })
  }
  opened.add(directory)
  yield* Effect.addFinalizer(() => Effect.sync(() => opened.delete(directory)))
  yield* Effect.acquireRelease(
    acquireLock(directory),
    (lockFile) => Effect.promise(() => rm(lockFile, { force: true }))
  )
})

const open = Effect.fnUntraced(function*(directory: string | undefined) {
  if (directory !== undefined) yield* claim(directory)
  const database = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () => PGlite.create(directory === undefined ? {} : { dataDir: join(directory, "data") }),
      catch: unavailable
    }),
    (database) => Effect.promise(() => database.close())
  )
  return yield* Effect.mapError(
    PgClient.make({
      stream: () => new Wire(database),
      ssl: false,
      username: "postgres",
      database: "postgres",
      applicationName: "waybill",
      maxConnections: 1,
      minConnections: 1,
      idleTimeout: "365 days"
    }),
    unavailable
  )
})

/**
 * A client of an embedded database, kept in a directory, or in memory where none is named.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: { readonly directory?: string } = {}
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, DatabaseInUse | LedgerUnavailable> =>
  PgClient.layerFrom(open(options.directory === undefined ? undefined : resolve(options.directory)))
