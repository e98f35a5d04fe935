/**
 * Checks that what the documents point at is there: every relative link, with its heading, and every path of a file that is
 * named in code marks.
 *
 * Run it: npm run check:docs
 */
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8"
}).split("\n").filter((path) => existsSync(join(root, path)))
const documents = tracked.filter((path) => path.endsWith(".md") && !path.startsWith(".changeset/"))

/** The anchor that GitHub gives to a heading. */
const anchorOf = (heading: string): string =>
  heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").trim().replaceAll(/\s/g, "-")

const anchorsIn = (path: string): ReadonlyArray<string> =>
  [...readFileSync(path, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => anchorOf(heading))

/** A path from the root: it has a folder of the repository before it and, unless it ends in a slash, a file's ending. */
const rootedPath = /^(?:packages|docs|deploy|examples|benchmarks|scripts|\.github|\.ci|\.changeset)\/[\w./*{},-]+$/

/** The paths that a mark such as `src/{Ledger,Audit}.ts` stands for. */
const spread = (path: string): ReadonlyArray<string> => {
  const braces = /^(.*)\{([^}]*)\}(.*)$/.exec(path)
  if (braces === null) return [path]
  const [, before = "", names = "", after = ""] = braces
  return names.split(",").flatMap((name) => spread(`${before}${name.trim()}${after}`))
}

/** Whether a path is of what a command makes, which a fresh checkout lacks. */
const isMade = (path: string): boolean =>
  spawnSync("git", ["check-ignore", "--quiet", "--no-index", path], { cwd: root }).status === 0

const isThere = (path: string): boolean => {
  if (isMade(path)) return true
  if (!path.includes("*")) return existsSync(join(root, path))
  const pattern = new RegExp(
    `^${path.replaceAll(/[.*+?^${}()|[\]\\]/g, (sign) => sign === "*" ? "[^/]*" : `\\${sign}`)}`
  )
  return tracked.some((path) => pattern.test(path))
}

const missing: Array<string> = []
for (const document of documents) {
  const text = readFileSync(join(root, document), "utf8").replaceAll(
    /^( *)```.*?^\1```/gms,
    (block) => block.replaceAll(/[^\n]/g, "")
  )
  for (const [index, line] of text.split("\n").entries()) {
    const note = (what: string) => missing.push(`${document}:${index + 1}: ${what}`)
    for (const [, target = ""] of line.matchAll(/\]\(([^()\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) {
        const own = /^https:\/\/github\.com\/waybill-dev\/waybill\/(?:blob|tree)\/main\/([^#]*)/.exec(target)?.[1]
        if (own !== undefined && !existsSync(join(root, own))) note(target)
        continue
      }
      const [path = "", anchor] = target.split("#")
      const file = path === "" ? join(root, document) : join(root, dirname(document), path)
      if (!existsSync(file)) note(target)
      else if (anchor !== undefined && !anchorsIn(file).includes(anchor)) note(`${target} (no such heading)`)
    }
    for (const [, path = ""] of line.matchAll(/`([^`\s]+|[^`]*\{[^`]*\}[^`]*)`/g)) {
      const compact = path.replaceAll(" ", "")
      if (!rootedPath.test(compact)) continue
      for (const one of spread(compact)) if (!isThere(one)) note(one)
    }
  }
}

for (const line of missing) process.stdout.write(`${line}\n`)
process.stdout.write(`${documents.length} documents, ${missing.length} links or paths that lead nowhere\n`)
if (missing.length > 0) process.exitCode = 1
