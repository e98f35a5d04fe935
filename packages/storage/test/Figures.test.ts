import { MemoryStorage, PgLite, PgStorage } from "@waybill/storage"
import { FiguresTest } from "@waybill/storage/testing"
import { Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import * as KeyValueLedger from "./KeyValueLedger.ts"
import * as TestDatabase from "./TestDatabase.ts"

const random = Layer.provide(SecureRandom.layerWebCrypto)

FiguresTest.suite("figures in memory", MemoryStorage.layer.pipe(random))
FiguresTest.suite("figures on PostgreSQL", TestDatabase.ledger)
FiguresTest.suite(
  "figures on PostgreSQL as a role that owns nothing, with row-level security",
  TestDatabase.restricted
)
FiguresTest.suite(
  "figures on PGlite",
  PgStorage.layer().pipe(Layer.provide(PgStorage.layerMigrations()), Layer.provide(PgLite.layer()), random)
)
FiguresTest.suite("figures on texts by keys", KeyValueLedger.layer)
