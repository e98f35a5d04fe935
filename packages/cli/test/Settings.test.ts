import { assert, describe, it } from "@effect/vitest"
import { Inbox, Provider, Suppression, Tenant } from "@waybill/core"
import { Providers, Row, Secrets } from "@waybill/webhooks"
import { ConfigProvider, Duration, Effect, FileSystem, Layer, Option, Redacted, Result, Schema } from "effect"
import * as ConfigFile from "../src/config/ConfigFile.ts"
import * as Credentials from "../src/config/Credentials.ts"
import * as EdgeSettings from "../src/config/EdgeSettings.ts"
import * as ProviderSettings from "../src/config/ProviderSettings.ts"
import * as Setting from "../src/config/Setting.ts"
import * as Settings from "../src/config/Settings.ts"
import * as Edge from "../src/work/Edge.ts"
import * as Waybill from "./Waybill.ts"

const environment = (env: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnv({ env }))

const withFile = (text: string, env: Record<string, string> = {}) =>
  ConfigFile.layer(Option.some("waybill.json")).pipe(
    Layer.provide(FileSystem.layerNoop({ readFileString: () => Effect.succeed(text) })),
    Layer.provideMerge(environment(env))
  )

const Config = Schema.Struct({
  file: Schema.NullOr(Schema.String),
  tenants: Schema.Array(Schema.String),
  settings: Schema.Array(Schema.Struct({
    name: Schema.String,
    key: Schema.String,
    value: Schema.String,
    source: Schema.String,
    ok: Schema.Boolean
  }))
})

const fileIssue = (text: string) =>
  Result.match(ConfigFile.parse("waybill.json", text), {
    onFailure: ({ issue }) => issue,
    onSuccess: () => assert.fail("it was taken")
  })

