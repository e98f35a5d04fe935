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
import { Effect, type Layer, Predicate, Schema } from "effect"
import { type SqlClient } from "effect/sql"
import { mkdir } from "node:fs/promises"
import { join, resolve } from "node:path"
import { Duplex } from "node:stream"

/**
 * The directory of the embedded database is open already, in this process or another.
 *
 * @category errors
 * @since 0.1.0
 */
export class DatabaseInUse
  extends Schema.TaggedError<DatabaseInUse>("@waybill/storage/DatabaseInUse")("DatabaseInUse", {
    directory: Schema.String
  })
{
  override get message(): string {
    return `the database in ${this.directory} is in use; stop the process that has it open`
  }
}

/** The message that ends a failed series of messages. */
const sync = new Uint8Array([0x53, 0, 0, 0, 4])

/** Ends what a connection that broke off has left in the one session. */
const reset = async (database: PGlite) => {
  await database.execProtocolRaw(sync)
  await database.exec("ROLLBACK")
  await database.exec("DISCARD ALL")
}

/** Carries the bytes of the client to the database and back, in their order. */
class Wire extends Duplex {
  readonly database: PGlite
  constructor(database: PGlite) {
    super()
    this.database = database
  }
  override _construct(done: (error?: Error | null) => void) {
    reset(this.database).then(() => done(), done)
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

/** The number that the file system inside the database gives to a full disk. */
const full = 51

const unavailable = (cause: unknown) =>
  Predicate.hasProperty(cause, "errno") && cause.errno === full
    ? new LedgerUnavailable({ reason: "full", cause: Object.assign(new Error("the disk is full"), { code: "ENOSPC" }) })
    : new LedgerUnavailable({ reason: "connection", cause })

/** How long to wait for others that try to take the same lock and hold it for an instant, in milliseconds. */
const patience = 200

/** What SQLite answers where another holds a lock. */
const busy = 5

/**
 * Takes the lock of a directory, which the kernel holds for this process and lets go when it ends, however it does. Node has
 * no other way to ask for such a lock than a transaction of SQLite.
 */
const lock = (directory: string) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        await mkdir(directory, { recursive: true })
        const { DatabaseSync } = await import("node:sqlite")
        const file = new DatabaseSync(join(directory, "waybill.lock"), { timeout: patience })
        try {
          file.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
          return file
        } catch (error) {
          file.close()
          throw error
        }
      },
      catch: (error) =>
        Predicate.hasProperty(error, "errcode") && error.errcode === busy
          ? new DatabaseInUse({ directory })
          : unavailable(error)
    }),
    (file) => Effect.sync(() => file.close())
  )

const open = Effect.fnUntraced(function*(directory: string | undefined) {
  if (directory !== undefined) yield* lock(directory)
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
