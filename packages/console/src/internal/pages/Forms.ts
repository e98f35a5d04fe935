/** The forms by which things are acted on, and lists whose lines can be ticked. */
import * as Acts from "../Acts.ts"
import { attribute, type Html, html } from "../Html.ts"
import * as Show from "../Show.ts"
import * as Visit from "../Visit.ts"

/** The hidden field that proves where a form comes from. */
export const proof = (visit: Visit.Visit): Html => html`<input type="hidden" name="proof" value="${visit.proof}">`

const hidden = (name: string, value: string): Html => html`<input type="hidden" name="${name}" value="${value}">`

/** A button that asks for an act on one thing. */
export const one = (visit: Visit.Visit, name: Acts.Name, thing: string): Html =>
  Visit.mayAct(visit)
    ? html`<form method="post" action="${Visit.link(visit, "/acts/preview")}">${proof(visit)}${
      hidden("from", visit.path)
    }${hidden("thing", thing)}<button name="act" value="${name}"${
      attribute("class", name === "dismiss" ? "danger" : undefined)
    }>${Acts.acts[name].verb}</button></form>`
    : html``

/** A line of a list that can be ticked; one without a name cannot. */
export interface Line {
  readonly thing: string | undefined
  readonly label: string
  readonly cells: ReadonlyArray<Html | string>
}

/** A list whose lines can be ticked, with what can be done to them, and to all that match the filter of the page. */
export const list = (
  visit: Visit.Visit,
  columns: ReadonlyArray<string>,
  lines: ReadonlyArray<Line>,
  names: ReadonlyArray<Acts.Name>
): Html => {
  if (!Visit.mayAct(visit)) {
    return html`<div data-part="list">${Show.table(columns, lines.map(({ cells }) => cells))}</div>`
  }
  const noun = Acts.acts[names[0] ?? "replay"].noun
  return html`<form method="post" action="${Visit.link(visit, "/acts/preview")}">${proof(visit)}${
    hidden("from", visit.path)
  }${
    [...visit.query].filter(([name, value]) => name !== "tenant" && name !== "after" && value !== "").map((
      [name, value]
    ) => hidden(`filter.${name}`, value))
  }<div data-part="list"><table><thead><tr><th class="tick" scope="col"><input type="checkbox" data-all hidden aria-label="Tick all of this page"></th>${
    columns.map((name) => html`<th scope="col">${name}</th>`)
  }</tr></thead><tbody>${
    lines.map(({ cells, label, thing }) =>
      html`<tr><td class="tick">${
        thing === undefined
          ? undefined
          : html`<input type="checkbox" name="thing" value="${thing}" aria-label="Tick ${label}">`
      }</td>${cells.map((cell, index) => html`<td data-label="${columns[index]}">${cell}</td>`)}</tr>`
    )
  }</tbody></table></div><div class="acts">${
    names.map((name) =>
      html`<button name="act" value="${name}"${attribute("class", name === "dismiss" ? "danger" : undefined)}>${
        Acts.acts[name].verb
      }…</button>`
    )
  }<label><input type="checkbox" name="all" value="yes">all ${noun}s that match, not the ticked alone</label></div></form>`
}

/** The link to the next page of a list. */
export const next = (visit: Visit.Visit, after: string | undefined): Html =>
  html`<p class="pages">${
    visit.query.has("after")
      ? html`<a class="button" href="${Visit.here(visit, { after: undefined })}">First page</a>`
      : undefined
  }${
    after === undefined
      ? undefined
      : html`<a class="button" rel="next" href="${Visit.here(visit, { after })}">Next page</a>`
  }</p>`
