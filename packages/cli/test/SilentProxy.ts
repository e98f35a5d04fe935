/** A TCP proxy that stops forwarding when it is told to, as a network does that drops packets: nothing ends, nothing comes. */
import { Effect } from "effect"
import { connect, createServer, type Socket } from "node:net"

/** Starts a proxy for the host and port of a URL, until the end of the scope. */
export const start = (url: string) => {
  const target = new URL(url)
  return Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly port: number; readonly silence: () => void; readonly stop: () => void }>((resume) => {
        const sockets = new Set<Socket>()
        let isSilent = false
        const carry = (from: Socket, to: Socket) => {
          sockets.add(from)
          from.on("data", (bytes) => isSilent || to.write(bytes))
          from.on("error", () => {})
          from.on("end", () => isSilent || to.end())
        }
        const server = createServer({ allowHalfOpen: true }, (client) => {
          const upstream = connect({
            port: Number(target.port === "" ? 5432 : target.port),
            host: target.hostname,
            allowHalfOpen: true
          })
          carry(client, upstream)
          carry(upstream, client)
        })
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          resume(Effect.succeed({
            port: typeof address === "object" && address !== null ? address.port : 0,
            silence: () => void (isSilent = true),
            stop: () => {
              for (const socket of sockets) socket.destroy()
              server.close()
            }
          }))
        })
      }),
      ({ stop }) => Effect.sync(stop)
    ),
    ({ port, silence }) => {
      const through = new URL(url)
      through.hostname = "127.0.0.1"
      through.port = String(port)
      return { url: through.href, silence: Effect.sync(silence) }
    }
  )
}
