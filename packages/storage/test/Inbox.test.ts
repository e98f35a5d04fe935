import { MemoryInbox, MemoryLedger, PgInbox, PgLedger, PgLite, PgMigrations } from "@waybill/storage"
import { InboxTest } from "@waybill/storage/testing"
import { Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import * as TestDatabase from "./TestDatabase.ts"

const random = Layer.provide(SecureRandom.layerWebCrypto)

const embedded = PgInbox.layer().pipe(
  Layer.provideMerge(PgLedger.layer()),
  Layer.provide(Layer.effectDiscard(PgMigrations.migrate())),
  Layer.provide(PgLite.layer()),
  random
)

InboxTest.suite("in memory", MemoryInbox.layer.pipe(Layer.provideMerge(MemoryLedger.layer), random))
InboxTest.suite("PostgreSQL", PgInbox.layer().pipe(Layer.provideMerge(TestDatabase.ledger)))
InboxTest.suite(
  "PostgreSQL as a role that owns nothing, with row-level security",
  PgInbox.layer({ rowLevelSecurity: true }).pipe(Layer.provideMerge(TestDatabase.restricted))
)
InboxTest.suite("PGlite", embedded)
