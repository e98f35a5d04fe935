import { MemoryStorage, PgStorage } from "@waybill/storage"
import { TicksTest } from "@waybill/storage/testing"
import { Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import * as TestDatabase from "./TestDatabase.ts"

const random = Layer.provide(SecureRandom.layerWebCrypto)

TicksTest.suite("ticks in memory", MemoryStorage.layer.pipe(random))
TicksTest.suite("ticks on PostgreSQL", PgStorage.layer().pipe(Layer.provide(TestDatabase.client()), random))
