/**
 * The statements by which events and acts tell whom a tenant must not mail, in a schema whose name is quoted.
 *
 * A row of `suppressions` is one cause or lift, under the digest of the address: what an event says by `Suppression.factOf` of
 * the core, which stands here once more for whoever writes an event. What holds is the fold of an address's rows.
 *
 * The index on `events` is built while the table is locked, unless the owner of a large ledger has built it before
 * (docs/operations.md); the rows of the events of before are made by one pass over the ledger.
 */
import * as Access from "./Access.ts"

const types = "('bounced', 'rejected', 'complained', 'unsubscribed', 'subscribed')"

const says = (name: string, pattern: string): string =>
  `coalesce(jsonb_typeof(e.normalized_payload -> '${name}') = 'string'
      AND e.normalized_payload ->> '${name}' COLLATE "C" ~* '${pattern}', false)`

const words = "(large|size|content|attachment|virus)"

/** Whether an event `e` says that the message was refused for its size or content. */
const isOfContent = `(${says("subtype", words)} OR ${says("event", words)}
    OR ${says("status", "^[245][.](2[.]3|3[.]4|6[.][0-9]+)$")})`

const reason = `CASE
    WHEN e.type = 'complained' THEN 'complained'
    WHEN e.type IN ('unsubscribed', 'subscribed') THEN 'unsubscribed'
    WHEN e.type NOT IN ('bounced', 'rejected') OR ${isOfContent} THEN NULL
    WHEN e.type = 'bounced' THEN CASE e.bounce_class WHEN 'hard' THEN 'bounced' ELSE 'soft_bounced' END
    ELSE CASE e.reject_reason
      WHEN 'invalid' THEN 'invalid' WHEN 'bounced' THEN 'bounced' WHEN 'spam' THEN 'complained'
      WHEN 'unsubscribed' THEN 'unsubscribed' END
  END`

/** What the events `e` of a relation say, whose delivery is theirs, or that of their link; or else whom they name for certain. */
const factsOf = (schema: string, events: string): string => `
  SELECT e.tenant_id, coalesce(d.recipient_digest, r.digest), e.id, effect.reason,
    CASE WHEN effect.reason = 'unsubscribed' THEN CASE d.stream WHEN 'operational' THEN 'operational' ELSE 'bulk' END END,
    e.type = 'subscribed', e.occurred_at,
    CASE e.type WHEN 'subscribed' THEN 8 WHEN 'unsubscribed' THEN 9 WHEN 'bounced' THEN 10 WHEN 'rejected' THEN 11
      ELSE 13 END::smallint,
    e.id, false
  FROM ${events}
  CROSS JOIN LATERAL (SELECT ${reason} AS reason) effect
  LEFT JOIN ${schema}.events link ON link.source_event_id = e.id AND link.tenant_id = e.tenant_id
  LEFT JOIN ${schema}.deliveries d ON d.tenant_id = e.tenant_id AND d.id = coalesce(e.delivery_id, link.delivery_id)
  LEFT JOIN ${schema}.recipients r ON e.delivery_id IS NULL AND link.delivery_id IS NULL AND e.echoed_delivery_id IS NULL
    AND r.tenant_id = e.tenant_id AND r.pseudonym = e.recipient_pseudonym
  WHERE effect.reason IS NOT NULL AND coalesce(d.recipient_digest, r.digest) IS NOT NULL`

/** The advisory lock of a tenant's digest, one of sixty-four for each tenant. */
const lockOf = (schema: string, tenant: string, digest: string): string =>
  `hashtextextended('waybill recipients of ${
    schema.replaceAll("'", "''")
  } ' || (get_byte(${digest}, 0) & 63) || ' ' || ${tenant}, 0)`

