import { assert, describe, it } from "@effect/vitest"
import { LedgerError } from "@waybill/core"
import { PgError } from "@waybill/storage"
import { Effect } from "effect"
import { SqlError } from "effect/sql"

/** An error as the client gives it for a SQLSTATE. */
const answered = (code: string, message = "", operation = "query") =>
  new SqlError.SqlError({
    reason: new SqlError.UnknownError({
      cause: Object.assign(new Error(message), { code, severity: "ERROR" }),
      operation
    })
  })

/** What an error stands for: the reason, or the tag. */
const stands = (error: SqlError.SqlError): string => {
  const converted = PgError.fromSqlError("waybill")(error)
  return converted._tag === "LedgerUnavailable" ? converted.reason : converted._tag
}

/** Each class of PostgreSQL 18 and what an error of it is that is named nowhere else. */
const classes: Readonly<Record<string, string>> = {
  "01": "server",
  "02": "server",
  "03": "server",
  "08": "connection",
  "09": "server",
  "0A": "server",
  "0B": "server",
  "0F": "server",
  "0L": "server",
  "0P": "server",
  "0Z": "server",
  "10": "server",
  "20": "server",
  "21": "SqlError",
  "22": "SqlError",
  "23": "SqlError",
  "24": "server",
  "25": "server",
  "26": "server",
  "27": "SqlError",
  "28": "authentication",
  "2B": "server",
  "2D": "server",
  "2F": "server",
  "34": "server",
  "38": "server",
  "39": "server",
  "3B": "server",
  "3D": "server",
  "3F": "server",
  "40": "connection",
  "42": "SqlError",
  "44": "SqlError",
  "53": "full",
  "54": "SqlError",
  "55": "server",
  "57": "stopping",
  "58": "server",
  "72": "server",
  F0: "server",
  HV: "server",
  P0: "SqlError",
  XX: "server"
}

const single: Readonly<Record<string, string>> = {
  "08P01": "connection",
  "25006": "read-only",
  "25P02": "server",
  "26000": "pooler",
  "28P01": "authentication",
  "3D000": "database",
  "3F000": "SchemaNotMigrated",
  "40001": "contention",
  "40P01": "contention",
  "42501": "permission",
  "42601": "SqlError",
  "42703": "SqlError",
  "42P01": "SchemaNotMigrated",
  "42P05": "pooler",
  "45A01": "LedgerImmutable",
  "53100": "full",
  "53200": "full",
  "53300": "too-many-connections",
  "55P03": "timeout",
  "57014": "timeout",
  "57P01": "stopping",
  "57P03": "stopping"
}

const failed = (cause: unknown) =>
  new SqlError.SqlError({ reason: new SqlError.ConnectionError({ cause, operation: "connect" }) })

describe("PgError", () => {
  it("tells for every class of SQLSTATE whether the data is at fault", () => {
    for (const [group, expected] of Object.entries(classes)) {
      assert.strictEqual(stands(answered(`${group}ZZZ`)), expected, group)
    }
  })

  it("tells the causes that have a SQLSTATE of their own", () => {
    for (const [state, expected] of Object.entries(single)) assert.strictEqual(stands(answered(state)), expected, state)
  })

  it("tells what a server or a pooler says as it refuses a connection", () => {
    const refusals = [
      ["08P01", "unsupported startup parameter: statement_timeout", "startup-parameter"],
      ["08P01", "SSL required", "tls-required"],
      ["08P01", "no more connections allowed (max_client_conn)", "too-many-connections"],
      ["08P01", "no such database: x", "database"],
      ["28000", "no pg_hba.conf entry for host \"::1\", user \"x\", database \"y\", no encryption", "tls-required"],
      ["28000", "no pg_hba.conf entry for host \"::1\", user \"x\", database \"y\", SSL encryption", "authentication"],
      ["42704", "unrecognized configuration parameter \"x\"", "startup-parameter"],
      ["53300", "sorry, too many clients already", "too-many-connections"]
    ] as const
    for (const [state, message, expected] of refusals) {
      assert.strictEqual(stands(answered(state, message, "connect")), expected, message)
    }
  })

  it("tells what the network and the resolver say", () => {
    const codes = {
      ECONNREFUSED: "refused",
      ENOTFOUND: "name",
      EHOSTUNREACH: "unreachable",
      ETIMEDOUT: "silent",
      ECONNRESET: "connection",
      EPIPE: "connection",
      CERT_HAS_EXPIRED: "certificate-expired",
      ERR_TLS_CERT_ALTNAME_INVALID: "certificate-name",
      SELF_SIGNED_CERT_IN_CHAIN: "authority",
      ERR_SSL_WRONG_VERSION_NUMBER: "tls"
    }
    for (const [code, expected] of Object.entries(codes)) {
      assert.strictEqual(stands(failed(Object.assign(new Error("of ann at 10.0.0.1"), { code }))), expected, code)
    }
  })

  it("says each cause by a line and an advice of its own that show no address and no secret", () => {
    const causes = [
      failed(Object.assign(new Error("10.0.0.1"), { code: "ECONNREFUSED" })),
      answered("25006", "ann"),
      answered("3D000", "hush")
    ]
    for (const error of causes) {
      const { advice, message } = PgError.ofConnection(error)
      assert.notMatch(message, /10\.0|ann|hush|\(connection\)/)
      assert.isAbove(advice.length, 10)
    }
    const reasons = [
      "refused",
      "authority",
      "certificate-name",
      "certificate-expired",
      "tls-required",
      "tls-missing",
      "name",
      "database",
      "too-many-connections",
      "startup-parameter",
      "read-only",
      "silent"
    ] as const
    const said = reasons.map((reason) => new LedgerError.LedgerUnavailable({ reason, cause: undefined }))
    assert.strictEqual(new Set(said.map(({ message }) => message)).size, reasons.length)
    assert.strictEqual(new Set(said.map(({ advice }) => advice)).size, reasons.length)
  })

  it.effect("does not take the loss of a prepared statement for a defect", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(PgError.refine("waybill")(Effect.fail(answered("26000"))))
      assert.deepInclude(error, { _tag: "LedgerUnavailable", reason: "pooler" })
    }))
})
