/**
 * @since 0.2.0
 */
export * as Access from "./Access.ts"
export * as Api from "./Api.ts"
export * as ApiClient from "./ApiClient.ts"
export * as ApiServer from "./ApiServer.ts"
export * as Authentication from "./Authentication.ts"
export * as Closing from "./Closing.ts"
export * as Problem from "./Problem.ts"
export * as Requests from "./Requests.ts"
