/**
 * Runs PostgreSQL inside this process (PGlite) and answers its wire protocol, so that the same client, SQL and migrations
 * serve the embedded database and a server.
 *
 * There is one connection. A directory belongs to one process at a time. What was acknowledged is on the disk: it outlives the
 * process, and a power cut too.
 *
 * A new database begins as a copy of one that was made when this package was built, with the schema `waybill` in it, all
 * migrations applied and nothing stored. Its secret and its system identifier are its own.
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg"
import { PGlite } from "@electric-sql/pglite"
import { LedgerUnavailable } from "@waybill/core/LedgerError"
import { Effect, type Layer, Predicate, Schema } from "effect"
import { type SqlClient } from "effect/sql"
import { existsSync } from "node:fs"
import { mkdir, rm } from "node:fs/promises"
import { join, resolve } from "node:path"
import { Duplex } from "node:stream"
import { DurableFiles } from "./internal/pglite/DurableFiles.ts"
import * as Template from "./internal/pglite/Template.ts"
import * as PgMigrations from "./PgMigrations.ts"

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

/** Whether an answer ends with the message that the session is ready for another query, outside a transaction. */
const isIdle = (answer: Uint8Array): boolean => answer.at(-6) === 0x5a && answer.at(-1) === 0x49

/** Carries the bytes of the client to the database and back, in their order. */
class Wire extends Duplex {
  readonly database: PGlite
  constructor(database: PGlite) {
    super()
    this.database = database
  }
  async answer(chunk: Uint8Array) {
    const answer = await this.database.execProtocolRaw(chunk)
    if (answer.length > 0) this.push(answer)
    const { fs } = this.database
    if (isIdle(answer) && fs instanceof DurableFiles && fs.takeCheckpointDue()) await this.database.exec("CHECKPOINT")
  }
  override _construct(done: (error?: Error | null) => void) {
    reset(this.database).then(() => done(), done)
  }
  override _read() {}
  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void) {
    this.answer(chunk).then(
      () => done(),
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

const isFull = (cause: unknown): boolean =>
  Predicate.hasProperty(cause, "errno") && cause.errno === full ||
  Predicate.hasProperty(cause, "code") && cause.code === "ENOSPC"

const unavailable = (cause: unknown) =>
  isFull(cause)
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

/** A PostgreSQL that is asked by the wire protocol alone, so that it need not know how to read arrays. */
class Engine extends PGlite {
  override async _initArrayTypes() {}
}

/** PGlite switches `fsync` off; what it calls `fdatasync` does nothing. */
const durable = [
  ...PGlite.defaultStartParams.filter((parameter) => parameter !== "-F"),
  ...["fsync=on", "wal_sync_method=fsync"].flatMap((setting) => ["-c", setting])
]

/** Draws the secret of a new database and binds its feed to its cluster, unless that was done. */
const drawSecret = (database: PGlite) =>
  database.exec(`
    DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM ${PgMigrations.defaultSchema}.secrets) THEN
        UPDATE ${PgMigrations.defaultSchema}.epochs
          SET system_identifier = s.system_identifier, timeline = c.timeline_id, raised_at = now()
          FROM pg_control_system() s, pg_control_checkpoint() c;
        INSERT INTO ${PgMigrations.defaultSchema}.secrets DEFAULT VALUES;
      END IF;
    END $$
  `)

const started = async (options: ConstructorParameters<typeof PGlite>[0]) => {
  const database = new Engine(options)
  await database.waitReady
  return database
}

const inMemory = async (empty: boolean) => {
  const made = empty ? undefined : await Template.inMemory(PgMigrations.fingerprint(), import.meta.url)
  if (made === undefined) return started({})
  const database = await started({ loadDataDir: made })
  await drawSecret(database)
  return database
}

const inDirectory = async (directory: string, empty: boolean) => {
  if (!empty) await Template.place(directory, "data", PgMigrations.fingerprint(), import.meta.url)
  const dataDir = join(directory, "data")
  const isMadeHere = !existsSync(join(dataDir, "PG_VERSION"))
  const database = await started({ dataDir, fs: new DurableFiles(dataDir), startParams: durable })
  if (isMadeHere) await Template.synchronize(dataDir)
  const unkeyed = join(dataDir, Template.unkeyed)
  if (existsSync(unkeyed)) {
    await drawSecret(database)
    await rm(unkeyed)
  }
  return database
}

const open = Effect.fnUntraced(function*({ directory, empty = false }: Options) {
  if (directory !== undefined) yield* lock(directory)
  const database = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () => directory === undefined ? inMemory(empty) : inDirectory(directory, empty),
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
 * Where an embedded database is kept, and how a new one begins.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options {
  /** The directory it is kept in; it is in memory by default. */
  readonly directory?: string
  /** Whether a new database begins without the schema `waybill`, which takes longer; not by default. */
  readonly empty?: boolean
}

/**
 * A client of an embedded database, kept in a directory, or in memory where none is named.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options = {}
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, DatabaseInUse | LedgerUnavailable> =>
  PgClient.layerFrom(
    open(options.directory === undefined ? options : { ...options, directory: resolve(options.directory) })
  )
