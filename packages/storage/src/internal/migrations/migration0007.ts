/**
 * The statements that give events their details in a schema, whose name is quoted: what providers say in words, beside the ledger.
 */
import * as Access from "./Access.ts"

/** The statements that add the table of details. */
export const statements = (schema: string): ReadonlyArray<string> => [
  // The digest is of whom an event names that met no delivery, so that they are found without one when the recipient is forgotten.
  `CREATE TABLE ${schema}.event_details (
    tenant_id text COLLATE "C" NOT NULL,
    event_id uuid NOT NULL,
    inserted_at timestamptz NOT NULL,
    recipient_digest bytea,
    details jsonb NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
  )`,
  `CREATE INDEX event_details_age ON ${schema}.event_details (inserted_at)`,
  `CREATE INDEX event_details_recipient ON ${schema}.event_details (tenant_id, recipient_digest)
    WHERE recipient_digest IS NOT NULL`,
  // So that forgetting a recipient costs what names that one, however much waits.
  `CREATE INDEX orphans_recipient ON ${schema}.orphans (tenant_id, recipient_digest) WHERE recipient_digest IS NOT NULL`,
  // Tells whether the ledger knows by a pseudonym whom an event names, and holds that until the end: who forgets the recipient
  // meanwhile waits, and finds what is kept.
  `CREATE FUNCTION ${schema}.hold_recipient(tenant text, known uuid) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    PERFORM FROM ${schema}.recipients WHERE tenant_id = tenant AND pseudonym = known FOR KEY SHARE;
    RETURN FOUND;
  END $$`,
  `REVOKE EXECUTE ON FUNCTION ${schema}.hold_recipient FROM PUBLIC`,
  Access.statement(schema, { written: ["event_details"], called: ["hold_recipient"] })
]
