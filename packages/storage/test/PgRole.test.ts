import { assert, describe, it } from "@effect/vitest"
import { Ledger, Orphans } from "@waybill/core"
import { PgError } from "@waybill/storage"
import { Given } from "@waybill/storage/testing"
import { DateTime, Effect, Exit } from "effect"
import { SqlClient } from "effect/sql"
import * as TestDatabase from "./TestDatabase.ts"

const tables = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ readonly name: string }>`
    SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'waybill' AND c.relkind = 'r' ORDER BY c.relname
  `
  return rows.map(({ name }) => name)
})

const privileges = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]

describe("least privilege on PostgreSQL", () => {
  it.live(
    "a role may add events and what was done by hand, change the rest, and no more",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const working = "SELECT INSERT UPDATE DELETE"
        const expected: Record<string, string> = {
          acts: "SELECT INSERT",
          checkpoints: working,
          contributions: working,
          correlations: working,
          deliveries: working,
          epochs: "SELECT",
          event_details: working,
          events: "SELECT INSERT",
          figures: working,
          figures_due: working,
          migrations: "SELECT",
          moved_events: "SELECT",
          occurrences: "SELECT",
          orphans: working,
          recipients: "DELETE",
          secrets: "",
          suppressed_recipients: "SELECT INSERT UPDATE DELETE",
          suppressions: "SELECT INSERT UPDATE DELETE",
          sweeps: working,
          alert_mutes: working,
          alert_notices: working,
          alerts: working,
          tokens: working,
          unsent: working,
          webhook_tallies: working,
          webhook_tokens: working,
          webhooks: working
        }
        const found: Record<string, string> = {}
        for (const name of yield* tables) {
          const rows = yield* sql<{ readonly privilege: string }>`
          SELECT privilege FROM unnest(${privileges}::text[]) WITH ORDINALITY AS given (privilege, n)
          WHERE has_table_privilege(${`waybill.${name}`}, privilege) ORDER BY n
        `
          found[name] = rows.map(({ privilege }) => privilege).join(" ")
        }
        assert.deepStrictEqual(found, expected)
        const columns = yield* sql`
        SELECT DISTINCT c.table_name AS "table", c.privilege_type AS privilege
        FROM information_schema.column_privileges c
        WHERE c.table_schema = 'waybill' AND c.table_name IN ('events', 'acts', 'secrets', 'recipients', 'migrations')
          AND c.privilege_type <> 'SELECT' AND NOT (c.table_name IN ('events', 'acts') AND c.privilege_type = 'INSERT')
      `
        assert.deepStrictEqual(columns, [])
        const functions = yield* sql<{ readonly name: string }>`
          SELECT proname AS name FROM pg_proc
          WHERE pronamespace = 'waybill'::regnamespace AND has_function_privilege(oid, 'EXECUTE') ORDER BY proname
        `
        assert.deepStrictEqual(
          functions.map(({ name }) => name),
          [
            "canonical_address",
            "canonical_recipient",
            "has_place",
            "hold_address",
            "hold_recipient",
            "is_elsewhere",
            "is_linkable",
            "letters",
            "note_again",
            "occurrences_of",
            "recipient_digest",
            "recipient_pseudonym",
            "requeue",
            "suppressions_of"
          ]
        )
        const [schema] = yield* sql`
        SELECT has_schema_privilege('waybill', 'CREATE') AS creates,
          EXISTS (SELECT FROM pg_class WHERE relowner = current_user::regrole) AS owns
      `
        assert.deepStrictEqual(schema, { creates: false, owns: false })
      }).pipe(Effect.provide(TestDatabase.restricted)),
    30_000
  )

  it.live(
    "a role that writes deliveries alone calls no function, and an orphan of what it writes is linked",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const orphans = yield* Orphans.Orphans
        const tenantId = yield* Given.tenant
        yield* ledger.append(tenantId, [
          Given.report("delivered", "m-1", { recipient: Given.named("ann@example.com", true) })
        ])
        const role = `writer_${globalThis.crypto.randomUUID().replaceAll("-", "")}`
        yield* Effect.acquireRelease(
          sql.unsafe(`CREATE ROLE ${role}`),
          () => Effect.orDie(Effect.andThen(sql.unsafe(`DROP OWNED BY ${role}`), sql.unsafe(`DROP ROLE ${role}`)))
        )
        yield* sql.unsafe(`GRANT USAGE ON SCHEMA waybill TO ${role}`)
        yield* sql.unsafe(`GRANT INSERT ON waybill.deliveries TO ${role}`)
        const asWriter = (statement: string) =>
          sql.withTransaction(Effect.andThen(sql.unsafe(`SET LOCAL ROLE ${role}`), sql.unsafe(statement)))
        for (
          const call of [
            `meet('${tenantId}', 'message:postmark:m-1', NULL, 'postmark', 'none')`,
            `recipient_digest('${tenantId}', 'ann@example.com')`,
            `recipient_pseudonym('${tenantId}', 'ann@example.com')`,
            "is_linkable(NULL, NULL)",
            "is_elsewhere(NULL)",
            "requeue('{}')",
            "has_place(0, '1', 1)",
            "canonical_message_id('postmark', 'm-1')"
          ]
        ) {
          const error = yield* Effect.flip(asWriter(`SELECT waybill.${call}`))
          assert.strictEqual(error.reason._tag, "AuthorizationError", call)
        }
        yield* asWriter(`
          INSERT INTO waybill.deliveries (tenant_id, mailable, stream, recipient, provider, provider_message_id)
          VALUES ('${tenantId}', 'welcome', 'bulk', 'Ann@example.com', 'postmark', '<m-1>')
        `)
        const now = yield* DateTime.now
        const { links } = yield* orphans.link({
          scope: tenantId,
          limit: 10,
          insertedFrom: DateTime.subtract(now, { days: 1 }),
          insertedTo: DateTime.add(now, { days: 1 })
        })
        assert.lengthOf(links, 1)
      }).pipe(Effect.scoped, Effect.provide(TestDatabase.ledger)),
    30_000
  )

  it.live(
    "a role sees and writes the rows of the tenant it names, in every table that has any",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const ledger = yield* Ledger.Ledger
        const [one, other] = [yield* Given.tenant, yield* Given.tenant]
        for (const tenantId of [one, other]) {
          yield* Given.dispatched(tenantId, "m-1")
          yield* ledger.append(tenantId, [
            Given.report("delivered", "m-1"),
            Given.report("opened", "m-2", { recipient: Given.named("ann@example.com", true) })
          ])
          yield* ledger.forget({ tenantId, recipient: Given.address("bob@example.com") })
        }
        const inside = <A, E, R>(tenantId: string, effect: Effect.Effect<A, E, R>) =>
          sql.withTransaction(
            Effect.andThen(sql`SELECT set_config('waybill.tenant_id', ${tenantId}, true)`, effect)
          )
        const seenIn = (name: string) =>
          Effect.map(
            sql.unsafe<{ readonly tenant: string }>(`SELECT DISTINCT tenant_id AS tenant FROM waybill.${name}`),
            (rows) => rows.map(({ tenant }) => tenant).toSorted()
          )
        for (const name of ["acts", "correlations", "deliveries", "events", "orphans", "recipients"]) {
          assert.deepStrictEqual(yield* seenIn(name), [], name)
          assert.deepStrictEqual(yield* inside("nobody", seenIn(name)), [], name)
          assert.deepStrictEqual(yield* inside(one, seenIn(name)), [one], name)
          assert.deepStrictEqual(yield* inside("*", seenIn(name)), [one, other].toSorted(), name)
        }
        const guarded = yield* sql<{ readonly name: string }>`
        SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE n.nspname = 'waybill' AND c.relkind = 'r' AND NOT c.relrowsecurity
      `
        assert.deepStrictEqual(guarded, [])
        const forged = yield* Effect.exit(
          inside(
            one,
            sql`
            INSERT INTO waybill.deliveries (tenant_id, mailable, stream, recipient)
            VALUES (${other}, 'welcome', 'bulk', 'ann@example.com')
          `
          )
        )
        assert.isTrue(Exit.isFailure(forged))
      }).pipe(Effect.provide(TestDatabase.restricted)),
    30_000
  )
})

