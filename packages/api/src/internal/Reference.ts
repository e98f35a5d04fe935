/** Renders the OpenAPI document as a page to read, without a script and without anything from elsewhere. */
import type * as OpenApi from "effect/http-api/OpenApi"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;"
}

const escape = (text: string): string => text.replace(/[&<>"']/g, (letter) => escapes[letter] ?? letter)

/** Text in which backquotes mark code. */
const prose = (text: string): string => escape(text).replace(/`([^`]+)`/g, "<code>$1</code>")

const json = (value: unknown): string => `<pre>${escape(JSON.stringify(value, null, 2))}</pre>`

const methods = ["get", "post", "put", "patch", "delete"] as const

const parameters = (operation: OpenApi.OpenAPISpecOperation): string =>
  operation.parameters.length === 0 ?
    "" :
    `<table><thead><tr><th>parameter</th><th>in</th><th></th></tr></thead><tbody>${
      operation.parameters.map(({ description, in: place, name, required }) =>
        `<tr><td><code>${escape(name)}</code></td><td>${escape(place)}${required ? ", required" : ""}</td><td>${
          prose(description ?? "")
        }</td></tr>`
      ).join("")
    }</tbody></table>`

const section = (path: string, method: string, operation: OpenApi.OpenAPISpecOperation): string =>
  `<section id="${escape(operation.operationId)}"><h3><code><b>${method.toUpperCase()}</b> ${
    escape(path)
  }</code></h3><p>${prose(operation.summary ?? "")}</p><p>${prose(operation.description ?? "")}</p>${
    parameters(operation)
  }${
    operation.requestBody === undefined
      ? ""
      : `<details><summary>body</summary>${json(operation.requestBody.content)}</details>`
  }<details><summary>answers</summary>${
    Object.entries(operation.responses).map(([status, response]) =>
      `<h4>${escape(status)}</h4>${json(response?.content ?? {})}`
    ).join("")
  }</details></section>`

const headers = {
  "content-security-policy":
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer"
}

/** The page of a document. */
export const page = (spec: OpenApi.OpenAPISpec): HttpServerResponse.HttpServerResponse => {
  const sections = Object.entries(spec.paths).flatMap(([path, item]) =>
    methods.flatMap((method) => {
      const operation = item[method]
      return operation === undefined ? [] : [{ id: operation.operationId, html: section(path, method, operation) }]
    })
  )
  return HttpServerResponse.text(
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
      `<title>${escape(spec.info.title)} API</title><link rel="stylesheet" href="reference.css"></head><body>` +
      `<header><h1>${escape(spec.info.title)} API</h1><p>${prose(spec.info.description ?? "")}</p>` +
      `<p><a href="openapi.json">openapi.json</a></p><nav><ul>${
        sections.map(({ id }) => `<li><a href="#${escape(id)}">${escape(id)}</a></li>`).join("")
      }</ul></nav></header><main>${sections.map(({ html }) => html).join("")}<h2>Schemas</h2>${
        Object.entries(spec.components.schemas).map(([name, schema]) =>
          `<details id="schema-${escape(name)}"><summary>${escape(name)}</summary>${json(schema)}</details>`
        ).join("")
      }</main></body></html>`,
    { contentType: "text/html; charset=utf-8", headers }
  )
}

/** The look of the page. */
export const style: HttpServerResponse.HttpServerResponse = HttpServerResponse.text(
  `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{margin:0 auto;max-width:60rem;padding:1rem}
nav ul{columns:3 14rem;padding-left:1rem}
section{border-top:1px solid #8888;margin-top:1.5rem}
table{border-collapse:collapse}
th,td{border:1px solid #8888;padding:.2rem .6rem;text-align:left;vertical-align:top}
pre{overflow:auto;max-height:30rem}
`,
  { contentType: "text/css; charset=utf-8", headers: { "x-content-type-options": "nosniff" } }
)
