import { MemoryLedger } from "@waybill/storage"
import { Importer, LedgerTest } from "@waybill/storage/testing"
import { Layer } from "effect"
import { SecureRandom } from "effect/crypto"

const random = Layer.provide(SecureRandom.layerWebCrypto)

LedgerTest.suite("in memory", MemoryLedger.layer.pipe(random))
LedgerTest.sweeps("sweeps in memory", Importer.layerMemory.pipe(random))
LedgerTest.twins(
  "two ledgers in memory",
  Layer.fresh(Importer.layerMemory).pipe(random),
  Layer.fresh(Importer.layerMemory).pipe(random)
)
