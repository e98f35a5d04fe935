/**
 * The statements that give the feed its epochs in a schema, whose name is quoted.
 *
 * The column is added without writing the table. The index is built while the table is locked, unless the owner of a large
 * ledger has built it before (docs/operations.md): then nothing takes long.
 */
export const statements = (schema: string): ReadonlyArray<string> => [
  // The index of a large ledger takes longer than the limit that clients set.
  "SET LOCAL statement_timeout = 0",
  // The default is the current epoch, so that an append pays for a constant; a repair raises it.
  `ALTER TABLE ${schema}.events ADD COLUMN IF NOT EXISTS epoch integer NOT NULL DEFAULT 0`,
  `CREATE INDEX IF NOT EXISTS events_place ON ${schema}.events (epoch, transaction_id, position)`,
  `DROP INDEX ${schema}.events_feed`,
  // Each epoch, and the cluster whose transactions it counts: a restore brings the row of another one.
  `CREATE TABLE ${schema}.epochs (
    epoch integer PRIMARY KEY,
    system_identifier bigint NOT NULL,
    timeline integer NOT NULL,
    raised_at timestamptz NOT NULL
  )`,
  `INSERT INTO ${schema}.epochs (epoch, system_identifier, timeline, raised_at)
    SELECT 0, s.system_identifier, c.timeline_id, now() FROM pg_control_system() s, pg_control_checkpoint() c`,
  // The places of the events that were appended after a restore and before its repair, in the epoch that the repair began.
  `CREATE TABLE ${schema}.moved_events (
    tenant_id text COLLATE "C" NOT NULL,
    event_id uuid NOT NULL,
    epoch integer NOT NULL,
    transaction_id xid8 NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
  )`,
  `CREATE INDEX moved_events_place ON ${schema}.moved_events (epoch, transaction_id, position)`,
  // Whether an event has this place, whatever its tenant: a reader may have been given it in a wider scope than its own.
  `CREATE FUNCTION ${schema}.has_place(of_epoch integer, of_transaction xid8, of_position bigint) RETURNS boolean
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    RETURN EXISTS (SELECT FROM ${schema}.events e
        WHERE e.epoch = of_epoch AND e.transaction_id = of_transaction AND e.position = of_position)
      OR EXISTS (SELECT FROM ${schema}.moved_events m
        WHERE m.epoch = of_epoch AND m.transaction_id = of_transaction AND m.position = of_position);
  END $$`,
  `REVOKE EXECUTE ON FUNCTION ${schema}.has_place FROM PUBLIC`,
  // Who may add events may follow them, as before; row-level security goes on where it is on.
  `DO $$
  DECLARE
    role name;
  BEGIN
    FOR role IN SELECT DISTINCT r.rolname FROM pg_class c, aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
      WHERE c.oid = '${schema}.events'::regclass AND a.privilege_type = 'INSERT' AND a.grantee <> c.relowner LOOP
      EXECUTE format('GRANT SELECT ON ${schema}.epochs, ${schema}.moved_events TO %I', role);
      EXECUTE format('GRANT EXECUTE ON FUNCTION ${schema}.has_place TO %I', role);
    END LOOP;
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = '${schema}.events'::regclass) THEN
      ALTER TABLE ${schema}.moved_events ENABLE ROW LEVEL SECURITY;
      CREATE POLICY one_tenant ON ${schema}.moved_events
        USING (current_setting('waybill.tenant_id', true) IN (tenant_id, '*'));
    END IF;
  END $$`
]
