/**
 * Runs the contract on a third adapter, of some 600 lines that look up and write: no rule of the ledger stands here, each is
 * called from `@waybill/core`.
 */
import { CheckpointsTest, Importer, InboxTest, LedgerTest, TicksTest } from "@waybill/storage/testing"
import { Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import * as KeyValueInbox from "./KeyValueInbox.ts"
import * as KeyValueLedger from "./KeyValueLedger.ts"

const memory = Importer.layerMemory.pipe(Layer.provide(SecureRandom.layerWebCrypto))

LedgerTest.suite("on texts by keys", KeyValueLedger.layer)
LedgerTest.sweeps("sweeps on texts by keys", KeyValueLedger.layer)
LedgerTest.twins("memory and texts by keys", memory, KeyValueLedger.layer)
TicksTest.suite("ticks on texts by keys", KeyValueInbox.layer)
CheckpointsTest.suite("checkpoints on texts by keys", KeyValueLedger.layer)
InboxTest.suite("webhooks on texts by keys", KeyValueInbox.layer)