describe("what is stored on PostgreSQL", () => {
  it.live("no role changes an event, not even one that skips ordinary triggers", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      for (const statement of ["UPDATE waybill.events SET type = 'sent'", "DELETE FROM waybill.events"]) {
        const refused = yield* Effect.exit(sql.withTransaction(Effect.gen(function*() {
          yield* sql`SET LOCAL session_replication_role = replica`
          const error = yield* Effect.flip(sql.unsafe(statement))
          assert.strictEqual(PgError.sqlState(error), "45A01")
          return yield* Effect.fail("roll back" as const)
        })))
        assert.deepStrictEqual(refused, Exit.fail("roll back"))
      }
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)

  it.live("two tenants know the same address by other digests and pseudonyms", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const ledger = yield* Ledger.Ledger
      for (const tenantId of [yield* Given.tenant, yield* Given.tenant]) {
        yield* Given.recorded(tenantId)
        const report = Given.report("opened", "m-2", { recipient: Given.named("Ann@example.com", true) })
        yield* ledger.append(tenantId, [report])
      }
      const [counted] = yield* sql`
        SELECT (SELECT count(DISTINCT recipient_digest) FROM waybill.deliveries)::integer AS digests,
          (SELECT count(DISTINCT recipient_digest) FROM waybill.orphans)::integer AS named,
          (SELECT count(DISTINCT recipient_pseudonym) FROM waybill.events)::integer AS pseudonyms,
          (SELECT count(*) FROM waybill.recipients r JOIN waybill.deliveries d
            ON d.tenant_id = r.tenant_id AND d.recipient_digest = r.digest)::integer AS ties
      `
      assert.deepStrictEqual(counted, { digests: 2, named: 2, pseudonyms: 2, ties: 2 })
    }).pipe(Effect.provide(TestDatabase.ledger)), 30_000)
})
