/** Chooses the options of TLS for a mode as libpq understands it, and reads the certificates. */
import { Effect, Predicate } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import * as Tls from "node:tls"
import type { SslMode } from "./parameters.ts"

/** What is asked for. */
export interface Wanted {
  /** Nothing where nobody named it. */
  readonly mode: SslMode | undefined
  readonly root: string | undefined
  readonly certificate: string | undefined
  readonly key: string | undefined
  readonly passphrase: string | undefined
  readonly revocations: string | undefined
  readonly oldest: string | undefined
  readonly newest: string | undefined
  /** Whether the server is told the name of the host. */
  readonly isNamed: boolean
}

const versions: Readonly<Record<string, Tls.SecureVersion>> = {
  TLSv1: "TLSv1",
  "TLSv1.1": "TLSv1.1",
  "TLSv1.2": "TLSv1.2",
  "TLSv1.3": "TLSv1.3"
}

/** The content of a file that a parameter names. */
const named = (parameter: string, path: string): Effect.Effect<string, string> =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: () => `${parameter} names a file that cannot be read`
  })

/** The content of a file in a place of convention; nothing where it is not there. */
const conventional = (parameter: string, path: string): Effect.Effect<string | undefined, string> =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (error) => Predicate.hasProperty(error, "code") ? error.code : error
  }).pipe(
    Effect.catch((code) =>
      code === "ENOENT" || code === "ENOTDIR"
        ? Effect.undefined
        : Effect.fail(`the ${parameter} in ~/.postgresql cannot be read`)
    )
  )

const file = (parameter: string, path: string | undefined, fallback: string) =>
  path === undefined ? conventional(parameter, fallback) : named(parameter, path)

/** The authorities that this machine trusts. */
const system = (): Array<string> => {
  const found = Tls.getCACertificates("system")
  return found.length === 0 ? Tls.getCACertificates("bundled") : found
}

const versionOf = (
  parameter: string,
  text: string | undefined
): Effect.Effect<Tls.SecureVersion | undefined, string> => {
  if (text === undefined) return Effect.undefined
  const version = versions[text]
  return version === undefined
    ? Effect.fail(`${parameter} must be ${Object.keys(versions).join(" or ")}`)
    : Effect.succeed(version)
}

const isTls = (mode: SslMode): boolean => mode !== "disable"

/** The authorities to verify by; nothing where the server is not verified. */
const rootOf = Effect.fnUntraced(function*(mode: SslMode, root: string | undefined, directory: string) {
  if (mode === "disable" || mode === "allow" || mode === "prefer") return undefined
  if (root === "system") {
    return mode === "verify-full"
      ? system()
      : yield* Effect.fail("sslrootcert=system needs sslmode=verify-full: anybody may have a public certificate")
  }
  const found = yield* file("sslrootcert", root, join(directory, "root.crt"))
  if (found !== undefined) {
    return found.includes("-----BEGIN ")
      ? [found]
      : yield* Effect.fail("sslrootcert names a file that is not a certificate (PEM)")
  }
  if (mode === "require") return undefined
  return mode === "verify-full"
    ? system()
    : yield* Effect.fail("sslmode=verify-ca needs sslrootcert: name the file of the authority's certificate")
})

/** The mode that is meant and the options of TLS; fails with the line that says why they cannot be used. */
export const make = Effect.fnUntraced(
  function*(wanted: Wanted, directory: string): Effect.fn.Return<
    { readonly mode: SslMode; readonly tls: Tls.ConnectionOptions },
    string
  > {
    const mode = wanted.mode ?? (wanted.root === "system" ? "verify-full" : "prefer")
    if (!isTls(mode)) return { mode, tls: {} }
    const ca = yield* rootOf(mode, wanted.root, directory)
    const cert = yield* file("sslcert", wanted.certificate, join(directory, "postgresql.crt"))
    const key = cert === undefined
      ? undefined
      : yield* file("sslkey", wanted.key, join(directory, "postgresql.key"))
    if (cert !== undefined && key === undefined) return yield* Effect.fail("sslcert needs sslkey")
    const crl = wanted.revocations === undefined ? undefined : yield* named("sslcrl", wanted.revocations)
    const minVersion = yield* versionOf("ssl_min_protocol_version", wanted.oldest)
    const maxVersion = yield* versionOf("ssl_max_protocol_version", wanted.newest)
    const options: Tls.ConnectionOptions = {
      rejectUnauthorized: ca !== undefined,
      ...mode === "verify-full" ? {} : { checkServerIdentity: () => undefined },
      ...ca === undefined ? {} : { ca },
      ...cert === undefined ? {} : { cert, key },
      ...wanted.passphrase === undefined ? {} : { passphrase: wanted.passphrase },
      ...crl === undefined ? {} : { crl },
      ...minVersion === undefined ? {} : { minVersion },
      ...maxVersion === undefined ? {} : { maxVersion },
      ...wanted.isNamed ? {} : { servername: "" }
    }
    const isUsable = yield* Effect.sync(() => {
      try {
        Tls.createSecureContext(options)
        return true
      } catch {
        return false
      }
    })
    if (!isUsable) return yield* Effect.fail("sslrootcert, sslcert, sslkey or sslcrl is not what it should be (PEM)")
    return { mode, tls: options }
  }
)
