/**
 * Packs files into a tar archive and unpacks them, in the plain form (ustar) that PGlite reads too.
 */

/** A file of an archive; a directory has no content. */
export interface Entry {
  /** Relative, with slashes, of at most 100 bytes. */
  readonly path: string
  readonly content: Uint8Array | undefined
}

const block = 512

const padding = (size: number): number => (block - size % block) % block

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`

const header = (path: string, content: Uint8Array | undefined): Uint8Array => {
  const bytes = Buffer.alloc(block)
  bytes.write(path, 0, 100)
  bytes.write(octal(content === undefined ? 0o700 : 0o600, 8), 100)
  bytes.write(octal(0, 8), 108)
  bytes.write(octal(0, 8), 116)
  bytes.write(octal(content?.length ?? 0, 12), 124)
  bytes.write(octal(0, 12), 136)
  bytes.write(" ".repeat(8), 148)
  bytes.write(content === undefined ? "5" : "0", 156)
  bytes.write("ustar\u000000", 257)
  bytes.write(octal(bytes.reduce((sum, byte) => sum + byte, 0), 7), 148)
  return bytes
}

/** Packs files, directories before what is in them. */
export const pack = (entries: Iterable<Entry>): Uint8Array => {
  const parts: Array<Uint8Array> = []
  for (const { content, path } of entries) {
    parts.push(header(path, content))
    if (content !== undefined) parts.push(content, Buffer.alloc(padding(content.length)))
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * block)])
}

/** Unpacks an archive; the contents are parts of it and not copies. */
export const unpack = (archive: Uint8Array): ReadonlyArray<Entry> => {
  const bytes = Buffer.from(archive.buffer, archive.byteOffset, archive.byteLength)
  const text = (start: number, length: number) => bytes.toString("utf8", start, start + length).replace(/\0.*$/s, "")
  const entries: Array<Entry> = []
  for (let at = 0; at + block <= bytes.length && bytes[at] !== 0;) {
    const size = Number.parseInt(text(at + 124, 12), 8)
    const isDirectory = text(at + 156, 1) === "5"
    entries.push({
      path: text(at, 100),
      content: isDirectory ? undefined : bytes.subarray(at + block, at + block + size)
    })
    at += block + size + padding(size)
  }
  return entries
}
