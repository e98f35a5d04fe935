/**
 * The statements by which deliveries are found newest first: by age, recipient, domain, what was never sent, and rare events.
 *
 * No column of the projection is in an index, so that moving a projection stays a HOT update. `unsent`, which is
 * `Delivery.isUnsent` of the core, changes once in a life, nearly always with the dispatch, which changes an indexed column anyway.
 *
 * Its column is stored, so that all of `deliveries` is written anew while the table is locked.
 */
import * as Access from "./Access.ts"

const rare = [
  "rejected",
  "failed",
  "bounced",
  "deferred",
  "autoresponded",
  "complained",
  "unsubscribed",
  "subscribed",
  "unknown",
  "suppressed"
].map((type) => `'${type}'`).join(", ")

/** The marks of an event `e`, as `Search.marksOf` of the core gives them. */
const marks = `(
  SELECT e.type AS mark WHERE e.type IN (${rare})
  UNION ALL
  SELECT 'failure' WHERE e.type IN ('rejected', 'failed') OR e.type = 'bounced' AND e.bounce_class IS DISTINCT FROM 'soft'
) marks`

/** The statements that make deliveries searchable in a schema, whose name is quoted. */
export const statements = (schema: string): ReadonlyArray<string> => [
  // Writing a large table anew takes longer than the limit that clients set.
  "SET LOCAL statement_timeout = 0",
  `ALTER TABLE ${schema}.deliveries ADD COLUMN unsent boolean NOT NULL
    GENERATED ALWAYS AS (
      status = 'queued' AND last_event_own AND dispatched_at IS NULL AND provider_message_id IS NULL
    ) STORED`,
  `CREATE INDEX deliveries_age ON ${schema}.deliveries (tenant_id, inserted_at DESC, id DESC)`,
  `CREATE INDEX deliveries_unsent ON ${schema}.deliveries (tenant_id, inserted_at DESC, id DESC) WHERE unsent`,
  `CREATE INDEX deliveries_domain ON ${schema}.deliveries (tenant_id, recipient_domain, inserted_at DESC, id DESC)
    WHERE recipient_domain IS NOT NULL`,
  `DROP INDEX ${schema}.deliveries_recipient`,
  `CREATE INDEX deliveries_recipient ON ${schema}.deliveries (tenant_id, recipient_digest, inserted_at DESC, id DESC)
    WHERE recipient_digest IS NOT NULL`,
  // That an event of a rare type occurred to a delivery, in the order in which deliveries are listed: an event's own row does
  // not say when its delivery was recorded, nor that of an orphan which delivery it was linked to.
  `CREATE TABLE ${schema}.occurrences (
    tenant_id text COLLATE "C" NOT NULL,
    mark text COLLATE "C" NOT NULL,
    recorded_at timestamptz NOT NULL,
    delivery_id uuid NOT NULL,
    event_id uuid NOT NULL
  )`,
  `INSERT INTO ${schema}.occurrences (tenant_id, mark, recorded_at, delivery_id, event_id)
    SELECT d.tenant_id, marks.mark, d.inserted_at, d.id, of.id
    FROM ${schema}.events e
    CROSS JOIN LATERAL ${marks}
    LEFT JOIN ${schema}.events link ON link.source_event_id = e.id
    CROSS JOIN LATERAL (
      SELECT CASE WHEN e.delivery_id IS NULL THEN link.id ELSE e.id END AS id, coalesce(e.delivery_id, link.delivery_id) AS delivery_id
    ) of
    JOIN ${schema}.deliveries d ON d.tenant_id = e.tenant_id AND d.id = of.delivery_id
    WHERE e.type IN (${rare})
    ORDER BY d.tenant_id, marks.mark, d.inserted_at, d.id, of.id`,
  // One for each event, so that they are the same in whatever order events came, and no two transactions wait for each other.
  `ALTER TABLE ${schema}.occurrences ADD PRIMARY KEY (tenant_id, mark, recorded_at, delivery_id, event_id)`,
  `CREATE INDEX occurrences_delivery ON ${schema}.occurrences (tenant_id, delivery_id)`,
  // An event of no rare type costs nothing, nor does its link, which tells the type; a link of an older program does not, and is
  // looked at.
  `CREATE FUNCTION ${schema}.note_occurrence() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    INSERT INTO ${schema}.occurrences (tenant_id, mark, recorded_at, delivery_id, event_id)
    SELECT NEW.tenant_id, marks.mark, d.inserted_at, NEW.delivery_id, NEW.id
    FROM (
      SELECT NEW.type, NEW.bounce_class WHERE NEW.source_event_id IS NULL
      UNION ALL
      SELECT source.type, source.bounce_class FROM ${schema}.events source
      WHERE source.id = NEW.source_event_id AND source.tenant_id = NEW.tenant_id
    ) e (type, bounce_class)
    CROSS JOIN LATERAL ${marks}
    JOIN ${schema}.deliveries d ON d.tenant_id = NEW.tenant_id AND d.id = NEW.delivery_id;
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER events_occurred AFTER INSERT ON ${schema}.events FOR EACH ROW
    WHEN (NEW.delivery_id IS NOT NULL AND (NEW.type IN (${rare})
      OR NEW.type = 'reconciled' AND coalesce(NEW.metadata ->> 'reconciled_type', 'unknown') IN (${rare})))
    EXECUTE FUNCTION ${schema}.note_occurrence()`,
  // What another program deletes takes its marks along, and what it dates otherwise moves them. One that it records again under
  // its id has none until a rebuild.
  `CREATE FUNCTION ${schema}.move_occurrences() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    IF TG_OP = 'DELETE' THEN
      DELETE FROM ${schema}.occurrences o WHERE o.tenant_id = OLD.tenant_id AND o.delivery_id = OLD.id;
    ELSE
      UPDATE ${schema}.occurrences o SET recorded_at = NEW.inserted_at
      WHERE o.tenant_id = OLD.tenant_id AND o.delivery_id = OLD.id AND o.recorded_at <> NEW.inserted_at;
    END IF;
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER deliveries_occurred AFTER DELETE OR UPDATE OF inserted_at ON ${schema}.deliveries FOR EACH ROW
    EXECUTE FUNCTION ${schema}.move_occurrences()`,
  // What should be noted of some deliveries.
  `CREATE FUNCTION ${schema}.occurrences_of(tenants text[], ids uuid[]) RETURNS SETOF ${schema}.occurrences
  LANGUAGE sql STABLE AS $$
    SELECT d.tenant_id, marks.mark, d.inserted_at, d.id, own.id
    FROM unnest(tenants, ids) AS given (tenant_id, id)
    JOIN ${schema}.deliveries d ON d.tenant_id = given.tenant_id AND d.id = given.id
    JOIN ${schema}.events own ON own.tenant_id = d.tenant_id AND own.delivery_id = d.id
      AND own.type IN (${rare}, 'reconciled')
    JOIN ${schema}.events e ON e.id = coalesce(own.source_event_id, own.id) AND e.tenant_id = own.tenant_id
    CROSS JOIN LATERAL ${marks}
  $$`,
  // Touches nothing that is as it should be. Each statement sees one moment, whatever is appended meanwhile.
  `CREATE FUNCTION ${schema}.note_again(tenants text[], ids uuid[]) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM ${schema}.occurrences o USING unnest(tenants, ids) AS given (tenant_id, id)
    WHERE o.tenant_id = given.tenant_id AND o.delivery_id = given.id
      AND NOT EXISTS (SELECT FROM ${schema}.occurrences_of(ARRAY[o.tenant_id], ARRAY[o.delivery_id]) expected WHERE expected = o);
    INSERT INTO ${schema}.occurrences SELECT * FROM ${schema}.occurrences_of(tenants, ids) ON CONFLICT DO NOTHING;
  $$`,
  `REVOKE EXECUTE ON FUNCTION ${schema}.note_occurrence, ${schema}.move_occurrences, ${schema}.occurrences_of,
    ${schema}.note_again FROM PUBLIC`,
  Access.statement(schema, { read: ["occurrences"], called: ["occurrences_of", "note_again"] })
]
