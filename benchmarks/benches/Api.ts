/** Deliveries recorded over the HTTP API, beside the same calls of the port in process. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { ApiServer, Authentication, Closing } from "@waybill/api"
import { Delivery, IdempotencyKey, Ledger, Recipient, Tenant, Tokens } from "@waybill/core"
import { PgStorage } from "@waybill/storage"
import { Effect, Layer, Option, Redacted } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { execFile } from "node:child_process"
import { createServer } from "node:http"
import { execPath } from "node:process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Bench } from "../harness/Bench.ts"
import type { RecordLoad } from "../harness/recordLoad.ts"
import * as Report from "../harness/Report.ts"
import * as Rounds from "../harness/Rounds.ts"
import * as Server from "../harness/Server.ts"

const script = fileURLToPath(new URL("../harness/recordLoad.ts", import.meta.url))

const served = HttpRouter.serve(ApiServer.layer(), { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provide([Authentication.layerTokens, Closing.layer]),
  Layer.provideMerge(PgStorage.layer()),
  Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
)

const post = (load: RecordLoad) =>
  Effect.map(
    Effect.promise(() => promisify(execFile)(execPath, ["--conditions=@waybill/source", script, JSON.stringify(load)])),
    ({ stdout }): { readonly seconds: number; readonly latencies: ReadonlyArray<number> } => JSON.parse(stdout)
  )

const delivery = (key: string) =>
  Delivery.NewDelivery.make({
    recipient: Recipient.Recipient.make("ann@example.com"),
    mailable: "welcome",
    stream: "transactional",
    idempotencyKey: Option.some(IdempotencyKey.IdempotencyKey.make(key))
  })

export const bench: Bench = {
  name: "api",
  sizes: { deliveries: 3_000, connections: 64, rounds: 3 },
  run: Effect.fnUntraced(function*(size) {
    const [deliveries, connections] = [size("deliveries"), size("connections")]
    return yield* Server.inDatabase(
      yield* Server.database(),
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const tokens = yield* Tokens.Tokens
        const { address } = yield* HttpServer.HttpServer
        const url = `${HttpServer.formatAddress(address)}/api/deliveries`
        const { text } = yield* tokens.create({
          scope: Tenant.defaultTenantId,
          name: "bench",
          role: "send",
          expiresAt: Option.none()
        })
        const token = Redacted.value(text)
        const rates = yield* Rounds.alternate(size("rounds") + 1, {
          port: (round) =>
            Effect.gen(function*() {
              const given = Array.from({ length: deliveries }, (_, index) => delivery(`p-${round}-${index}`))
              const { seconds } = yield* Rounds.timedAlone(
                Effect.forEach(given, ledger.record, { concurrency: connections, discard: true })
              )
              return { rate: deliveries / seconds, p99: 0 }
            }),
          api: (round) =>
            Effect.map(
              post({ url, token, connections, prefix: `a-${round}-`, deliveries }),
              ({ latencies, seconds }) => ({ rate: deliveries / seconds, p99: Rounds.quantile(latencies, 0.99) })
            )
        })
        const of = (side: "port" | "api", figure: "rate" | "p99") =>
          Rounds.figures(rates(side).slice(1).map((result) => result[figure]))
        return {
          name: "api",
          summary:
            `Deliveries recorded over the HTTP API from another process, over ${connections} connections, each with a ` +
            `token and a key of its own, beside the same calls of \`Ledger.record\` in process, ${connections} at once.`,
          rows: [
            Report.row("API", "deliveries/s", of("api", "rate")),
            Report.row("Ledger.record", "deliveries/s", of("port", "rate")),
            Report.row("API: p99 of a request", "ms", of("api", "p99"))
          ],
          ratios: [
            Report.atLeast("api/record-to-port", of("api", "rate").median / of("port", "rate").median, 0.6)
          ],
          notes: [],
          plots: []
        }
      }).pipe(Effect.provide(served))
    )
  })
}
