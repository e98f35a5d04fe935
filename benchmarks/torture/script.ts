/** What the workers and the run that watches them agree on. */

/** A call that a worker was told had taken effect. */
export type Acknowledged =
  | {
    readonly _tag: "appended"
    readonly tenantId: string
    /** Each idempotency key with its outcome. */
    readonly events: ReadonlyArray<readonly [key: string, outcome: string]>
  }
  | { readonly _tag: "recorded"; readonly tenantId: string; readonly deliveryId: string }
  | { readonly _tag: "dispatched"; readonly tenantId: string; readonly deliveryId: string; readonly messageId: string }
  | { readonly _tag: "swept"; readonly links: number }

export const providerName = "postmark"

/** Equal ids and keys in each of them. */
export const tenantNames = ["north", "south", "*east*"] as const

/** The messages of a run are numbered from 0 to this. */
export const messageCount = 150
