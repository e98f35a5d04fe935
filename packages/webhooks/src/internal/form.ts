/**
 * Reads a form, URL-encoded or multipart, into the values of each field in their order.
 */

export interface Form {
  /** Every field with its value, in their order. */
  readonly fields: ReadonlyArray<readonly [name: string, value: string]>
  readonly first: (field: string) => string | undefined
  readonly last: (field: string) => string | undefined
}

const parts = (text: string): ReadonlyArray<readonly [string, string]> => {
  const boundary = text.slice(0, text.indexOf("\r\n"))
  return text.split(boundary).flatMap((part) => {
    const end = part.indexOf("\r\n\r\n")
    const field = /\bname="([^"]*)"/i.exec(part.slice(0, Math.max(end, 0)))?.[1]
    return field === undefined ? [] : [[field, part.slice(end + 4).replace(/\r\n$/, "")] as const]
  })
}

export const read = (text: string): Form => {
  const fields = text.startsWith("--") ? parts(text) : [...new URLSearchParams(text)]
  const byName = Map.groupBy(fields, ([field]) => field)
  return {
    fields,
    first: (field) => byName.get(field)?.at(0)?.[1],
    last: (field) => byName.get(field)?.at(-1)?.[1]
  }
}
