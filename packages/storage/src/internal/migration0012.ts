/**
 * The statements that give the HTTP API its tokens in a schema, whose name is quoted.
 */

/** The statements that add the table of tokens. */
export const statements = (schema: string): ReadonlyArray<string> => [
  // The tenant is `*` for a token of all tenants. The digest is of the whole text of the token, which is kept nowhere.
  `CREATE TABLE ${schema}.tokens (
    tenant_id text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('send', 'read', 'operate')),
    digest bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_on date,
    PRIMARY KEY (tenant_id, id)
  )`,
  // Who may add events may use and make tokens; row-level security goes on where it is on.
  `DO $$
  DECLARE
    role name;
  BEGIN
    FOR role IN SELECT DISTINCT r.rolname FROM pg_class c, aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
      WHERE c.oid = '${schema}.events'::regclass AND a.privilege_type = 'INSERT' AND a.grantee <> c.relowner LOOP
      EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ${schema}.tokens TO %I', role);
    END LOOP;
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = '${schema}.events'::regclass) THEN
      ALTER TABLE ${schema}.tokens ENABLE ROW LEVEL SECURITY;
      CREATE POLICY one_tenant ON ${schema}.tokens
        USING (current_setting('waybill.tenant_id', true) IN (tenant_id, '*'));
    END IF;
  END $$`
]
