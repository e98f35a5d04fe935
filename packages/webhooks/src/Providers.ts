/**
 * Lists the providers: another one is a module and a row here.
 *
 * `all` is the list and `get` the lookup, both without any service. `Table` says which rows an application uses, so that it
 * may add its own or leave some out. `Providers` has them opened, for whoever takes webhooks in.
 *
 * @since 0.1.0
 */
import { Context, Effect, Layer, Option } from "effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Custom from "./providers/own/Custom.ts"
import * as Dsn from "./providers/own/Dsn.ts"
import * as CustomerIo from "./providers/signed/CustomerIo.ts"
import * as MailChannels from "./providers/signed/MailChannels.ts"
import * as MailerSend from "./providers/signed/MailerSend.ts"
import * as Mailgun from "./providers/signed/Mailgun.ts"
import * as Mailtrap from "./providers/signed/Mailtrap.ts"
import * as Mandrill from "./providers/signed/Mandrill.ts"
import * as Postal from "./providers/signed/Postal.ts"
import * as SendGrid from "./providers/signed/SendGrid.ts"
import * as Unisender from "./providers/signed/Unisender.ts"
import * as Scaleway from "./providers/sns/Scaleway.ts"
import * as Ses from "./providers/sns/Ses.ts"
import * as AhaSend from "./providers/standard/AhaSend.ts"
import * as Lettermint from "./providers/standard/Lettermint.ts"
import * as Loops from "./providers/standard/Loops.ts"
import * as Resend from "./providers/standard/Resend.ts"
import * as Svix from "./providers/standard/Svix.ts"
import * as Sweego from "./providers/standard/Sweego.ts"
import * as UseSend from "./providers/standard/UseSend.ts"
import * as Azure from "./providers/unsigned/Azure.ts"
import * as Brevo from "./providers/unsigned/Brevo.ts"
import * as Cloudflare from "./providers/unsigned/Cloudflare.ts"
import * as Mailjet from "./providers/unsigned/Mailjet.ts"
import * as Postmark from "./providers/unsigned/Postmark.ts"
import * as SparkPost from "./providers/unsigned/SparkPost.ts"
import * as Row from "./Row.ts"

/**
 * Every provider whose webhooks are understood.
 *
 * @category constants
 * @since 0.1.0
 */
export const all: ReadonlyArray<Row.Row> = [
  Postmark.row,
  SendGrid.row,
  Resend.row,
  Ses.row,
  Mailgun.row,
  Loops.row,
  AhaSend.row,
  Sweego.row,
  UseSend.row,
  Lettermint.row,
  Azure.row,
  MailChannels.row,
  Scaleway.row,
  Svix.row,
  Cloudflare.row,
  Brevo.row,
  Mailjet.row,
  Mandrill.row,
  MailerSend.row,
  Mailtrap.row,
  SparkPost.row,
  Postal.row,
  Unisender.row,
  CustomerIo.row,
  Custom.row,
  Dsn.row
]

const lookupIn = <R extends Pick<Row.Row, "name">>(rows: ReadonlyArray<R>): (name: string) => Option.Option<R> => {
  const byName: ReadonlyMap<string, R> = new Map(rows.map((row) => [row.name, row]))
  return (name) => Option.fromUndefinedOr(byName.get(name))
}

/**
 * The provider of a name; none where there is no such row.
 *
 * @category getters
 * @since 0.1.0
 */
export const get: (name: string) => Option.Option<Row.Row> = lookupIn(all)

/**
 * The rows that an application uses: `all` by default.
 *
 * @category services
 * @since 0.2.0
 */
export const Table = Context.Reference<ReadonlyArray<Row.Row>>("@waybill/webhooks/Providers/Table", {
  defaultValue: () => all
})

/**
 * The rows of the table, opened.
 *
 * @category services
 * @since 0.2.0
 */
export class Providers extends Context.Service<Providers, {
  /** Returns the provider of a name; none where the table has no such row. */
  readonly get: (name: string) => Option.Option<Row.OpenRow>
}>()("@waybill/webhooks/Providers") {}

/**
 * Opens every row of the table.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer: Layer.Layer<Providers, never, HttpClient.HttpClient> = Layer.effect(
  Providers,
  Effect.gen(function*() {
    const rows = yield* Effect.forEach(yield* Table, Row.open)
    return Providers.of({ get: lookupIn(rows) })
  })
)