describe("settings", () => {
  it("each have a default that is what they must be, and a key of their own", () => {
    for (const { fallback, name, parse } of Settings.all) assert.isTrue(Option.isSome(parse(fallback)), name)
    const keys = Settings.all.map(({ name }) => Setting.keyOf(name))
    assert.strictEqual(new Set(keys).size, keys.length)
    assert.includeMembers(keys, ["databaseUrl", "otlpEndpoint", "sesConfirmSubscriptions"])
  })

  it("take a rule about soft bounces, and none that never ends or counts nothing", () => {
    const { parse } = Settings.softBounces
    assert.deepStrictEqual(
      parse(Settings.softBounces.fallback),
      Option.some(Suppression.SoftBounces.defaultValue())
    )
    assert.deepStrictEqual(
      parse("2 in 0s for 12h"),
      Option.some({ count: 2, over: Duration.zero, lasts: Duration.hours(12) })
    )
    for (const text of ["", "5", "5 in 3d", "0 in 3d for 30d", "5 in 3 days for 30d", "5 in 3d for 0s"]) {
      assert.isTrue(Option.isNone(parse(text)), text)
    }
  })

  it("name the secrets of every provider", () => {
    const schemes = Providers.all.flatMap((row) =>
      row.schemes.map((scheme) => [Row.keyOf(row, scheme), scheme] as const)
    )
    for (const [key, { secrets }] of schemes) assert.strictEqual(ProviderSettings.secrets[key]?.name, secrets.variable)
    assert.lengthOf(Object.keys(ProviderSettings.secrets), schemes.length)
  })

  it("name the switches of every provider, which no two share", () => {
    const switches = Providers.all.flatMap(({ switches = [] }) => switches)
    for (const { name, variable } of switches) assert.strictEqual(ProviderSettings.switches[name]?.name, variable)
    assert.lengthOf(Object.keys(ProviderSettings.switches), switches.length)
  })

  it("take no webhook that the inbox does not", () => {
    const isTaken = (text: string) => Option.isSome(EdgeSettings.maxBodySize.parse(text))
    assert.isTrue(isTaken(`${Inbox.maxBodyBytes} B`))
    assert.isFalse(isTaken(`${Inbox.maxBodyBytes + 1} B`))
    assert.strictEqual(EdgeSettings.maxBodySize.issue, "must be a size of at most 15 MB, such as 10 MB")
  })

  it("show no secret", () => {
    const texts = [
      "postgres://app:se-cret@host:5/db?password=se-cret",
      "host=localhost user=app password=se-cret",
      "postgres:/app:se-cret@localhost/app",
      "postgres:app:se-cret@localhost/app",
      "postgres:////app:se-cret@localhost/app",
      "postgres://app:5/se-cret@localhost/app",
      "se-cret",
      "a:se-cret,b"
    ]
    for (
      const { name, show } of [Settings.databaseUrl, ProviderSettings.secrets["postmark"], Settings.otlpEndpoint]
        .flatMap((setting) => setting === undefined ? [] : [setting])
    ) {
      for (const text of texts) {
        assert.notInclude(show(text), "se-cret", name)
      }
    }
    assert.strictEqual(
      Settings.databaseUrl.show("postgres://app:se-cret@host:5/db?x=1"),
      "postgres://app:<redacted>@host:5/db"
    )
    for (const text of ["pglite:.waybill", "memory:", "postgres://localhost/app"]) {
      assert.strictEqual(Settings.databaseUrl.show(text), text)
    }
    assert.strictEqual(Settings.otlpEndpoint.show(""), "")
  })

  it.effect("come from the environment, or else from the file, or else from the default", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Setting.read(Settings.grace), Duration.seconds(5))
      assert.deepStrictEqual(yield* Setting.given(Settings.grace), { text: "5s", source: "environment" })
      assert.strictEqual(yield* Setting.read(EdgeSettings.port), 8080)
      assert.deepStrictEqual(yield* Setting.given(EdgeSettings.port), { text: "8080", source: "file" })
      assert.isTrue(yield* Setting.read(Settings.rowLevelSecurity))
      assert.strictEqual(yield* Setting.read(Settings.schemaName), "waybill")
      assert.deepStrictEqual(yield* Setting.given(Settings.schemaName), { text: "waybill", source: "default" })
      assert.strictEqual((yield* Settings.keep).dead, "forever")
    }).pipe(Effect.provide(withFile(
      JSON.stringify({ grace: "7s", port: 8080, rowLevelSecurity: true, keepDeadDays: "forever" }),
      { WAYBILL_GRACE: "5s" }
    ))))

  it.effect("give each tenant its own secrets, those of a list as they are", () =>
    Effect.gen(function*() {
      const credentials = yield* Credentials.credentials
      const plain = (tenantId: string, provider: string) =>
        (credentials.get(tenantId)?.secrets[provider] ?? []).map(Redacted.value)
      assert.deepStrictEqual(plain("default", "postmark"), ["a:b", "c:d"])
      assert.deepStrictEqual(plain("acme", "postmark"), ["a:b,c"])
      assert.deepStrictEqual(plain("acme", "ses"), ["arn:1", "arn:2"])
      assert.deepStrictEqual(plain("acme", "resend"), [])
      assert.isTrue(credentials.get("acme")?.switches["confirmSubscriptions"])
      assert.isFalse(credentials.get("default")?.switches["confirmSubscriptions"])
    }).pipe(Effect.provide(withFile(
      JSON.stringify({
        tenants: {
          acme: { postmarkBasicAuth: ["a:b,c"], sesTopicArns: "arn:1, arn:2", sesConfirmSubscriptions: true }
        }
      }),
      { WAYBILL_POSTMARK_BASIC_AUTH: "a:b, c:d," }
    ))))

  it.effect("give a tenant its secrets, whatever it is called, and nobody those of what every object has", () =>
    Effect.gen(function*() {
      const secrets = yield* Secrets.Secrets
      const of = Effect.fnUntraced(function*(tenantId: string) {
        const found = yield* secrets.lookup(Tenant.TenantId.make(tenantId), Provider.Provider.make("postmark"))
        return Option.map(found, ({ secrets }) => secrets.map(Redacted.value))
      })
      for (const name of ["__proto__", "constructor", "toString"]) {
        assert.deepStrictEqual(yield* of(name), Option.some([`${name}:b`]))
      }
      for (const name of ["hasOwnProperty", "valueOf", "__defineGetter__"]) {
        assert.deepStrictEqual(yield* of(name), Option.none())
      }
      const file = Option.getOrThrow(yield* ConfigFile.InUse)
      assert.deepStrictEqual([...file.tenants.keys()], ["__proto__", "constructor", "toString"])
    }).pipe(
      Effect.provide(Edge.secrets),
      Effect.provide(withFile(
        `{"tenants":{${
          ["__proto__", "constructor", "toString"].map((name) => `"${name}":{"postmarkBasicAuth":"${name}:b"}`).join()
        }}}`
      ))
    ))

  it("take no word that every object has", () => {
    for (const word of ["constructor", "__proto__", "toString"]) {
      for (
        const { name, parse } of [Settings.logLevel, Settings.logFormat, Settings.grace, Settings.rowLevelSecurity]
      ) {
        assert.strictEqual(parse(word)._tag, "None", `${name} ${word}`)
      }
      assert.match(fileIssue(`{"${word}":"x"}`), /^has an unknown setting/)
      assert.match(fileIssue(`{"tenants":{"acme":{"${word}":"x"}}}`), /^has an unknown setting/)
    }
  })

  it.effect("that are wrong are named by where they are, without their value", () =>
    Effect.gen(function*() {
      const inFile = yield* Effect.flip(Setting.read(Settings.grace))
      assert.strictEqual(inFile.message, "grace in the configuration file must be a duration such as 60s, 0s or 5m")
      const inEnvironment = yield* Effect.flip(Setting.read(Settings.reconcileCron))
      assert.strictEqual(inEnvironment.message, "WAYBILL_RECONCILE_CRON must be a cron expression such as */5 * * * *")
    }).pipe(Effect.provide(withFile("{\"grace\":\"se-cret\"}", { WAYBILL_RECONCILE_CRON: "0 0 31 2 *" }))))
})

