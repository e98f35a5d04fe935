/**
 * The statements by which deliveries are found newest first: by age, recipient, domain, what was never sent, and rare events.
 *
 * No column of the projection is in an index, so that moving a projection stays a HOT update. `unsent`, which is
 * `Delivery.isUnsent` of the core, changes once in a life, nearly always with the dispatch, which changes an indexed column anyway.
 */

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
    SELECT DISTINCT ON (d.tenant_id, marks.mark, d.inserted_at, d.id)
      d.tenant_id, marks.mark, d.inserted_at, d.id, of.id
    FROM ${schema}.events e
    CROSS JOIN LATERAL ${marks}
    LEFT JOIN ${schema}.events link ON link.source_event_id = e.id
    CROSS JOIN LATERAL (
      SELECT CASE WHEN e.delivery_id IS NULL THEN link.id ELSE e.id END AS id, coalesce(e.delivery_id, link.delivery_id) AS delivery_id
    ) of
    JOIN ${schema}.deliveries d ON d.tenant_id = e.tenant_id AND d.id = of.delivery_id
    WHERE e.type IN (${rare})
    ORDER BY d.tenant_id, marks.mark, d.inserted_at, d.id, of.id`,
  // With the event, so that two transactions never wait for each other: the first few of a mark may stand twice.
  `ALTER TABLE ${schema}.occurrences ADD PRIMARY KEY (tenant_id, mark, recorded_at, delivery_id, event_id)`,
  `CREATE FUNCTION ${schema}.note_occurrence() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    INSERT INTO ${schema}.occurrences (tenant_id, mark, recorded_at, delivery_id, event_id)
    SELECT d.tenant_id, marks.mark, d.inserted_at, d.id, NEW.id
    FROM ${schema}.events e
    CROSS JOIN LATERAL ${marks}
    JOIN ${schema}.deliveries d ON d.tenant_id = NEW.tenant_id AND d.id = NEW.delivery_id
    WHERE e.tenant_id = NEW.tenant_id AND e.id = coalesce(NEW.source_event_id, NEW.id) AND NOT EXISTS (
      SELECT FROM ${schema}.occurrences o WHERE o.tenant_id = d.tenant_id AND o.mark = marks.mark
        AND o.recorded_at = d.inserted_at AND o.delivery_id = d.id
    );
    RETURN NULL;
  END $$`,
  `REVOKE EXECUTE ON FUNCTION ${schema}.note_occurrence FROM PUBLIC`,
  `CREATE TRIGGER events_occurred AFTER INSERT ON ${schema}.events FOR EACH ROW
    WHEN (NEW.delivery_id IS NOT NULL AND NEW.type IN (${rare}, 'reconciled'))
    EXECUTE FUNCTION ${schema}.note_occurrence()`
]
