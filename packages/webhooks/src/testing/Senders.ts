/**
 * Makes the sender of a provider from its row.
 *
 * @since 0.1.0
 */
import { Effect, Option, type Redacted } from "effect"
import type { KeyObject } from "node:crypto"
import * as Providers from "../Providers.ts"
import * as Row from "../Row.ts"
import type * as Scheme from "../Scheme.ts"
import type { Sender } from "../Sender.ts"

/**
 * A sender of every provider.
 *
 * @category models
 * @since 0.1.0
 */
export interface Senders {
  readonly all: ReadonlyArray<Sender>
  /** The providers' rows, which believe the keys of these senders: a table for `Providers`. */
  readonly rows: ReadonlyArray<Row.Row>
}

/**
 * A signer for some of the schemes of a row, by their names.
 *
 * @category models
 * @since 0.2.0
 */
export type Signers = ReadonlyMap<string, Scheme.Signer>

/**
 * Makes the sender of a provider that signs for each of some schemes.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (row: Row.Row, signers: Signers): Sender => {
  const { compose, types } = row.composer
  const used = row.schemes.flatMap((scheme) => {
    const signer = signers.get(scheme.name)
    return signer === undefined ? [] : [{ key: Row.keyOf(row, scheme), signer }]
  })
  const sign: Sender["sign"] = (request, sentAt) =>
    used.reduce((signed, { signer }) => signer.sign(signed, sentAt), request)
  return {
    provider: row.name,
    secrets: Object.fromEntries(used.map(({ key, signer: { secrets } }) => [key, secrets])),
    types,
    sign,
    send: (reports, sentAt, publicUrl) =>
      compose(reports, sentAt).map((request) =>
        sign(publicUrl === undefined ? request : { ...request, publicUrl }, sentAt)
      )
  }
}

/** Makes the sender of a provider by its first scheme, which is the strongest; none where the key is of another kind. */
const byFirst = (row: Row.Row, signer: (signing: Scheme.Signing) => Option.Option<Scheme.Signer>) => {
  const [{ name, signing }] = row.schemes
  return Option.map(signer(signing), (signer) => make(row, new Map([[name, signer]])))
}

/**
 * Makes the sender of a provider that signs with a secret which the receiver has too, by its first scheme; none where that has
 * no such secret.
 *
 * @category constructors
 * @since 0.2.0
 */
export const withSecret = (row: Row.Row, secret: Redacted.Redacted): Option.Option<Sender> =>
  byFirst(row, (signing) => signing._tag === "Secret" ? Option.some(signing.make(secret)) : Option.none())

/**
 * Makes the sender of a provider that signs with a private key, by its first scheme; none where the key is of another kind.
 *
 * @category constructors
 * @since 0.2.0
 */
export const withKey = (row: Row.Row, privateKey: KeyObject): Option.Option<Sender> =>
  byFirst(row, (signing) => signing._tag === "PrivateKey" ? signing.make(privateKey) : Option.none())

interface Made {
  readonly signer: Scheme.Signer | undefined
  readonly scheme: Scheme.Scheme
}

const unsigned = (scheme: Scheme.Scheme): Made => ({ signer: undefined, scheme })

const generateFor = Effect.fnUntraced(function*(scheme: Scheme.Scheme): Effect.fn.Return<Made> {
  const { signing } = scheme
  if (signing._tag === "Secret") return { signer: signing.make(signing.generate()), scheme }
  if (signing._tag === "PrivateKey") {
    return { signer: yield* Effect.orDie(Effect.fromOption(signing.make(signing.generate()))), scheme }
  }
  const { signer, verify } = yield* signing.generate
  return { signer, scheme: { ...scheme, open: Effect.succeed(verify) } }
})

/**
 * A sender with keys made on the spot, and the row of its provider that believes them.
 *
 * @category models
 * @since 0.2.0
 */
export interface Generated {
  readonly sender: Sender
  readonly row: Row.Row
}

/**
 * Makes keys for some schemes of a row, the first by default, and the sender that uses them.
 *
 * @category constructors
 * @since 0.2.0
 */
export const generateOf = Effect.fnUntraced(function*(
  row: Row.Row,
  names: ReadonlyArray<string> = [row.schemes[0].name]
) {
  const made = yield* Effect.forEach(
    row.schemes,
    (scheme) => names.includes(scheme.name) ? generateFor(scheme) : Effect.succeed(unsigned(scheme))
  )
  const [first, ...others] = made
  const signers = new Map(
    made.flatMap(({ scheme, signer }) => signer === undefined ? [] : [[scheme.name, signer] as const])
  )
  const generated: Generated = {
    sender: make(row, signers),
    row: { ...row, schemes: [first.scheme, ...others.map(({ scheme }) => scheme)] }
  }
  return generated
})

/**
 * Makes the keys and the senders that use them, of every provider.
 *
 * @category constructors
 * @since 0.1.0
 */
export const generate: Effect.Effect<Senders> = Effect.map(
  Effect.forEach(Providers.all, (row) => generateOf(row)),
  (generated) => ({ all: generated.map(({ sender }) => sender), rows: generated.map(({ row }) => row) })
)
