/**
 * Reads a connection URL and what stands in for its parts, as libpq does: the variables of the environment (`PGHOST`,
 * `PGSSLMODE` and the others), the password file, and the certificates in `~/.postgresql`.
 *
 * A parameter that is not understood is refused, so that nothing which was asked for is left out in silence. A failure
 * names the parameter and never its value.
 *
 * @since 0.2.0
 */
import { Config, Duration, Effect, Option, Redacted, Result, Schema } from "effect"
import { readFile, stat } from "node:fs/promises"
import { homedir, userInfo } from "node:os"
import { join } from "node:path"
import type { ConnectionOptions } from "node:tls"
import * as parameters from "./internal/connection/parameters.ts"
import * as Passfile from "./internal/connection/Passfile.ts"
import * as tlsOptions from "./internal/connection/tlsOptions.ts"

/**
 * The URL, or a variable of the environment that stands in for a part of it, cannot be used.
 *
 * @category errors
 * @since 0.2.0
 */
export class UnusableUrl extends Schema.TaggedError<UnusableUrl>("@waybill/storage/UnusableUrl")("UnusableUrl", {
  issue: Schema.String
}) {
  override get message(): string {
    return `the database URL cannot be used: ${this.issue}`
  }
}

/**
 * One server of those that a URL names.
 *
 * @category models
 * @since 0.2.0
 */
export interface Host {
  /** The name that the certificate must bear. */
  readonly name: string
  /** Where to connect, if not to the name. */
  readonly address: string | undefined
  readonly port: number
  /** The socket in the file system, where it is one. */
  readonly path: string | undefined
}

/**
 * How TLS is used.
 *
 * @category models
 * @since 0.2.0
 */
export type SslMode = parameters.SslMode

/**
 * Which servers will do.
 *
 * @category models
 * @since 0.2.0
 */
export type SessionAttrs = "any" | "read-write" | "read-only" | "primary" | "standby" | "prefer-standby"

/**
 * What a URL and its surroundings say of a connection.
 *
 * @category models
 * @since 0.2.0
 */
export interface Target {
  readonly hosts: ReadonlyArray<Host>
  readonly sessionAttrs: SessionAttrs
  /** Whether the hosts are tried in an order of chance. */
  readonly isShuffled: boolean
  readonly user: string
  readonly password: Option.Option<Redacted.Redacted>
  readonly database: string
  readonly applicationName: string
  readonly options: string | undefined
  /** For each host. */
  readonly connectTimeout: Duration.Duration
  /** How long a connection may be idle before the operating system asks whether the peer is there. */
  readonly keepAlive: Duration.Duration
  readonly sslMode: SslMode
  readonly tls: ConnectionOptions
}

const sslModes: ReadonlyArray<SslMode> = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

const sessionAttrs: ReadonlyArray<SessionAttrs> = [
  "any",
  "read-write",
  "read-only",
  "primary",
  "standby",
  "prefer-standby"
]

const refuse = (issue: string) => new UnusableUrl({ issue })

/** A variable of the environment; an empty one counts as none. */
const variable = (name: string) =>
  Effect.map(
    Effect.mapError(Config.option(Config.String(name)), () => refuse(`${name} cannot be read`)),
    (value) => Option.getOrUndefined(Option.filter(value, (text) => text !== ""))
  )

/** The parameters of the URL, and the variables of the environment where it is silent. */
const gather = Effect.fnUntraced(function*(url: string) {
  const given = parameters.parse(url)
  if (Result.isFailure(given)) return yield* refuse(given.failure)
  for (const name of parameters.refused) {
    if ((yield* variable(name)) !== undefined) return yield* refuse(`${name} is set and is not understood`)
  }
  const found: parameters.Given = given.success
  const names = Object.entries(parameters.variables)
  const around = yield* Effect.forEach(names, ([, name]) => name === "" ? Effect.undefined : variable(name))
  return (name: parameters.Name): string | undefined => {
    const value = found[name]
    return value !== undefined && value !== "" ? value : around[names.findIndex(([key]) => key === name)]
  }
})

type Read = (name: parameters.Name) => string | undefined

/** The value of a parameter that must be one of some words. */
const oneOf = <A extends string>(
  read: Read,
  name: parameters.Name,
  words: ReadonlyArray<A>,
  fallback: A
): Effect.Effect<A, UnusableUrl> => {
  const value = read(name)
  if (value === undefined) return Effect.succeed(fallback)
  const word = words.find((word) => word === value)
  return word === undefined ? Effect.fail(refuse(`${name} must be ${words.join(" or ")}`)) : Effect.succeed(word)
}

/** The value of a parameter that must be a whole number of seconds. */
const seconds = (read: Read, name: parameters.Name, fallback: number): Effect.Effect<number, UnusableUrl> => {
  const value = read(name) ?? String(fallback)
  return /^\d{1,9}$/.test(value)
    ? Effect.succeed(Number(value))
    : Effect.fail(refuse(`${name} must be a whole number of seconds`))
}

