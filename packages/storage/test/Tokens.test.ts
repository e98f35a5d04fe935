import { MemoryStorage, PgLite, PgStorage } from "@waybill/storage"
import { TokensTest } from "@waybill/storage/testing"
import { Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import * as KeyValueTokens from "./KeyValueTokens.ts"
import * as TestDatabase from "./TestDatabase.ts"

const random = Layer.provide(SecureRandom.layerWebCrypto)

TokensTest.suite("tokens in memory", MemoryStorage.layer.pipe(random))
TokensTest.suite("tokens on PostgreSQL", PgStorage.layer().pipe(Layer.provide(TestDatabase.client()), random))
TokensTest.suite(
  "tokens on PostgreSQL as a role that owns nothing, with row-level security",
  PgStorage.layer({ rowLevelSecurity: true }).pipe(Layer.provide(TestDatabase.restricted), random)
)
TokensTest.suite(
  "tokens on PGlite",
  PgStorage.layer().pipe(Layer.provide(PgStorage.layerMigrations()), Layer.provide(PgLite.layer()), random)
)
TokensTest.suite("tokens on texts by keys", KeyValueTokens.layer)
