import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Waybill from "./Waybill.ts"

const Created = Schema.Struct({ id: Schema.String, token: Schema.String })

const Listed = Schema.Struct({
  tokens: Schema.Array(Schema.Struct({
    id: Schema.String,
    name: Schema.String,
    role: Schema.String,
    tenantId: Schema.NullOr(Schema.String),
    state: Schema.String,
    createdAt: Schema.String,
    expiresAt: Schema.NullOr(Schema.String),
    revokedAt: Schema.NullOr(Schema.String),
    lastUsedOn: Schema.NullOr(Schema.String)
  }))
})

const Revoked = Schema.Struct({ id: Schema.String, revokedAt: Schema.String })

describe("tokens by hand", () => {
  it.live("are created, shown once, listed by tenant and revoked", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const create = (...args: ReadonlyArray<string>) => Waybill.json(Created, ["tokens", "create", ...args], env)
      assert.match((yield* Waybill.run(["tokens", "list"], env)).stdout, /^no tokens\n$/)
      const all = yield* create("--name", "ci", "--role", "read", "--expires", "2999-01-01T00:00:00Z")
      const acme = yield* create("--name", "shop", "--role", "send", "--tenant-id", "acme")
      assert.match(all.token, /^waybill_/)
      assert.notStrictEqual(all.token, acme.token)
      const { tokens } = yield* Waybill.json(Listed, ["tokens", "list"], env)
      assert.deepStrictEqual(
        tokens.map(({ expiresAt, id, lastUsedOn, name, role, state, tenantId }) => [
          id,
          name,
          role,
          tenantId,
          state,
          expiresAt,
          lastUsedOn
        ]),
        [
          [all.id, "ci", "read", null, "in force", "2999-01-01T00:00:00.000Z", null],
          [acme.id, "shop", "send", "acme", "in force", null, null]
        ]
      )
      const shown = yield* Waybill.run(["tokens", "list", "--tenant-id", "acme"], env)
      assert.include(shown.stdout, acme.id)
      assert.notInclude(shown.stdout, all.id)
      assert.notInclude(shown.stdout, acme.token)
      yield* Waybill.json(Revoked, ["tokens", "revoke", acme.id], env)
      const [ended] = (yield* Waybill.json(Listed, ["tokens", "list", "--tenant-id", "acme"], env)).tokens
      assert.strictEqual(ended?.state, "revoked")
    }), 60_000)

  it.live("are refused in one line where something is wrong", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      const create = ["tokens", "create", "--name", "x", "--role", "read"]
      const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, number, RegExp]> = [
        [["tokens", "create", "--name", "x", "--role", "admin"], 2, /--role/],
        [["tokens", "create", "--role", "read"], 2, /Missing required flag: --name/],
        [["tokens", "create", "--name", "", "--role", "read"], 2, /--name\. .*1 to 255 characters/],
        [[...create, "--tenant-id", "*"], 2, /--tenant-id.*not \*/],
        [[...create, "--expires", "tomorrow"], 2, /--expires/],
        [[...create, "--expires", "2020-01-01T00:00:00Z"], 2, /expiresAt: must be in the future/],
        [["tokens", "revoke", "nobody"], 2, /<id>\. It must be a UUID/],
        [["tokens", "revoke", "01890a5d-ac96-774b-bcce-b302099a8057"], 1, /there is no token 01890a5d/]
      ]
      for (const [args, code, says] of wrong) {
        const result = yield* Waybill.run(args, env)
        assert.strictEqual(result.code, code, result.stderr)
        assert.match(result.stderr, says)
        assert.match(result.stderr, /^[^\n]+\n$/)
        assert.strictEqual(result.stdout, "")
      }
      assert.deepStrictEqual((yield* Waybill.json(Listed, ["tokens", "list"], env)).tokens, [])
    }), 60_000)
})