describe("a configuration file", () => {
  it("that says what nothing reads is refused, without its values", () => {
    assert.strictEqual(fileIssue("se-cret"), "must hold one JSON object")
    assert.strictEqual(fileIssue("[\"se-cret\"]"), "must hold one JSON object")
    assert.strictEqual(fileIssue("{\"databaseUlr\":\"se-cret\"}"), "has an unknown setting \"databaseUlr\"")
    assert.strictEqual(
      fileIssue("{\"grace\":{\"a\":\"se-cret\"}}"),
      "has no text, number, boolean or list of texts in grace"
    )
    assert.strictEqual(
      fileIssue("{\"tenants\":{\"default\":{\"postmarkBasicAuth\":\"a:se-cret\"}}}"),
      "must not name default in tenants: its settings are those of the file itself"
    )
    assert.strictEqual(fileIssue("{\"tenants\":[]}"), "must hold an object in tenants")
    assert.strictEqual(fileIssue("{\"tenants\":{\"*\":{}}}"), "has a key in tenants that is no tenant's id")
    assert.strictEqual(fileIssue("{\"tenants\":{\"acme\":\"se-cret\"}}"), "must hold an object in tenants.acme")
    assert.strictEqual(
      fileIssue("{\"tenants\":{\"acme\":{\"grace\":\"5s\"}}}"),
      "has an unknown setting \"tenants.acme.grace\""
    )
  })
})

describe("config", () => {
  it.live("shows every setting and where it comes from, and no secret", () =>
    Effect.gen(function*() {
      const path = yield* Waybill.file(
        yield* Waybill.directory,
        "waybill.json",
        JSON.stringify({
          resendSecret: "whsec_se-cret",
          port: 9000,
          tenants: { acme: { resendSecret: "whsec_se-cret" } }
        })
      )
      const env = {
        WAYBILL_DATABASE_URL: "postgres://app:se-cret@localhost/app",
        WAYBILL_MAILGUN_SIGNING_KEY: "se-cret",
        OTEL_EXPORTER_OTLP_HEADERS: "authorization=se-cret"
      }
      const config = yield* Waybill.json(Config, ["config", "--config", path], env)
      assert.deepStrictEqual(config.tenants, ["acme"])
      assert.strictEqual(config.file, path)
      assert.lengthOf(config.settings, Settings.all.length)
      const shown = new Map(config.settings.map(({ name, source, value }) => [name, `${value} ${source}`]))
      assert.strictEqual(shown.get("WAYBILL_DATABASE_URL"), "postgres://app:<redacted>@localhost/app environment")
      assert.strictEqual(shown.get("WAYBILL_MAILGUN_SIGNING_KEY"), "<redacted> environment")
      assert.strictEqual(shown.get("WAYBILL_RESEND_SECRET"), "<redacted> file")
      assert.strictEqual(shown.get("WAYBILL_PORT"), "9000 file")
      assert.strictEqual(shown.get("WAYBILL_GRACE"), "60s default")
      assert.notInclude(JSON.stringify(config), "se-cret")
      assert.notInclude((yield* Waybill.run(["config"], { ...env, WAYBILL_CONFIG: path })).stdout, "se-cret")
    }), 60_000)

  it.live("ends with 1 where a setting is wrong, and shows it all the same", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* Waybill.run(["config", "--json"], { WAYBILL_GRACE: "soon" })
      assert.strictEqual(code, 1)
      assert.strictEqual(stderr, "waybill: WAYBILL_GRACE must be a duration such as 60s, 0s or 5m\n")
      const { settings } = yield* Schema.decodeEffect(Schema.fromJsonString(Config))(stdout)
      assert.deepInclude(settings.find(({ ok }) => !ok), { name: "WAYBILL_GRACE", value: "soon" })
    }), 30_000)

  it.live("every command refuses a file that is not there, and one that is wrong", () =>
    Effect.gen(function*() {
      const missing = yield* Waybill.run(["orphans", "--config", "/no/such/waybill.json"], {})
      assert.deepStrictEqual(missing, {
        code: 1,
        stdout: "",
        stderr: "waybill: the configuration file /no/such/waybill.json is not there\n"
      })
    }), 30_000)
})
