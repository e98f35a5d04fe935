/**
 * Looks up the public keys with which MailChannels signs, each once from its API.
 *
 * Only `https://api.mailchannels.net/tx/v1/webhook/public-key` is ever asked; no redirect is followed, a request takes at most
 * five seconds, and at most 64 keys are kept.
 *
 * @since 0.2.0
 */
import type { Provider } from "@waybill/core"
import { Cache, Effect, Exit, Option, Schema } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { createPublicKey } from "node:crypto"
import * as Webhook from "../../Webhook.ts"
import type { KeyOf } from "./MailChannels.ts"

const address = "https://api.mailchannels.net/tx/v1/webhook/public-key"

const capacity = 64

const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Struct({ key: Schema.String })))

const around = /-----[A-Z ]+-----|\s/g

const keyIn = Option.liftThrowable((text: string) =>
  createPublicKey({ key: Buffer.from(text.replace(around, ""), "base64"), format: "der", type: "spki" })
)

/**
 * Looks keys up over HTTP.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (provider: Provider.Provider): Effect.Effect<KeyOf, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const client = yield* HttpClient.HttpClient
    const fetch = Effect.fn("MailChannelsKeys.fetch")(
      function*(id: string) {
        const response = yield* client.get(address, { urlParams: { id } })
        if (response.status === 400 || response.status === 404) return Option.none()
        const { text } = yield* HttpClientResponse.filterStatusOk(response)
        const { key } = yield* decode(yield* text)
        return Option.filter(keyIn(key), ({ asymmetricKeyType }) => asymmetricKeyType === "ed25519")
      },
      Effect.provideService(FetchHttpClient.RequestInit, { redirect: "error" }),
      Effect.timeout("5 seconds"),
      Effect.mapError((cause) =>
        new Webhook.VerificationUnavailable({ provider, issue: "a key of MailChannels cannot be had", cause })
      )
    )
    const cache = yield* Cache.makeWith(fetch, {
      capacity,
      timeToLive: (exit) => Exit.isSuccess(exit) && Option.isSome(exit.value) ? "1 day" : "1 minute"
    })
    return (id) => Cache.get(cache, id)
  })
