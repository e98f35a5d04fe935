/**
 * Keeps the ledger in a store of texts by keys: a toy, by which core is shown to hold the decisions.
 *
 * No rule of the ledger stands here. Every row is a JSON text, written and read by the schemas of `@waybill/core`. This module
 * looks up what a decision of core is made from and writes what was decided; what an event does, which delivery is meant, what
 * a key that came before says, who waits, what a sweep takes, what is told and in which order stands in core alone.
 */
import {
  Act,
  Audit,
  Checkpoints,
  Commit,
  Correlation,
  Cursor,
  Delivery,
  DeliveryUpdate,
  Directory,
  Drift,
  Event,
  Figure,
  Figures,
  Handover,
  type IdempotencyKey,
  Input,
  Ledger,
  LedgerError,
  Orphan,
  Orphans,
  OwnHalf,
  Recipient,
  Report,
  Suppression,
  SuppressionBook,
  Suppressions,
  SuppressionStore,
  Tenant,
  Timestamp,
  Unsent
} from "@waybill/core"
import { Importer } from "@waybill/storage/testing"
import { Context, DateTime, Effect, Layer, Option, PubSub, Schema, Semaphore } from "effect"
import * as Arr from "effect/Array"
import { SecureRandom } from "effect/crypto"
import { KeyValueStore } from "effect/persistence"
import { createHmac } from "node:crypto"
import { keyOf, shelfIn } from "./KeyValueShelf.ts"

