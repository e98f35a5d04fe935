/**
 * The statements by which each migration says how old a program may be that still writes, in a schema whose name is quoted.
 */
export const statements = (schema: string): ReadonlyArray<string> => [
  // The number of the newest migration that a program has to know. Where there is none, it is the migration's own.
  `ALTER TABLE ${schema}.migrations ADD COLUMN compatible_since integer`
]
