/** Encryption against a server whose certificates are made here: each mode, with right and wrong authorities and names. */
import { assert, describe, it } from "@effect/vitest"
import { PgServer } from "@waybill/storage"
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import * as Certificates from "./Certificates.ts"
import * as PostgresServer from "./PostgresServer.ts"

const authority = Certificates.authority("Authority of the test")
const other = Certificates.authority("Another authority")

const right = authority.sign("localhost")

/** Whom the server lets in: some only in the clear, some only encrypted, one only with a certificate. */
const hba = `
local all all trust
hostssl all certified all cert
hostnossl all clear all trust
hostssl all encrypted all trust
host all postgres all password
`

let server: PostgresServer.PostgresServer
let directory = ""

/** A file of the test, by its path. */
const file = (name: string) => join(directory, name)

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "waybill-tls-"))
  const client = authority.sign("certified")
  await Promise.all(
    Object.entries({
      "root.crt": authority.certificate,
      "other.crt": other.certificate,
      "client.crt": client.certificate,
      "client.key": client.key,
      "other-client.crt": other.sign("certified").certificate,
      "not.crt": "not a certificate"
    }).map(([name, content]) => writeFile(file(name), content))
  )
  await chmod(file("client.key"), 0o600)
  server = await PostgresServer.start(["fsync=off", "unix_socket_directories=/tmp"], {
    "postgresql.auto.conf": "ssl = on\nssl_ca_file = 'root.crt'\n",
    "pg_hba.conf": hba,
    "root.crt": authority.certificate,
    "server.crt": right.certificate,
    "server.key": right.key
  })
  await Effect.runPromise(
    SqlClient.SqlClient.use((sql) =>
      Effect.forEach(["certified", "clear", "encrypted"], (role) => sql.unsafe(`CREATE ROLE ${role} LOGIN`))
    ).pipe(Effect.provide(PgServer.layer(Redacted.make(server.url))))
  )
}, 60_000)

afterAll(async () => {
  await server.stop()
  await rm(directory, { recursive: true, force: true })
})

/** What a connection is, or why there is none. */
const state = (
  parameters: string,
  options: { readonly user?: string; readonly host?: string; readonly env?: Readonly<Record<string, string>> } = {}
) => {
  const { env = {}, host = "localhost", user = "postgres:postgres" } = options
  const port = new URL(server.url).port
  const url = `postgres://${user}@${host}:${port}/postgres?${parameters}`
  const layer = Layer.provide(
    PgServer.layer(Redacted.make(url)),
    ConfigProvider.layer(ConfigProvider.fromUnknown({ HOME: file("home"), ...env }))
  )
  return SqlClient.SqlClient.use((sql) =>
    sql<{ readonly ssl: boolean }>`SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`
  ).pipe(
    Effect.map(([row]) => row?.ssl === true ? "encrypted" : "clear"),
    Effect.provide(layer),
    Effect.catchTags({
      LedgerUnavailable: (error) => Effect.succeed(error.reason),
      UnusableUrl: (error) => Effect.succeed(error.issue)
    })
  )
}

const root = (name = "root.crt") => `&sslrootcert=${encodeURIComponent(file(name))}`

