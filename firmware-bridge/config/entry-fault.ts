/** What is wrong with an entry of the configuration that its schema cannot say. */
export interface EntryFault {
  /** Within the entry. */
  readonly path: readonly (string | number)[]
  readonly message: string
  readonly hint: string
}
