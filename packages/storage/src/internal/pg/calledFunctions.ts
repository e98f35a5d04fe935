/** Names the functions of the schema that the ledger calls by itself; the others run as triggers. */
export const calledFunctions: ReadonlyArray<string> = [
  "has_place",
  "hold_address",
  "hold_recipient",
  "is_elsewhere",
  "is_linkable",
  "note_again",
  "occurrences_of",
  "recipient_digest",
  "recipient_pseudonym",
  "requeue",
  "suppressions_of"
]
