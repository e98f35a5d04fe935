/**
 * Starts one throw-away PostgreSQL server behind PgBouncer for a test run, in the mode that `WAYBILL_TEST_POOLER` names, and
 * tells the pooler's address by `WAYBILL_TEST_DATABASE_URL`, the server's own by `WAYBILL_TEST_DIRECT_URL`.
 */
import { spawn } from "node:child_process"
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { getuid } from "node:process"
import * as PostgresServer from "./PostgresServer.ts"

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer().once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const listens = (port: number, until: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy()
      resolve()
    })
    socket.once("error", (error) => {
      if (until === 0) reject(new Error("PgBouncer did not start; is it installed?", { cause: error }))
      else setTimeout(() => listens(port, until - 1).then(resolve, reject), 100)
    })
  })

/** The server trusts the pooler, which asks for the passwords. */
export const trusting = "local all all trust\nhost all all all trust\n"

export interface Pooler {
  /** The address of a database through the pooler. */
  readonly through: (url: string) => string
  readonly stop: () => Promise<void>
}

/** Starts PgBouncer before a server, in a mode. */
export const start = async (serverUrl: string, mode: string): Promise<Pooler> => {
  const directory = await mkdtemp(join(tmpdir(), "waybill-pooler-"))
  await chmod(directory, 0o755)
  const port = await freePort()
  const configuration = join(directory, "pgbouncer.ini")
  await writeFile(
    configuration,
    [
      "[databases]",
      `* = host=127.0.0.1 port=${new URL(serverUrl).port}`,
      "[pgbouncer]",
      "listen_addr = 127.0.0.1",
      `listen_port = ${port}`,
      `auth_file = ${join(directory, "users.txt")}`,
      "auth_type = scram-sha-256",
      "auth_user = postgres",
      `pool_mode = ${mode}`,
      // Twice what one test has: a session holds its connection for as long as it lasts.
      "default_pool_size = 20",
      "max_client_conn = 1000",
      "max_db_connections = 40",
      "server_idle_timeout = 2",
      "unix_socket_dir =",
      ""
    ].join("\n")
  )
  await writeFile(join(directory, "users.txt"), "\"postgres\" \"postgres\"\n")
  // It will not run as root.
  const asOther = getuid?.() === 0 ? ["-u", "postgres"] : []
  const child = spawn("pgbouncer", ["-q", ...asOther, configuration], { stdio: "ignore" })
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()).once("error", () => resolve()))
  await listens(port, 50)
  return {
    through: (url) => {
      const address = new URL(url)
      address.port = String(port)
      return address.href
    },
    stop: async () => {
      child.kill("SIGINT")
      await ended
      await rm(directory, { recursive: true, force: true })
    }
  }
}

export default async function startPooler() {
  const mode = process.env["WAYBILL_TEST_POOLER"]
  if (mode !== "transaction" && mode !== "session") {
    throw new Error("WAYBILL_TEST_POOLER must be transaction or session")
  }
  const server = await PostgresServer.start(["fsync=off", "max_connections=300"], { "pg_hba.conf": trusting })
  const pooler = await start(server.url, mode)
  process.env["WAYBILL_TEST_DIRECT_URL"] = server.url
  process.env["WAYBILL_TEST_DATABASE_URL"] = pooler.through(server.url)
  return async () => {
    await pooler.stop()
    await server.stop()
  }
}
