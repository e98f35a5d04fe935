import { assert, describe, it } from "@effect/vitest"
import { once } from "node:events"
import { Socket } from "../src/internal/connection/Socket.ts"

/** A socket that reaches nobody. */
const lonely = () =>
  new Socket({
    connect: () => new Promise(() => undefined),
    refused: () => undefined,
    closed: () => undefined
  })

describe("a socket", () => {
  it("that closed before anybody listened says so again to who writes", async () => {
    const socket = lonely()
    socket.destroy()
    await once(socket, "close")
    const told = once(socket, "close")
    socket.write(new Uint8Array([1]))
    await told
    assert.isTrue(socket.destroyed)
  })
})
