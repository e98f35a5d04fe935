/** What PostgreSQL answers to a program, as far as it is the same each time: what was done to how many rows, and what failed. */

/** What was sent for a step, and the answers. */
export interface Step {
  readonly step: string
  /** The bytes, in base64. */
  readonly sent: string
  readonly answers: ReadonlyArray<string>
}

const text = (body: Buffer): string => body.toString("utf8").replace(/\0$/, "")

/** The fields of an error that say what is wrong. */
const failure = (body: Buffer): string =>
  `error ${text(body).split("\0").filter((field) => /^[CM]/.test(field)).map((field) => field.slice(1)).join(" ")}`

/** Reads the messages of an answer. */
export const read = (answer: Uint8Array): ReadonlyArray<string> => {
  const bytes = Buffer.from(answer)
  const answers: Array<string> = []
  for (let at = 0; at + 5 <= bytes.length;) {
    const end = at + 1 + bytes.readUInt32BE(at + 1)
    const body = bytes.subarray(at + 5, end)
    const type = String.fromCharCode(bytes.readUInt8(at))
    if (type === "C") answers.push(text(body))
    if (type === "E") answers.push(failure(body))
    at = end
  }
  return answers
}
