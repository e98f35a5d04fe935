/** Gives whoever may add events access to what a migration adds; row-level security goes on where it is on. */

/** What a migration adds, by its names in the schema. */
export interface Added {
  /** Tables of tenants' rows that are only read. */
  readonly read?: ReadonlyArray<string>
  /** Tables of tenants' rows that are read and written. */
  readonly written?: ReadonlyArray<string>
  /** Functions that are called. */
  readonly called?: ReadonlyArray<string>
}

/** The statement of one migration, in a schema whose name is quoted. */
export const statement = (schema: string, { called = [], read = [], written = [] }: Added): string => {
  const grant = (rights: string, names: ReadonlyArray<string>): string =>
    names.length === 0 ? "" : `
      EXECUTE 'GRANT ${rights} ${names.map((name) => `${schema}.${name}`).join(", ")} TO ' || quote_ident(role);`
  const policies = [...read, ...written].map((name) => `
      ALTER TABLE ${schema}.${name} ENABLE ROW LEVEL SECURITY;
      CREATE POLICY one_tenant ON ${schema}.${name}
        USING (current_setting('waybill.tenant_id', true) IN (tenant_id, '*'));`)
  return `DO $$
  DECLARE
    role name;
  BEGIN
    FOR role IN SELECT DISTINCT r.rolname FROM pg_class c, aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
      WHERE c.oid = '${schema}.events'::regclass AND a.privilege_type = 'INSERT' AND a.grantee <> c.relowner LOOP${
    grant("SELECT ON", read)
  }${grant("SELECT, INSERT, UPDATE, DELETE ON", written)}${grant("EXECUTE ON FUNCTION", called)}
    END LOOP;
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = '${schema}.events'::regclass) THEN${policies.join("")}
    END IF;
  END $$`
}
