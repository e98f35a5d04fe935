/** Opens a connection to one server, encrypted as the mode of libpq says. */
import { Duration } from "effect"
import type { Buffer } from "node:buffer"
import * as Net from "node:net"
import * as Tls from "node:tls"
import type * as PgUrl from "../../PgUrl.ts"
import { Fault } from "./Fault.ts"
import type { Opened } from "./Socket.ts"

/** What of a target is needed to reach one of its hosts. */
export type Reach = Pick<PgUrl.Target, "keepAlive" | "sslMode" | "tls">

/** A request for TLS: its length and the number that stands for it. */
const sslRequest = new Uint8Array([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

const encrypted = 0x53

const isPlain = 0x4e

/** Settles with the first of some events of a socket, and listens no longer. */
const first = <A>(socket: Net.Socket, event: string, read: (value: Buffer) => A): Promise<A> =>
  new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      socket.off(event, onEvent)
      socket.off("error", onError)
      socket.off("close", onClose)
      act()
    }
    const onEvent = (value: Buffer) => settle(() => resolve(read(value)))
    const onError = (error: Error) => settle(() => reject(error))
    const onClose = () => settle(() => reject(new Fault("connection", "the connection closed before it was open")))
    socket.on(event, onEvent)
    socket.on("error", onError)
    socket.on("close", onClose)
  })

/** What a socket says when nobody listens yet. */
const ignore = () => undefined

const reach = async (host: PgUrl.Host, { keepAlive }: Reach, onRaw: (raw: Net.Socket) => void) => {
  const raw = host.path === undefined
    ? Net.connect({
      host: host.address ?? host.name,
      port: host.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: Duration.toMillis(keepAlive)
    })
    : Net.connect({ path: host.path })
  raw.on("error", ignore)
  onRaw(raw)
  await first(raw, "connect", ignore)
  return raw
}

/** Asks for TLS; nothing where the server has none. */
const encrypt = async (host: PgUrl.Host, raw: Net.Socket, { tls }: Reach): Promise<Tls.TLSSocket | undefined> => {
  const asked = first(raw, "data", (answer) => answer)
  raw.write(sslRequest)
  const answer = await asked
  // More than one byte was not the server's: somebody between put it in before the connection was encrypted.
  if (answer.length !== 1 && answer[0] !== 0x45) throw new Fault("tls", "the server answered more than it was asked")
  if (answer[0] === isPlain) return undefined
  if (answer[0] !== encrypted) throw new Fault("connection", "the server refused the connection")
  const socket = Tls.connect({
    host: host.name,
    ...Net.isIP(host.name) === 0 ? { servername: host.name } : {},
    ...tls,
    socket: raw
  })
  socket.on("error", ignore)
  await first(socket, "secureConnect", ignore)
  return socket
}

/** How to encrypt, in the order in which it is tried; a socket of the file system is not encrypted. */
const attempts = (host: PgUrl.Host, mode: PgUrl.SslMode): ReadonlyArray<"plain" | "tls"> => {
  if (host.path !== undefined || mode === "disable") return ["plain"]
  if (mode === "allow") return ["plain", "tls"]
  return mode === "prefer" ? ["tls", "plain"] : ["tls"]
}

/** Opens a connection to a host; every socket it makes on the way is told, so that it can be given up. */
export const dial = (host: PgUrl.Host, target: Reach, onRaw: (raw: Net.Socket) => void): Promise<Opened> => {
  const open = async ([how, ...rest]: ReadonlyArray<"plain" | "tls">): Promise<Opened> => {
    const otherwise = rest.length === 0 ? undefined : () => open(rest)
    const raw = await reach(host, target, onRaw)
    if (how !== "tls") return { raw, otherwise }
    try {
      const socket = await encrypt(host, raw, target)
      if (socket !== undefined) return { raw: socket, otherwise }
      if (otherwise !== undefined) return { raw }
      throw new Fault("tls-missing", "the server has no TLS")
    } catch (error) {
      raw.destroy()
      if (otherwise === undefined) throw error
      return otherwise()
    }
  }
  return open(attempts(host, target.sslMode))
}
