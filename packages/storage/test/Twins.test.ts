import { PgLedger, PgLite, PgMigrations } from "@waybill/storage"
import { Importer, LedgerTest, SuppressionsTest } from "@waybill/storage/testing"
import { Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import * as TestDatabase from "./TestDatabase.ts"

const memory = Importer.layerMemory.pipe(Layer.provide(SecureRandom.layerWebCrypto))

const server = Importer.layerPg().pipe(Layer.provideMerge(TestDatabase.ledger))

const embedded = Layer.merge(PgLedger.layer(), Importer.layerPg()).pipe(
  Layer.provide(Layer.effectDiscard(PgMigrations.migrate())),
  Layer.provide(PgLite.layer()),
  Layer.provide(SecureRandom.layerWebCrypto)
)

LedgerTest.sweeps("sweeps on PostgreSQL", server)
LedgerTest.sweeps("sweeps on PGlite", embedded)

const soft = Layer.provide(SuppressionsTest.softness)

LedgerTest.twins("memory and PostgreSQL", memory.pipe(soft), server.pipe(soft))
LedgerTest.twins("memory and PGlite", memory.pipe(soft), embedded.pipe(soft))
