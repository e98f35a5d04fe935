/**
 * Reads one webhook from a file or from standard input.
 *
 * @since 0.1.0
 */
import { DateTime, Effect, FileSystem, Option, Schema, Stdio, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Output from "../../terminal/Output.ts"
import * as Parameters from "../../terminal/Parameters.ts"

/**
 * The file cannot be read.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnreadableFile extends Schema.TaggedError<UnreadableFile>("waybill/UnreadableFile")("UnreadableFile", {
  file: Schema.String,
  issue: Schema.String
}) {
  override get message(): string {
    return `cannot read ${this.file}: ${this.issue}`
  }
}

const issues: Readonly<Record<string, string>> = {
  NotFound: "no such file",
  PermissionDenied: "permission denied"
}

const readFile = (file: string) =>
  FileSystem.FileSystem.use((fileSystem) => fileSystem.readFile(file)).pipe(
    Effect.mapError(({ reason }) => new UnreadableFile({ file, issue: issues[reason._tag] ?? "not a readable file" }))
  )

const readStdin = Stdio.Stdio.use(({ stdin }) => Stream.runCollect(stdin)).pipe(
  Effect.mapBoth({
    onFailure: () => new UnreadableFile({ file: "standard input", issue: "it broke off" }),
    onSuccess: (chunks) => new Uint8Array(Buffer.concat(chunks))
  })
)

const parseHeader = (text: string): Option.Option<readonly [name: string, value: string]> => {
  const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(text) ?? []
  return name === undefined || value === undefined ? Option.none() : Option.some([name.toLowerCase(), value])
}

/**
 * `waybill ingest`
 *
 * @category commands
 * @since 0.1.0
 */
export const ingest = Command.make(
  "ingest",
  {
    file: Argument.String("file").pipe(
      Argument.withDescription("The raw body (default: standard input)"),
      Argument.optional
    ),
    provider: Flag.String("provider").pipe(Flag.withDescription("Who sent the webhook, such as postmark")),
    tenantId: Parameters.tenantId,
    headers: Flag.String("header").pipe(
      Flag.filterMap(parseHeader, () => "must be a header such as \"name: value\""),
      Flag.withMetavar("header"),
      Flag.withDescription("A header of the request, \"name: value\"; may be given again"),
      Flag.atLeast(0)
    ),
    url: Flag.String("url").pipe(
      Flag.filter((url) => /^https?:\/\/[^/]/.test(url) && URL.canParse(url), () => "must be an http or https URL"),
      Flag.withDescription("The address to which it was posted, where that is signed or has a token in its query"),
      Flag.optional
    ),
    unverified: Flag.Boolean("unverified").pipe(
      Flag.withDescription("Do not check that the provider sent it"),
      Flag.withDefault(false)
    ),
    receivedAt: Parameters.receivedAt,
    json: Parameters.json
  },
  Effect.fnUntraced(function*({ file, headers, json, provider, receivedAt, tenantId, unverified, url }) {
    const body = yield* Option.match(file, { onNone: () => readStdin, onSome: readFile })
    const Ingest = yield* Effect.promise(() => import("../../work/Ingest.ts"))
    const { events, ignored } = yield* Ingest.ingest(
      provider,
      tenantId,
      {
        headers: Object.fromEntries(headers),
        body,
        publicUrl: Option.getOrUndefined(url),
        receivedAt: Option.isSome(receivedAt) ? receivedAt.value : yield* DateTime.now
      },
      !unverified
    )
    yield* Output.write(json, { events }, () =>
      Output.table(
        ["event", "outcome", "delivery", "id"],
        events.map(({ deliveryId, id, orphan, outcome, type }) => [
          type,
          outcome,
          deliveryId ?? (orphan ? "none yet" : ""),
          id
        ]),
        ignored === 0 ? "no events" : "no events about a message"
      ))
  })
).pipe(
  Command.withDescription("Verify a provider's webhook and append its events"),
  Command.withExamples([
    {
      command:
        "WAYBILL_POSTMARK_BASIC_AUTH=user:pass waybill ingest --provider postmark --header \"authorization: Basic dXNlcjpwYXNz\" delivered.json",
      description: "A webhook of Postmark, kept in a file"
    },
    {
      command: "waybill ingest --provider dsn < mail",
      description: "A bounce or a complaint as raw mail, as a mail server pipes it"
    },
    {
      command: "curl -s https://example.com/sample.json | waybill ingest --provider sendgrid --unverified --json",
      description: "A sample, not verified, from standard input"
    }
  ])
)
