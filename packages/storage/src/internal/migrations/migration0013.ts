/**
 * The statements that let a schema, whose name is quoted, remember alerts.
 *
 * What is open is there once for a tenant, a rule and a subject, whoever writes it. What was told of an alert is a row of its own,
 * in the order in which it was told, and says when it is to be posted.
 */
import * as Access from "./Access.ts"

/** The tables that the statements add. */
const tables = ["alerts", "alert_notices", "alert_mutes", "webhook_tallies"]

/** The statements that add the tables of alerts. */
export const statements = (schema: string): ReadonlyArray<string> => [
  // The tenant is `*` for an alert of the whole installation. The text of the subject tells two apart.
  `CREATE TABLE ${schema}.alerts (
    tenant_id text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    rule text COLLATE "C" NOT NULL,
    subject jsonb NOT NULL,
    subject_text text COLLATE "C" NOT NULL,
    opened_at timestamptz NOT NULL,
    told_at timestamptz NOT NULL,
    back_since timestamptz,
    closed_at timestamptz,
    value double precision NOT NULL,
    whole double precision NOT NULL,
    line double precision NOT NULL,
    PRIMARY KEY (tenant_id, id)
  )`,
  `CREATE UNIQUE INDEX alerts_open ON ${schema}.alerts (tenant_id, rule, subject_text) WHERE closed_at IS NULL`,
  `CREATE INDEX alerts_opened ON ${schema}.alerts (tenant_id, opened_at, id)`,
  `CREATE TABLE ${schema}.alert_notices (
    tenant_id text COLLATE "C" NOT NULL,
    position bigint GENERATED ALWAYS AS IDENTITY,
    alert_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('opened', 'reminded', 'closed')),
    at timestamptz NOT NULL,
    is_muted boolean NOT NULL,
    value double precision NOT NULL,
    whole double precision NOT NULL,
    line double precision NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz,
    PRIMARY KEY (tenant_id, position)
  )`,
  `CREATE INDEX alert_notices_of ON ${schema}.alert_notices (tenant_id, alert_id, position)`,
  // Who follows the notices of all tenants, and who posts them, read by these.
  `CREATE INDEX alert_notices_position ON ${schema}.alert_notices (position)`,
  `CREATE INDEX alert_notices_due ON ${schema}.alert_notices (due_at) WHERE due_at IS NOT NULL`,
  `CREATE TABLE ${schema}.alert_mutes (
    tenant_id text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    until_at timestamptz NOT NULL,
    actor text NOT NULL,
    PRIMARY KEY (tenant_id, rule)
  )`,
  // How webhooks were answered, by every process, in parts of five minutes of the last two days.
  `CREATE TABLE ${schema}.webhook_tallies (
    tenant_id text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    starts_at timestamptz NOT NULL,
    answered bigint NOT NULL,
    refused bigint NOT NULL,
    PRIMARY KEY (tenant_id, provider, starts_at)
  )`,
  `CREATE INDEX webhook_tallies_starts ON ${schema}.webhook_tallies (starts_at)`,
  Access.statement(schema, { written: tables })
]
