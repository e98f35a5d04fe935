/**
 * Reads a form, URL-encoded or multipart, into the values of each field in their order.
 */

export interface Form {
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
  const fields = new Map<string, Array<string>>()
  for (const [field, value] of text.startsWith("--") ? parts(text) : new URLSearchParams(text)) {
    const values = fields.get(field)
    if (values === undefined) fields.set(field, [value])
    else values.push(value)
  }
  return {
    first: (field) => fields.get(field)?.at(0),
    last: (field) => fields.get(field)?.at(-1)
  }
}
