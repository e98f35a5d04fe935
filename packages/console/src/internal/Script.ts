/**
 * The one script of the console: keys, parts that are refreshed while the page is seen, and live lines. Every page does all of its
 * work without it.
 */

/** The script, a module. */
export const js = `const policy = globalThis.trustedTypes?.createPolicy("waybill", { createHTML: (text) => text })
const parse = (text) => new DOMParser().parseFromString(policy ? policy.createHTML(text) : text, "text/html")

/* Keys */
const rows = () => [...document.querySelectorAll("tbody tr")].filter((row) => row.querySelector("a"))
const go = (step) => {
  const all = rows()
  if (all.length === 0) return
  const now = all.findIndex((row) => row.hasAttribute("data-here"))
  const next = all[Math.min(Math.max(now + step, 0), all.length - 1)]
  for (const row of all) row.removeAttribute("data-here")
  next.setAttribute("data-here", "")
  next.querySelector("a").focus()
  next.scrollIntoView({ block: "nearest" })
}
const typing = (target) => target instanceof HTMLElement && (target.matches("input:not([type=checkbox]), select, textarea") || target.isContentEditable)
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur()
    return
  }
  const help = document.querySelector("dialog#keys")
  const act = {
    "/": () => {
      const field = document.querySelector("input[type=search]")
      if (field) { field.focus(); field.select() } else document.querySelector("nav.main a[data-key='d']")?.click()
    },
    j: () => go(1),
    k: () => go(-1),
    x: () => document.querySelector("tr[data-here] input[type=checkbox]")?.click(),
    "?": () => help?.showModal()
  }[event.key]
  if (act === undefined) return
  event.preventDefault()
  act()
})

/* One box that ticks all of a page */
for (const box of document.querySelectorAll("input[data-all]")) {
  box.hidden = false
  box.addEventListener("change", () => {
    for (const one of document.querySelectorAll("td.tick input")) one.checked = box.checked
  })
}

/* Parts that are asked for again while the page is seen */
const every = Number(document.body.dataset.refresh ?? 0)
const isBusy = (part) => part.contains(document.activeElement) && document.activeElement !== document.body || part.querySelector("input:checked") !== null
const refresh = async () => {
  if (document.visibilityState !== "visible") return
  const response = await fetch(location.href, { headers: { accept: "text/html" } })
  if (!response.ok || response.redirected) return
  const fresh = parse(await response.text())
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = fresh.querySelector("[data-part='" + part.dataset.part + "']")
    if (next && !isBusy(part) && next.outerHTML !== part.outerHTML) part.replaceWith(document.adoptNode(next))
  }
  if (Number(fresh.body.dataset.refresh ?? 0) === 0) clearInterval(timer)
}
const timer = every > 0 ? setInterval(() => void refresh().catch(() => {}), every * 1000) : undefined

/* Live lines */
const list = document.querySelector("ol[data-live]")
if (list) {
  let source
  const close = () => { source?.close(); source = undefined }
  const open = () => {
    if (source || document.visibilityState !== "visible") return
    source = new EventSource(list.dataset.live)
    source.addEventListener("update", ({ data }) => {
      const { at, type, id, href } = JSON.parse(data)
      const line = document.createElement("li")
      const link = document.createElement("a")
      const time = document.createElement("time")
      const what = document.createElement("span")
      time.textContent = at.slice(11, 19)
      time.dateTime = at
      what.textContent = type
      link.href = href
      link.textContent = id.slice(-12)
      line.className = "new"
      line.append(time, what, link)
      list.querySelector("[data-waiting]")?.remove()
      list.prepend(line)
      while (list.children.length > 12) list.lastElementChild.remove()
    })
  }
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" ? open() : close())
  addEventListener("pagehide", close)
  open()
}
`
