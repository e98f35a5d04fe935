/** Records deliveries, notes that they were dispatched, and tells what became of them. */
import { Delivery, Directory, Ledger, LedgerError, type Tenant } from "@waybill/core"
import { Duration, Effect, Option } from "effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Caller } from "../../Access.ts"
import { Api } from "../../Api.ts"
import type { KeyedDelivery } from "../contract/Deliveries.ts"
import * as answers from "./answers.ts"

/** How many deliveries of one call are recorded at once. */
const concurrency = 16

const newDelivery = (tenantId: Tenant.TenantId, given: typeof KeyedDelivery.Type): Delivery.NewDelivery => ({
  tenantId,
  recipient: given.recipient,
  mailable: given.mailable,
  stream: given.stream,
  id: Option.fromUndefinedOr(given.id),
  metadata: given.metadata ?? {},
  idempotencyKey: Option.fromUndefinedOr(given.idempotencyKey),
  ignoreSuppression: given.ignoreSuppression ?? false
})

/** Answers `/deliveries`. */
export const layer = HttpApiBuilder.group(
  Api,
  "deliveries",
  Effect.fnUntraced(function*(handlers) {
    const ledger = yield* Ledger.Ledger
    const directory = yield* Directory.Directory

    const record = (tenantId: Tenant.TenantId, given: typeof KeyedDelivery.Type) =>
      ledger.record(newDelivery(tenantId, given))

    const refused = ({ _tag, message }: LedgerError.InvalidInput | LedgerError.DeliveryConflict) =>
      Effect.succeed({ problem: { tag: _tag, detail: message } })

    const find = Effect.fnUntraced(function*(key: Ledger.DeliveryKey) {
      const found = yield* ledger.delivery(key)
      return Option.isSome(found) ? found.value : yield* new LedgerError.DeliveryNotFound({ tenantId: key.tenantId })
    })

    return handlers.handleAll({
      record: ({ headers, payload }) =>
        Effect.flatMap(Caller, ({ tenantId }) => {
          const idempotencyKey = headers["idempotency-key"]
          return record(tenantId, { ...payload, ...idempotencyKey !== undefined && { idempotencyKey } })
        }).pipe(answers.answered, Effect.map(answers.tagged)),

      recordMany: ({ payload }) =>
        Effect.flatMap(Caller, ({ tenantId }) =>
          Effect.forEach(
            payload.deliveries,
            (given) => record(tenantId, given).pipe(Effect.catchTag(["InvalidInput", "DeliveryConflict"], refused)),
            { concurrency }
          )).pipe(answers.answered, Effect.map((results) => ({ results }))),

      search: ({ query }) =>
        Effect.flatMap(Caller, ({ tenantId }) =>
          directory.search({
            tenantId,
            filter: {
              recipient: Option.fromUndefinedOr(query.recipient),
              recipientDomain: Option.fromUndefinedOr(query.recipientDomain),
              providerMessageId: Option.fromUndefinedOr(query.providerMessageId),
              idempotencyKey: Option.fromUndefinedOr(query.idempotencyKey),
              mailable: Option.fromUndefinedOr(query.mailable),
              stream: Option.fromUndefinedOr(query.stream),
              provider: Option.fromUndefinedOr(query.provider),
              status: Option.fromUndefinedOr(query.status),
              event: Option.fromUndefinedOr(query.event),
              lastEventType: Option.fromUndefinedOr(query.lastEventType),
              recordedFrom: Option.fromUndefinedOr(query.recordedFrom),
              recordedTo: Option.fromUndefinedOr(query.recordedTo),
              happenedFrom: Option.fromUndefinedOr(query.happenedFrom),
              happenedTo: Option.fromUndefinedOr(query.happenedTo),
              deliveryId: Option.none(),
              stuckFor: Option.map(Option.fromUndefinedOr(query.stuckSeconds), Duration.seconds)
            },
            after: Option.fromUndefinedOr(query.after),
            limit: answers.pageSize(query)
          })).pipe(answers.answered),

      get: ({ params, query }) =>
        Effect.gen(function*() {
          const { tenantId } = yield* Caller
          const key = { tenantId, deliveryId: params.id }
          const delivery = yield* find(key)
          const whole = yield* ledger.timeline(key)
          const known = query.asOf === undefined ? whole : Delivery.knownAt(whole, query.asOf)
          return answers.tagged({
            delivery: query.asOf === undefined ? delivery : Delivery.asOf(delivery, known),
            timeline: known
          })
        }).pipe(answers.answered),

      dispatch: ({ headers, params, payload }) =>
        Effect.flatMap(Caller, ({ tenantId }) =>
          ledger.dispatch({
            tenantId,
            deliveryId: params.id,
            provider: payload.provider,
            providerMessageId: payload.providerMessageId,
            expectedVersion: answers.expectedVersion(headers)
          })).pipe(answers.answered, Effect.map(({ delivery, linked }) => answers.tagged({ delivery, linked }))),

      fail: ({ headers, params, payload: { attempt, error, final } }) =>
        Effect.flatMap(Caller, ({ tenantId }) =>
          ledger.fail({
            tenantId,
            deliveryId: params.id,
            error: { code: error.code, message: Option.fromUndefinedOr(error.message) },
            final,
            attempt: Option.fromUndefinedOr(attempt),
            expectedVersion: answers.expectedVersion(headers)
          })).pipe(answers.answered, Effect.map(answers.tagged)),

      suppress: ({ headers, params, payload: { because } }) =>
        Effect.flatMap(Caller, ({ tenantId }) =>
          ledger.suppress({
            tenantId,
            deliveryId: params.id,
            because: Option.fromUndefinedOr(because),
            expectedVersion: answers.expectedVersion(headers)
          })).pipe(answers.answered, Effect.map(answers.tagged))
    })
  })
)