/** The statements that add the suppressions. */
export const statements = (schema: string): ReadonlyArray<string> => [
  // One pass over a large ledger takes longer than the limit that clients set.
  "SET LOCAL statement_timeout = 0",
  // Where an event is not linked, the pseudonym is what it has of its recipient.
  `CREATE INDEX IF NOT EXISTS events_pseudonym ON ${schema}.events (tenant_id, recipient_pseudonym)
    WHERE recipient_pseudonym IS NOT NULL`,
  `CREATE TABLE ${schema}.suppressions (
    tenant_id text COLLATE "C" NOT NULL,
    recipient_digest bytea NOT NULL,
    id uuid NOT NULL,
    reason text NOT NULL
      CHECK (reason IN ('complained', 'bounced', 'invalid', 'unsubscribed', 'manual', 'soft_bounced')),
    stream text CHECK (stream IN ('transactional', 'operational', 'bulk')),
    lifts boolean NOT NULL,
    happened_at timestamptz NOT NULL,
    rank smallint NOT NULL,
    event_id uuid,
    by_hand boolean NOT NULL,
    PRIMARY KEY (tenant_id, recipient_digest, id)
  )`,
  `CREATE INDEX suppressions_reason ON ${schema}.suppressions (tenant_id, reason, recipient_digest)`,
  // The erasable addresses of those who were suppressed by hand, or by an event that no delivery has met.
  `CREATE TABLE ${schema}.suppressed_recipients (
    tenant_id text COLLATE "C" NOT NULL,
    recipient_digest bytea NOT NULL,
    recipient text NOT NULL,
    PRIMARY KEY (tenant_id, recipient_digest)
  )`,
  // What was done by hand to suppressions, or kept of a recipient that was forgotten: who, when and why.
  `ALTER TABLE ${schema}.acts
    DROP CONSTRAINT acts_act_check,
    ADD CONSTRAINT acts_act_check CHECK (act IN ('dismiss', 'retry', 'forget', 'add', 'lift', 'keep')),
    ADD COLUMN fact_id uuid,
    ADD COLUMN recipient_digest bytea,
    ADD COLUMN reason text,
    ADD COLUMN stream text,
    ADD COLUMN lifts boolean,
    ADD COLUMN happened_at timestamptz,
    ADD COLUMN rank smallint,
    ADD COLUMN actor text,
    ADD COLUMN because text`,
  `CREATE INDEX acts_recipient ON ${schema}.acts (tenant_id, recipient_digest) WHERE recipient_digest IS NOT NULL`,
  // An append that names a recipient goes before its erasure, which waits for it, or after it, under another pseudonym; also where
  // nothing is known of that one yet, so that there is no row to hold. The locks are few, since a batch may name thousands.
  `CREATE OR REPLACE FUNCTION ${schema}.recipient_pseudonym(tenant text, address text) RETURNS uuid
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    own bytea;
    found uuid;
  BEGIN
    IF address IS NULL THEN RETURN NULL; END IF;
    own := ${schema}.recipient_digest(tenant, address);
    PERFORM pg_advisory_xact_lock_shared(${lockOf(schema, "tenant", "own")});
    SELECT pseudonym INTO found FROM ${schema}.recipients WHERE tenant_id = tenant AND digest = own LIMIT 1;
    IF found IS NULL THEN
      INSERT INTO ${schema}.recipients (tenant_id, digest) VALUES (tenant, own) RETURNING pseudonym INTO found;
    END IF;
    RETURN found;
  END $$`,
  // Who erases a recipient waits for the appends that name it, and keeps others waiting until it is erased.
  `CREATE FUNCTION ${schema}.hold_address(tenant text, address text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    PERFORM pg_advisory_xact_lock(${lockOf(schema, "tenant", `${schema}.recipient_digest(tenant, address)`)});
  END $$`,
  // So does an append that is bound to a delivery and says something of its recipient, before the delivery is locked: else it could
  // tell of a recipient that is being erased, behind the back of what the erasure reads. Who links holds the delivery instead.
  `CREATE FUNCTION ${schema}.hold_bound_address() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    PERFORM pg_advisory_xact_lock_shared(${lockOf(schema, "d.tenant_id", "d.recipient_digest")})
    FROM ${schema}.deliveries d
    WHERE d.tenant_id = NEW.tenant_id AND d.id = NEW.delivery_id AND d.recipient_digest IS NOT NULL;
    RETURN NEW;
  END $$`,
  `CREATE TRIGGER events_hold_bound_address BEFORE INSERT ON ${schema}.events FOR EACH ROW
    WHEN (NEW.type IN ${types} AND NEW.delivery_id IS NOT NULL AND NEW.source_event_id IS NULL)
    EXECUTE FUNCTION ${schema}.hold_bound_address()`,
  // The pseudonym of a recipient goes as it is erased, by whatever program; its name goes too.
  `CREATE FUNCTION ${schema}.unname_recipient() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    DELETE FROM ${schema}.suppressed_recipients n WHERE n.tenant_id = OLD.tenant_id AND n.recipient_digest = OLD.digest;
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER recipients_unname AFTER DELETE ON ${schema}.recipients FOR EACH ROW
    EXECUTE FUNCTION ${schema}.unname_recipient()`,
  // What some events say; those of unknown recipients, and those that say nothing, are left out.
  `CREATE FUNCTION ${schema}.suppressions_of(ids uuid[]) RETURNS SETOF ${schema}.suppressions LANGUAGE sql STABLE AS $$
    ${factsOf(schema, `unnest(ids) AS given (id) JOIN ${schema}.events e ON e.id = given.id`)}
  $$`,
  // Keeps what an event says as it is appended.
  `CREATE FUNCTION ${schema}.tell_suppressions() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    INSERT INTO ${schema}.suppressions SELECT * FROM ${schema}.suppressions_of(ARRAY[NEW.id]) ON CONFLICT DO NOTHING;
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER events_tell_suppressions AFTER INSERT ON ${schema}.events FOR EACH ROW
    WHEN (NEW.type IN ${types} AND NEW.source_event_id IS NULL)
    EXECUTE FUNCTION ${schema}.tell_suppressions()`,
  // Again as it is linked: by then it is about the delivery of the link. Nearly no link is of an event that says anything, and the
  // link itself tells: a sweep of thousands pays for those that do. A link of an older program does not tell, and is looked at.
  `CREATE FUNCTION ${schema}.tell_linked_suppressions() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    DELETE FROM ${schema}.suppressions s USING ${schema}.events e, ${schema}.recipients r
    WHERE e.id = NEW.source_event_id AND e.tenant_id = NEW.tenant_id AND e.type IN ${types} AND r.tenant_id = e.tenant_id
      AND r.pseudonym = e.recipient_pseudonym AND s.tenant_id = e.tenant_id AND s.recipient_digest = r.digest AND s.id = e.id;
    INSERT INTO ${schema}.suppressions
    SELECT * FROM ${schema}.suppressions_of(ARRAY[NEW.source_event_id]) f WHERE f.tenant_id = NEW.tenant_id
    ON CONFLICT DO NOTHING;
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER events_tell_linked_suppressions AFTER INSERT ON ${schema}.events FOR EACH ROW
    WHEN (NEW.source_event_id IS NOT NULL AND coalesce(NEW.metadata ->> 'reconciled_type', 'bounced') IN ${types})
    EXECUTE FUNCTION ${schema}.tell_linked_suppressions()`,
  `REVOKE EXECUTE ON FUNCTION ${schema}.hold_address, ${schema}.hold_bound_address, ${schema}.unname_recipient,
    ${schema}.suppressions_of, ${schema}.tell_suppressions, ${schema}.tell_linked_suppressions FROM PUBLIC`,
  `INSERT INTO ${schema}.suppressions ${factsOf(schema, `${schema}.events e`)} AND e.type IN ${types}`,
  Access.statement(schema, {
    written: ["suppressions", "suppressed_recipients"],
    called: ["hold_address", "suppressions_of"]
  })
]
