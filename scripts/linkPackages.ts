/**
 * Links each package of the workspace into node_modules where it is not yet, as npm install does: a package that came with a
 * pull is found without one.
 *
 * Run it: npm run check, which runs it first
 */
import { lstatSync, mkdirSync, readdirSync, symlinkSync } from "node:fs"
import { fileURLToPath } from "node:url"

const scope = fileURLToPath(new URL("../node_modules/@waybill/", import.meta.url))

mkdirSync(scope, { recursive: true })
for (const name of readdirSync(fileURLToPath(new URL("../packages/", import.meta.url)))) {
  const isThere = lstatSync(`${scope}${name}`, { throwIfNoEntry: false }) !== undefined
  if (name !== "cli" && !isThere) symlinkSync(`../../packages/${name}`, `${scope}${name}`, "junction")
}
