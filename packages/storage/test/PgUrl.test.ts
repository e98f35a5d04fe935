import { assert, describe, it } from "@effect/vitest"
import { PgUrl } from "@waybill/storage"
import { ConfigProvider, Duration, Effect, Option, Redacted } from "effect"
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

const read = (url: string, env: Readonly<Record<string, string>> = {}) =>
  PgUrl.read(Redacted.make(url)).pipe(
    Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ HOME: "/nowhere", ...env })))
  )

const issue = (url: string, env: Readonly<Record<string, string>> = {}) =>
  Effect.map(Effect.flip(read(url, env)), (error) => error.issue)

const hosts = (url: string, env: Readonly<Record<string, string>> = {}) =>
  Effect.map(read(url, env), (target) => target.hosts.map(({ name, path, port }) => path ?? `${name}:${port}`))

const password = (target: PgUrl.Target) => Option.getOrUndefined(Option.map(target.password, Redacted.value))

describe("PgUrl", () => {
  it.effect("reads what a URL says", () =>
    Effect.gen(function*() {
      const target = yield* read(
        "postgresql://ann%40b:p%3A%2F%25@db.internal:5433/led%20ger?application_name=app&connect_timeout=9" +
          "&options=-c%20search_path%3Dx&keepalives_idle=30&channel_binding=prefer&client_encoding=utf8&gssencmode=disable"
      )
      assert.deepInclude(target, {
        user: "ann@b",
        database: "led ger",
        applicationName: "app",
        options: "-c search_path=x",
        sslMode: "prefer",
        sessionAttrs: "any"
      })
      assert.strictEqual(password(target), "p:/%")
      assert.deepStrictEqual(target.hosts.map(({ name, port }) => [name, port]), [["db.internal", 5433]])
      assert.strictEqual(Duration.toSeconds(target.connectTimeout), 9)
      assert.strictEqual(Duration.toSeconds(target.keepAlive), 30)
    }))

  it.effect("reads several hosts, sockets and addresses", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* hosts("postgres:///db"), ["localhost:5432"])
      assert.deepStrictEqual(yield* hosts("postgres://a,b:6000,[::1]:7000/db"), ["a:5432", "b:6000", "::1:7000"])
      assert.deepStrictEqual(yield* hosts("postgres:///db?host=a,b&port=1,2"), ["a:1", "b:2"])
      assert.deepStrictEqual(yield* hosts("postgres:///db?host=/run/postgresql"), ["/run/postgresql/.s.PGSQL.5432"])
      assert.deepStrictEqual(yield* hosts("postgres://%2Frun%2Fpg:6000/db"), ["/run/pg/.s.PGSQL.6000"])
      assert.deepStrictEqual(yield* hosts("postgres://a,b/db?port=6000"), ["a:6000", "b:6000"])
      const target = yield* read("postgres://a/db?hostaddr=10.0.0.1&target_session_attrs=read-write")
      assert.deepInclude(target.hosts[0], { name: "a", address: "10.0.0.1" })
      assert.strictEqual(target.sessionAttrs, "read-write")
    }))

  it.effect("reads the environment where the URL is silent", () =>
    Effect.gen(function*() {
      const env = {
        PGHOST: "env.internal",
        PGPORT: "6543",
        PGUSER: "bob",
        PGPASSWORD: "secret",
        PGDATABASE: "envdb",
        PGAPPNAME: "envapp",
        PGSSLMODE: "disable",
        PGCONNECT_TIMEOUT: "7",
        PGTARGETSESSIONATTRS: "primary"
      }
      const around = yield* read("postgres://", env)
      assert.deepInclude(around, {
        user: "bob",
        database: "envdb",
        applicationName: "envapp",
        sslMode: "disable",
        sessionAttrs: "primary"
      })
      assert.strictEqual(password(around), "secret")
      assert.deepStrictEqual(yield* hosts("postgres://", env), ["env.internal:6543"])
      const said = yield* read("postgres://ann:own@a:1/db?sslmode=require", env)
      assert.deepInclude(said, { user: "ann", database: "db", sslMode: "require" })
      assert.strictEqual(password(said), "own")
      assert.strictEqual((yield* read("postgres://a/db?user=ann", { PGSSLMODE: "" })).sslMode, "prefer")
    }))

  it.live("reads the password file, if nobody but its owner may", () =>
    Effect.gen(function*() {
      const home = yield* Effect.acquireRelease(
        Effect.promise(() => mkdtemp(join(tmpdir(), "waybill-home-"))),
        (path) => Effect.promise(() => rm(path, { recursive: true }))
      )
      const path = join(home, ".pgpass")
      yield* Effect.promise(() =>
        writeFile(path, "# comment\nother:*:*:*:no\na:5432:d\\:b:*:co\\:lon\n*:*:*:ann:any\nlocalhost:*:*:bob:socket\n")
      )
      yield* Effect.promise(() => chmod(path, 0o600))
      const of = (url: string, env: Readonly<Record<string, string>> = { HOME: home }) =>
        Effect.map(read(url, env), password)
      assert.strictEqual(yield* of("postgres://x@a/d%3Ab"), "co:lon")
      assert.strictEqual(yield* of("postgres://ann@b/db"), "any")
      assert.strictEqual(yield* of("postgres:///db?host=/run&user=bob"), "socket")
      assert.strictEqual(yield* of("postgres://eve@b/db"), undefined)
      assert.strictEqual(yield* of("postgres://ann:own@b/db"), "own")
      assert.strictEqual(yield* of("postgres://ann@b/db", { PGPASSFILE: path }), "any")
      yield* Effect.promise(() => chmod(path, 0o644))
      assert.strictEqual(yield* of("postgres://ann@b/db"), undefined)
    }))

  it.effect("refuses what it does not understand by one line that shows no value", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* issue("postgres://a/db?frobnicate=hush"), "the parameter frobnicate is not understood")
      assert.strictEqual(yield* issue("postgres://a/db?hush@x=1"), "a parameter is not understood")
      assert.include(yield* issue("postgres://a/db?ssl=1"), "ssl is read as ssl=true alone")
      assert.include(yield* issue("postgres://a/db?sslmode=hush"), "sslmode must be disable or allow or prefer")
      assert.include(yield* issue("postgres://a/db?service=hush"), "service is not read")
      assert.include(yield* issue("postgres://a/db?pgbouncer=true"), "WAYBILL_POOLER")
      assert.include(
        yield* issue("postgres://a/db?channel_binding=require"),
        "channel_binding=require is not supported"
      )
      assert.include(yield* issue("postgres://a/db?gssencmode=require"), "gssencmode must be")
      assert.include(yield* issue("postgres://a/db?client_encoding=latin1"), "client_encoding must be UTF8")
      assert.include(yield* issue("postgres://a/db?target_session_attrs=hush"), "target_session_attrs must be any or")
      assert.include(yield* issue("postgres://a/db?connect_timeout=soon"), "connect_timeout must be a whole number")
      assert.include(yield* issue("postgres://a,b/db?port=1,2,3"), "port must be one for all hosts or one for each")
      assert.include(yield* issue("postgres://a:99999/db"), "port must be from 1 to 65535")
      assert.include(yield* issue("postgres://u:hush%zz@a/db"), "the password has a % that encodes nothing")
      assert.include(yield* issue("postgres://a/d%b"), "the name of the database has a % that encodes nothing")
      assert.include(yield* issue("postgres://u:hu/sh@a/db"), "%-encoded")
      assert.include(yield* issue("mysql://a/db"), "it is not postgres://")
      assert.include(yield* issue("postgres://a/db", { PGSERVICE: "hush" }), "PGSERVICE is set and is not understood")
      assert.include(yield* issue("postgres://a/db", { PGSSLMODE: "hush" }), "sslmode must be")
    }))

  it.effect("takes ssl=true for sslmode=require", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* read("postgres://a/db?ssl=true")).sslMode, "require")
    }))
})
