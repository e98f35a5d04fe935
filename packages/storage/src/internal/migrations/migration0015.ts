/**
 * The statements by which the inbox is drained and listed at the cost of what is found, in a schema, whose name is quoted.
 *
 * What succeeded at once, as nearly all does, is in none of the partial indexes.
 */

/** Since when a webhook waits to be claimed: `InboxRow.claim` of the core. A statement has to ask in these words. */
export const dueAt = "CASE status WHEN 'failed' THEN next_attempt_at ELSE received_at END"

/** The webhooks that wait to be claimed, due or not. */
export const isWaiting = "status IN ('received', 'failed')"

/** The statements that add the indexes. */
export const statements = (schema: string): ReadonlyArray<string> => [
  // An index on a large inbox takes longer than the limit that clients set.
  "SET LOCAL statement_timeout = 0",
  // `webhooks_due` stays for the claims of an older program.
  `DROP INDEX ${schema}.webhooks_tenant`,
  `CREATE INDEX webhooks_waiting ON ${schema}.webhooks (tenant_id, provider, (${dueAt}), id) WHERE ${isWaiting}`,
  `CREATE INDEX webhooks_in_hand ON ${schema}.webhooks (claimed_at, id) WHERE status = 'processing'`,
  // Of one status, other than nearly all are.
  `CREATE INDEX webhooks_unfinished ON ${schema}.webhooks (tenant_id, status, received_at, id) WHERE status <> 'succeeded'`,
  `CREATE INDEX webhooks_of_tenant ON ${schema}.webhooks (tenant_id, received_at, id)`,
  `CREATE INDEX webhooks_received ON ${schema}.webhooks (received_at, id)`
]
