/**
 * Checks what would be published: builds and packs every package, reads the tarballs with publint and attw, installs them
 * into empty directories and runs there the command, the examples and what the READMEs show.
 *
 * Run it: npm run check:package
 */
import { spawn } from "node:child_process"
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { start } from "../packages/storage/test/PostgresServer.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const packages = ["core", "storage", "webhooks", "runtime", "api", "console", "cli"]
const say = (line: string) => process.stdout.write(`${line}\n`)

/** Ends what still runs beside a step that failed. */
const stopping = new AbortController()

interface Run {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Text that must stand in the output. */
  readonly expect?: string
  /** Asks the process to end after so many milliseconds, for one that runs until it is told. */
  readonly endAfter?: number
}

/** Runs a program to its end and returns its output; fails with it unless the program did what was expected. */
const run = async (title: string, command: ReadonlyArray<string>, options: Run = {}): Promise<string> => {
  const began = performance.now()
  const [file = "", ...args] = command
  const child = spawn(file, args, {
    cwd: options.cwd ?? root,
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
    signal: stopping.signal
  })
  const output: Array<string> = []
  child.stdout.on("data", (chunk) => output.push(String(chunk)))
  child.stderr.on("data", (chunk) => output.push(String(chunk)))
  let wasAsked = false
  const timer = options.endAfter === undefined ? undefined : setTimeout(() => {
    wasAsked = true
    child.kill("SIGTERM")
  }, options.endAfter)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", resolve)
  })
  clearTimeout(timer)
  const text = output.join("")
  const isAsExpected = options.endAfter === undefined ? code === 0 : wasAsked
  if (!isAsExpected || !text.includes(options.expect ?? "")) {
    throw new Error(`${title} failed (exit code ${code}): ${command.join(" ")}\n${text}`)
  }
  say(`ok  ${title} (${((performance.now() - began) / 1000).toFixed(1)} s)`)
  return text
}