const hostsOf = Effect.fnUntraced(function*(read: Read) {
  const addresses = read("hostaddr")?.split(",")
  const names = read("host")?.split(",") ?? addresses ?? ["localhost"]
  const ports = read("port")?.split(",") ?? ["5432"]
  if (addresses !== undefined && addresses.length !== names.length) {
    return yield* refuse("hostaddr must name one address for each host")
  }
  if (ports.length !== 1 && ports.length !== names.length) {
    return yield* refuse("port must be one for all hosts or one for each")
  }
  const hosts: Array<Host> = []
  for (const [index, name] of names.entries()) {
    const text = (ports.length === 1 ? ports[0] : ports[index]) ?? ""
    const port = text === "" ? 5432 : Number(text)
    if (!/^\d{0,5}$/.test(text) || port < 1 || port > 65_535) return yield* refuse("port must be from 1 to 65535")
    const host = name === "" ? "localhost" : name
    const address = addresses?.[index]
    hosts.push({
      name: host,
      address: address === "" ? undefined : address,
      port,
      path: host.startsWith("/") ? join(host, `.s.PGSQL.${port}`) : undefined
    })
  }
  return hosts
})

/** What is refused rather than left out: it would be less safe, or other than was asked for. */
const check = Effect.fnUntraced(function*(read: Read) {
  yield* oneOf(read, "channel_binding", ["disable", "prefer"], "prefer").pipe(
    Effect.mapError(() =>
      refuse("channel_binding=require is not supported; use channel_binding=prefer with sslmode=verify-full")
    )
  )
  yield* oneOf(read, "gssencmode", ["disable", "prefer"], "prefer")
  yield* oneOf(read, "sslnegotiation", ["postgres"], "postgres")
  yield* oneOf(read, "sslsni", ["0", "1"], "1")
  yield* oneOf(read, "keepalives", ["1"], "1")
  const encoding = read("client_encoding")
  if (encoding !== undefined && !/^(?:utf-?8|auto|unicode)$/i.test(encoding)) {
    yield* refuse("client_encoding must be UTF8")
  }
})

/** The password of the password file, which nobody but its owner may read. */
const passwordOf = Effect.fnUntraced(function*(read: Read, home: string, entries: ReadonlyArray<Passfile.Entry>) {
  const path = read("passfile") ?? join(home, ".pgpass")
  const text = yield* Effect.promise(async () => {
    try {
      const { mode } = await stat(path)
      return (mode & 0o077) === 0 ? await readFile(path, "utf8") : undefined
    } catch {
      return undefined
    }
  })
  if (text === undefined) return undefined
  for (const entry of entries) {
    const password = Passfile.find(text, entry)
    if (password !== undefined) return password
  }
  return undefined
})

/**
 * Reads a URL and its surroundings.
 *
 * @category parsing
 * @since 0.2.0
 */
export const read: (url: Redacted.Redacted) => Effect.Effect<Target, UnusableUrl> = Effect.fn("PgUrl.read")(
  function*(url) {
    const read = yield* gather(Redacted.value(url))
    yield* check(read)
    const hosts = yield* hostsOf(read)
    const home = (yield* variable("HOME")) ?? homedir()
    const user = read("user") ?? userInfo().username
    const database = read("dbname") ?? user
    const password = read("password") ??
      (yield* passwordOf(read, home, hosts.map(({ name, port }) => ({ host: name, port, database, user }))))
    const timeout = yield* seconds(read, "connect_timeout", 5)
    const { mode, tls } = yield* tlsOptions.make(
      {
        mode: read("sslmode") === undefined ? undefined : yield* oneOf(read, "sslmode", sslModes, "prefer"),
        root: read("sslrootcert"),
        certificate: read("sslcert"),
        key: read("sslkey"),
        passphrase: read("sslpassword"),
        revocations: read("sslcrl"),
        oldest: read("ssl_min_protocol_version"),
        newest: read("ssl_max_protocol_version"),
        isNamed: read("sslsni") !== "0"
      },
      join(home, ".postgresql")
    ).pipe(Effect.mapError(refuse))
    return {
      hosts,
      sessionAttrs: yield* oneOf(read, "target_session_attrs", sessionAttrs, "any"),
      isShuffled: (yield* oneOf(read, "load_balance_hosts", ["disable", "random"], "disable")) === "random",
      user,
      password: password === undefined ? Option.none() : Option.some(Redacted.make(password)),
      database,
      applicationName: read("application_name") ?? read("fallback_application_name") ?? "waybill",
      options: read("options"),
      connectTimeout: timeout === 0 ? Duration.infinity : Duration.seconds(timeout),
      keepAlive: Duration.seconds(Math.max(yield* seconds(read, "keepalives_idle", 5), 1)),
      sslMode: mode,
      tls
    }
  }
)
