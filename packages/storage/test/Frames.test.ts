import { assert, describe, it } from "@effect/vitest"
import { Buffer } from "node:buffer"
import * as Frames from "../src/internal/connection/Frames.ts"

/** A message of the server's. */
const message = (type: string, body: string) => {
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeUInt32BE(Buffer.byteLength(body) + 4, 1)
  return Buffer.concat([head, Buffer.from(body)])
}

const said = [
  message("R", "\0\0\0\0"),
  message("S", "server_version\u000018\0"),
  message("K", "\0\0\0\u0007abcd"),
  message("Z", "I"),
  message("1", ""),
  message("D", "Z\0\0\0\u0005I".repeat(40)),
  message("E", "SERROR\0C25006\0Mno\0\0"),
  message("Z", "T")
]

describe("the messages of a server", () => {
  it("are told however they are cut into chunks, and none is taken for another", () => {
    const bytes = Buffer.concat(said)
    for (let size = 1; size <= bytes.length; size++) {
      const told: Array<string> = []
      const frames = new Frames.Frames((type, body) =>
        told.push(`${String.fromCharCode(type)} ${Frames.sqlState(body) ?? body.toString("hex")}`)
      )
      for (let at = 0; at < bytes.length; at += size) frames.push(bytes.subarray(at, at + size))
      assert.deepStrictEqual(told, ["K 0000000761626364", "Z 49", "E 25006", "Z 54"], `by ${size}`)
    }
  })
})
