/** Makes senders and verifies requests with secrets that a test chooses. */
import { assert } from "@effect/vitest"
import { type Row, type Scheme, type Webhook } from "@waybill/webhooks"
import { type Sender, Senders } from "@waybill/webhooks/testing"
import { Effect, Option, type Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import type { KeyObject } from "node:crypto"

/** The sender of a provider that signs with a secret. */
export const withSecret = (row: Row.Row, secret: Redacted.Redacted): Sender.Sender =>
  Option.getOrThrow(Senders.withSecret(row, secret))

/** The sender of a provider that signs with a private key. */
export const withKey = (row: Row.Row, privateKey: KeyObject): Sender.Sender =>
  Option.getOrThrow(Senders.withKey(row, privateKey))

/** The secrets of a sender's one scheme. */
export const secretsOf = ({ secrets }: Sender.Sender): ReadonlyArray<Redacted.Redacted> =>
  Object.values(secrets)[0] ?? assert.fail("there is none")

/** A scheme of a row by its name, the first by default. */
export const scheme = ({ schemes }: Pick<Row.Row, "schemes">, name = schemes[0].name): Scheme.Scheme =>
  schemes.find((scheme) => scheme.name === name) ?? assert.fail(`there is no scheme ${name}`)

/** Verifies a request by a scheme, the first by default. */
export const verify = (row: Row.Row, attempt: Webhook.Attempt, name?: string) =>
  Effect.flatMap(scheme(row, name).open, (verify) => verify(attempt)).pipe(
    Effect.catchTag("VerificationUnavailable", (error) => Effect.die(error)),
    Effect.provide(FetchHttpClient.layer)
  )
