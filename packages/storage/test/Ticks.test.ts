import { MemoryTicks, PgTicks } from "@waybill/storage"
import { TicksTest } from "@waybill/storage/testing"
import { Layer } from "effect"
import * as TestDatabase from "./TestDatabase.ts"

TicksTest.suite("ticks in memory", MemoryTicks.layer)
TicksTest.suite("ticks on PostgreSQL", PgTicks.layer().pipe(Layer.provide(TestDatabase.client())))
