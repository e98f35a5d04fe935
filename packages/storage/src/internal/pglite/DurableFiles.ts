/**
 * Lets PostgreSQL's own `fsync` reach the disk: PGlite's file system writes to the host and leaves out to synchronize.
 */
import { NodeFS } from "@electric-sql/pglite/nodefs"
import { fsyncSync } from "node:fs"

/** Error numbers as the WebAssembly side knows them. */
const invalid = 28
const inputOutput = 29

/** A directory cannot be synchronized everywhere; PostgreSQL goes on where it hears that this is so. */
const unsupported = new Set(["EINVAL", "EISDIR", "EPERM", "EBADF"])

/** Synchronizes an open file and returns an error number, which makes PostgreSQL stop rather than acknowledge. */
const fsync = (stream: { readonly nfd: number }): number => {
  try {
    fsyncSync(stream.nfd)
    return 0
  } catch (error) {
    return error instanceof Error && "code" in error && unsupported.has(String(error.code)) ? invalid : inputOutput
  }
}

/** The file system of a directory of the host, which PostgreSQL can synchronize. */
export class DurableFiles extends NodeFS {
  override async init(...[pg, given]: Parameters<NodeFS["init"]>): ReturnType<NodeFS["init"]> {
    const { emscriptenOpts } = await super.init(pg, given)
    const preRun: typeof emscriptenOpts.preRun = [
      ...emscriptenOpts.preRun ?? [],
      (module) => Object.assign(module.NODEFS.stream_ops, { fsync })
    ]
    return { emscriptenOpts: { ...emscriptenOpts, preRun } }
  }
}
