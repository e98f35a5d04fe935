/** The command as few files: Node starts it in half the time that the modules of its libraries one by one take it. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { defineConfig, type Plugin } from "rolldown"

/** Writes the licences of the libraries in the bundle beside it, as they ask for. */
const licences: Plugin = {
  name: "licences",
  generateBundle() {
    const texts = new Map<string, string>()
    for (const id of this.getModuleIds()) {
      const directory = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0]
      if (directory === undefined || !existsSync(directory)) continue
      const { name, version, license } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"))
      const file = readdirSync(directory).find((file) => /^licen[cs]e/i.test(file))
      const text = file === undefined ? "" : readFileSync(join(directory, file), "utf8").trim()
      texts.set(name, `${name} ${version} (${license})\n\n${text}`)
    }
    const source = [...texts].toSorted(([a], [b]) => a < b ? -1 : 1).map(([, text]) => text).join("\n\n---\n\n")
    this.emitFile({ type: "asset", fileName: "LICENSES.txt", source: `${source}\n` })
  }
}

/** Takes along the database that new embedded ones begin as a copy of. */
const database: Plugin = {
  name: "database",
  generateBundle() {
    const dist = fileURLToPath(new URL("../storage/dist/", import.meta.url))
    const name = readdirSync(dist).find((file) => file.startsWith("database-"))
    if (name === undefined) this.error("packages/storage/dist has no database; run npm run build")
    this.emitFile({ type: "asset", fileName: name, source: readFileSync(join(dist, name)) })
  }
}

export default defineConfig({
  cwd: fileURLToPath(new URL(".", import.meta.url)),
  input: "dist/bin.js",
  platform: "node",
  external: [/^@electric-sql\/pglite/],
  plugins: [licences, database],
  output: { dir: "bundle", cleanDir: true, comments: { legal: true, annotation: false, jsdoc: false } }
})
