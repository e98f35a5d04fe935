import { assert, describe, it } from "@effect/vitest"
import { LedgerError } from "@waybill/core"
import { Cause, Effect } from "effect"
import { SqlError } from "effect/sql"
import { TestConsole } from "effect/testing"
import * as Failure from "../src/terminal/Failure.ts"

const refused = new SqlError.SqlError({
  reason: new SqlError.UnknownError({
    cause: Object.assign(new Error("Key (recipient)=(ann@example.com) already exists."), { code: "23505" }),
    message: "Key (recipient)=(ann@example.com) already exists."
  })
})

const said = Effect.fnUntraced(function*(cause: Cause.Cause<unknown>) {
  const code = yield* Failure.report(cause)
  return [code, ...yield* TestConsole.errorLines]
})

describe("report", () => {
  it.effect("names what was not foreseen by its class and its SQLSTATE alone", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* said(Cause.fail(refused)), [1, "waybill: failed unexpectedly: SqlError 23505"])
    }))

  it.effect("tells nothing of what a defect says", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* said(Cause.die(new TypeError("ann@example.com"))), [
        1,
        "waybill: failed unexpectedly: TypeError"
      ])
    }))

  it.effect("gives the words of a failure of ours, and what to do", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* said(Cause.fail(new LedgerError.SchemaNotMigrated({ schema: "mail" }))), [
        1,
        "waybill: the schema mail is not migrated; run waybill migrate"
      ])
    }))

  it.effect("tells who finds a schema of a newer program to upgrade", () =>
    Effect.gen(function*() {
      const tooNew = new LedgerError.SchemaTooNew({ schema: "mail", known: 5, needed: 6 })
      assert.deepStrictEqual(yield* said(Cause.fail(tooNew)), [
        1,
        "waybill: the schema mail is too new: a program has to know migration 6, this one knows 5; upgrade waybill"
      ])
    }))
})
