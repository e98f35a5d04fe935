/**
 * Gives a copied data directory of PostgreSQL an identity of its own, as `initdb` would: the system identifier, which stands in
 * the control file and at the start of each segment of the write-ahead log.
 */
import type { Entry } from "./Tar.ts"

/** The table of CRC-32C, with which the control file is protected. */
const table = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value >>> 0
})

const next = (crc: number, byte: number): number => ((table[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8)) >>> 0

/** The CRC-32C of the first bytes. */
const checksum = (bytes: Uint8Array, length: number): number => {
  let crc = 0xffff_ffff
  for (let at = 0; at < length; at++) crc = next(crc, bytes[at] ?? 0)
  return (crc ^ 0xffff_ffff) >>> 0
}

/** Where the checksum of a control file stands: after all that it protects. */
const checksumAt = (control: Buffer): number => {
  let crc = 0xffff_ffff
  for (let at = 0; at + 4 <= 512; at++) {
    if (at > 0 && at % 4 === 0 && control.readUInt32LE(at) === (crc ^ 0xffff_ffff) >>> 0) return at
    crc = next(crc, control[at] ?? 0)
  }
  throw new Error("the control file has no checksum")
}

/** Where the system identifier stands in the header of a segment's first page. */
const inSegment = 24

const isSegment = (path: string): boolean => /^pg_wal\/[0-9A-F]{24}$/.test(path)

const view = (content: Uint8Array): Buffer => Buffer.from(content.buffer, content.byteOffset, content.byteLength)

/** Writes a new system identifier into the files of a data directory, in place. */
export const renew = (entries: ReadonlyArray<Entry>, random: (size: number) => Uint8Array): void => {
  const identifier = Buffer.from(random(8))
  // It is positive, since PostgreSQL shows it as a signed number.
  identifier.writeUInt8(identifier.readUInt8(7) & 0x7f, 7)
  for (const { content, path } of entries) {
    if (content === undefined) continue
    if (path === "global/pg_control") {
      const control = view(content)
      const at = checksumAt(control)
      identifier.copy(control, 0)
      control.writeUInt32LE(checksum(control, at), at)
    } else if (isSegment(path)) identifier.copy(view(content), inSegment)
  }
}
