/**
 * The statements that give the HTTP API its tokens in a schema, whose name is quoted.
 */
import * as Access from "./Access.ts"

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
  Access.statement(schema, { written: ["tokens"] })
]
