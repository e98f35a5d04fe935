/**
 * Creates, lists and revokes the tokens by which the HTTP API is used.
 *
 * @since 0.2.0
 */
import { Tenant, Tokens } from "@waybill/core"
import { DateTime, Effect, Option, Redacted, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Store from "../../store/Store.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

const scope = Flag.String("tenant-id").pipe(
  Flag.withSchema(Tenant.TenantId),
  Flag.withDescription("The one tenant that the token reaches (default: all)"),
  Flag.optional,
  Flag.map(Option.getOrElse((): Tenant.Scope => Tenant.all))
)

const create = Command.make(
  "create",
  {
    name: Flag.String("name").pipe(
      Flag.withSchema(Tokens.Token.fields.name),
      Flag.withDescription("What to call it, such as the program that uses it")
    ),
    role: Flag.Literals("role", Tokens.Role.literals).pipe(
      Flag.withDescription("send: record, dispatch and look one up; read: look at everything; operate: all")
    ),
    scope,
    expiresAt: Flag.String("expires").pipe(
      Flag.withSchema(Schema.DateTimeUtcFromString),
      Flag.withMetavar("time"),
      Flag.withDescription("When it ends, in ISO 8601 (default: never)"),
      Flag.optional
    ),
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ json, ...given }) {
    const tokens = yield* Tokens.Tokens
    const { text, token: { id } } = yield* tokens.create(given)
    const token = Redacted.value(text)
    yield* Output.write(json, { id, token }, () => `${token}\n\nkeep it: it is not shown again (its id is ${id})`)
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("Create a token and print it, this once"),
  Command.withExamples([
    { command: "waybill tokens create --name shop --role send --tenant-id acme", description: "For an application" },
    {
      command: "waybill tokens create --name ci --role read --expires 2027-01-01T00:00:00Z --json",
      description: "Looks at every tenant, until a time"
    }
  ])
)

/** How a token stands at an instant. */
const stateOf = (token: Tokens.Token, now: DateTime.Utc): string => {
  if (Option.isSome(token.revokedAt)) return "revoked"
  return Tokens.isInForce(token, now) ? "in force" : "expired"
}

const list = Command.make(
  "list",
  { scope: Parameters.scope, json: Parameters.json },
  Effect.fnUntraced(function*({ json, scope }) {
    const tokens = yield* Tokens.Tokens
    const found = yield* tokens.list(scope)
    const now = yield* DateTime.now
    const shown = found.map((token) => ({
      id: token.id,
      name: token.name,
      role: token.role,
      tenantId: token.scope === Tenant.all ? null : token.scope,
      state: stateOf(token, now),
      createdAt: DateTime.formatIso(token.createdAt),
      expiresAt: Output.time(token.expiresAt),
      revokedAt: Output.time(token.revokedAt),
      lastUsedOn: Option.getOrNull(token.lastUsedOn)
    }))
    yield* Output.write(json, { tokens: shown }, () =>
      Output.table(
        ["id", "name", "role", "tenant", "state", "created at", "expires at", "last used on"],
        shown.map(({ createdAt, expiresAt, id, lastUsedOn, name, role, state, tenantId }) => [
          id,
          name,
          role,
          tenantId ?? "all",
          state,
          createdAt,
          expiresAt ?? "",
          lastUsedOn ?? ""
        ]),
        "no tokens"
      ))
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("List the tokens, also those that ended"),
  Command.withExamples([
    { command: "waybill tokens list", description: "Who may use the API, and when each was last used" },
    { command: "waybill tokens list --tenant-id acme --json", description: "The tokens of one tenant, for a script" }
  ])
)

const revoke = Command.make(
  "revoke",
  {
    id: Argument.String("id").pipe(
      Argument.withSchema(Tokens.TokenId),
      Argument.withDescription("The token's id")
    ),
    scope: Parameters.scope,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ id, json, scope }) {
    const tokens = yield* Tokens.Tokens
    const { revokedAt } = yield* tokens.revoke(scope, id)
    yield* Output.write(json, { id, revokedAt: Output.time(revokedAt) }, () => `${id} revoked`)
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription("End a token, at once and for good"),
  Command.withExamples([
    { command: "waybill tokens revoke 01890a5d-ac96-774b-bcce-b302099a8057", description: "What it opened is closed" }
  ])
)

/**
 * `waybill tokens`
 *
 * @category commands
 * @since 0.2.0
 */
export const tokens = Command.make("tokens").pipe(
  Command.withDescription("The tokens of the HTTP API"),
  Command.withSubcommands([create, list, revoke]),
  Command.withExamples([
    { command: "waybill tokens create --name shop --role send --tenant-id acme", description: "For an app that sends" },
    { command: "waybill tokens list", description: "Which there are, and when each was last used" }
  ])
)
