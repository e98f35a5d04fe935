/** Reads the password file of libpq, in which a line is `host:port:database:user:password` and a star stands for any. */

/** What a password is looked up for. */
export interface Entry {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/** The fields of a line; a backslash takes a colon or a backslash for itself. */
const fieldsOf = (line: string): ReadonlyArray<string> => {
  const fields = [""]
  for (let at = 0; at < line.length; at++) {
    const character = line.charAt(at)
    const isEscape = character === "\\" && at + 1 < line.length
    if (character === ":" && fields.length < 5) fields.push("")
    else fields[fields.length - 1] += isEscape ? line.charAt(++at) : character
  }
  return fields
}

/** The password of the first line that fits; a socket in a directory goes by the name of `localhost` too. */
export const find = (text: string, { database, host, port, user }: Entry): string | undefined => {
  const hosts = host.startsWith("/") ? [host, "localhost"] : [host]
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith("#") || line === "") continue
    const [ofHost = "", ofPort, ofDatabase, ofUser, password] = fieldsOf(line)
    const fits = (ofHost === "*" || hosts.includes(ofHost)) && (ofPort === "*" || ofPort === String(port)) &&
      (ofDatabase === "*" || ofDatabase === database) && (ofUser === "*" || ofUser === user)
    if (fits && password !== undefined) return password
  }
  return undefined
}
