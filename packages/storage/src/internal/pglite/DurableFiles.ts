/**
 * Lets PostgreSQL's own `fsync` reach the disk: PGlite's file system writes to the host and leaves out to synchronize. Notices
 * too how much log was written, since a PostgreSQL without a postmaster makes no checkpoint on its own.
 */
import { NodeFS } from "@electric-sql/pglite/nodefs"
import { fsyncSync } from "node:fs"

/** Error numbers as the WebAssembly side knows them. */
const invalid = 28
const inputOutput = 29

/** A directory cannot be synchronized everywhere; PostgreSQL goes on where it hears that this is so. */
const unsupported = new Set(["EINVAL", "EISDIR", "EPERM", "EBADF"])

interface Stream {
  readonly nfd: number
  readonly node: { readonly name: string }
}

interface Operations {
  readonly open: (stream: Stream) => void
}

/** Synchronizes an open file and returns an error number, which makes PostgreSQL stop rather than acknowledge. */
const fsync = (stream: Stream): number => {
  try {
    fsyncSync(stream.nfd)
    return 0
  } catch (error) {
    return error instanceof Error && "code" in error && unsupported.has(String(error.code)) ? invalid : inputOutput
  }
}

const isSegment = (name: string): boolean => /^[0-9A-F]{24}$/.test(name)

/** After how many segments of the log, of 16 MiB each, a checkpoint is due. */
const segmentsBetween = 4

/** The file system of a directory of the host, which PostgreSQL can synchronize. */
export class DurableFiles extends NodeFS {
  private readonly segments = new Set<string>()

  /** Tells whether a checkpoint is due, and begins to count anew. */
  takeCheckpointDue(): boolean {
    if (this.segments.size <= segmentsBetween) return false
    this.segments.clear()
    return true
  }

  override async init(...[pg, given]: Parameters<NodeFS["init"]>): ReturnType<NodeFS["init"]> {
    const { emscriptenOpts } = await super.init(pg, given)
    const preRun: typeof emscriptenOpts.preRun = [
      ...emscriptenOpts.preRun ?? [],
      (module) => {
        const operations: Operations = module.NODEFS.stream_ops
        const { open: openOnHost } = operations
        const open = (stream: Stream) => {
          openOnHost(stream)
          if (isSegment(stream.node.name)) this.segments.add(stream.node.name)
        }
        Object.assign(operations, { fsync, open })
      }
    ]
    return { emscriptenOpts: { ...emscriptenOpts, preRun } }
  }
}
