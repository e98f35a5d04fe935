/**
 * Lists the providers: another one is a module and a row here.
 *
 * @since 0.1.0
 */
import { Option } from "effect"
import * as Mailgun from "./Mailgun.ts"
import * as Postmark from "./Postmark.ts"
import * as Resend from "./Resend.ts"
import * as SendGrid from "./SendGrid.ts"
import * as Ses from "./Ses.ts"
import type * as Webhook from "./Webhook.ts"

/**
 * Every provider whose webhooks are understood.
 *
 * @category constants
 * @since 0.1.0
 */
export const all: ReadonlyArray<Webhook.Provider> = [
  Postmark.provider,
  SendGrid.provider,
  Resend.provider,
  Ses.provider,
  Mailgun.provider
]

const byName: ReadonlyMap<string, Webhook.Provider> = new Map(all.map((provider) => [provider.name, provider]))

/**
 * The provider of a name; none where there is no such row.
 *
 * @category getters
 * @since 0.1.0
 */
export const get = (name: string): Option.Option<Webhook.Provider> => Option.fromUndefinedOr(byName.get(name))
