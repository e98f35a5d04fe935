/** Follows the messages of a server through the chunks that carry them, and keeps none but those few that are asked for. */
import { Buffer } from "node:buffer"

/** The messages whose bodies are told. */
export const kind = { backendKey: 0x4b, error: 0x45, ready: 0x5a } as const

const isTold = (type: number): boolean => type === kind.backendKey || type === kind.error || type === kind.ready

/** The most of a body that is kept. */
const kept = 16_384

/** Reads the type and the length of each message and passes by the rest. */
export class Frames {
  private readonly tell: (type: number, body: Buffer) => void
  private head = Buffer.alloc(0)
  private type = 0
  private left = 0
  private body: Array<Buffer> | undefined

  constructor(tell: (type: number, body: Buffer) => void) {
    this.tell = tell
  }

  /** Takes the next chunk and tells of the messages that end in it. */
  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.left === 0) {
        const from = this.head.length === 0 ? chunk : Buffer.concat([this.head, chunk.subarray(at, at + 5)])
        const start = this.head.length === 0 ? at : 0
        if (from.length - start < 5) {
          this.head = Buffer.from(from.subarray(start))
          return
        }
        this.type = from[start] ?? 0
        this.left = Math.max(from.readUInt32BE(start + 1) - 4, 0)
        at += 5 - this.head.length
        this.head = Buffer.alloc(0)
        this.body = isTold(this.type) ? [] : undefined
      }
      const taken = Math.min(this.left, chunk.length - at)
      if (this.body !== undefined && this.left <= kept) this.body.push(chunk.subarray(at, at + taken))
      at += taken
      this.left -= taken
      if (this.left === 0 && this.body !== undefined) {
        const body = this.body
        this.body = undefined
        this.tell(this.type, Buffer.concat(body))
      }
    }
  }
}

/** The SQLSTATE in the body of an error. */
export const sqlState = (body: Buffer): string | undefined => {
  for (const field of body.toString("utf8").split("\0")) if (field.startsWith("C")) return field.slice(1)
  return undefined
}
