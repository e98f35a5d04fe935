/** Creates the ledger: its tables, the guard that keeps it append-only, and the triggers by which events and deliveries meet. */
const enumeration = (values: ReadonlyArray<string>): string => values.map((value) => `'${value}'`).join(", ")

const types = [
  "queued",
  "sent",
  "rejected",
  "failed",
  "bounced",
  "deferred",
  "delivered",
  "autoresponded",
  "opened",
  "clicked",
  "complained",
  "unsubscribed",
  "subscribed",
  "unknown",
  "dispatched",
  "suppressed"
]

const printable = (column: string, length: number): string =>
  `${column} ~ '^[\\x21-\\x7e]+$' AND length(${column}) <= ${length}`

/** The statements that create the ledger in a schema, whose name is quoted. */
export const statements = (schema: string): ReadonlyArray<string> => [
  // The secret under which recipients are digested, with the tenant. It never leaves the database.
  `CREATE TABLE ${schema}.secrets (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    secret bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
  )`,
  `INSERT INTO ${schema}.secrets DEFAULT VALUES`,
  // The erasable tie between a recipient and the pseudonyms by which the ledger knows it.
  `CREATE TABLE ${schema}.recipients (
    tenant_id text COLLATE "C" NOT NULL,
    pseudonym uuid NOT NULL DEFAULT gen_random_uuid(),
    digest bytea NOT NULL,
    PRIMARY KEY (tenant_id, pseudonym)
  )`,
  `CREATE INDEX recipients_digest ON ${schema}.recipients (tenant_id, digest)`,
  `CREATE TABLE ${schema}.deliveries (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    tenant_id text COLLATE "C" NOT NULL DEFAULT 'default',
    mailable text NOT NULL,
    stream text NOT NULL CHECK (stream IN ('transactional', 'operational', 'bulk')),
    recipient text CHECK (recipient LIKE '%_@_%'),
    recipient_domain text,
    recipient_digest bytea,
    provider text,
    provider_message_id text COLLATE "C",
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'dispatched', 'sent', 'failed', 'suppressed')),
    last_event_type text CHECK (last_event_type IN (${enumeration(types)})),
    last_event_at timestamptz,
    last_event_id uuid,
    last_event_own boolean NOT NULL DEFAULT true,
    terminal boolean NOT NULL DEFAULT false,
    dispatched_at timestamptz,
    delivered_at timestamptz,
    bounced_at timestamptz,
    complained_at timestamptz,
    suppressed_at timestamptz,
    failed_at timestamptz,
    opened_at timestamptz,
    clicked_at timestamptz,
    unsubscribed_at timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    last_error jsonb CHECK (jsonb_typeof(last_error) = 'object'),
    lock_version integer NOT NULL DEFAULT 1,
    idempotency_key text COLLATE "C",
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
  ) WITH (fillfactor = 50)`,
  `CREATE UNIQUE INDEX deliveries_idempotency_key ON ${schema}.deliveries (tenant_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL`,
  `CREATE INDEX deliveries_recipient ON ${schema}.deliveries (tenant_id, recipient_digest)`,
  `CREATE UNIQUE INDEX deliveries_message ON ${schema}.deliveries
    (provider_message_id, tenant_id, provider, recipient_digest) WHERE provider_message_id IS NOT NULL`,
  `CREATE TABLE ${schema}.events (
    id uuid PRIMARY KEY,
    position bigint GENERATED ALWAYS AS IDENTITY,
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    tenant_id text COLLATE "C" NOT NULL,
    delivery_id uuid,
    type text NOT NULL CHECK (type IN (${enumeration([...types, "reconciled"])})),
    occurred_at timestamptz NOT NULL,
    inserted_at timestamptz NOT NULL,
    provider text,
    provider_message_id text COLLATE "C",
    provider_event_id text,
    echoed_delivery_id uuid,
    recipient_pseudonym uuid,
    reject_reason text,
    bounce_class text,
    normalized_payload jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}',
    trace_id text,
    needs_reconciliation boolean NOT NULL DEFAULT false,
    source_event_id uuid,
    idempotency_key text COLLATE "C" NOT NULL
  )`,
  `CREATE UNIQUE INDEX events_idempotency_key ON ${schema}.events (tenant_id, idempotency_key)`,
  `CREATE UNIQUE INDEX events_source ON ${schema}.events (source_event_id) WHERE source_event_id IS NOT NULL`,
  `CREATE INDEX events_delivery ON ${schema}.events (tenant_id, delivery_id) WHERE delivery_id IS NOT NULL`,
  `CREATE INDEX events_orphaned ON ${schema}.events (id) WHERE needs_reconciliation`,
  `CREATE INDEX events_tenant_orphaned ON ${schema}.events (tenant_id, id) WHERE needs_reconciliation`,
  `CREATE INDEX events_feed ON ${schema}.events (transaction_id, position)`,
  `CREATE TABLE ${schema}.correlations (
    tenant_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, key)
  ) WITH (fillfactor = 70)`,
  `CREATE TABLE ${schema}.orphans (
    event_id uuid PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    correlation text COLLATE "C",
    recipient_digest bytea,
    inserted_at timestamptz NOT NULL,
    ready boolean NOT NULL DEFAULT false,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    last_error text
  )`,
  // What was done by hand: an orphan dismissed or tried again, a recipient forgotten.
  `CREATE TABLE ${schema}.acts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    act text NOT NULL CHECK (act IN ('dismiss', 'retry', 'forget')),
    event_id uuid,
    deliveries integer,
    orphans integer,
    acted_at timestamptz NOT NULL
  )`,
  `CREATE INDEX acts_event ON ${schema}.acts (event_id) WHERE event_id IS NOT NULL`,
  // How far each consumer of the feed has come.
  `CREATE TABLE ${schema}.checkpoints (
    name text PRIMARY KEY,
    cursor text NOT NULL,
    saved_at timestamptz NOT NULL
  )`,
  `CREATE INDEX orphans_correlation ON ${schema}.orphans (tenant_id, correlation)`,
  `CREATE INDEX orphans_age ON ${schema}.orphans (inserted_at, event_id)`,
  `CREATE INDEX orphans_tenant_age ON ${schema}.orphans (tenant_id, inserted_at, event_id)`,
  `CREATE INDEX orphans_ready ON ${schema}.orphans (inserted_at, event_id) WHERE ready`,
  `CREATE INDEX orphans_tenant_ready ON ${schema}.orphans (tenant_id, inserted_at, event_id) WHERE ready`,

  `CREATE FUNCTION ${schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % was refused', TG_OP USING ERRCODE = '45A01';
  END $$`,
  `CREATE TRIGGER events_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ${schema}.events
    FOR EACH STATEMENT EXECUTE FUNCTION ${schema}.refuse()`,
  `ALTER TABLE ${schema}.events ENABLE ALWAYS TRIGGER events_immutable`,

  // The digest of a recipient under its tenant's key; addresses are compared without the case of A to Z.
  `CREATE FUNCTION ${schema}.recipient_digest(tenant text, address text) RETURNS bytea
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    tenant_key bytea;
  BEGIN
    IF address IS NULL THEN RETURN NULL; END IF;
    SELECT sha256(secret || convert_to(tenant, 'UTF8')) INTO tenant_key FROM ${schema}.secrets;
    RETURN sha256(tenant_key || sha256(tenant_key || convert_to(lower(address COLLATE "C"), 'UTF8')));
  END $$`,
  // A recipient may have several pseudonyms: two appends at once do not wait for each other.
  `CREATE FUNCTION ${schema}.recipient_pseudonym(tenant text, address text) RETURNS uuid
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    own bytea;
    found uuid;
  BEGIN
    IF address IS NULL THEN RETURN NULL; END IF;
    own := ${schema}.recipient_digest(tenant, address);
    SELECT pseudonym INTO found FROM ${schema}.recipients WHERE tenant_id = tenant AND digest = own LIMIT 1;
    IF found IS NULL THEN
      INSERT INTO ${schema}.recipients (tenant_id, digest) VALUES (tenant, own) RETURNING pseudonym INTO found;
    END IF;
    RETURN found;
  END $$`,
  // The canonical form of a message id, the same as Provider.canonicalMessageId of the core.
  `CREATE FUNCTION ${schema}.canonical_message_id(provider text, raw text) RETURNS text
  LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
  DECLARE
    id text := raw;
    bare text;
  BEGIN
    LOOP
      WHILE id ~ '^[ \\t\\r\\n]|[ \\t\\r\\n]$|^<.+>$' LOOP
        id := regexp_replace(btrim(id, E' \\t\\r\\n'), '^<(.+)>$', '\\1');
      END LOOP;
      bare := id;
      IF provider = 'sendgrid' THEN
        id := CASE
          WHEN id LIKE 'filter%' THEN ''
          WHEN id ~ '^.+?\\.(?:filter|recvd)' THEN substring(id FROM '^(.+?)\\.(?:filter|recvd)')
          WHEN substr(id, 23, 1) = '.' THEN left(id, 22)
          ELSE id
        END;
      END IF;
      IF id IS NOT DISTINCT FROM bare THEN RETURN nullif(id, ''); END IF;
    END LOOP;
  END $$`,
  // Completes a row, whoever writes it: its canonical message id and what is derived from its recipient. What its
  // identifiers may be is checked here and by no constraint, since every update would evaluate that again. The triggers run
  // as the owner, so that who writes a delivery needs to call nothing.
  `CREATE FUNCTION ${schema}.complete_delivery() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    NEW.provider_message_id :=
      coalesce(${schema}.canonical_message_id(NEW.provider, NEW.provider_message_id), NEW.provider_message_id);
    IF NOT (${printable("NEW.tenant_id", 255)} AND NEW.tenant_id <> '*') THEN
      RAISE EXCEPTION 'not a tenant id' USING ERRCODE = 'check_violation', COLUMN = 'tenant_id';
    ELSIF NOT NEW.provider ~ '^[a-z][a-z0-9_-]{0,63}$' THEN
      RAISE EXCEPTION 'not a provider' USING ERRCODE = 'check_violation', COLUMN = 'provider';
    ELSIF NOT (${printable("NEW.provider_message_id", 512)}) THEN
      RAISE EXCEPTION 'not a message id' USING ERRCODE = 'check_violation', COLUMN = 'provider_message_id';
    ELSIF NOT (${printable("NEW.idempotency_key", 512)}) THEN
      RAISE EXCEPTION 'not an idempotency key' USING ERRCODE = 'check_violation', COLUMN = 'idempotency_key';
    END IF;
    IF TG_OP = 'INSERT' OR (NEW.tenant_id, NEW.recipient) IS DISTINCT FROM (OLD.tenant_id, OLD.recipient) THEN
      NEW.recipient_domain := lower(substring(NEW.recipient FROM '[^@]*$') COLLATE "C");
      NEW.recipient_digest := ${schema}.recipient_digest(NEW.tenant_id, NEW.recipient);
    END IF;
    RETURN NEW;
  END $$`,
  `CREATE TRIGGER deliveries_complete BEFORE INSERT OR
    UPDATE OF tenant_id, recipient, provider, provider_message_id, idempotency_key
    ON ${schema}.deliveries FOR EACH ROW EXECUTE FUNCTION ${schema}.complete_delivery()`,
  // Notes which orphans of a key can be linked now. The key's row lock orders this with an event of the same key that is
  // being appended: whichever commits second sees the other.
  `CREATE FUNCTION ${schema}.meet(tenant text, correlation_key text, delivery uuid, of_provider text, message_id text)
  RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    INSERT INTO ${schema}.correlations (tenant_id, key) VALUES (tenant, correlation_key)
      ON CONFLICT (tenant_id, key) DO UPDATE SET key = EXCLUDED.key;
    IF delivery IS NOT NULL THEN
      UPDATE ${schema}.orphans o SET ready = NOT o.ready
      WHERE o.tenant_id = tenant AND o.correlation = correlation_key AND o.ready <> (
        SELECT count(*) = 1 FROM ${schema}.deliveries d
        WHERE d.tenant_id = tenant AND d.id = delivery
          AND (o.recipient_digest IS NULL OR d.recipient_digest = o.recipient_digest)
      );
    ELSE
      UPDATE ${schema}.orphans o SET ready = NOT o.ready
      WHERE o.tenant_id = tenant AND o.correlation = correlation_key AND o.ready <> (
        SELECT count(*) = 1 FROM ${schema}.deliveries d
        WHERE d.tenant_id = tenant AND d.provider = of_provider AND d.provider_message_id = message_id
          AND (o.recipient_digest IS NULL OR d.recipient_digest = o.recipient_digest)
      );
    END IF;
  END $$`,
  `CREATE FUNCTION ${schema}.delivery_changed() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    IF TG_OP <> 'DELETE' THEN
      IF TG_OP = 'INSERT' OR (NEW.tenant_id, NEW.id, NEW.recipient_digest)
        IS DISTINCT FROM (OLD.tenant_id, OLD.id, OLD.recipient_digest) THEN
        PERFORM ${schema}.meet(NEW.tenant_id, 'delivery:' || NEW.id, NEW.id, NULL, NULL);
      END IF;
      IF NEW.provider_message_id IS NOT NULL AND NEW.provider IS NOT NULL AND (TG_OP = 'INSERT' OR
        (NEW.tenant_id, NEW.provider, NEW.provider_message_id, NEW.recipient_digest)
        IS DISTINCT FROM (OLD.tenant_id, OLD.provider, OLD.provider_message_id, OLD.recipient_digest)) THEN
        PERFORM ${schema}.meet(NEW.tenant_id, 'message:' || NEW.provider || ':' || NEW.provider_message_id,
          NULL, NEW.provider, NEW.provider_message_id);
      END IF;
    END IF;
    IF TG_OP <> 'INSERT' THEN
      IF TG_OP = 'DELETE' OR (NEW.tenant_id, NEW.id) IS DISTINCT FROM (OLD.tenant_id, OLD.id) THEN
        PERFORM ${schema}.meet(OLD.tenant_id, 'delivery:' || OLD.id, OLD.id, NULL, NULL);
      END IF;
      IF OLD.provider_message_id IS NOT NULL AND OLD.provider IS NOT NULL AND (TG_OP = 'DELETE' OR
        (NEW.tenant_id, NEW.provider, NEW.provider_message_id)
        IS DISTINCT FROM (OLD.tenant_id, OLD.provider, OLD.provider_message_id)) THEN
        PERFORM ${schema}.meet(OLD.tenant_id, 'message:' || OLD.provider || ':' || OLD.provider_message_id,
          NULL, OLD.provider, OLD.provider_message_id);
      END IF;
    END IF;
    RETURN NULL;
  END $$`,
  // Whether exactly one delivery has the key of an event and may be the one it names.
  `CREATE FUNCTION ${schema}.is_linkable(e ${schema}.events, digest bytea) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT count(*) = 1 FROM ${schema}.deliveries d
    WHERE d.tenant_id = e.tenant_id
      AND CASE WHEN e.echoed_delivery_id IS NULL
        THEN d.provider = e.provider AND d.provider_message_id = e.provider_message_id
        ELSE d.id = e.echoed_delivery_id END
      AND (digest IS NULL OR d.recipient_digest = digest)
  $$`,
  // Whether a delivery of another tenant has the key of an event.
  `CREATE FUNCTION ${schema}.is_elsewhere(e ${schema}.events) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM ${schema}.deliveries d WHERE d.tenant_id <> e.tenant_id AND d.provider = e.provider
      AND d.provider_message_id = e.provider_message_id AND e.echoed_delivery_id IS NULL)
  $$`,
  // Brings the queue of pending orphans in line with the ledger for some events.
  `CREATE FUNCTION ${schema}.requeue(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE
    e ${schema}.events;
    waits_for text;
  BEGIN
    DELETE FROM ${schema}.orphans o WHERE o.event_id = ANY(ids)
      AND NOT EXISTS (SELECT FROM ${schema}.events known WHERE known.id = o.event_id AND known.needs_reconciliation);
    FOR e IN SELECT * FROM ${schema}.events WHERE id = ANY(ids) AND needs_reconciliation ORDER BY tenant_id, id LOOP
      waits_for := CASE WHEN e.echoed_delivery_id IS NOT NULL THEN 'delivery:' || e.echoed_delivery_id
        ELSE 'message:' || e.provider || ':' || e.provider_message_id END;
      IF waits_for IS NOT NULL THEN
        INSERT INTO ${schema}.correlations (tenant_id, key) VALUES (e.tenant_id, waits_for)
          ON CONFLICT (tenant_id, key) DO UPDATE SET key = EXCLUDED.key;
      END IF;
      INSERT INTO ${schema}.orphans (event_id, tenant_id, correlation, recipient_digest, inserted_at)
      SELECT e.id, e.tenant_id, waits_for, CASE WHEN e.recipient_pseudonym IS NOT NULL THEN coalesce(
        (SELECT digest FROM ${schema}.recipients r WHERE r.tenant_id = e.tenant_id AND r.pseudonym = e.recipient_pseudonym),
        '') END, e.inserted_at
      ON CONFLICT DO NOTHING;
      UPDATE ${schema}.orphans o SET ready = ${schema}.is_linkable(e, o.recipient_digest) WHERE o.event_id = e.id;
      DELETE FROM ${schema}.orphans o WHERE o.event_id = e.id AND (
        EXISTS (SELECT FROM ${schema}.events link WHERE link.source_event_id = e.id)
        OR EXISTS (SELECT FROM ${schema}.acts a WHERE a.event_id = e.id AND a.act = 'dismiss'));
    END LOOP;
  END $$`,
  `CREATE TRIGGER deliveries_changed AFTER INSERT OR DELETE OR
    UPDATE OF tenant_id, id, recipient, provider, provider_message_id
    ON ${schema}.deliveries FOR EACH ROW EXECUTE FUNCTION ${schema}.delivery_changed()`,
  // Whom the functions serve is said by grants alone: they read and write past row-level security.
  `REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA ${schema} FROM PUBLIC`
]
