/**
 * Checks the code on the pages of the providers against each provider's own SDK: installs those of
 * docs/providers/snippets/package.json into an empty directory and compiles what the pages show there.
 *
 * Run it: npm run check:snippets
 */
import { execFileSync, spawnSync } from "node:child_process"
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const pages = join(root, "docs/providers")

/** What the pages take for given: a delivery, a message and the keys of an account. */
const given = `
declare const delivery: { readonly id: string }
${
  [
    "from recipient subject html text url domain bounces",
    "apiKey apiSecret token connectionString accessKey secretKey defaultProjectId"
  ].join(" ").split(" ").map((name) => `declare const ${name}: string`).join("\n")
}
`

const config = {
  compilerOptions: {
    target: "ES2024",
    lib: ["ES2024", "DOM"],
    module: "NodeNext",
    moduleDetection: "force",
    types: ["node", "@cloudflare/workers-types"],
    strict: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    skipLibCheck: true
  },
  include: ["*.ts"]
}

const at = mkdtempSync(join(tmpdir(), "waybill-snippets-"))
try {
  copyFileSync(join(pages, "snippets/package.json"), join(at, "package.json"))
  execFileSync("npm", ["install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"], {
    cwd: at,
    stdio: ["ignore", "ignore", "inherit"]
  })
  let count = 0
  for (const page of readdirSync(pages).filter((name) => name.endsWith(".md"))) {
    const blocks = readFileSync(join(pages, page), "utf8").matchAll(/^```ts\n(.*?)^```$/gms)
    for (const [index, [, code = ""]] of [...blocks].entries()) {
      writeFileSync(join(at, `${basename(page, ".md")}${index === 0 ? "" : index}.ts`), code)
      count++
    }
  }
  writeFileSync(join(at, "given.d.ts"), given)
  writeFileSync(join(at, "tsconfig.json"), JSON.stringify(config))
  const { status, stdout } = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", at], { encoding: "utf8" })
  process.stdout.write(status === 0 ? `${count} snippets compile\n` : stdout)
  process.exitCode = status ?? 1
} finally {
  rmSync(at, { recursive: true, force: true })
}
