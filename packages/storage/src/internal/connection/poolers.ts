/** Remembers what lies between a client and its server, apart from what connects, so that asking for it loads no more. */
import type { SqlClient } from "effect/sql"

/** What lies between: a pooler in one of its modes, or none. */
export type Pooler = "transaction" | "session" | "none"

const known = new WeakMap<SqlClient.SqlClient, Pooler>()

/** Notes what a client is behind. */
export const note = (client: SqlClient.SqlClient, pooler: Pooler): void => void known.set(client, pooler)

/** What a client is behind. */
export const of = (client: SqlClient.SqlClient): Pooler => known.get(client) ?? "none"