const directory = await mkdtemp(join(tmpdir(), "waybill-packages-"))
try {
  // What a module that was renamed left behind would be packed too.
  for (const name of packages) {
    for (const built of ["dist", "bundle"]) {
      await rm(join(root, "packages", name, built), { recursive: true, force: true })
    }
  }
  await run("build", ["npm", "run", "build"])

  const tarballs: Record<string, string> = {}
  for (const name of packages) {
    const place = join(directory, "tarballs", name)
    await mkdir(place, { recursive: true })
    await run(`pack ${name}`, ["npm", "pack", "--workspace", `packages/${name}`, "--pack-destination", place])
    const [file = ""] = await readdir(place)
    tarballs[name] = join(place, file)
    await run(`publint ${name}`, ["npx", "--no", "publint", tarballs[name], "--strict"])
    await run(`attw ${name}`, ["npx", "--no", "attw", tarballs[name], "--profile", "esm-only"])
  }

  /** Makes an empty directory and installs packages there. */
  const install = async (name: string, wanted: ReadonlyArray<string>): Promise<string> => {
    const cwd = join(directory, name)
    await mkdir(cwd)
    await writeFile(join(cwd, "package.json"), JSON.stringify({ name, private: true, type: "module" }))
    await run(`install ${name}`, ["npm", "install", "--prefer-offline", "--no-audit", "--no-fund", ...wanted], { cwd })
    return cwd
  }

  const { version } = JSON.parse(await readFile(join(root, "packages/cli/package.json"), "utf8"))
  const command = await install("command", [tarballs["cli"] ?? ""])
  const waybill = join(command, "node_modules/.bin/waybill")
  await run("waybill --version", [waybill, "--version"], { cwd: command, expect: version })
  const { settings } = JSON.parse(await run("waybill config", [waybill, "config", "--json"], { cwd: command }))
  const documented = await readFile(join(root, "docs/settings.md"), "utf8")
  for (const { key, name, source, value } of settings) {
    const cells = documented.split("\n").find((line) => line.startsWith(`| \`${name}\``))?.split("|").map((cell) =>
      cell.trim()
    )
    if (cells === undefined) throw new Error(`docs/settings.md lacks ${name}`)
    if (cells[2] !== `\`${key}\`` || (source === "default" && cells[4] !== (value === "" ? "" : `\`${value}\``))) {
      throw new Error(`docs/settings.md has another key or default for ${name}`)
    }
  }
  await run("waybill demo", [waybill, "demo"], { cwd: command, expect: "2 duplicates, 0 changes" })

  const { devDependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8"))
  const pinned = [
    "effect",
    "@effect/platform-node",
    "@effect/sql-pg",
    "@effect/vitest",
    "@types/node",
    "typescript",
    "vitest"
  ]
  const application = await install("application", [
    ...packages.filter((name) => name !== "cli").map((name) => tarballs[name] ?? ""),
    ...pinned.map((name) => `${name}@${devDependencies[name]}`)
  ])
  await cp(join(root, "examples"), application, { recursive: true })

  const modules: Array<string> = []
  const shown: Array<string> = []
  const readmes: Array<readonly [name: string, path: string]> = [["root", join(root, "README.md")]]
  for (const name of packages.filter((name) => name !== "cli")) {
    const installed = join(application, "node_modules/@waybill", name)
    for (const file of await readdir(join(installed, "dist"), { recursive: true })) {
      const path = file.split(sep)
      if (!file.endsWith(".js") || path.includes("internal")) continue
      modules.push(`@waybill/${name}/${path.join("/").slice(0, -".js".length)}`)
    }
    readmes.push([name, join(installed, "README.md")])
  }
  for (const [name, path] of readmes) {
    for (
      const [index, [, code = ""]] of [...(await readFile(path, "utf8")).matchAll(/^```ts\n(.*?)^```/gms)].entries()
    ) {
      shown.push(`readme-${name}-${index}.ts`)
      await writeFile(join(application, `readme-${name}-${index}.ts`), code)
    }
  }
  await writeFile(join(application, "every-module.ts"), modules.map((name) => `import "${name}"\n`).join(""))
  await writeFile(
    join(application, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2024",
        lib: ["ES2024", "DOM"],
        module: "NodeNext",
        types: ["node"],
        strict: true,
        noEmit: true,
        allowImportingTsExtensions: true
      },
      include: ["*.ts"]
    })
  )
  const inApplication = { cwd: application }
  await run("compile the examples", ["npx", "--no", "tsc"], inApplication)
  await run(`import ${modules.length} modules by their own names`, ["node", "every-module.ts"], inApplication)

  const alone = async () => {
    for (const file of shown) await run(file.replaceAll("-", " "), ["node", file], inApplication)
    await run("app.ts", ["node", "app.ts"], { ...inApplication, expect: "the delivery is delivered" })
    await run("transaction.ts", ["node", "transaction.ts"], { ...inApplication, expect: "ann@example.com" })
    await run("outbox.ts", ["node", "outbox.ts"], { ...inApplication, expect: "dispatched" })
    await run("unsubscribe.ts", ["node", "unsubscribe.ts"], { ...inApplication, expect: "queued, unsubscribed" })
    await run("app.test.ts", ["npx", "--no", "vitest", "run", "app.test.ts"], { ...inApplication, expect: "2 passed" })
  }

  const onServer = async () => {
    const server = await start(["fsync=off"]).catch((error: unknown) => {
      say(`--  no server, so sweep.ts and cluster.ts are not run: ${String(error)}`)
    })
    if (server === undefined) return
    try {
      const env = { WAYBILL_DATABASE_URL: server.url, DATABASE_URL: server.url }
      await run("waybill migrate", [waybill, "migrate"], { cwd: command, env })
      await run("sweep.ts", ["node", "sweep.ts"], { ...inApplication, env, endAfter: 5000 })
      await run("cluster.ts", ["node", "cluster.ts"], { ...inApplication, env, expect: "runner 344" })
    } finally {
      await server.stop()
    }
  }

  // The one on the server mostly waits.
  await Promise.all([alone(), onServer()])
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
  stopping.abort()
} finally {
  await rm(directory, { recursive: true, force: true })
}
