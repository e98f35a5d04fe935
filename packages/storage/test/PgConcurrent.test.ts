import { Importer, LedgerTest } from "@waybill/storage/testing"
import { Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import * as TestDatabase from "./TestDatabase.ts"

const memory = Importer.layerMemory.pipe(Layer.provide(SecureRandom.layerWebCrypto))

const server = Importer.layerPg().pipe(Layer.provideMerge(TestDatabase.ledger))

LedgerTest.concurrent("in memory", memory)
LedgerTest.concurrent("on PostgreSQL", server, { runs: 150 })
