/**
 * Carries the bytes of one session to a server, and knows whether the server owes it an answer.
 *
 * It connects at the first bytes that are written, so that the request to cancel a statement, which names its session, goes
 * to the server of that session.
 */
import type { Buffer } from "node:buffer"
import type { Socket as NetSocket } from "node:net"
import { performance } from "node:perf_hooks"
import { Duplex } from "node:stream"
import { TLSSocket } from "node:tls"
import * as Frames from "./Frames.ts"

/** A connection that was made, and how to make it again where the server refuses its encryption, or the lack of it. */
export interface Opened {
  readonly raw: NetSocket
  readonly otherwise?: (() => Promise<Opened>) | undefined
}

/** What a socket tells of, and asks. */
export interface Watcher {
  /** Connects for a session that begins with some bytes. */
  readonly connect: (socket: Socket, first: Uint8Array) => Promise<Opened>
  /** The server refused to write, and the session is at rest. */
  readonly refused: (socket: Socket) => void
  readonly closed: (socket: Socket) => void
}

const readOnly = "25006"

/** What the server says where no transaction is open. */
const idle = 0x49

const asError = (cause: unknown): Error => cause instanceof Error ? cause : new Error(String(cause))

/** One session's connection. */
export class Socket extends Duplex {
  /** The process of the server and its secret, in hexadecimal; empty until the server has told them. */
  key = ""
  processId = 0
  /** Whether the session has begun. */
  isReady = false
  /** When the session had begun, by the monotonic clock. */
  readyAt = 0
  /** Whether the server last said that a transaction is open. */
  isInTransaction = false
  /** When the statement under way was sent, by the monotonic clock; nothing where none is. */
  askedAt: number | undefined
  /** When the server was last heard of. */
  heardAt = 0
  /** Whether it is the reader who takes no more for now, and not the server who says nothing. */
  isHeldBack = false
  /** When it began to connect. */
  readonly begunAt = performance.now()
  private readonly watcher: Watcher
  private readonly frames = new Frames.Frames((type, body) => this.told(type, body))
  private raw: NetSocket | undefined
  private first: Uint8Array | undefined
  private otherwise: (() => Promise<Opened>) | undefined
  /** What the server said as it refused the session, encrypted. */
  private refusal: Buffer | undefined
  private isRefused = false
  private isDoomed = false

  constructor(watcher: Watcher) {
    super()
    this.watcher = watcher
  }

  get isConnected(): boolean {
    return this.raw !== undefined
  }

  /**
   * A session that was not listening yet as its connection closed would wait for ever for the answer to what it writes: it is
   * told again.
   */
  override write(
    chunk: Uint8Array,
    encoding?: BufferEncoding | ((error?: Error | null) => void),
    done?: (error?: Error | null) => void
  ): boolean {
    if (this.destroyed) setImmediate(() => this.emit("close"))
    return typeof encoding === "function" ? super.write(chunk, encoding) : super.write(chunk, encoding ?? "utf8", done)
  }

  override _read(): void {
    if (this.isHeldBack) this.heardAt = performance.now()
    this.isHeldBack = false
    this.raw?.resume()
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.isReady) this.askedAt ??= performance.now()
    if (this.raw !== undefined) {
      this.raw.write(chunk, done)
      return
    }
    this.first = chunk
    this.watcher.connect(this, chunk).then((opened) => {
      if (this.destroyed) {
        opened.raw.destroy()
        return done()
      }
      this.attach(opened)
      opened.raw.write(chunk, done)
    }, (cause: unknown) => done(asError(cause)))
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.raw === undefined) return done()
    // What was written is on its way; a peer that is gone would never close its side.
    this.raw.end(() => {
      done()
      this.destroy()
    })
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.raw?.destroy()
    this.watcher.closed(this)
    done(error)
  }

  private attach({ otherwise, raw }: Opened): void {
    this.raw = raw
    this.otherwise = otherwise
    this.heardAt = performance.now()
    raw.on("data", (chunk: Buffer) => this.heard(chunk))
    raw.on("error", (error) => {
      if (this.raw === raw) this.destroy(error)
    })
    raw.on("end", () => {
      if (this.raw === raw) this.push(null)
    })
    raw.on("close", () => {
      if (this.raw === raw) this.destroy()
    })
  }

  private heard(heard: Buffer): void {
    const { first, otherwise, refusal } = this
    let chunk = heard
    if (!this.isReady && first !== undefined) {
      this.first = undefined
      this.otherwise = undefined
      // The first that the server says is that it refuses the session: another encryption may be what it wants.
      if (chunk[0] === Frames.kind.error && otherwise !== undefined) {
        if (this.raw instanceof TLSSocket) this.refusal = chunk
        return this.again(otherwise, first)
      }
      // Refused both ways, it was not for want of encryption.
      if (chunk[0] === Frames.kind.error && refusal !== undefined) chunk = refusal
    }
    this.heardAt = performance.now()
    this.frames.push(chunk)
    if (!this.push(chunk)) {
      this.isHeldBack = true
      this.raw?.pause()
    }
    if (this.isDoomed) this.watcher.refused(this)
  }

  private again(otherwise: () => Promise<Opened>, first: Uint8Array): void {
    const raw = this.raw
    this.raw = undefined
    this.first = first
    raw?.destroy()
    otherwise().then((opened) => {
      if (this.destroyed) {
        opened.raw.destroy()
      } else {
        this.attach(opened)
        opened.raw.write(first, (error) => {
          if (error) this.destroy(error)
        })
      }
    }, (cause: unknown) => this.destroy(asError(cause)))
  }

  private told(type: number, body: Buffer): void {
    if (type === Frames.kind.backendKey) {
      this.key = body.toString("hex")
      this.processId = body.readUInt32BE(0)
    } else if (type === Frames.kind.error) {
      if (Frames.sqlState(body) === readOnly) this.isRefused = true
    } else {
      if (!this.isReady) this.readyAt = performance.now()
      this.isReady = true
      this.askedAt = undefined
      this.isInTransaction = body[0] !== idle
      // Not within a transaction, whose end is yet to be told.
      if (this.isRefused && !this.isInTransaction) this.isDoomed = true
    }
  }
}
