import { MemoryCheckpoints, PgCheckpoints } from "@waybill/storage"
import { CheckpointsTest } from "@waybill/storage/testing"
import { Layer } from "effect"
import * as TestDatabase from "./TestDatabase.ts"

CheckpointsTest.suite("checkpoints in memory", MemoryCheckpoints.layer)
CheckpointsTest.suite("checkpoints on PostgreSQL", PgCheckpoints.layer().pipe(Layer.provide(TestDatabase.client())))
