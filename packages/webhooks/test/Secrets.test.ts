import { assert, describe, it } from "@effect/vitest"
import { Tenant } from "@waybill/core"
import { Postmark, Providers, Secrets } from "@waybill/webhooks"
import { ConfigProvider, Effect, type Layer, Option, Redacted } from "effect"
import * as Edge from "./Edge.ts"

const lookup = Effect.fnUntraced(function*(tenantId: string, provider: string) {
  const secrets = yield* Secrets.Secrets
  const found = yield* secrets.lookup(
    Edge.tenant(tenantId),
    Option.getOrThrow(Providers.get(provider)).name
  )
  return Option.getOrUndefined(
    Option.map(found, ({ secrets, switches }) => ({
      confirmSubscriptions: switches.has("confirmSubscriptions"),
      secrets: secrets.map((secret) => Redacted.value(secret))
    }))
  )
})

const withEnv = <A, E>(
  env: Readonly<Record<string, string>>,
  body: Effect.Effect<A, E, Secrets.Secrets>,
  layer: Layer.Layer<Secrets.Secrets, unknown> = Secrets.layerConfig()
) => body.pipe(Effect.provide(layer), Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(env))))

describe("Secrets", () => {
  it.effect("read the variable of every provider, several separated by commas", () =>
    withEnv(
      {
        WAYBILL_POSTMARK_BASIC_AUTH: "user:one, user:two,",
        WAYBILL_SENDGRID_PUBLIC_KEY: "MFkw==",
        WAYBILL_RESEND_SECRET: "whsec_1",
        WAYBILL_MAILGUN_SIGNING_KEY: "key",
        WAYBILL_SES_TOPIC_ARNS: "arn:aws:sns:eu-central-1:1:a,arn:aws:sns:eu-central-1:1:b"
      },
      Effect.gen(function*() {
        const found = yield* Effect.forEach(["postmark", "sendgrid", "resend", "ses", "mailgun"], (name) =>
          lookup("default", name))
        assert.deepStrictEqual(found, [
          { confirmSubscriptions: false, secrets: ["user:one", "user:two"] },
          { confirmSubscriptions: false, secrets: ["MFkw=="] },
          { confirmSubscriptions: false, secrets: ["whsec_1"] },
          {
            confirmSubscriptions: false,
            secrets: ["arn:aws:sns:eu-central-1:1:a", "arn:aws:sns:eu-central-1:1:b"]
          },
          { confirmSubscriptions: false, secrets: ["key"] }
        ])
      })
    ))

  const key = `MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE${"ab+/".repeat(21)}Aw==`

  const pem = (key: string) =>
    `-----BEGIN PUBLIC KEY-----\n${key.slice(0, 64)}\n${key.slice(64)}\n-----END PUBLIC KEY-----\n`

  const texts: ReadonlyArray<readonly [text: string, secrets: ReadonlyArray<string>]> = [
    ["", []],
    ["\n\n", []],
    ["a:b,c:d\n", ["a:b", "c:d"]],
    ["\r\n a:b , c:d \r\n\r\n", ["a:b", "c:d"]],
    ["a:b\nc:d\n", ["a:b", "c:d"]],
    ["a:b,c\r\n\r\n  d:e \r\n", ["a:b,c", "d:e"]],
    ["a:b\rc:d", ["a:b", "c:d"]],
    [pem(key), [key]],
    [pem(key).replaceAll("\n", "\r\n"), [key]],
    [pem(key).replaceAll("\n", "\\n"), [key]],
    [`${pem(key)}${pem(key.replace("ab", "cd"))}`, [key, key.replace("ab", "cd")]],
    [`${key.slice(0, 64)}\n  ${key.slice(64)}\n`, [key]],
    [`${key},${key.replace("ab", "cd")}\n`, [key, key.replace("ab", "cd")]],
    [`not-a-key\n${key}\nnor-this`, ["not-a-key", key, "nor-this"]],
    [Secrets.list(["a:b,c"]), ["a:b,c"]],
    [Secrets.list(["a:b,c", pem(key), "d:e\n"]), ["a:b,c", key, "d:e"]],
    [Secrets.list([]), []]
  ]

  it.for(texts)("are read from the text %j", ([text, secrets]) => {
    assert.deepStrictEqual(Secrets.parse(text), secrets)
  })

  it.effect("give none of a provider that is not set up, and nothing for a tenant that is not there", () =>
    withEnv(
      { WAYBILL_SES_CONFIRM_SUBSCRIPTIONS: "true" },
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* lookup("default", "postmark"), { confirmSubscriptions: true, secrets: [] })
        for (const tenantId of ["other", "constructor", "__proto__"]) {
          assert.isUndefined(yield* lookup(tenantId, "postmark"))
        }
      })
    ))

  it.effect("belong to the tenant that is named", () =>
    withEnv(
      { WAYBILL_POSTMARK_BASIC_AUTH: "a:b" },
      Effect.gen(function*() {
        assert.deepStrictEqual((yield* lookup("acme", "postmark"))?.secrets, ["a:b"])
        assert.isUndefined(yield* lookup(Tenant.defaultTenantId, "postmark"))
      }),
      Secrets.layerConfig(Edge.tenant("acme"))
    ))

  it.effect("of several tenants are kept apart", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* lookup("acme", "postmark"))?.secrets, ["a:b,c"])
      assert.deepStrictEqual(yield* lookup("acme", "resend"), { confirmSubscriptions: false, secrets: [] })
      assert.deepStrictEqual(yield* lookup("globex", "postmark"), { confirmSubscriptions: true, secrets: [] })
      assert.isUndefined(yield* lookup("constructor", "postmark"))
    }).pipe(Effect.provide(Secrets.layer({
      acme: { secrets: { postmark: [Redacted.make("a:b,c")] } },
      globex: { secrets: {}, switches: { confirmSubscriptions: true } }
    }))))

  it.effect("are read for the providers of the table, more or fewer than ours", () =>
    withEnv(
      { WAYBILL_OTHER_SECRET: "x" },
      Effect.gen(function*() {
        assert.deepStrictEqual((yield* lookup("default", "postmark"))?.secrets, ["x"])
      })
    ).pipe(Effect.provideService(
      Providers.Table,
      [{
        ...Postmark.row,
        schemes: [{ ...Postmark.row.schemes[0], secrets: { variable: "WAYBILL_OTHER_SECRET", about: "another" } }]
      }]
    )))
})
