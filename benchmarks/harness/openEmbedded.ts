/**
 * Opens an embedded database in this process and prints how many milliseconds that took, from the call to the first answer:
 * with every port of Waybill upon it, or PGlite alone.
 *
 * Usage: node openEmbedded.ts waybill|pglite DIRECTORY
 */
import { PGlite } from "@electric-sql/pglite"
import { PgLite, PgStorage } from "@waybill/storage"
import { Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import { argv, stdout } from "node:process"

const [, , side, directory = ""] = argv
const began = performance.now()
const tell = () => stdout.write(`${performance.now() - began}\n`)

if (side === "pglite") {
  const database = await PGlite.create(directory)
  await database.query("SELECT 1")
  tell()
  await database.close()
} else {
  const layer = PgStorage.layer().pipe(
    Layer.provide(PgStorage.layerMigrations()),
    Layer.provide(PgLite.layer({ directory })),
    Layer.provide(SecureRandom.layerWebCrypto)
  )
  await Effect.runPromise(Effect.provide(Effect.sync(tell), layer))
}
