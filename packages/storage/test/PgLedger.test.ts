import { PgLedger, PgLite, PgMigrations } from "@waybill/storage"
import { LedgerTest } from "@waybill/storage/testing"
import { Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import * as TestDatabase from "./TestDatabase.ts"

const embedded = PgLedger.layer().pipe(
  Layer.provide(Layer.effectDiscard(PgMigrations.migrate())),
  Layer.provide(PgLite.layer()),
  Layer.provide(SecureRandom.layerWebCrypto)
)

LedgerTest.suite("on PostgreSQL", TestDatabase.ledger)
LedgerTest.suite("on PostgreSQL as a role that owns nothing, behind row-level security", TestDatabase.restricted)
LedgerTest.suite("on PGlite", embedded)
