/**
 * The statements that count deliveries, in a schema whose name is quoted: how each counts, and the sums of those.
 *
 * Nothing here is written by an append. The program follows the feed, and what of a delivery changes without an event is noted in
 * `figures_due`, which it follows too.
 */
import * as Access from "./Access.ts"

const counts = [
  "dispatched",
  "delivered",
  "hard_bounced",
  "soft_bounced",
  "deferred",
  "rejected",
  "complained",
  "unsubscribed",
  "opened",
  "opened_by_machine",
  "clicked",
  "suppressed",
  "failed",
  "rejected_invalid",
  "rejected_bounced",
  "rejected_timed_out",
  "rejected_blocked",
  "rejected_spam",
  "rejected_unsubscribed",
  "rejected_other",
  "silent",
  ...Array.from({ length: 17 }, (_, part) => `within_${part}`)
]

/** The statements that add the figures. */
export const statements = (schema: string): ReadonlyArray<string> => [
  // How a delivery counts: `Figure.Contribution` of the core. Nothing of it that changes often is in an index.
  `CREATE TABLE ${schema}.contributions (
    tenant_id text COLLATE "C" NOT NULL,
    delivery_id uuid NOT NULL,
    hour timestamptz NOT NULL,
    stream text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    domain text COLLATE "C" NOT NULL,
    bits integer NOT NULL,
    part smallint NOT NULL,
    PRIMARY KEY (tenant_id, delivery_id)
  ) WITH (fillfactor = 80)`,
  `CREATE INDEX contributions_hour ON ${schema}.contributions (tenant_id, hour)`,
  // The sums: of each hour and each day by mailbox, and of each day by domain as well.
  `CREATE TABLE ${schema}.figures (
    tenant_id text COLLATE "C" NOT NULL,
    cohort text COLLATE "C" NOT NULL CHECK (cohort IN ('hour', 'day', 'domain')),
    starts_at timestamptz NOT NULL,
    stream text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    mailbox text COLLATE "C" NOT NULL,
    domain text COLLATE "C" NOT NULL,
    deliveries integer NOT NULL,
    ${counts.map((name) => `${name} integer NOT NULL`).join(",\n    ")},
    PRIMARY KEY (tenant_id, cohort, starts_at, stream, provider, mailbox, domain)
  ) WITH (fillfactor = 85)`,
  `CREATE INDEX figures_time ON ${schema}.figures (cohort, starts_at)`,
  `CREATE INDEX figures_tenant_time ON ${schema}.figures (tenant_id, starts_at)`,
  // Deliveries that are to be counted anew, a row for each change: one that another transaction may not see yet is never taken away
  // with it.
  `CREATE TABLE ${schema}.figures_due (
    tenant_id text COLLATE "C" NOT NULL,
    delivery_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    PRIMARY KEY (tenant_id, delivery_id, id)
  )`,
  `CREATE FUNCTION ${schema}.note_figures_due() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    INSERT INTO ${schema}.figures_due (tenant_id, delivery_id) VALUES (OLD.tenant_id, OLD.id);
    IF TG_OP = 'UPDATE' AND (NEW.tenant_id, NEW.id) IS DISTINCT FROM (OLD.tenant_id, OLD.id) THEN
      INSERT INTO ${schema}.figures_due (tenant_id, delivery_id) VALUES (NEW.tenant_id, NEW.id);
    END IF;
    RETURN NULL;
  END $$`,
  `REVOKE EXECUTE ON FUNCTION ${schema}.note_figures_due FROM PUBLIC`,
  `CREATE TRIGGER deliveries_figures_due AFTER UPDATE OF tenant_id, id, stream, recipient, recipient_domain, provider
    ON ${schema}.deliveries FOR EACH ROW
    WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id OR OLD.id IS DISTINCT FROM NEW.id
      OR OLD.stream IS DISTINCT FROM NEW.stream OR OLD.recipient_domain IS DISTINCT FROM NEW.recipient_domain
      OR OLD.provider IS NOT NULL AND OLD.provider IS DISTINCT FROM NEW.provider)
    EXECUTE FUNCTION ${schema}.note_figures_due()`,
  `CREATE TRIGGER deliveries_gone_figures_due AFTER DELETE ON ${schema}.deliveries FOR EACH ROW
    EXECUTE FUNCTION ${schema}.note_figures_due()`,
  Access.statement(schema, { written: ["contributions", "figures", "figures_due"] })
]
