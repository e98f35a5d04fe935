import { MemoryStorage, PgLite, PgStorage } from "@waybill/storage"
import { AlertsTest } from "@waybill/storage/testing"
import { Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import * as KeyValueAlerts from "./KeyValueAlerts.ts"
import * as TestDatabase from "./TestDatabase.ts"

const random = Layer.provide(SecureRandom.layerWebCrypto)

AlertsTest.suite("alerts in memory", MemoryStorage.layer.pipe(random))
AlertsTest.suite("alerts on PostgreSQL", PgStorage.layer().pipe(Layer.provide(TestDatabase.client()), random))
AlertsTest.suite(
  "alerts on PostgreSQL as a role that owns nothing, with row-level security",
  PgStorage.layer({ rowLevelSecurity: true }).pipe(Layer.provide(TestDatabase.restricted), random)
)
AlertsTest.suite(
  "alerts on PGlite",
  PgStorage.layer().pipe(Layer.provide(PgStorage.layerMigrations()), Layer.provide(PgLite.layer()), random)
)
AlertsTest.suite("alerts on texts by keys", KeyValueAlerts.layer)
