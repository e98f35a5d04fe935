/**
 * A data directory that was made when the package was built, with the migrations applied, and how a new database begins as a
 * copy of it.
 *
 * A copy shares with others what any two new databases of one version have in common. It has a system identifier of its own,
 * and no secret: one is drawn when it is first opened, before anything is stored.
 */
import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { mkdir, open, readdir, readFile, rename, rm, rmdir } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { brotliDecompress } from "node:zlib"
import * as Identity from "./Identity.ts"
import * as Tar from "./Tar.ts"

/** The name of the file of a set of migrations. */
export const fileName = (fingerprint: string): string => `database-${fingerprint}.tar.br`

/** Where the file may be beside the module that asks: as built, bundled, or run from its source. */
const places = ["./", "../dist/"]

/** A file in a data directory whose secret is still to be drawn. */
export const unkeyed = "waybill.unkeyed"

/** How many files are written at once, so that the disk synchronizes them together. */
const atOnce = 32

/** Reads the file of a set of migrations, with an identity of its own; nothing where the package was not built since. */
const read = async (fingerprint: string, base: string) => {
  const file = places.map((place) => new URL(`${place}${fileName(fingerprint)}`, base)).find((url) => existsSync(url))
  if (file === undefined) return undefined
  const archive = await promisify(brotliDecompress)(await readFile(file))
  const entries = Tar.unpack(archive)
  Identity.renew(entries, randomBytes)
  return { archive, entries }
}

const isEmpty = async (directory: string): Promise<boolean> => {
  try {
    return (await readdir(directory)).length === 0
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return true
    throw error
  }
}

/** Writes what is to be there after a power cut. */
const write = async (path: string, content: Uint8Array) => {
  const file = await open(path, "wx", 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Not every system lets a directory be opened or synchronized; PostgreSQL too goes on there. */
const syncDirectory = async (path: string) => {
  const directory = await open(path, "r").catch(() => undefined)
  await directory?.sync().catch(() => undefined)
  await directory?.close()
}

/** Synchronizes all that is in a directory. */
export const synchronize = async (path: string): Promise<void> => {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  const paths = entries.map((entry) => ({ isDirectory: entry.isDirectory(), full: join(entry.parentPath, entry.name) }))
  const files = paths.filter(({ isDirectory }) => !isDirectory).values()
  const syncing = async (): Promise<void> => {
    const { done, value } = files.next()
    if (done === true) return
    const file = await open(value.full, "r+")
    await file.sync().finally(() => file.close())
    return syncing()
  }
  await Promise.all(Array.from({ length: atOnce }, syncing))
  await Promise.all([path, ...paths.flatMap(({ full, isDirectory }) => isDirectory ? [full] : [])].map(syncDirectory))
}

/** Makes the data directory of a new database, whole or not at all; leaves an old one as it is. */
export const place = async (parent: string, name: string, fingerprint: string, base: string): Promise<void> => {
  const final = join(parent, name)
  if (!await isEmpty(final)) return
  const template = await read(fingerprint, base)
  if (template === undefined) return
  const { entries } = template
  const made = join(parent, `${name}.new`)
  await rm(made, { recursive: true, force: true })
  await mkdir(made, { mode: 0o700 })
  const directories = entries.filter(({ content }) => content === undefined)
  await Promise.all(directories.map(({ path }) => mkdir(join(made, path), { recursive: true, mode: 0o700 })))
  const files = [...entries, { path: unkeyed, content: Buffer.alloc(0) }].values()
  const writing = async (): Promise<void> => {
    const { done, value } = files.next()
    if (done === true) return
    if (value.content !== undefined) await write(join(made, value.path), value.content)
    return writing()
  }
  await Promise.all(Array.from({ length: atOnce }, writing))
  await Promise.all([made, ...directories.map(({ path }) => join(made, path))].map(syncDirectory))
  await rmdir(final).catch(() => undefined)
  await rename(made, final)
  await syncDirectory(parent)
}

/** The data directory of a database in memory; nothing where the package was not built since. */
export const inMemory = async (fingerprint: string, base: string): Promise<Blob | undefined> => {
  const template = await read(fingerprint, base)
  return template === undefined ? undefined : new Blob([template.archive], { type: "application/x-tar" })
}
