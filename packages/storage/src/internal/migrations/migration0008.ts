/**
 * The statements that keep a delivery's last error, with the place of its event, in a schema whose name is quoted.
 *
 * The columns are added without writing the table, and no index names them, so that moving a projection stays cheap. What had
 * an error before gets it by `waybill rebuild`, page by page, while the application runs.
 */

/** The statements that add the place of the last error. */
export const statements = (schema: string): ReadonlyArray<string> => [
  `ALTER TABLE ${schema}.deliveries
    ADD COLUMN last_error_type text,
    ADD COLUMN last_error_at timestamptz,
    ADD COLUMN last_error_id uuid,
    ADD COLUMN last_error_own boolean NOT NULL DEFAULT true`
]
