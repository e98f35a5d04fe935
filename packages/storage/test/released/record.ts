/**
 * Records what a program sends to the database when it opens a schema and works on it: run by the sources of a release, its
 * output is what `Released.test.ts` sends to the schema of today.
 *
 * Run it in a checkout of the release, with the next name: node --conditions=@waybill/source record.ts 0.1.0
 */
import { PGlite } from "@electric-sql/pglite"
import { Audit, Cursor, Inbox, Ledger, Orphans, Tenant, Ticks } from "@waybill/core"
import { PgLite, PgMigrations, PgStorage } from "@waybill/storage"
import { Given } from "@waybill/storage/testing"
import { DateTime, Duration, Effect, Layer, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { argv } from "node:process"
import * as Answers from "./Answers.ts"

const steps: Array<Answers.Step> = []
let current = ""

const execute: (this: PGlite, message: Uint8Array) => Uint8Array = Reflect.get(PGlite.prototype, "execProtocolRawSync")

PGlite.prototype.execProtocolRawSync = function(message) {
  const answer = execute.call(this, message)
  // The program's own messages begin with the one that starts a session.
  if (current !== "" && (steps.length > 0 || message[0] === 0)) {
    steps.push({ step: current, sent: Buffer.from(message).toString("base64"), answers: Answers.read(answer) })
  }
  return answer
}

/** Names what is sent from here on. */
const step = (name: string) =>
  Effect.sync(() => {
    current = name
  })

const tenantId = Tenant.TenantId.make("acme")

const work = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  const orphans = yield* Orphans.Orphans
  const audit = yield* Audit.Audit
  const inbox = yield* Inbox.Inbox
  const ticks = yield* Ticks.Ticks
  const now = yield* DateTime.now

  yield* step("record and dispatch")
  const delivery = yield* Given.dispatched(tenantId, "m-1")
  yield* Given.recorded(tenantId, { recipient: Given.address("bob@example.com") })

  yield* step("append to a delivery, and again")
  const batch = [Given.report("delivered", "m-1"), Given.report("opened", "m-1")]
  yield* ledger.append(tenantId, batch)
  yield* ledger.append(tenantId, batch)

  yield* step("append an orphan, which a dispatch links")
  yield* ledger.append(tenantId, [Given.report("bounced", "m-2")])
  yield* Given.dispatched(tenantId, "m-2", { recipient: Given.address("cleo@example.com") })

  yield* step("sweep")
  yield* ledger.append(tenantId, [Given.report("delivered", "m-3")])
  yield* orphans.link({
    scope: Tenant.all,
    limit: 100,
    insertedFrom: DateTime.subtract(now, { days: 7 }),
    insertedTo: DateTime.add(now, { hours: 1 })
  })
  yield* orphans.backlog({ scope: Tenant.all, horizon: DateTime.subtract(now, { days: 7 }) })

  yield* step("read")
  yield* ledger.delivery({ tenantId, deliveryId: delivery.id })
  yield* ledger.timeline({ tenantId, deliveryId: delivery.id })
  yield* ledger.deliveries({ tenantId, after: Option.none(), limit: 10 })
  yield* ledger.changes({ scope: Tenant.all, after: Cursor.start, limit: 100 })

  yield* step("inbox")
  const stored = yield* inbox.store({
    tenantId,
    provider: Given.provider,
    headers: {},
    body: new TextEncoder().encode("{}"),
    token: Option.some({ value: "token", verifiedBy: tenantId })
  })
  if (stored._tag === "Stored") yield* inbox.finish({ tenantId, id: stored.id }, { _tag: "Succeeded" })
  yield* inbox.claim({ scope: Tenant.all, limit: 10, stalledFor: Duration.minutes(5) })
  yield* inbox.counts(Tenant.all)

  yield* step("ticks")
  const tick = { schedule: "reconcile", tick: Given.noon }
  yield* ticks.claim({ ...tick, node: "one" })
  yield* ticks.finish(tick, { counts: { linked: 1 }, error: Option.none() })

  yield* step("verify, rebuild and forget")
  const query = { part: "deliveries", scope: Tenant.all, after: Option.none(), limit: 100 } as const
  yield* audit.verify(query)
  yield* audit.rebuild(query)
  yield* ledger.forget({ tenantId, recipient: Given.recipient })
  yield* step("")
})

const directory = mkdtempSync(join(tmpdir(), "waybill-record-"))
const database = PgLite.layer({ directory })

await Effect.runPromise(Effect.provide(PgMigrations.migrate(), database))

const layer = PgStorage.layer().pipe(
  Layer.provide(Layer.provideMerge(Layer.effectDiscard(step("open")), database)),
  Layer.provide(SecureRandom.layerWebCrypto)
)

await Effect.runPromise(Effect.provide(work, layer))
rmSync(directory, { recursive: true })

writeFileSync(new URL(`./${argv[2]}.json`, import.meta.url), `${JSON.stringify(steps, null, 1)}\n`)
