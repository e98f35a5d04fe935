/** A real Chromium, the one inside `@sparticuz/chromium`, which needs nothing that is installed beside it. */
import { Effect } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { chromium as playwright } from "playwright-core"

const directories = ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"]

/** A browser until the end of the scope. */
export const open = Effect.acquireRelease(
  Effect.promise(async () => {
    // A bare machine lacks its libraries: the package then takes them out of its own archive, as it does where this is set.
    if (!directories.some((directory) => existsSync(join(directory, "libnss3.so")))) {
      process.env["AWS_EXECUTION_ENV"] = "AWS_Lambda_nodejs22.x"
    }
    const { default: chromium } = await import("@sparticuz/chromium")
    const { args } = chromium
    // In one process, the end of a context ends the browser.
    return playwright.launch({
      executablePath: await chromium.executablePath(),
      args: args.filter((one) => one !== "--single-process"),
      headless: true
    })
  }),
  (browser) => Effect.promise(() => browser.close())
)
