/** Emmett's event store on PostgreSQL, with its own driver and pool, a stream a delivery. */
import { Console, Effect } from "effect"
import { execFile } from "node:child_process"
import { access, readFile } from "node:fs/promises"
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Given } from "../harness/Given.ts"

const folder = dirname(fileURLToPath(new URL("../package.json", import.meta.url)))

const manifest = new URL("../node_modules/@event-driven-io/emmett-postgresql/package.json", import.meta.url)

/** Installs it beside the benchmarks on first use, by their own lock. */
const installed = Effect.gen(function*() {
  const isThere = yield* Effect.promise(() => access(manifest).then(() => true, () => false))
  if (!isThere) {
    yield* Console.log("installing @event-driven-io/emmett-postgresql in benchmarks/node_modules (npm ci)")
    yield* Effect.promise(() => promisify(execFile)("npm", ["ci", "--no-audit", "--no-fund"], { cwd: folder }))
  }
  const { version }: { readonly version: string } = JSON.parse(
    yield* Effect.promise(() => readFile(manifest, "utf8"))
  )
  return version
})

/** The store in a database, closed with the scope. */
export const open = Effect.fnUntraced(function*(address: string) {
  const version = yield* installed
  const { getPostgreSQLEventStore } = yield* Effect.promise(() => import("@event-driven-io/emmett-postgresql"))
  const store = yield* Effect.acquireRelease(
    Effect.sync(() => getPostgreSQLEventStore(address)),
    (opened) => Effect.promise(() => opened.close())
  )
  yield* Effect.promise(() => store.schema.migrate())
  const append = (event: Given) =>
    Effect.promise(() =>
      store.appendToStream(event.messageId, [{
        type: event.type,
        data: { at: event.at, messageId: event.messageId, eventId: event.eventId, payload: event.payload }
      }])
    )
  return { version, append }
})
