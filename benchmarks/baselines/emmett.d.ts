declare module "@event-driven-io/emmett-postgresql" {
  interface EventStore {
    readonly appendToStream: (
      streamName: string,
      events: ReadonlyArray<{ readonly type: string; readonly data: Readonly<Record<string, unknown>> }>
    ) => Promise<unknown>
    readonly close: () => Promise<void>
    readonly schema: { readonly migrate: () => Promise<unknown> }
  }
  export const getPostgreSQLEventStore: (connectionString: string) => EventStore
}
