/**
 * @since 0.2.0
 */
export * as Console from "./Console.ts"
export * as Principal from "./Principal.ts"
