/**
 * Creates and upgrades the schema.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { Command, Flag } from "effect/cli"
import * as Database from "../../store/Database.ts"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

/**
 * `waybill migrate`
 *
 * @category commands
 * @since 0.1.0
 */
export const migrate = Command.make(
  "migrate",
  {
    grantTo: Flag.String("grant-to").pipe(
      Flag.filter(
        (role) => /^(?!(?:public|none)$|pg_)[^\0]{1,63}$/.test(role),
        () => "must be the name of one role, 1 to 63 characters, not public or none, and not begin with pg_"
      ),
      Flag.withDescription("Let this role use the ledger and no more; it is created where it does not exist"),
      Flag.optional
    ),
    rowLevelSecurity: Flag.Boolean("row-level-security").pipe(
      Flag.withDescription("Let the database keep tenants apart too, for roles that do not own the tables"),
      Flag.withDefault(false)
    ),
    notify: Flag.Boolean("notify").pipe(
      Flag.withDescription("Notify those who follow the feed of appended events, which slows appending down"),
      Flag.withDefault(false)
    ),
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ json, ...extras }) {
    const applied = yield* Database.migrate(extras)
    yield* Output.write(
      json,
      { applied },
      () => (applied.length === 0 ? "nothing to apply" : applied.map((name) => `applied ${name}`).join("\n"))
    )
  })
).pipe(
  Command.withDescription("Create or upgrade the schema of the database"),
  Command.withExamples([
    {
      command: "WAYBILL_DATABASE_URL=postgres://app@localhost/app waybill migrate",
      description: "Create the schema waybill on a server"
    },
    { command: "waybill migrate --grant-to app", description: "And let the role app use it, without owning anything" },
    { command: "WAYBILL_SCHEMA=mail waybill migrate --json", description: "In another schema, for a script" }
  ])
)
