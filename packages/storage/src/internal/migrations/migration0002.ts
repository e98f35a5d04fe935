/** The statements that create the inbox and the history of sweeps in a schema, whose name is quoted. */
export const statements = (schema: string): ReadonlyArray<string> => [
  `CREATE TABLE ${schema}.webhooks (
    id uuid PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    provider text NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    status text NOT NULL CHECK (status IN ('received', 'processing', 'succeeded', 'failed', 'dead')),
    attempts integer NOT NULL,
    last_error text,
    received_at timestamptz NOT NULL,
    claimed_at timestamptz,
    next_attempt_at timestamptz,
    processed_at timestamptz
  ) WITH (fillfactor = 80)`,
  `CREATE INDEX webhooks_due ON ${schema}.webhooks (received_at) WHERE status IN ('received', 'processing', 'failed')`,
  `CREATE INDEX webhooks_kept ON ${schema}.webhooks (status, processed_at)`,
  `CREATE INDEX webhooks_tenant ON ${schema}.webhooks (tenant_id, received_at)`,
  // A token authenticates one body, also after its webhook was pruned. The tenant is the one whose secrets verified it.
  `CREATE TABLE ${schema}.webhook_tokens (
    tenant_id text COLLATE "C" NOT NULL,
    provider text NOT NULL,
    token text COLLATE "C" NOT NULL,
    body_digest bytea NOT NULL,
    webhook_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, provider, token)
  )`,
  `CREATE TABLE ${schema}.sweeps (
    schedule text COLLATE "C" NOT NULL,
    tick timestamptz NOT NULL,
    node text NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz,
    counts jsonb NOT NULL DEFAULT '{}',
    error text,
    PRIMARY KEY (schedule, tick)
  )`,
  `CREATE INDEX sweeps_began ON ${schema}.sweeps (began_at)`
]
