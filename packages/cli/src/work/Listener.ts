/**
 * Listens over HTTP: how long idle connections are kept, and how a server stops.
 *
 * A load balancer keeps connections of its own, and sends a request on one that has been idle for as long as a minute. A server
 * that closes it in that moment resets the request. So idle connections are kept longer than that.
 *
 * @since 0.2.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Duration, Effect, Layer, Predicate, Schema } from "effect"
import type * as HttpServer from "effect/http/HttpServer"
import { createServer, type Server } from "node:http"
import type { Socket } from "node:net"

/**
 * The server cannot listen.
 *
 * @category errors
 * @since 0.1.0
 */
export class CannotListen extends Schema.TaggedError<CannotListen>("waybill/CannotListen")("CannotListen", {
  host: Schema.String,
  port: Schema.Int,
  code: Schema.String
}) {
  override get message(): string {
    const issues: Readonly<Record<string, string>> = {
      EADDRINUSE: "the port is in use",
      EACCES: "permission denied",
      EADDRNOTAVAIL: "this machine does not have that address",
      ENOTFOUND: "there is no such host"
    }
    return `cannot listen on ${this.host} port ${this.port}: ${issues[this.code] ?? this.code}`
  }
}

/**
 * How long requests in hand are waited for when the server stops.
 *
 * @category constants
 * @since 0.1.0
 */
export const gracefulWithin: Duration.Duration = Duration.seconds(4)

/**
 * Where to listen.
 *
 * @category models
 * @since 0.1.0
 */
export interface Address {
  readonly host: string
  readonly port: number
}

const codeOf = (cause: unknown): string =>
  Predicate.hasProperty(cause, "code") && typeof cause.code === "string" ? cause.code : "unknown reason"

/** How long headers, and a whole request, may take by default; node's own defaults. */
const [headersWithin, requestWithin] = [60_000, 300_000]

/** A connection on which nothing ever came counts as one whose headers do not come, so those may take longer than idleness. */
const make = (keepAlive: Duration.Duration): Server => {
  const keepAliveTimeout = Duration.toMillis(keepAlive)
  const headersTimeout = Math.max(headersWithin, keepAliveTimeout + 5000)
  const server = createServer({
    keepAliveTimeout,
    headersTimeout,
    requestTimeout: Math.max(requestWithin, headersTimeout)
  })
  const fresh = new Set<Socket>()
  server.on("connection", (socket) => {
    fresh.add(socket)
    socket.once("close", () => fresh.delete(socket))
  })
  // A connection that becomes idle while the server stops is closed at once, and not kept.
  server.on("request", ({ socket }, response) => {
    fresh.delete(socket)
    response.once("close", () => {
      if (!server.listening) server.closeIdleConnections()
    })
  })
  // A connection on which nothing ever came is not idle to node, and would be waited for.
  const close = server.close.bind(server)
  server.close = (callback) => {
    for (const socket of fresh) if (socket.bytesRead === 0) socket.destroy()
    return close(callback)
  }
  return server
}

/**
 * Listens at an address. Connections that are still open when the graceful time is over are cut, so that the server can close.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (
  { host, port }: Address,
  keepAlive: Duration.Duration
): Layer.Layer<HttpServer.HttpServer, CannotListen> =>
  Layer.unwrap(Effect.sync(() => {
    const server = make(keepAlive)
    const cutting = Layer.effectDiscard(Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections())))
    return cutting.pipe(
      Layer.provideMerge(NodeHttpServer.layerServer(() => server, {
        host,
        port,
        gracefulShutdownTimeout: gracefulWithin
      })),
      Layer.catch(({ cause }) =>
        Layer.effectContext(Effect.fail(new CannotListen({ host, port, code: codeOf(cause) })))
      )
    )
  }))
