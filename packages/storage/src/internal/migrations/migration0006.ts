/**
 * The statements by which an echoed delivery id decides alone: an orphan that waits for one is about that delivery, whatever
 * address its report names.
 */

/** The statements that bring the queue of orphans to this in a schema, whose name is quoted. */
export const statements = (schema: string): ReadonlyArray<string> => [
  `CREATE OR REPLACE FUNCTION ${schema}.requeue(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
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
      SELECT e.id, e.tenant_id, waits_for,
        CASE WHEN e.recipient_pseudonym IS NOT NULL AND e.echoed_delivery_id IS NULL THEN coalesce(
          (SELECT digest FROM ${schema}.recipients r WHERE r.tenant_id = e.tenant_id AND r.pseudonym = e.recipient_pseudonym),
          '') END, e.inserted_at
      ON CONFLICT DO NOTHING;
      UPDATE ${schema}.orphans o SET recipient_digest = NULL
      WHERE o.event_id = e.id AND e.echoed_delivery_id IS NOT NULL AND o.recipient_digest IS NOT NULL;
      UPDATE ${schema}.orphans o SET ready = ${schema}.is_linkable(e, o.recipient_digest) WHERE o.event_id = e.id;
      DELETE FROM ${schema}.orphans o WHERE o.event_id = e.id AND (
        EXISTS (SELECT FROM ${schema}.events link WHERE link.source_event_id = e.id)
        OR EXISTS (SELECT FROM ${schema}.acts a WHERE a.event_id = e.id AND a.act = 'dismiss'));
    END LOOP;
  END $$`,
  // What waits since before becomes linkable where its delivery is there.
  `SELECT ${schema}.requeue(ARRAY(
    SELECT o.event_id FROM ${schema}.orphans o JOIN ${schema}.events e ON e.id = o.event_id
    WHERE e.echoed_delivery_id IS NOT NULL AND o.recipient_digest IS NOT NULL
  ))`
]
