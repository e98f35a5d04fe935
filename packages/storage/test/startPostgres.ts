/**
 * Starts one throw-away PostgreSQL server for a test run and tells its address by `WAYBILL_TEST_DATABASE_URL`; where that is
 * set already, the run uses that server.
 */
import * as PostgresServer from "./PostgresServer.ts"

export default async function startPostgres() {
  if (process.env["WAYBILL_TEST_DATABASE_URL"] !== undefined) return async () => {}
  const { stop, url } = await PostgresServer.start(["fsync=off", "max_connections=300"])
  process.env["WAYBILL_TEST_DATABASE_URL"] = url
  return stop
}
