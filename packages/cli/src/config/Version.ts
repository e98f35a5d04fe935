/**
 * Holds the version of the program that runs, which its entry reads from its manifest.
 *
 * @since 0.2.0
 */
import { Context } from "effect"

/**
 * The version of the program that runs.
 *
 * @category services
 * @since 0.2.0
 */
export const Version = Context.Reference<string>("waybill/Version", { defaultValue: () => "unknown" })
