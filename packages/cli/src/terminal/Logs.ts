/**
 * Writes logs to standard error, one line each, for people or as JSON.
 *
 * @since 0.1.0
 */
import { type Config, Effect, Layer, Logger } from "effect"
import * as Setting from "../config/Setting.ts"
import * as Settings from "../config/Settings.ts"

const textOf = (value: unknown): string => {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? String(value)
  return /^[!#-~]+$/.test(text) ? text : JSON.stringify(text)
}

/** `2026-11-20T12:00:00.000Z INFO  sweep finished linked=3` */
const readable = Logger.map(Logger.formatStructured, ({ annotations, cause, level, message, timestamp }) => {
  const sentence = typeof message === "string" ? message : textOf(message)
  const data = Object.entries(annotations).map(([name, value]) => ` ${name}=${textOf(value)}`).join("")
  return `${timestamp} ${level.padEnd(5)} ${sentence}${data}${cause === undefined ? "" : ` cause=${textOf(cause)}`}`
})

/**
 * The logger that the settings name.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, Setting.BadSetting | Config.ConfigError> = Layer.unwrap(
  Effect.map(
    Setting.read(Settings.logFormat),
    (format) => Logger.layer([Logger.withConsoleError(format === "json" ? Logger.formatJson : readable)])
  )
)
