/**
 * Keeps the connections to the hosts of a target: chooses the host, gives up the connections whose server does not answer,
 * and those of a server that no longer writes.
 *
 * A statement that has had no answer for a while is not given up for that: the server is asked, over a connection of its own,
 * whether it is still at work on it. So a statement may take its time, and a connection that lost its peer is found in
 * seconds.
 */
import { PgConnection } from "@effect/sql-pg"
import { Clock, Context, Duration, Effect, Option, Predicate, Random, Schedule, Schema } from "effect"
import { type SqlError } from "effect/sql"
import { Buffer } from "node:buffer"
import type { Socket as NetSocket } from "node:net"
import { performance } from "node:perf_hooks"
import type * as PgUrl from "../../PgUrl.ts"
import { dial } from "./dial.ts"
import { Fault } from "./Fault.ts"
import { type Opened, Socket, type Watcher } from "./Socket.ts"

/** How long to wait for what. */
export interface Patience {
  /** How long a server may say nothing before it is asked whether it is at work, and how long it may take to answer that. */
  readonly silence: Duration.Duration
  /** How long a statement may take of which nobody can tell whether the server is at work on it. */
  readonly untold: Duration.Duration
}

/** The first bytes of a request to cancel a statement. */
const isCancel = (first: Uint8Array): boolean =>
  first.length === 16 && first[4] === 0x04 && first[5] === 0xd2 && first[6] === 0x16 && first[7] === 0x2e

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

const Roles = Schema.decodeUnknownEffect(Schema.Tuple([
  Schema.Struct({ standby: Schema.Boolean, readOnly: Schema.Boolean })
]))

type Role = { readonly standby: boolean; readonly readOnly: boolean }

const isWanted: Readonly<Record<PgUrl.SessionAttrs, (role: Role) => boolean>> = {
  any: () => true,
  "read-write": ({ readOnly, standby }) => !readOnly && !standby,
  "read-only": ({ readOnly, standby }) => readOnly || standby,
  primary: ({ standby }) => !standby,
  standby: ({ standby }) => standby,
  "prefer-standby": ({ standby }) => standby
}

const Busy = Schema.decodeUnknownEffect(Schema.Array(
  Schema.Struct({ processId: Schema.Int, elapsed: Schema.NullOr(Schema.Finite) })
))

/** A statement that the server sees, of how many milliseconds. */
type Running = ReadonlyArray<{ readonly processId: number; readonly elapsed: number | null }>

/**
 * The statements of this role that the server is at work on, or may be where it does not keep track; one that waits for its
 * client to read is not.
 */
const runningText = `
  SELECT pid AS "processId", (extract(epoch FROM clock_timestamp() - query_start) * 1000)::float8 AS elapsed
  FROM pg_stat_activity
  WHERE state IN ('active', 'disabled') AND datname = current_database() AND usename = session_user AND pid <> pg_backend_pid()
    AND wait_event_type IS DISTINCT FROM 'Client'
`

const roleText = `
  SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS "readOnly"
`

/** How much later than it was sent a statement may begin, or than it was opened a session, in milliseconds. */
const slack = 1500

/** A session that was given up while its transaction may have been open. */
interface Abandoned {
  readonly processId: number
  readonly begunAt: number
  readonly readyAt: number
  /** When it was given up. */
  readonly leftAt: number
}

/**
 * Ends abandoned sessions of this role where the server has not heard that they are: they would hold their locks for a while
 * yet. A process is one of theirs only if it is as old, since the server uses its numbers again.
 */
const endText = (abandoned: ReadonlyArray<Abandoned>, now: number): string => {
  const ages = abandoned.map(({ begunAt, processId, readyAt }) =>
    `(${processId}, ${Math.floor(now - readyAt - slack)}, ${Math.ceil(now - begunAt + slack)})`
  )
  return `
    SELECT pg_terminate_backend(activity.pid)
    FROM (VALUES ${ages.join(", ")}) abandoned (pid, youngest, oldest) JOIN pg_stat_activity activity USING (pid)
    WHERE activity.usename = session_user AND activity.backend_start BETWEEN
      clock_timestamp() - interval '1 millisecond' * abandoned.oldest
      AND clock_timestamp() - interval '1 millisecond' * abandoned.youngest
  `
}

/** For how long an abandoned session is looked for: by then the server has ended its transaction by the time limits. */
const endsWithin = 60_000

/** What became of asking a server what it is at work on. */
type Verdict =
  | { readonly _tag: "Running"; readonly statements: Running }
  /** It answers, and does not tell. */
  | { readonly _tag: "Untold" }
  | { readonly _tag: "Silent" }

