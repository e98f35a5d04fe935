/** Makes certificates for the servers of the tests: an authority, and what it signs. */
import { Buffer } from "node:buffer"
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto"

/** A value of ASN.1 in its distinguished encoding: a tag, a length and a body. */
const value = (tag: number, ...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const body = Buffer.concat(parts)
  const length = body.length < 128
    ? [body.length]
    : body.length < 256
    ? [0x81, body.length]
    : [0x82, body.length >> 8, body.length & 255]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}

const sequence = (...parts: ReadonlyArray<Uint8Array>) => value(0x30, ...parts)

const oid = (...bytes: ReadonlyArray<number>) => value(0x06, Buffer.from(bytes))

const ecdsaWithSha256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02))

const named = (name: string) => sequence(value(0x31, sequence(oid(0x55, 0x04, 0x03), value(0x0c, Buffer.from(name)))))

const time = (days: number) => {
  const text = new globalThis.Date(globalThis.Date.now() + days * 86_400_000).toISOString()
  return value(0x17, Buffer.from(`${text.replace(/[-:T]/g, "").slice(2, 14)}Z`))
}

const extension = (id: number, ...body: ReadonlyArray<Uint8Array>) =>
  sequence(oid(0x55, 0x1d, id), value(0x04, sequence(...body)))

const isAuthority = extension(0x13, value(0x01, Buffer.from([0xff])))

/** The names that a certificate is for: a name of a host, or an address. */
const alternative = (name: string) =>
  /^[\d.]+$/.test(name)
    ? extension(0x11, value(0x87, Buffer.from(name.split(".").map(Number))))
    : extension(0x11, value(0x82, Buffer.from(name)))

const pem = (der: Buffer): string => {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? []
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n")
}

const keys = () => generateKeyPairSync("ec", { namedCurve: "P-256" })

let serial = 1

const make = (options: {
  readonly issuer: string
  readonly by: KeyObject
  readonly subject: string
  readonly of: KeyObject
  readonly days: readonly [from: number, to: number]
  readonly extension: Buffer
}): string => {
  const body = sequence(
    value(0xa0, value(0x02, Buffer.from([2]))),
    value(0x02, Buffer.from([++serial & 127])),
    ecdsaWithSha256,
    named(options.issuer),
    sequence(time(options.days[0]), time(options.days[1])),
    named(options.subject),
    options.of.export({ type: "spki", format: "der" }),
    value(0xa3, sequence(options.extension))
  )
  const signature = sign("sha256", body, options.by)
  return pem(sequence(body, ecdsaWithSha256, value(0x03, Buffer.from([0]), signature)))
}

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly certificate: string
  readonly key: string
}

/** What signs certificates. */
export interface Authority {
  readonly certificate: string
  /** Signs a certificate for a name, valid from and to some days from now. */
  readonly sign: (name: string, days?: readonly [from: number, to: number]) => Certificate
}

/** Makes an authority of its own. */
export const authority = (issuer: string): Authority => {
  const own = keys()
  return {
    certificate: make({
      issuer,
      by: own.privateKey,
      subject: issuer,
      of: own.publicKey,
      days: [-2, 30],
      extension: isAuthority
    }),
    sign: (name, days = [-1, 20]) => {
      const { privateKey, publicKey } = keys()
      return {
        certificate: make({
          issuer,
          by: own.privateKey,
          subject: name,
          of: publicKey,
          days,
          extension: alternative(name)
        }),
        key: privateKey.export({ type: "pkcs8", format: "pem" }).toString()
      }
    }
  }
}
