/** Names the parameters of a connection that are read, as libpq names them, and takes a connection URL apart into them. */
import { Result } from "effect"

/** How TLS is used. */
export type SslMode = "disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full"

/** The parameters that are read, each with the variable of the environment that stands in where the URL is silent. */
export const variables = {
  host: "PGHOST",
  hostaddr: "PGHOSTADDR",
  port: "PGPORT",
  dbname: "PGDATABASE",
  user: "PGUSER",
  password: "PGPASSWORD",
  passfile: "PGPASSFILE",
  application_name: "PGAPPNAME",
  fallback_application_name: "",
  options: "PGOPTIONS",
  client_encoding: "PGCLIENTENCODING",
  connect_timeout: "PGCONNECT_TIMEOUT",
  target_session_attrs: "PGTARGETSESSIONATTRS",
  load_balance_hosts: "PGLOADBALANCEHOSTS",
  channel_binding: "PGCHANNELBINDING",
  gssencmode: "PGGSSENCMODE",
  keepalives: "",
  keepalives_idle: "",
  sslmode: "PGSSLMODE",
  sslnegotiation: "PGSSLNEGOTIATION",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
  sslpassword: "",
  sslcrl: "PGSSLCRL",
  sslsni: "PGSSLSNI",
  ssl_min_protocol_version: "PGSSLMINPROTOCOLVERSION",
  ssl_max_protocol_version: "PGSSLMAXPROTOCOLVERSION"
} as const

/** The name of a parameter that is read. */
export type Name = keyof typeof variables

/** Variables of libpq that would change where it connects or how safely, and that are not read. */
export const refused = ["PGSERVICE", "PGREQUIRESSL", "PGREQUIREPEER", "PGREQUIREAUTH", "PGSSLCRLDIR"]

/** The parameters that a URL gives. */
export type Given = Partial<Record<Name, string>>

const isName = (name: string): name is Name => Object.hasOwn(variables, name)

/** What is said of a parameter that is not read. */
const notRead = (name: string): string => {
  if (name === "ssl") return "ssl is read as ssl=true alone; use sslmode=disable, require, verify-ca or verify-full"
  if (name === "service" || name === "servicefile") return `${name} is not read; write what it stands for into the URL`
  if (name === "pgbouncer") return "pgbouncer is not a parameter; set WAYBILL_POOLER=transaction"
  return /^[A-Za-z][A-Za-z0-9_]{0,40}$/.test(name)
    ? `the parameter ${name} is not understood`
    : "a parameter is not understood"
}

const decoded = (text: string, what: string): Result.Result<string, string> => {
  const isValid = !/%(?![0-9A-Fa-f]{2})/.test(text)
  return Result.try({
    try: () => isValid ? decodeURIComponent(text) : decodeURIComponent("%"),
    catch: () => `${what} has a % that encodes nothing; write % as %25`
  })
}

const shape = /^postgres(?:ql)?:\/\/(?:([^/?#]*)@)?([^/?#@]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/

/** The hosts of a URL and their ports, each in their order; a port that is not named is empty. */
const hostsOf = (text: string): Result.Result<Given, string> => {
  if (text === "") return Result.succeed({})
  const hosts: Array<string> = []
  const ports: Array<string> = []
  for (const part of text.split(",")) {
    const found = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^:[\]]*))(?::(\d*))?$/.exec(part)
    if (found === null) {
      return Result.fail(
        "a host is not understood: write host, host:port or [IPv6]:port, and a password with its signs %-encoded"
      )
    }
    const host = decoded(found[1] ?? found[2] ?? "", "the host")
    if (Result.isFailure(host)) return Result.fail(host.failure)
    hosts.push(host.success)
    ports.push(found[3] ?? "")
  }
  const some = (values: ReadonlyArray<string>) => values.some((value) => value !== "")
  return Result.succeed({
    ...some(hosts) ? { host: hosts.join(",") } : {},
    ...some(ports) ? { port: ports.join(",") } : {}
  })
}

/** Takes a URL apart; a failure is the line that says why it cannot be used, and shows nothing of it but names. */
export const parse = (url: string): Result.Result<Given, string> => {
  const found = shape.exec(url)
  if (found === null) {
    return Result.fail(
      "it is not postgres://user:password@host:port/database?parameters, or a part of it needs %-encoding"
    )
  }
  const [, userinfo, authority = "", path = "", query = ""] = found
  const hosts = hostsOf(authority)
  if (Result.isFailure(hosts)) return hosts
  const given: Given = { ...hosts.success }
  const [user = "", ...rest] = (userinfo ?? "").split(":")
  const parts: ReadonlyArray<readonly [Name, string, string]> = [
    ["user", user, "the user name"],
    ["password", rest.join(":"), "the password"],
    ["dbname", path, "the name of the database"]
  ]
  for (const [name, text, what] of parts) {
    const value = decoded(text, what)
    if (Result.isFailure(value)) return Result.fail(value.failure)
    if (value.success !== "") given[name] = value.success
  }
  for (const pair of query.split("&")) {
    if (pair === "") continue
    const at = pair.indexOf("=")
    const name = decoded(at === -1 ? pair : pair.slice(0, at), "the name of a parameter")
    if (Result.isFailure(name)) return Result.fail(name.failure)
    const value = decoded(at === -1 ? "" : pair.slice(at + 1), "the value of a parameter")
    if (Result.isFailure(value)) return Result.fail(value.failure)
    if (name.success === "ssl" && value.success === "true") given.sslmode = "require"
    else if (isName(name.success)) given[name.success] = value.success
    else return Result.fail(notRead(name.success))
  }
  return Result.succeed(given)
}