const make = Effect.gen(function*() {
  const shelf = shelfIn(yield* KeyValueStore.KeyValueStore)
  const random = yield* SecureRandom.SecureRandom
  const pubsub = yield* PubSub.sliding<DeliveryUpdate.DeliveryUpdate>(DeliveryUpdate.capacity)
  const softness = yield* Suppression.SoftBounces
  const secret = yield* random.uuidV4()
  const turn = Semaphore.withPermit(yield* Semaphore.make(1))

  const tenants = shelf("tenant", Tenant.TenantId)
  const deliveries = shelf("delivery", Delivery.Delivery)
  const deliveriesByKey = shelf("delivery by key", Event.DeliveryId)
  const deliveriesByCorrelation = shelf("delivery by correlation", Event.DeliveryId)
  const reports = shelf("report", Report.Report)
  const reportsByKey = shelf("report by key", Event.EventId)
  const reportsByDelivery = shelf("report by delivery", Event.EventId)
  const orphansByDelivery = shelf("orphan by delivery", Event.EventId)
  const waiting = shelf("waiting", Event.EventId)
  const waitingByCorrelation = shelf("waiting by correlation", Event.EventId)
  const links = shelf("link", Event.DeliveryId)
  const dismissed = shelf("dismissed", Event.EventId)
  const details = shelf("details", Report.KeptDetails)
  const acts = shelf("act", Schema.Struct({ key: Schema.String, act: Act.Act }))
  const addresses = shelf("address", Recipient.Recipient)
  const changes = shelf("change", Schema.Struct({ cursor: Cursor.Cursor, event: Event.Event }))
  const commits = shelf("commit", Schema.Int)
  const unsent = shelf("unsent", Schema.Struct({ attempts: Schema.Int, dueAt: Timestamp.Timestamp }))
  const checkpoints = shelf("checkpoint", Checkpoints.Checkpoint)
  const contributions = shelf("contribution", Figure.Contribution)
  const unfollowed = shelf(
    "unfollowed",
    Schema.Struct({
      cursor: Cursor.Cursor,
      tenantId: Tenant.TenantId,
      deliveryId: Event.Event.fields.deliveryId
    })
  )

  const tenantsIn = (scope: Tenant.Scope) =>
    Effect.map(tenants.all(""), (all) => all.filter((tenantId) => Tenant.reaches(scope, tenantId)))

  const inScope = <A>(scope: Tenant.Scope, all: (tenantId: Tenant.TenantId) => Effect.Effect<ReadonlyArray<A>>) =>
    Effect.map(Effect.flatMap(tenantsIn(scope), Effect.forEach(all)), (found) => found.flat())

  const newEventId = Effect.map(random.uuidV7(), (id) => Event.EventId.make(id))

  /** The rows of a shelf that an index names. */
  const named = <A>(
    rows: { readonly get: (place: string, id: string) => Effect.Effect<Option.Option<A>> },
    index: { readonly all: (place: string) => Effect.Effect<ReadonlyArray<string>> },
    tenantId: Tenant.TenantId,
    place: string
  ) =>
    Effect.flatMap(
      index.all(place),
      (ids) => Effect.map(Effect.forEach(ids, (id) => rows.get(tenantId, id)), Arr.getSomes)
    )

  const findDelivery = ({ deliveryId, tenantId }: Ledger.DeliveryKey) => deliveries.get(tenantId, deliveryId)

  const sharing = (tenantId: Tenant.TenantId, key: Correlation.Key) =>
    named(deliveries, deliveriesByCorrelation, tenantId, keyOf(tenantId, key))

  const waitingOn = (tenantId: Tenant.TenantId, key: Correlation.Key) =>
    named(reports, waitingByCorrelation, tenantId, keyOf(tenantId, key))

  const waitingOf = (tenantId: Tenant.TenantId) => named(reports, waiting, tenantId, tenantId)

  const storedOf = Effect.fnUntraced(function*(report: Report.Report) {
    const { id, tenantId } = report.event
    const isDismissed = Option.isSome(yield* dismissed.get(tenantId, id))
    return { ...report, linkedTo: yield* links.get(tenantId, id), isDismissed }
  })

  const findStored = Effect.fnUntraced(function*(key: Ledger.EventKey) {
    const report = yield* reports.get(key.tenantId, key.eventId)
    return Option.isSome(report) ? yield* storedOf(report.value) : yield* new LedgerError.EventNotFound(key)
  })

  const findByKey = Effect.fnUntraced(function*(tenantId: Tenant.TenantId, key: IdempotencyKey.IdempotencyKey) {
    const [report] = yield* named(reports, reportsByKey, tenantId, keyOf(tenantId, key))
    return report === undefined ? Option.none() : Option.some(yield* storedOf(report))
  })

  /** Looks up all that decisions about some reports may ask for. */
  const knownOf = Effect.fnUntraced(function*(given: ReadonlyArray<Report.Report>) {
    const byCorrelation = new Map<string, ReadonlyArray<Delivery.Delivery>>()
    const byId = new Map<string, Delivery.Delivery>()
    const byKey = new Map<string, Commit.Stored>()
    const detailed = new Set<string>()
    const keep = (delivery: Delivery.Delivery) => byId.set(keyOf(delivery.tenantId, delivery.id), delivery)
    for (const { event } of given) {
      const { idempotencyKey, tenantId } = event
      for (const key of Option.toArray(Correlation.ofEvent(event))) {
        const found = yield* sharing(tenantId, key)
        byCorrelation.set(keyOf(tenantId, key), found)
        found.forEach(keep)
      }
      for (const stored of Option.toArray(yield* findByKey(tenantId, idempotencyKey))) {
        byKey.set(idempotencyKey, stored)
        const { id } = stored.event
        if (Option.isSome(yield* details.get(tenantId, id))) detailed.add(keyOf(tenantId, id))
        for (const deliveryId of Option.toArray(Orphan.deliveryOf(stored.event, stored.linkedTo))) {
          Option.toArray(yield* findDelivery({ tenantId, deliveryId })).forEach(keep)
        }
      }
    }
    return {
      sharing: (tenantId: Tenant.TenantId, key: Correlation.Key) => byCorrelation.get(keyOf(tenantId, key)) ?? [],
      delivery: ({ deliveryId, tenantId }: Ledger.DeliveryKey) =>
        Option.fromUndefinedOr(byId.get(keyOf(tenantId, deliveryId))),
      stored: (key: IdempotencyKey.IdempotencyKey) => Option.fromUndefinedOr(byKey.get(key)),
      hasDetails: ({ eventId, tenantId }: Ledger.EventKey) => detailed.has(keyOf(tenantId, eventId))
    }
  })

  const placeOf = ({ deliveryId, tenantId }: Ledger.DeliveryKey) =>
    Effect.map(unsent.get(tenantId, deliveryId), Option.map((row): Unsent.Row => ({ tenantId, deliveryId, ...row })))

  const putPlace = ({ attempts, deliveryId, dueAt, tenantId }: Unsent.Row) =>
    unsent.put(tenantId, deliveryId, { attempts, dueAt })

  const putDelivery = Effect.fnUntraced(function*(delivery: Delivery.Delivery) {
    const { id, idempotencyKey, tenantId } = delivery
    const place = yield* placeOf({ tenantId, deliveryId: id })
    if (!Handover.isUnsent(delivery)) yield* unsent.remove(tenantId, id)
    else if (Option.isNone(place)) yield* putPlace(Unsent.ofDelivery(delivery))
    yield* tenants.put("", tenantId, tenantId)
    yield* deliveries.put(tenantId, id, delivery)
    for (const key of Option.toArray(idempotencyKey)) yield* deliveriesByKey.put(keyOf(tenantId, key), id, id)
    for (const key of Delivery.keys(delivery)) yield* deliveriesByCorrelation.put(keyOf(tenantId, key), id, id)
  })

  const takeOrphan = Effect.fnUntraced(function*({ event }: Report.Report) {
    const { id, tenantId } = event
    yield* waiting.remove(tenantId, id)
    for (const key of Option.toArray(Correlation.ofEvent(event))) {
      yield* waitingByCorrelation.remove(keyOf(tenantId, key), id)
    }
  })

  const putReport = Effect.fnUntraced(function*(report: Report.Report) {
    const { event } = report
    const { deliveryId, id, idempotencyKey, tenantId } = event
    yield* tenants.put("", tenantId, tenantId)
    yield* reports.put(tenantId, id, report)
    yield* reportsByKey.put(keyOf(tenantId, idempotencyKey), id, id)
    if (Option.isNone(deliveryId)) {
      yield* waiting.put(tenantId, id, id)
      for (const key of Option.toArray(Correlation.ofEvent(event))) {
        yield* waitingByCorrelation.put(keyOf(tenantId, key), id, id)
      }
      return
    }
    yield* reportsByDelivery.put(keyOf(tenantId, deliveryId.value), id, id)
    for (const orphanId of Option.toArray(event.sourceEventId)) {
      yield* links.put(tenantId, orphanId, deliveryId.value)
      yield* orphansByDelivery.put(keyOf(tenantId, deliveryId.value), orphanId, orphanId)
      for (const orphan of Option.toArray(yield* reports.get(tenantId, orphanId))) yield* takeOrphan(orphan)
    }
  })

  const nextCommit = Effect.map(commits.get("", ""), (last) => 1 + Option.getOrElse(last, () => 0))

  /** Writes what a command decided, and answers. */
  const settle = Effect.fnUntraced(function*<A>({ answer, commit }: Commit.Decided<A>) {
    const ids = yield* Effect.replicateEffect(newEventId, commit.links?.length ?? 0)
    const number = yield* nextCommit
    yield* commits.put("", "", number)
    for (const delivery of commit.deliveries ?? []) yield* putDelivery(delivery)
    for (const [index, report] of Commit.appendedBy(commit, ids).entries()) {
      yield* putReport(report)
      const { event } = report
      const cursor = Cursor.of(BigInt(number), BigInt(index + 1))
      yield* changes.put(event.tenantId, cursor, { cursor, event })
      const { deliveryId, tenantId } = event
      yield* unfollowed.put(tenantId, cursor, { cursor, tenantId, deliveryId })
    }
    for (const row of commit.unsent ?? []) {
      if (Option.isSome(yield* placeOf(row))) yield* putPlace(row)
    }
    for (const event of commit.dismissed ?? []) {
      yield* takeOrphan(Report.ofOwn(event))
      yield* dismissed.put(event.tenantId, event.id, event.id)
    }
    for (const { act, key, tenantId } of commit.acts ?? []) {
      yield* tenants.put("", tenantId, tenantId)
      const done = yield* acts.all(tenantId)
      yield* acts.put(tenantId, String(done.length), { key, act })
    }
    for (const { key, recipient, tenantId } of commit.named ?? []) {
      yield* Option.match(recipient, {
        onNone: () => addresses.remove(tenantId, key),
        onSome: (address) => addresses.put(tenantId, key, address)
      })
    }
    for (const report of commit.forgotten ?? []) yield* reports.put(report.event.tenantId, report.event.id, report)
    for (const kept of commit.details ?? []) yield* details.put(kept.tenantId, kept.eventId, kept)
    for (const { eventId, tenantId } of commit.erased ?? []) yield* details.remove(tenantId, eventId)
    yield* PubSub.publishAll(pubsub, Commit.updatesOf(commit))
    return answer
  }, Effect.uninterruptible)

  const timelineOf = Effect.fnUntraced(function*({ deliveryId, tenantId }: Ledger.DeliveryKey) {
    const place = keyOf(tenantId, deliveryId)
    const appended = yield* named(reports, reportsByDelivery, tenantId, place)
    const orphans = yield* named(reports, orphansByDelivery, tenantId, place)
    const kept = new Map<Event.EventId, Report.KeptDetails["details"]>()
    for (const { event } of [...appended, ...orphans]) {
      for (const { details: said } of Option.toArray(yield* details.get(tenantId, event.id))) kept.set(event.id, said)
    }
    return Ledger.timelineOf(
      appended.map(({ event }) => event),
      orphans.map(({ event }) => event),
      ({ id }) => Option.fromUndefinedOr(kept.get(id))
    )
  })

  /** Keeps how a delivery counts by all that is known of it. */
  const recount = Effect.fnUntraced(function*(delivery: Delivery.Delivery) {
    const { id, tenantId } = delivery
    const timeline = yield* timelineOf({ tenantId, deliveryId: id })
    const counted = Figure.contributionOf(delivery, timeline.map(({ event }) => event))
    if (Option.isSome(counted)) yield* contributions.put(tenantId, id, counted.value)
    else yield* contributions.remove(tenantId, id)
  })

  /** What the figures have not followed, in the order of the feed. */
  const aheadIn = (scope: Tenant.Scope) =>
    Effect.map(
      inScope(scope, unfollowed.all),
      (all) => all.toSorted((left, right) => Cursor.compare(left.cursor, right.cursor))
    )

  const ownOf = Effect.fnUntraced(function*(
    { deliveryId, tenantId }: Ledger.DeliveryKey,
    types: ReadonlyArray<Event.Event["type"]>
  ) {
    const appended = yield* named(reports, reportsByDelivery, tenantId, keyOf(tenantId, deliveryId))
    return appended.map(({ event }) => event).filter((event) => Event.isOwn(event) && types.includes(event.type))
  })

  const queue = Unsent.Unsent.of({
    claim: Effect.fn("Unsent.claim")(function*(query: Unsent.Claim) {
      yield* Input.unsent(query)
      const waits = yield* inScope(query.scope, deliveries.all)
      const places = yield* Effect.forEach(waits, ({ id, tenantId }) => placeOf({ tenantId, deliveryId: id }))
      const rows = Unsent.select(Arr.getSomes(places), query).map((row) => Unsent.claimed(row, query))
      yield* Effect.forEach(rows, putPlace)
      return Unsent.claimsOf(
        rows,
        (row) => Arr.findFirst(waits, ({ id, tenantId }) => id === row.deliveryId && tenantId === row.tenantId)
      )
    }, turn)
  })

  const keyOfRecipient = (tenantId: Tenant.TenantId) => (recipient: Recipient.Recipient) =>
    createHmac("sha256", secret).update(keyOf(tenantId, Recipient.canonical(recipient))).digest("hex")

  const bookOf = Effect.fnUntraced(function*(tenantId: Tenant.TenantId) {
    const all = yield* deliveries.all(tenantId)
    return {
      reports: yield* Effect.forEach(yield* reports.all(tenantId), storedOf),
      deliveries: all,
      find: (deliveryId: Event.DeliveryId) => Arr.findFirst(all, ({ id }) => id === deliveryId),
      acts: yield* acts.all(tenantId),
      addresses: yield* addresses.all(tenantId)
    }
  })

  const suppressions = SuppressionBook.reads(bookOf, keyOfRecipient)

  const suppressed: SuppressionStore.Store = {
    ...suppressions,
    atomic: (_, effect) => turn(effect),
    write: Effect.fnUntraced(function*(tenantId, given) {
      const acts = given.map(({ act, key }) => ({ tenantId, key, act }))
      const named = given.map(({ key, recipient }) => ({ tenantId, key, recipient: Option.some(recipient) }))
      yield* settle({ answer: undefined, commit: { at: yield* DateTime.now, acts, named } })
    })
  }

  const ledger = Ledger.Ledger.of({
    record: Effect.fn("Ledger.record")(function*(input: Delivery.NewDelivery) {
      yield* Effect.fromResult(Input.delivery(input))
      const { idempotencyKey, tenantId } = input
      const id = Option.isSome(input.id) ? input.id.value : Event.DeliveryId.make(yield* random.uuidV7())
      const places = Option.toArray(idempotencyKey).map((key) => keyOf(tenantId, key))
      const byKey = yield* Effect.forEach(places, (place) => named(deliveries, deliveriesByKey, tenantId, place))
      const at = yield* DateTime.now
      const own = (yield* reports.all(tenantId)).map(({ event }) => event)
        .filter((event) => event.type === "suppressed" && Event.isOwn(event))
      const decided = OwnHalf.record(
        input,
        {
          byKey: Arr.head(byKey.flat()),
          byId: yield* deliveries.get(tenantId, id),
          waiting: yield* waitingOn(tenantId, Correlation.ofDelivery(id)),
          suppressed: (delivery) => Arr.findFirst(own, ({ deliveryId }) => Option.contains(deliveryId, delivery.id)),
          block: yield* SuppressionStore.blockOf(input, suppressions, softness, at)
        },
        { id, eventIds: [yield* newEventId, yield* newEventId], at }
      )
      return yield* settle(yield* Effect.fromResult(decided))
    }, turn),
    dispatch: Effect.fn("Ledger.dispatch")(function*(input: Delivery.Dispatch) {
      yield* Effect.fromResult(Input.dispatch(input))
      const messageId = yield* Effect.fromResult(Input.messageId(input))
      const key = Correlation.ofMessage(input.provider, messageId)
      const decided = OwnHalf.dispatch(
        input,
        messageId,
        {
          stored: yield* findDelivery(input),
          sharing: yield* sharing(input.tenantId, key),
          waiting: yield* waitingOn(input.tenantId, key)
        },
        { eventId: yield* newEventId, at: yield* DateTime.now }
      )
      return yield* settle(yield* Effect.fromResult(decided))
    }, turn),
    fail: Effect.fn("Ledger.fail")(function*(input: Delivery.Fail) {
      yield* Effect.fromResult(Input.fail(input))
      const known = {
        stored: yield* findDelivery(input),
        failures: yield* ownOf(input, ["deferred", "failed"]),
        place: yield* placeOf(input)
      }
      const decided = OwnHalf.fail(input, known, { eventId: yield* newEventId, at: yield* DateTime.now })
      return yield* settle(yield* Effect.fromResult(decided))
    }, turn),
    suppress: Effect.fn("Ledger.suppress")(function*(input: Delivery.Suppress) {
      yield* Effect.fromResult(Input.suppress(input))
      const isNoted = (yield* ownOf(input, ["suppressed"])).length > 0
      const decided = OwnHalf.suppress(
        input,
        { stored: yield* findDelivery(input), isNoted },
        { eventId: yield* newEventId, at: yield* DateTime.now }
      )
      return yield* settle(yield* Effect.fromResult(decided))
    }, turn),
    append: Effect.fn("Ledger.append")(function*(
      tenantId: Tenant.TenantId,
      inputs: ReadonlyArray<Event.NewEvent>
    ) {
      yield* Input.events(tenantId, inputs)
      const insertedAt = yield* DateTime.now
      const ids = yield* Effect.replicateEffect(newEventId, inputs.length)
      const given = Arr.zipWith(inputs, ids, (input, id) => Report.fromNew(input, { id, tenantId, insertedAt }))
      return yield* settle(Commit.append(given, yield* knownOf(given), insertedAt))
    }, turn),
    forget: Effect.fn("Ledger.forget")(function*({ recipient, tenantId }: {
      readonly tenantId: Tenant.TenantId
      readonly recipient: Recipient.Recipient
    }) {
      const at = yield* DateTime.now
      const known = {
        deliveries: yield* deliveries.all(tenantId),
        reports: yield* Effect.forEach(yield* reports.all(tenantId), storedOf),
        details: yield* details.all(tenantId),
        kept: yield* SuppressionStore.keptOf({ tenantId, recipient }, suppressions, softness, at)
      }
      const key = keyOfRecipient(tenantId)(recipient)
      const decided = Commit.forget({ tenantId, recipient, key }, known, at)
      const answer = yield* settle(decided)
      yield* Effect.forEach(decided.commit.deliveries ?? [], recount)
      return answer
    }, turn),
    pruneDetails: Effect.fn("Ledger.pruneDetails")(function*(query: Ledger.PruneDetails) {
      yield* Input.limit(query.limit)
      return yield* settle(Commit.pruneDetails(query, yield* inScope(Tenant.all, details.all), yield* DateTime.now))
    }, turn),
    delivery: Effect.fn("Ledger.delivery")(findDelivery, turn),
    deliveries: Effect.fn("Ledger.deliveries")(function*({ after, limit, tenantId }: {
      readonly tenantId: Tenant.TenantId
      readonly after: Option.Option<Event.DeliveryId>
      readonly limit: number
    }) {
      yield* Input.limit(limit)
      return Delivery.pageOf(yield* deliveries.all(tenantId), after, limit)
    }, turn),
    timeline: Effect.fn("Ledger.timeline")(timelineOf, turn),
    changes: Effect.fn("Ledger.changes")(function*({ after, limit, scope }: {
      readonly scope: Tenant.Scope
      readonly after: Cursor.Cursor
      readonly limit: number
    }) {
      yield* Input.limit(limit)
      const place = yield* Effect.fromResult(Input.cursor(after))
      const all = yield* inScope(Tenant.all, changes.all)
      yield* Effect.fromResult(Ledger.checkPlace(all, place, BigInt(yield* nextCommit)))
      return Ledger.changesAfter(all.filter(({ event }) => Tenant.reaches(scope, event.tenantId)), place, limit)
    }, turn),
    updates: PubSub.subscribe(pubsub)
  })

  const pendingIn = (scope: Tenant.Scope) =>
    Effect.map(
      inScope(scope, waitingOf),
      (found) => found.map(({ event }): Orphan.Orphan => ({ event, failure: Option.none() }))
    )

  const orphans = Orphans.Orphans.of({
    find: Effect.fn("Orphans.find")(function*(query: Orphans.Query) {
      yield* Input.limit(query.limit)
      return Orphans.select(query, yield* pendingIn(query.scope))
    }, turn),
    attemptLink: Effect.fn("Orphans.attemptLink")(function*({ id, tenantId }: Pick<Event.Event, "tenantId" | "id">) {
      const stored = yield* findStored({ tenantId, eventId: id })
      const meeting = Commit.meetAgain(stored, yield* knownOf([stored]))
      const deliveryId = yield* Effect.fromResult(Orphan.locate(stored.event, stored.linkedTo, meeting))
      const delivery = yield* findDelivery({ tenantId, deliveryId })
      return Option.isSome(delivery)
        ? { event: stored.event, delivery: delivery.value }
        : yield* new LedgerError.DeliveryNotFound({ tenantId })
    }, turn),
    link: Effect.fn("Orphans.link")(function*(query: Orphans.LinkQuery) {
      yield* Input.limit(query.limit)
      const pending = yield* inScope(query.scope, waitingOf)
      return yield* settle(Commit.link(query, pending, yield* knownOf(pending), yield* DateTime.now))
    }, turn),
    explain: Effect.fn("Orphans.explain")(function*(key: Ledger.EventKey) {
      const stored = yield* findStored(key)
      const elsewhere = Option.toArray(Orphan.keyElsewhere(stored.event))
      const found = yield* Effect.forEach(elsewhere, (key) => inScope(Tenant.all, (tenantId) => sharing(tenantId, key)))
      return Orphan.explain({
        ...stored,
        meeting: Commit.meetAgain(stored, yield* knownOf([stored])),
        otherTenant: Orphan.isElsewhere(stored.event, found.flat()),
        failure: Option.none()
      })
    }, turn),
    linkTo: Effect.fn("Orphans.linkTo")(function*(command: Orphans.LinkTo) {
      yield* Effect.fromResult(Input.linkTo(command))
      const known = { stored: yield* findStored(command), delivery: yield* findDelivery(command) }
      return yield* settle(yield* Effect.fromResult(Commit.linkTo(command, known, yield* DateTime.now)))
    }, turn),
    dismiss: Effect.fn("Orphans.dismiss")(function*(key: Ledger.EventKey) {
      return yield* settle(Commit.dismiss(yield* findStored(key), yield* DateTime.now))
    }, turn),
    retry: Effect.fn("Orphans.retry")((key: Ledger.EventKey) => Effect.as(findStored(key), false), turn),
    backlog: Effect.fn("Orphans.backlog")(function*({ horizon, scope }: {
      readonly scope: Tenant.Scope
      readonly horizon: Timestamp.Timestamp
    }) {
      return Orphans.count(yield* pendingIn(scope), horizon)
    }, turn)
  })

  const directory = Directory.Directory.of({
    search: Effect.fn("Directory.search")(function*(query: Directory.Query) {
      const checked = yield* Directory.check(query)
      const subjects = yield* Effect.forEach(
        yield* deliveries.all(query.tenantId),
        (delivery) =>
          Effect.map(
            timelineOf({ tenantId: delivery.tenantId, deliveryId: delivery.id }),
            (entries) => ({ delivery, facts: entries.map(({ event }) => event) })
          )
      )
      return Directory.select(checked, subjects, yield* DateTime.now)
    }, turn)
  })

  const compareDeliveries = Effect.fnUntraced(function*(query: Audit.Query, repair: boolean) {
    const after = yield* Effect.fromResult(Input.place(query))
    const at = yield* DateTime.now
    const page = Audit.deliveriesOf(yield* inScope(query.scope, deliveries.all), after, query.limit)
    const compared = yield* Effect.forEach(
      page,
      (delivery) =>
        Effect.map(timelineOf({ tenantId: delivery.tenantId, deliveryId: delivery.id }), (entries) => ({
          delivery,
          facts: entries.map(({ event }) => event)
        }))
    )
    const { drifts, repaired } = Audit.compareDeliveries(compared, at)
    if (repair) yield* settle({ answer: undefined, commit: { at, deliveries: repaired } })
    return { checked: page.length, drifts, next: Audit.nextOf(query, page) }
  })

  /** An orphan waits by one write with its event, so that there is nothing to repair. */
  const compareOrphans = Effect.fnUntraced(function*(query: Audit.Query) {
    const after = yield* Effect.fromResult(Input.place(query))
    const events = (yield* inScope(query.scope, reports.all)).map(({ event }) => event)
    const page = Audit.orphansOf(events.filter(Orphan.wasOrphan), after, query.limit)
    const states = yield* Effect.forEach(
      page,
      Effect.fnUntraced(function*({ id, tenantId }) {
        const stored = yield* Effect.orDie(findStored({ tenantId, eventId: id }))
        const isQueued = Option.isSome(yield* waiting.get(tenantId, id))
        const isReady = Commit.meetAgain(stored, yield* knownOf([stored]))._tag === "Met"
        return { tenantId, eventId: id, isPending: Orphan.isPending(stored), isQueued, isReady, isLinkable: isReady }
      })
    )
    return {
      checked: page.length,
      drifts: Arr.getSomes(states.map(Drift.ofOrphan)),
      next: Audit.nextOf(query, page)
    }
  })

  /** What is said of an address is gathered where it is asked, so that there is nothing to repair. */
  const compareSuppressions = Effect.fnUntraced(function*(query: Audit.Query) {
    const after = yield* Effect.fromResult(Input.place(query))
    const known = yield* inScope(
      query.scope,
      (tenantId) =>
        Effect.map(
          bookOf(tenantId),
          (book) => SuppressionBook.gather(book, keyOfRecipient(tenantId)).map(({ key }) => ({ id: key, tenantId }))
        )
    )
    const page = Audit.deliveriesOf(known, after, query.limit)
    return { checked: page.length, drifts: [], next: Audit.nextOf(query, page) }
  })

  const compareContributions = Effect.fnUntraced(function*(query: Audit.Query, repair: boolean) {
    const after = yield* Effect.fromResult(Input.place(query))
    const page = Audit.deliveriesOf(yield* inScope(query.scope, deliveries.all), after, query.limit)
    const ahead = yield* aheadIn(query.scope)
    const drifts = Audit.compareContributions(
      yield* Effect.forEach(
        page,
        Effect.fnUntraced(function*(delivery) {
          const { id, tenantId } = delivery
          const timeline = yield* timelineOf({ tenantId, deliveryId: id })
          const stored = yield* contributions.get(tenantId, id)
          const isFollowed = !ahead.some((other) =>
            Option.contains(other.deliveryId, id) && other.tenantId === tenantId
          )
          return { delivery, facts: timeline.map(({ event }) => event), stored, isFollowed }
        })
      )
    )
    if (repair) yield* Effect.forEach(Arr.getSomes(yield* Effect.forEach(drifts, findDelivery)), recount)
    return { checked: page.length, drifts, next: Audit.nextOf(query, page) }
  })

  /** Sums are made where they are asked, so that there is nothing to repair. */
  const compareFigures = Effect.fnUntraced(function*(query: Audit.Query) {
    const after = yield* Effect.fromResult(Input.place(query))
    const page = Audit.daysOf(yield* inScope(query.scope, contributions.all), after, query.limit)
    return { checked: page.length, drifts: [], next: Audit.nextOf(query, page) }
  })

  const parts = {
    deliveries: compareDeliveries,
    orphans: compareOrphans,
    suppressions: compareSuppressions,
    contributions: compareContributions,
    figures: compareFigures
  }

  const audited = (repair: boolean) =>
    Effect.fnUntraced(function*(query: Audit.Query) {
      yield* Input.limit(query.limit)
      return yield* parts[query.part](query, repair)
    }, turn)

  const audit = Audit.Audit.of({
    verify: Effect.fn("Audit.verify")(audited(false)),
    rebuild: Effect.fn("Audit.rebuild")(audited(true)),
    repairFeed: Effect.succeed({ epoch: Option.none(), shown: 0, moved: 0 })
  })

  const keep = Effect.fnUntraced(function*(consumer: string, given: Cursor.Cursor) {
    const cursor = yield* Effect.fromResult(Input.cursor(given))
    yield* checkpoints.put("", consumer, { consumer, cursor, savedAt: yield* DateTime.now })
    return cursor
  })

  const consumers = Checkpoints.Checkpoints.of({
    load: Effect.fn("Checkpoints.load")(function*(consumer: string) {
      yield* Effect.fromResult(Input.consumer({ consumer }))
      return Option.map(yield* checkpoints.get("", consumer), ({ cursor }) => cursor)
    }, turn),
    save: Effect.fn("Checkpoints.save")(function*(consumer: string, cursor: Cursor.Cursor) {
      yield* Effect.fromResult(Input.consumer({ consumer }))
      yield* keep(consumer, cursor)
    }, turn),
    list: turn(Effect.map(checkpoints.all(""), (all) => all.toSorted(Checkpoints.compare))),
    reset: Effect.fn("Checkpoints.reset")(function*(consumer: string, given: Checkpoints.Beginning) {
      yield* Effect.fromResult(Input.consumer({ consumer }))
      const beginning = yield* Effect.fromResult(Input.beginning(given))
      const all = (yield* inScope(Tenant.all, changes.all)).toSorted((left, right) =>
        Cursor.compare(left.cursor, right.cursor)
      )
      return yield* keep(consumer, Checkpoints.placeOf(beginning, all, BigInt(yield* nextCommit)))
    }, turn)
  })

  const figures = Figures.Figures.of({
    follow: Effect.fn("Figures.follow")(function*({ limit }: { readonly limit: number }) {
      yield* Input.limit(limit)
      const page = (yield* aheadIn(Tenant.all)).slice(0, limit)
      for (const { cursor, deliveryId, tenantId } of page) {
        for (const id of Option.toArray(deliveryId)) {
          yield* Effect.flatMap(
            findDelivery({ tenantId, deliveryId: id }),
            (found) => Effect.forEach(Option.toArray(found), recount)
          )
        }
        yield* unfollowed.remove(tenantId, cursor)
      }
      const last = Option.map(yield* checkpoints.get("", Figures.consumer), ({ cursor }) => cursor)
      yield* keep(Figures.consumer, page.at(-1)?.cursor ?? Option.getOrElse(last, () => Cursor.start))
      return { events: page.length, isCurrent: page.length < limit }
    }, turn),
    read: Effect.fn("Figures.read")(function*(query: Figures.Query) {
      const checked = yield* Figures.check(query)
      const rows = Figures.rowsOf(checked, yield* inScope(query.scope, contributions.all))
      const followed = Option.map(yield* checkpoints.get("", Figures.consumer), ({ savedAt }) => savedAt)
      return Figures.tableOf(checked, rows, followed, yield* DateTime.now)
    }, turn)
  })

  const importer = Importer.Importer.of({
    importDelivery: Effect.fnUntraced(function*(row: Importer.Imported) {
      const delivery = Importer.imported(row, yield* DateTime.now)
      const found = yield* Effect.forEach(Delivery.keys(delivery), (key) => sharing(row.tenantId, key))
      if (Importer.isRefused(delivery, found.flat())) return false
      yield* settle({ answer: undefined, commit: { at: delivery.insertedAt, deliveries: [delivery] } })
      return true
    }, turn),
    setProjections: Effect.fnUntraced(function*(tenantId, projection) {
      for (const delivery of yield* deliveries.all(tenantId)) {
        yield* putDelivery({ ...delivery, ...projection })
      }
    }, turn)
  })

  return Context.make(Ledger.Ledger, ledger).pipe(
    Context.add(Orphans.Orphans, orphans),
    Context.add(Audit.Audit, audit),
    Context.add(Directory.Directory, directory),
    Context.add(Figures.Figures, figures),
    Context.add(Unsent.Unsent, queue),
    Context.add(Suppressions.Suppressions, SuppressionStore.make(suppressed, softness)),
    Context.add(Checkpoints.Checkpoints, consumers),
    Context.add(Importer.Importer, importer)
  )
})

/** An empty ledger and empty checkpoints on an empty store of texts in memory, with a way to write past it. */
export const layer = Layer.effectContext(make).pipe(
  Layer.provide(KeyValueStore.layerMemory),
  Layer.provide(SecureRandom.layerWebCrypto)
)