/** The connections to the hosts of a target, watched until the scope closes. */
export const make = Effect.fnUntraced(function*(target: PgUrl.Target, patience: Patience) {
  // By the time of the machine, whatever clock the program is given.
  const clock = Effect.provideService(Clock.Clock, Context.get(Context.empty(), Clock.Clock))
  const run = Effect.runPromiseWith(yield* Effect.context())
  const sockets = new Map<Socket, PgUrl.Host>()
  const silence = Duration.toMillis(patience.silence)
  const untold = Duration.toMillis(patience.untold)
  const order = target.isShuffled ? yield* Random.shuffle(target.hosts) : target.hosts
  const [only] = order
  let chosen: PgUrl.Host | undefined
  let choosing: Promise<PgUrl.Host> | undefined
  /** Whether the processes that sessions are told are not the server's. */
  let isPooled = false
  /** When a connection last could not be made in time. */
  let missedAt = Number.NEGATIVE_INFINITY

  /** The requests to cancel the statements of sessions. */
  const cancels = new Map<Socket, { readonly socket: Socket; readonly at: number }>()

  /** The sessions that are to be ended where the server has not heard of their end, with the hosts. */
  const abandoned = new Map<Abandoned, PgUrl.Host>()

  const forget = () => {
    chosen = undefined
  }

  const giveUp = (socket: Socket, fault: Fault) => {
    forget()
    const since = socket.askedAt ?? performance.now()
    // Those that lie idle and were not heard of since are likely to have lost their peer as well. They go first, and
    // the pool has a turn to take them out, so that it gives none of them to whom this one fails.
    for (const other of sockets.keys()) {
      if (other !== socket && other.isReady && other.askedAt === undefined && other.heardAt <= since) {
        other.destroy(fault)
      }
    }
    setImmediate(() => {
      socket.destroy(fault)
      cancels.get(socket)?.socket.destroy()
      cancels.delete(socket)
    })
  }

  const open = (host: PgUrl.Host, socket: Socket): Promise<Opened> =>
    dial(host, target, (raw: NetSocket) => {
      if (socket.destroyed) raw.destroy()
      else socket.once("close", () => raw.destroy())
    })

  const watched = {
    refused: (socket: Socket) => giveUp(socket, new Fault("read-only", "the server refuses writes")),
    closed: (socket: Socket) => {
      const taken = performance.now() - socket.begunAt
      const isMissed = !socket.isReady && taken >= Duration.toMillis(target.connectTimeout) * 0.9
      if (isMissed && order.length === 1) missedAt = performance.now()
      const host = sockets.get(socket)
      if (host === undefined || !sockets.delete(socket) || socket.writableEnded) return
      forget()
      // Whoever cut the connection may have told us alone.
      const isOpen = socket.isInTransaction || socket.askedAt !== undefined
      if (isOpen && socket.processId !== 0 && !isPooled) {
        const { begunAt, processId, readyAt } = socket
        abandoned.set({ begunAt, processId, readyAt, leftAt: performance.now() }, host)
      }
    }
  }

  const session = (stream: () => Socket): PgConnection.Config => ({
    stream,
    ssl: false,
    username: target.user,
    ...Option.isSome(target.password) ? { password: target.password.value } : {},
    database: target.database,
    applicationName: target.applicationName,
    connectTimeout: target.connectTimeout,
    prepare: false
  })

  /**
   * Asks one server something over a connection of its own, which is given up where it does not answer in time; what is asked is
   * made once the connection is there.
   */
  const ask = (host: PgUrl.Host, textAt: (now: number) => string, within: Duration.Duration) =>
    Effect.scoped(Effect.gen(function*() {
      const made: Array<Socket> = []
      const stream = () => {
        const socket = new Socket({ ...watched, refused: () => undefined, connect: (self) => open(host, self) })
        made.push(socket)
        return socket
      }
      yield* Effect.sleep(within).pipe(
        Effect.andThen(Effect.sync(() => {
          for (const socket of made) socket.destroy(new Fault("silent", "the server gave no answer"))
        })),
        Effect.forkScoped
      )
      const connection = yield* PgConnection.make({ ...session(stream), connectTimeout: within })
      const now = performance.now()
      const { rows } = yield* connection.query(textAt(now))
      return { rows, took: performance.now() - now }
    }))

  const findHost = (wanted: PgUrl.SessionAttrs) =>
    Effect.gen(function*() {
      let failure: SqlError.SqlError | Fault = new Fault("no-host", "no host is what was asked for")
      for (const host of order) {
        const found = yield* Effect.result(ask(host, () => roleText, target.connectTimeout))
        if (found._tag === "Failure") {
          failure = found.failure
          continue
        }
        const [role] = yield* Effect.orDie(Roles(found.success.rows))
        if (isWanted[wanted](role)) return host
        failure = new Fault("no-host", "no host is what was asked for")
      }
      return yield* Effect.fail(failure)
    })

  const choose = Effect.suspend((): Effect.Effect<PgUrl.Host, unknown> => {
    if (chosen !== undefined) return Effect.succeed(chosen)
    if (only !== undefined && order.length === 1 && target.sessionAttrs === "any") return Effect.succeed(only)
    const found = target.sessionAttrs === "prefer-standby"
      ? Effect.catch(findHost("standby"), () => findHost("any"))
      : findHost(target.sessionAttrs)
    return Effect.tap(found, (host) => Effect.sync(() => chosen = host))
  })

  /** The session of a key, and its host. */
  const ofKey = (key: string) => Array.from(sockets).find(([socket]) => socket.key === key)

  const connect = async (socket: Socket, first: Uint8Array): Promise<Opened> => {
    if (isCancel(first)) {
      const found = ofKey(hex(first.subarray(8)))
      if (found === undefined) throw new Fault("connection", "the session to cancel is gone")
      cancels.set(found[0], { socket, at: performance.now() })
      return open(found[1], socket)
    }
    // Those that wait behind a server that says nothing need not all find that out one after another.
    if (performance.now() - missedAt < 1000) {
      throw new Fault("silent", "the server gave no answer to another connection")
    }
    choosing ??= run(clock(choose)).finally(() => {
      choosing = undefined
    })
    const host = await choosing
    const opened = await open(host, socket)
    if (!socket.destroyed) sockets.set(socket, host)
    return opened
  }

  const watcher: Watcher = { ...watched, connect }

  const examine = (host: PgUrl.Host): Effect.Effect<Verdict> =>
    ask(host, () => runningText, patience.silence).pipe(
      Effect.flatMap(({ rows }) => Effect.orDie(Busy(rows))),
      Effect.map((statements): Verdict => ({ _tag: "Running", statements })),
      Effect.catch((error) => {
        // An error that carries a severity is in the server's own words.
        const answers = Predicate.hasProperty(error.reason.cause, "severity")
        return Effect.succeed<Verdict>({ _tag: answers ? "Untold" : "Silent" })
      })
    )

  const isAlive = (socket: Socket, waited: number, verdict: Verdict): boolean => {
    if (verdict._tag === "Silent") return false
    if (verdict._tag === "Untold") return waited < untold
    if (!isPooled) return verdict.statements.some(({ processId }) => processId === socket.processId)
    // A pooler does not tell which of the server's processes is whose: any that began as long ago may be it.
    return waited < untold && verdict.statements.some(({ elapsed }) => (elapsed ?? waited) >= waited - slack)
  }

  /** When the server was last found at work on the statement of a socket. */
  const excused = new WeakMap<Socket, number>()

  const silentFor = (socket: Socket, now: number): number =>
    socket.askedAt === undefined || socket.isHeldBack
      ? 0
      : now - Math.max(socket.askedAt, socket.heardAt, excused.get(socket) ?? Number.NEGATIVE_INFINITY)

  /** Ends what was abandoned, on the hosts that answer; those that do not are asked again. */
  const endAbandoned = Effect.suspend(() => {
    const now = performance.now()
    for (const session of abandoned.keys()) {
      if (now - session.leftAt > endsWithin) abandoned.delete(session)
    }
    return Effect.forEach(new Set(abandoned.values()), (host) => {
      const its = Array.from(abandoned.keys()).filter((session) => abandoned.get(session) === host)
      return ask(host, (connected) => endText(its, connected), patience.silence).pipe(
        Effect.map(({ took }) => {
          // One that took longer to arrive may have passed by a session for its age.
          if (took < slack) its.forEach((session) => abandoned.delete(session))
        }),
        Effect.ignore
      )
    }, { concurrency: "unbounded", discard: true })
  })

  const look = Effect.gen(function*() {
    const now = performance.now()
    for (const [socket, { at }] of cancels) {
      if (socket.destroyed || socket.heardAt > at) cancels.delete(socket)
      else if (now - at >= silence / 4) {
        giveUp(socket, new Fault("silent", "the server did not answer to a cancellation"))
      }
    }
    const silent = Array.from(sockets).filter(([socket]) => socket.isReady && silentFor(socket, now) >= silence)
    const hosts = new Set(silent.map(([, host]) => host))
    yield* Effect.forEach(hosts, (host) =>
      Effect.map(examine(host), (verdict) => {
        for (const [socket, its] of silent) {
          // What came in the meantime speaks for itself.
          if (its !== host || socket.askedAt === undefined || silentFor(socket, now) < silence) continue
          if (isAlive(socket, now - socket.askedAt, verdict)) excused.set(socket, now)
          else giveUp(socket, new Fault("silent", "the server gave no answer"))
        }
      }), { concurrency: "unbounded", discard: true })
  })

  // Each by itself: a host that is gone keeps those who look at another one from nothing.
  yield* Effect.forEach([look, endAbandoned], (turn) =>
    turn.pipe(
      Effect.repeat(Schedule.spaced(Duration.millis(Math.max(silence / 5, 10)))),
      clock,
      Effect.forkScoped
    ), { discard: true })

  return {
    session,
    stream: () => new Socket(watcher),
    /** Whether one of the sessions was told that its server's process has this id. */
    isKnown: (processId: number) => Array.from(sockets.keys()).some((socket) => socket.processId === processId),
    /** Says that a pooler is between. */
    pooled: () => {
      isPooled = true
    }
  }
})
