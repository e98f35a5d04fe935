/**
 * Reads public keys as providers show them: the base64 of a key in one line, or in PEM.
 */
import { Option } from "effect"
import { createPublicKey, type KeyObject } from "node:crypto"
import * as Signature from "./signature.ts"

const fromDer: (der: Uint8Array) => Option.Option<KeyObject> = Option.liftThrowable((der) =>
  createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" })
)

/** What may stand around and in the base64 of a key: the armour of PEM and line breaks, some of them spelt out. */
const around = /-----[A-Z ]+-----|\\[rn]|\s/g

/** The key in a text; none where it is of another kind. */
export const read = (text: string, kind: "ec" | "rsa"): Option.Option<KeyObject> =>
  Option.filter(
    Option.flatMap(Signature.fromBase64(text.replace(around, "")), fromDer),
    (key) => key.asymmetricKeyType === kind
  )
