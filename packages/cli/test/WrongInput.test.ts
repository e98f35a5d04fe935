import { assert, describe, it } from "@effect/vitest"
import { PgServer } from "@waybill/storage"
import { Effect, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import * as Waybill from "./Waybill.ts"

const id = "01890a5d-ac96-774b-bcce-b302099a8057"
const record = ["record", "--mailable", "welcome", "--stream", "transactional"]
const recordReader = [...record, "--recipient", "reader@example.com"]
const postmark = ["ingest", "--provider", "postmark"]
const credentials = { WAYBILL_POSTMARK_BASIC_AUTH: "user:se-cret" }
const delivered = "{\"RecordType\":\"Delivery\",\"MessageID\":\"m\",\"Recipient\":\"reader@example.com\"}"

interface Wrong {
  readonly args: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
  readonly code: number
  readonly says: RegExp
}

const wrong: Readonly<Record<string, Wrong>> = {
  "no command": { args: [], code: 2, says: /needs a command/ },
  "an unknown command": { args: ["recrod"], code: 2, says: /Unknown subcommand "recrod"/ },
  "an unknown flag": { args: [...recordReader, "--nope"], code: 2, says: /--nope/ },
  "a missing flag": { args: record, code: 2, says: /Missing required flag: --recipient/ },
  "a recipient without @": {
    args: [...record, "--recipient", "reader"],
    code: 2,
    says: /--recipient\. It must be a bare address with an @/
  },
  "a recipient with its name": {
    args: ["forget", "--recipient", "Ada <reader@example.com>"],
    code: 2,
    says: /^waybill forget: Invalid value for flag --recipient\. It must be a bare address/
  },
  "a recipient out of place": {
    args: ["show", id, "reader@example.com"],
    code: 2,
    says: /^waybill show: Unexpected positional argument \(/
  },
  "a recipient in place of a command": {
    args: ["reader@example.com"],
    code: 2,
    says: /^waybill: Unknown subcommand \(/
  },
  "a recipient as a flag": { args: ["status", "--reader@example.com"], code: 2, says: /: Unrecognized flag \(/ },
  "a status of no delivery": { args: ["find", "--status", "lost"], code: 2, says: /^waybill find: .*--status.*queued/ },
  "an unknown event": { args: ["find", "--event", "exploded"], code: 2, says: /^waybill find: .*--event/ },
  "a day in words": { args: ["find", "--since", "yesterday"], code: 2, says: /^waybill find: .*--since/ },
  "an age in words": { args: ["find", "--stuck", "--older-than", "soon"], code: 2, says: /--older-than.*60s/ },
  "a cursor that is none": {
    args: ["find", "--after", "page 2"],
    code: 2,
    says: /--after.*must be the next of a page/
  },
  "a role of nobody": {
    args: ["migrate", "--grant-to", ""],
    code: 2,
    says: /--grant-to.*must be the name of one role/
  },
  "the role of everybody": {
    args: ["migrate", "--grant-to", "public"],
    code: 2,
    says: /--grant-to.*must be the name of one role, .* not public/
  },
  "an unknown stream": {
    args: ["record", "--recipient", "a@example.com", "--mailable", "w", "--stream", "junk"],
    code: 2,
    says: /--stream/
  },
  "an empty mailable": {
    args: ["record", "--recipient", "a@example.com", "--mailable", "", "--stream", "bulk"],
    code: 2,
    says: /--mailable/
  },
  "a malformed id": { args: [...recordReader, "--id", "42"], code: 2, says: /must be a UUID/ },
  "a malformed tenant": { args: [...recordReader, "--tenant-id", "*"], code: 2, says: /--tenant-id/ },
  "a malformed key": { args: [...recordReader, "--idempotency-key", "a b"], code: 2, says: /--idempotency-key/ },
  "a delivery that is not there": {
    args: ["show", id],
    code: 1,
    says: /^waybill: tenant default has no such delivery$/
  },
  "a dispatch of a delivery that is not there": {
    args: ["dispatch", id, "--provider", "postmark", "--provider-message-id", "m"],
    code: 1,
    says: /^waybill: tenant default has no such delivery$/
  },
  "a message id that cannot be one": {
    args: ["dispatch", id, "--provider", "sendgrid", "--provider-message-id", "filter1"],
    code: 2,
    says: /providerMessageId: must be the id that the provider gave/
  },
  "a malformed provider": {
    args: ["dispatch", id, "--provider", "Post Mark", "--provider-message-id", "m"],
    code: 2,
    says: /--provider/
  },
  "a limit of nothing": { args: ["orphans", "--limit", "0"], code: 2, says: /limit: must be a whole number from 1/ },
  "a limit that is no number": { args: ["orphans", "--limit", "many"], code: 2, says: /--limit/ },
  "an age of nothing": {
    args: ["reconcile", "--max-age-minutes", "0"],
    code: 2,
    says: /--max-age-minutes.*must be a whole number of minutes from 1/i
  },
  "a batch of nothing": {
    args: ["reconcile", "--batch-size", "0"],
    code: 2,
    says: /--batch-size.*must be a whole number from 1 to 10000/
  },
  "a batch that is too large": { args: ["reconcile", "--batch-size", "10001"], code: 2, says: /--batch-size.*must be/ },
  "a grace without unit": { args: ["reconcile", "--grace", "60"], code: 2, says: /must be a duration such as 60s/ },
  "an attempt of nothing": {
    args: ["fail", "01890a5d-ac96-774b-bcce-b302099a8057", "--code", "x", "--attempt", "0"],
    code: 2,
    says: /attempt/
  },
  "an unknown provider": {
    args: ["ingest", "--provider", "pigeon", "--unverified"],
    stdin: delivered,
    code: 2,
    says: /^waybill: unknown provider pigeon: must be one of .*postmark/
  },
  "a file that is not there": {
    args: [...postmark, "--unverified", "/no/such/file.json"],
    code: 1,
    says: /^waybill: cannot read \/no\/such\/file\.json: no such file$/
  },
  "a directory in place of a file": { args: [...postmark, "--unverified", "/"], code: 1, says: /cannot read \/: / },
  "a body that is not JSON": {
    args: [...postmark, "--unverified"],
    stdin: "reader@example.com",
    code: 1,
    says: /^waybill: postmark webhook cannot be read: NotJson$/
  },
  "an empty body": { args: [...postmark, "--unverified"], code: 1, says: /cannot be read: NotJson/ },
  "a header without a name": {
    args: [...postmark, "--header", "Basic se-cret"],
    code: 2,
    says: /--header\. It must be a header such as/
  },
  "a time that is none": { args: [...postmark, "--received-at", "soon"], code: 2, says: /--received-at/ },
  "no secret": {
    args: [...postmark, "--header", "authorization: Basic dXNlcjpwYXNz"],
    stdin: delivered,
    code: 1,
    says: /^waybill: WAYBILL_POSTMARK_BASIC_AUTH is not set/
  },
  "an empty secret": {
    args: [...postmark, "--header", "authorization: Basic dXNlcjpwYXNz"],
    env: { WAYBILL_POSTMARK_BASIC_AUTH: " , " },
    stdin: delivered,
    code: 1,
    says: /^waybill: WAYBILL_POSTMARK_BASIC_AUTH is not set/
  },
  "a secret that cannot be used": {
    args: [
      "ingest",
      "--provider",
      "sendgrid",
      "--header",
      "x-twilio-email-event-webhook-signature: bm8=",
      "--header",
      "x-twilio-email-event-webhook-timestamp: 1600112502"
    ],
    env: { WAYBILL_SENDGRID_PUBLIC_KEY: "se-cret" },
    stdin: "[]",
    code: 1,
    says: /^waybill: WAYBILL_SENDGRID_PUBLIC_KEY holds a secret that cannot be used$/
  },
  "no signature": { args: postmark, env: credentials, stdin: delivered, code: 1, says: /refused: MissingHeader$/ },
  "a port that is none": { args: ["serve", "--port", "65536"], code: 2, says: /--port.*must be a port/i },
  "a webhook that is not there": { args: ["webhooks", "show", id], code: 1, says: /there is no webhook/ },
  "a malformed webhook id": { args: ["webhooks", "show", "42"], code: 2, says: /must be a UUID/ },
  "an unknown status": { args: ["webhooks", "list", "--status", "lost"], code: 2, says: /--status/ },
  "a replay of nothing": {
    args: ["webhooks", "replay"],
    code: 2,
    says: /needs the id of one webhook, or --dead, or a filter/
  },
  "a replay of one and of all": {
    args: ["webhooks", "replay", id, "--dead"],
    code: 2,
    says: /needs the id of one webhook, or --dead, or a filter/
  },
  "a test to no address": {
    args: ["send-test", "--provider", "postmark", "--type", "bounced", "--url", "localhost"],
    code: 2,
    says: /--url.*must be an http or https URL/i
  },
  "a test to an address without a host": {
    args: ["send-test", "--provider", "postmark", "--type", "bounced", "--url", "http://u:se-cret@"],
    code: 2,
    says: /--url\. It must be an http or https URL/
  },
  "a test of a type that the provider has no word for": {
    args: ["send-test", "--provider", "postmark", "--type", "sent", "--url", "http://127.0.0.1:1/"],
    env: credentials,
    code: 1,
    says: /^waybill: cannot send as postmark: it reports no sent, but /
  },
  "a test as Amazon": {
    args: ["send-test", "--provider", "ses", "--type", "bounced", "--url", "http://127.0.0.1:1/"],
    code: 1,
    says: /^waybill: cannot send as ses: /
  },
  "a test as SendGrid without its key": {
    args: ["send-test", "--provider", "sendgrid", "--type", "bounced", "--url", "http://127.0.0.1:1/"],
    code: 1,
    says: /^waybill: cannot send as sendgrid: .*--private-key$/
  },
  "a test to an endpoint that is not there": {
    args: ["send-test", "--provider", "postmark", "--type", "bounced", "--url", "http://a:se-cret@127.0.0.1:1/"],
    env: credentials,
    code: 1,
    says: /^waybill: 127\.0\.0\.1:1 does not answer$/
  },
  "a retention of no days": {
    args: ["prune"],
    env: { WAYBILL_KEEP_DEAD_DAYS: "0" },
    code: 1,
    says: /^waybill: WAYBILL_KEEP_DEAD_DAYS must be a whole number of days/
  },
  "a cron that never comes": {
    args: ["serve", "--port", "0"],
    env: { WAYBILL_PRUNE_CRON: "0 0 31 2 *" },
    code: 1,
    says: /^waybill: WAYBILL_PRUNE_CRON must be a cron expression/
  },
  "a forged signature": {
    args: [...postmark, "--header", "authorization: Basic dXNlcjpwYXNz"],
    env: credentials,
    stdin: delivered,
    code: 1,
    says: /^waybill: postmark webhook refused: BadSignature$/
  }
}

const settings: Readonly<Record<string, Wrong>> = {
  "a server that is not there": {
    args: recordReader,
    env: { WAYBILL_DATABASE_URL: "postgres://user:se-cret@127.0.0.1:1/none" },
    code: 1,
    says: /^waybill: the database is not available \(nothing listens at the host and port\)$/
  },
  "a URL with a parameter that is not understood": {
    args: recordReader,
    env: { WAYBILL_DATABASE_URL: "postgres://user:se-cret@127.0.0.1:1/none?frobnicate=se-cret" },
    code: 1,
    says: /^waybill: the database URL cannot be used: the parameter frobnicate is not understood$/
  },
  "a URL of another database": {
    args: recordReader,
    env: { WAYBILL_DATABASE_URL: "mysql://user:se-cret@localhost/none" },
    code: 1,
    says: /^waybill: WAYBILL_DATABASE_URL must be postgres:\/\/user@host\/database, pglite:<directory> or memory:$/
  },
  "a URL without a host": {
    args: recordReader,
    env: { WAYBILL_DATABASE_URL: "postgres://" },
    code: 1,
    says: /^waybill: WAYBILL_DATABASE_URL must be /
  },
  "a directory without a name": {
    args: recordReader,
    env: { WAYBILL_DATABASE_URL: "pglite:" },
    code: 1,
    says: /^waybill: WAYBILL_DATABASE_URL must be /
  },
  "a directory that cannot be one": {
    args: recordReader,
    env: { WAYBILL_DATABASE_URL: "pglite:/dev/null/db" },
    code: 1,
    says: /^waybill: the database is not available in \/dev\/null\/db: a part of its path is a file$/
  },
  "a schema that is no name": {
    args: recordReader,
    env: { WAYBILL_DATABASE_URL: "memory:", WAYBILL_SCHEMA: "a\"b" },
    code: 1,
    says: /^waybill: WAYBILL_SCHEMA must be /
  }
}

const check = Effect.fnUntraced(function*({ args, code, env, says, stdin }: Wrong, base: Record<string, string>) {
  const run = yield* Waybill.run(args, { ...base, ...env }, stdin)
  assert.strictEqual(run.stdout, "")
  assert.match(run.stderr, /^[^\n]+\n$/)
  assert.match(run.stderr.trimEnd(), says)
  assert.strictEqual(run.code, code)
  assert.notInclude(run.stderr, "se-cret")
  assert.notInclude(run.stderr, "reader@example.com")
})

describe("is answered by one line and writes nothing", () => {
  it.live("on a server", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      yield* Effect.forEach(
        Object.entries(wrong),
        ([name, each]) =>
          Effect.catchDefect(check(each, env), (cause) => Effect.die(new Error(`given ${name}`, { cause }))),
        { concurrency: 2 }
      )
      const [count] = yield* SqlClient.SqlClient.use((sql) => {
        const schema = sql(env.WAYBILL_SCHEMA)
        return sql`SELECT (SELECT count(*) FROM ${schema}.events) + (SELECT count(*) FROM ${schema}.deliveries) AS rows`
      }).pipe(Effect.provide(PgServer.layer(Redacted.make(env.WAYBILL_DATABASE_URL))))
      assert.deepStrictEqual(count, { rows: 0n })
    }), 240_000)

  for (const [name, each] of Object.entries(settings)) {
    it.live(name, () => check(each, {}), 30_000)
  }

  it.live("a database that is not what it should be", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.migrated
      yield* SqlClient.SqlClient.use((sql) =>
        sql`ALTER TABLE ${sql(`${env.WAYBILL_SCHEMA}.deliveries`)} RENAME COLUMN mailable TO template`
      ).pipe(Effect.provide(PgServer.layer(Redacted.make(env.WAYBILL_DATABASE_URL))))
      const says = /^waybill: failed unexpectedly: SqlError 42703$/
      yield* check({ args: recordReader, code: 1, says }, env)
      yield* check({ args: [...recordReader, "--log-level", "debug"], code: 1, says }, env)
    }), 60_000)

  it.live("an unmigrated schema", () =>
    Effect.gen(function*() {
      const env = yield* Waybill.server
      for (const args of [recordReader, ["orphans"], ["reconcile"], ["show", id]]) {
        yield* check({ args, code: 1, says: /is not migrated; run waybill migrate$/ }, env)
      }
    }), 60_000)
})
