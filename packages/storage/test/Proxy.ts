/** A TCP proxy between a test and a server, which falls silent, cuts, resets or delays when it is told to. */
import { Effect, type Scope } from "effect"
import { connect, createServer, type Socket } from "node:net"

/** What becomes of a connection: its bytes pass, they vanish, or they pass late. */
type Manner = "passes" | "silent" | "late"

export interface Proxy {
  /** The address of what is behind it, by way of the proxy. */
  readonly through: (url: string) => string
  /** How the connections that are open, and those to come, are treated. */
  readonly treat: (open: Manner, coming: Manner) => void
  /** Ends every open connection: as a server does that stops, or as one that crashed. */
  readonly end: (how: "cut" | "reset") => void
  /** How many connections were made. */
  readonly made: () => number
}

/** How much later bytes pass that are late. */
const lateness = 300

/** Starts a proxy for a port of this machine, or for another proxy's; it stops with the scope. */
export const start = (port: number): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly proxy: Proxy; readonly stop: () => void }>((resume) => {
        const pairs = new Set<readonly [Socket, Socket]>()
        let open: Manner = "passes"
        let coming: Manner = "passes"
        let made = 0
        const ages = new Set<() => void>()
        const server = createServer({ allowHalfOpen: true }, (client) => {
          made++
          const upstream = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
          const pair = [client, upstream] as const
          pairs.add(pair)
          const born = coming
          let isOld = false
          ages.add(() => {
            isOld = true
          })
          const carry = (from: Socket, to: Socket) => {
            // What is late keeps its order, and holds back what would overtake it.
            let waiting = 0
            from.on("data", (chunk) => {
              const manner = isOld ? open : born
              if (manner === "silent") return
              if (manner === "passes" && waiting === 0) {
                to.write(chunk)
                return
              }
              waiting++
              globalThis.setTimeout(() => {
                waiting--
                if (to.writable) to.write(chunk)
              }, lateness)
            })
            from.on("end", () => {
              if ((isOld ? open : born) !== "silent") to.end()
            })
            from.on("error", () => {
              if ((isOld ? open : born) !== "silent") to.destroy()
            })
            from.on("close", () => pairs.delete(pair))
          }
          carry(client, upstream)
          carry(upstream, client)
        })
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          const own = typeof address === "object" && address !== null ? address.port : 0
          resume(Effect.succeed({
            stop: () => {
              for (const pair of pairs) for (const socket of pair) socket.destroy()
              server.close()
            },
            proxy: {
              through: (url) => {
                const address = new URL(url)
                address.port = String(own)
                return address.href
              },
              treat: (ofOpen, ofComing) => {
                for (const age of ages) age()
                ages.clear()
                open = ofOpen
                coming = ofComing
              },
              end: (how) => {
                for (const [client, upstream] of pairs) {
                  if (how === "reset") client.resetAndDestroy()
                  else client.destroy()
                  upstream.destroy()
                }
              },
              made: () => made
            }
          }))
        })
      }),
      ({ stop }) => Effect.sync(stop)
    ),
    ({ proxy }) => proxy
  )
