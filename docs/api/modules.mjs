/**
 * Names each module of the reference as it is imported, `@waybill/storage/testing` for `storage/src/testing`, and gives
 * each namespace the comment that its file opens with.
 */
import { readFileSync } from "node:fs"
import { Comment, Converter, MinimalSourceFile, ReflectionKind } from "typedoc"

const opening = /^\/\*\*\n?(.*?)\*\//s

/** @param {import("typedoc").Application} app */
export const load = (app) => {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (!reflection.kindOf(ReflectionKind.Namespace) || reflection.comment !== undefined) return
    const path = context.getSymbolFromReflection(reflection)?.declarations?.[0]?.getSourceFile().fileName
    if (path === undefined) return
    const [, comment = ""] = opening.exec(readFileSync(path, "utf8")) ?? []
    const text = comment.replaceAll(/^ *\* ?/gm, "").replaceAll(/^@since .*$/gm, "").trim()
    if (text === "") return
    const { content } = context.converter.parseRawComment(new MinimalSourceFile(text, path), context.project.files)
    reflection.comment = new Comment(content)
  })
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.getChildrenByKind(ReflectionKind.Module)) {
      module.name = `@waybill/${module.name.replace("packages/", "").replace("/src", "")}`
    }
  })
}
