/**
 * Makes the data directory that new embedded databases begin as a copy of: PostgreSQL's, with the migrations applied and
 * without a secret. Leaves one that fits the migrations and PGlite's version as it is.
 *
 * Run it: npm run build
 */
import * as PgLite from "@waybill/storage/PgLite"
import * as PgMigrations from "@waybill/storage/PgMigrations"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { brotliCompress, constants } from "node:zlib"
import manifest from "../packages/storage/package.json" with { type: "json" }
import * as Tar from "../packages/storage/src/internal/pglite/Tar.ts"
import * as Template from "../packages/storage/src/internal/pglite/Template.ts"

const dist = fileURLToPath(new URL("../packages/storage/dist/", import.meta.url))
const name = Template.fileName(PgMigrations.fingerprint())
const stamp = { file: name, pglite: manifest.dependencies["@electric-sql/pglite"] }
const stampFile = join(dist, "database.json")

/** A database without the secret under which an installation digests recipients. */
const make = (directory: string) =>
  Effect.gen(function*() {
    yield* PgMigrations.migrate()
    const sql = yield* SqlClient.SqlClient
    yield* sql.unsafe(`DELETE FROM ${PgMigrations.defaultSchema}.secrets`)
    yield* sql`VACUUM (FREEZE, ANALYZE)`
  }).pipe(Effect.provide(PgLite.layer({ directory, empty: true })))

const pack = async (directory: string) => {
  const found = await readdir(directory, { recursive: true, withFileTypes: true })
  const paths = found.map((entry) => ({ entry, full: join(entry.parentPath, entry.name) }))
  return Tar.pack(
    await Promise.all(
      paths.toSorted((one, other) => one.full < other.full ? -1 : 1).map(async ({ entry, full }) => ({
        path: relative(directory, full).split(sep).join("/"),
        content: entry.isDirectory() ? undefined : await readFile(full)
      }))
    )
  )
}

const fits = async () => {
  const known = await readFile(stampFile, "utf8").catch(() => "")
  return known === JSON.stringify(stamp) && (await readdir(dist)).includes(name)
}

if (!await fits()) {
  const began = performance.now()
  const directory = await mkdtemp(join(tmpdir(), "waybill-database-"))
  try {
    await Effect.runPromise(make(directory))
    const packed = await promisify(brotliCompress)(await pack(join(directory, "data")), {
      params: { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_LGWIN]: 24 }
    })
    for (const old of await readdir(dist)) if (/^database[-.]/.test(old)) await rm(join(dist, old))
    await writeFile(join(dist, name), packed)
    await writeFile(stampFile, JSON.stringify(stamp))
    process.stdout.write(
      `made ${name} (${packed.length} bytes, ${((performance.now() - began) / 1000).toFixed(1)} s)\n`
    )
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
