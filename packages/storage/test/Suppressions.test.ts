import { MemoryLedger, PgLedger, PgLite, PgMigrations } from "@waybill/storage"
import { SuppressionsTest } from "@waybill/storage/testing"
import { Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import * as KeyValueLedger from "./KeyValueLedger.ts"
import * as TestDatabase from "./TestDatabase.ts"

const embedded = PgLedger.layer().pipe(
  Layer.provide(Layer.effectDiscard(PgMigrations.migrate())),
  Layer.provide(PgLite.layer()),
  Layer.provide(SecureRandom.layerWebCrypto)
)

const memory = MemoryLedger.layer.pipe(Layer.provide(SecureRandom.layerWebCrypto))

const soft = Layer.provide(SuppressionsTest.softness)

SuppressionsTest.suite("in memory", memory.pipe(soft))
SuppressionsTest.suite("in a store of texts", KeyValueLedger.layer.pipe(soft))
SuppressionsTest.suite("on PGlite", embedded.pipe(soft))
SuppressionsTest.suite("on PostgreSQL", TestDatabase.ledger.pipe(soft))
SuppressionsTest.suite(
  "on PostgreSQL as a role that owns nothing, behind row-level security",
  TestDatabase.restricted.pipe(soft)
)
