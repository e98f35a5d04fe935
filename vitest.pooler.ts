import { defineConfig } from "vitest/config"

const conditions = ["@waybill/source", "module", "node", "development|production"]

/** What runs behind PgBouncer: the contract of the storage, its races, and what is said of poolers alone. */
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    root: "packages/storage",
    include: [
      "test/PgLedger.test.ts",
      "test/PgConcurrent.test.ts",
      "test/PgRaces.test.ts",
      "test/Inbox.test.ts",
      "test/Checkpoints.test.ts",
      "test/Ticks.test.ts",
      "test/*.pooler.ts"
    ],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    globalSetup: ["packages/storage/test/startPooler.ts"]
  }
})
