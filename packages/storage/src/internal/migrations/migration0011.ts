/**
 * The statements that keep the queue of the unsent deliveries in a schema, whose name is quoted.
 *
 * The queue follows the table of deliveries by triggers, whoever writes it, so that it holds what `Delivery.isUnsent` of the core
 * tells and nothing drifts. What waits to be sent costs a row here; what was sent costs nothing. What waits for long is found
 * through the index `deliveries_unsent`.
 */
import * as Access from "./Access.ts"

/** The statements that add the queue. */
export const statements = (schema: string): ReadonlyArray<string> => [
  // Deliveries of before are read once, which takes longer on a large ledger than the limit that clients set.
  "SET LOCAL statement_timeout = 0",
  `CREATE TABLE ${schema}.unsent (
    tenant_id text COLLATE "C" NOT NULL,
    delivery_id uuid NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, delivery_id)
  )`,
  // What waits longest is claimed first.
  `CREATE INDEX unsent_due ON ${schema}.unsent (tenant_id, due_at, delivery_id)`,
  `CREATE FUNCTION ${schema}.keep_unsent() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    IF TG_OP <> 'INSERT' AND OLD.unsent THEN
      DELETE FROM ${schema}.unsent u WHERE u.tenant_id = OLD.tenant_id AND u.delivery_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.unsent THEN
      INSERT INTO ${schema}.unsent (tenant_id, delivery_id, due_at)
      VALUES (NEW.tenant_id, NEW.id, NEW.inserted_at) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
  END $$`,
  `REVOKE EXECUTE ON FUNCTION ${schema}.keep_unsent FROM PUBLIC`,
  `CREATE TRIGGER deliveries_unsent AFTER INSERT ON ${schema}.deliveries FOR EACH ROW
    WHEN (NEW.unsent) EXECUTE FUNCTION ${schema}.keep_unsent()`,
  // An update that changes nothing of it, as nearly all are, calls no function.
  `CREATE TRIGGER deliveries_sent AFTER UPDATE ON ${schema}.deliveries FOR EACH ROW
    WHEN (OLD.unsent <> NEW.unsent
      OR NEW.unsent AND (OLD.tenant_id, OLD.id) IS DISTINCT FROM (NEW.tenant_id, NEW.id))
    EXECUTE FUNCTION ${schema}.keep_unsent()`,
  `CREATE TRIGGER deliveries_gone AFTER DELETE ON ${schema}.deliveries FOR EACH ROW
    WHEN (OLD.unsent) EXECUTE FUNCTION ${schema}.keep_unsent()`,
  `INSERT INTO ${schema}.unsent (tenant_id, delivery_id, due_at)
    SELECT d.tenant_id, d.id, d.inserted_at FROM ${schema}.deliveries d WHERE d.unsent`,
  Access.statement(schema, { written: ["unsent"] })
]