describe("TLS", () => {
  it.live("is as each mode says, with a right certificate", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* state(""), "encrypted")
      assert.strictEqual(yield* state("ssl=true"), "encrypted")
      assert.strictEqual(yield* state("sslmode=disable"), "clear")
      assert.strictEqual(yield* state("sslmode=allow"), "clear")
      assert.strictEqual(yield* state("sslmode=prefer"), "encrypted")
      assert.strictEqual(yield* state("sslmode=require"), "encrypted")
      assert.strictEqual(yield* state(`sslmode=require${root()}`), "encrypted")
      assert.strictEqual(yield* state(`sslmode=verify-ca${root()}`), "encrypted")
      assert.strictEqual(yield* state(`sslmode=verify-full${root()}`), "encrypted")
      assert.strictEqual(
        yield* state("", { env: { PGSSLMODE: "verify-full", PGSSLROOTCERT: file("root.crt") } }),
        "encrypted"
      )
    }))

  it.live("is refused where the authority is another", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* state(`sslmode=verify-full${root("other.crt")}`), "authority")
      assert.strictEqual(yield* state(`sslmode=verify-ca${root("other.crt")}`), "authority")
      assert.strictEqual(yield* state(`sslmode=require${root("other.crt")}`), "authority")
      assert.strictEqual(yield* state("sslmode=verify-full&sslrootcert=system"), "authority")
      assert.strictEqual(yield* state("sslmode=verify-full"), "authority")
    }))

  it.live("is refused where the name is another, if the name is to be verified", () =>
    Effect.gen(function*() {
      const host = "127.0.0.1"
      assert.strictEqual(yield* state(`sslmode=verify-full${root()}`, { host }), "certificate-name")
      assert.strictEqual(yield* state(`sslmode=verify-ca${root()}`, { host }), "encrypted")
      assert.strictEqual(yield* state(`sslmode=verify-full${root()}&hostaddr=127.0.0.1`), "encrypted")
    }))

  it.live("is refused with a certificate that has expired or is not valid yet", () =>
    Effect.gen(function*() {
      for (const days of [[-20, -1], [1, 20]] as const) {
        const expired = authority.sign("localhost", days)
        yield* Effect.promise(() => server.place({ "server.crt": expired.certificate, "server.key": expired.key }))
        assert.strictEqual(yield* state(`sslmode=verify-full${root()}`), "certificate-expired")
        assert.strictEqual(yield* state("sslmode=require"), "encrypted")
      }
      yield* Effect.promise(() => server.place({ "server.crt": right.certificate, "server.key": right.key }))
    }))

  it.live("is what the server demands, or the other way where the mode leaves it open", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* state("sslmode=disable", { user: "encrypted" }), "tls-required")
      assert.strictEqual(yield* state("sslmode=allow", { user: "encrypted" }), "encrypted")
      assert.strictEqual(yield* state("sslmode=prefer", { user: "clear" }), "clear")
      assert.strictEqual(yield* state("sslmode=require", { user: "clear" }), "authentication")
      // Whom the server lets in neither way, it does not refuse for want of encryption.
      assert.strictEqual(yield* state("sslmode=prefer", { user: "nobody" }), "authentication")
      assert.strictEqual(yield* state("sslmode=allow", { user: "nobody" }), "authentication")
    }))

  it.live("shows a certificate of the client's", () =>
    Effect.gen(function*() {
      const own = `sslcert=${encodeURIComponent(file("client.crt"))}&sslkey=${encodeURIComponent(file("client.key"))}`
      assert.strictEqual(yield* state(own, { user: "certified" }), "encrypted")
      assert.notStrictEqual(yield* state("", { user: "certified" }), "encrypted")
      assert.strictEqual(
        yield* state("", { user: "certified", env: { PGSSLCERT: file("client.crt"), PGSSLKEY: file("client.key") } }),
        "encrypted"
      )
    }))

  it.live("is refused with advice where what it needs is not there", () =>
    Effect.gen(function*() {
      assert.include(yield* state("sslmode=verify-ca"), "sslmode=verify-ca needs sslrootcert")
      assert.include(yield* state("sslmode=require&sslrootcert=system"), "needs sslmode=verify-full")
      assert.include(
        yield* state(`sslmode=verify-full${root("none.crt")}`),
        "sslrootcert names a file that cannot be read"
      )
      assert.include(yield* state(`sslmode=verify-full${root("not.crt")}`), "sslrootcert")
      assert.include(yield* state(`sslcert=${encodeURIComponent(file("client.crt"))}`), "sslcert needs sslkey")
    }))

  it.live("is not needed by a socket in a directory", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* state("host=/tmp&sslmode=verify-full", { host: "" }), "clear")
    }))

  it.live("that a server does not have is said", () =>
    Effect.gen(function*() {
      yield* Effect.promise(() => server.place({ "postgresql.auto.conf": "ssl = off\n" }))
      assert.strictEqual(yield* state("sslmode=require"), "tls-missing")
      assert.strictEqual(yield* state("sslmode=prefer"), "clear")
    }))
})
