import { defineConfig } from "vitest/config"

const conditions = ["@waybill/source", "module", "node", "development|production"]

/** What runs behind PgBouncer: the contract of the storage, its races, and what is said of poolers alone. */
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: [
      "packages/storage/test/PgLedger.test.ts",
      "packages/storage/test/PgConcurrent.test.ts",
      "packages/storage/test/PgRaces.test.ts",
      "packages/storage/test/Inbox.test.ts",
      "packages/storage/test/Checkpoints.test.ts",
      "packages/storage/test/Ticks.test.ts",
      "packages/storage/test/*.pooler.ts",
      "packages/cli/test/*.pooler.ts",
      "packages/cli/test/Serve.test.ts"
    ],
    // The others have no pooler.
    testNamePattern: /^(?!.*(?:in memory|on PGlite|embedded database))/,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    globalSetup: ["packages/storage/test/startPooler.ts"]
  }
})
