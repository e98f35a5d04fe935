import { MemoryStorage, PgLite, PgStorage } from "@waybill/storage"
import { CheckpointsTest } from "@waybill/storage/testing"
import { Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import * as TestDatabase from "./TestDatabase.ts"

const random = Layer.provide(SecureRandom.layerWebCrypto)

CheckpointsTest.suite("checkpoints in memory", MemoryStorage.layer.pipe(random))
CheckpointsTest.suite("checkpoints on PostgreSQL", PgStorage.layer().pipe(Layer.provide(TestDatabase.client()), random))
CheckpointsTest.suite(
  "checkpoints on PGlite",
  PgStorage.layer().pipe(
    Layer.provide(PgStorage.layerMigrations()),
    Layer.provide(PgLite.layer()),
    random
  )
)
