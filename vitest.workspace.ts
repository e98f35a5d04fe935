import { defineConfig } from "vitest/config"

const conditions = ["@waybill/source", "module", "node", "development|production"]

const project = (name: string) => ({
  extends: true as const,
  test: { name, root: `packages/${name}`, include: ["test/**/*.test.ts"] }
})

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    // Every core: most tests wait for processes and databases of their own.
    maxWorkers: "100%",
    // Real processes and databases are slow where the machine is busy.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    globalSetup: ["packages/storage/test/startPostgres.ts"],
    projects: ["core", "storage", "webhooks", "runtime", "api", "console", "cli"].map(project)
  }
})
