/** Whether a chain takes appends. */
export type ChainCondition =
  | { readonly state: 'open' }
  | { readonly state: 'failed'; readonly reason: string; readonly since: number }
  | { readonly state: 'closed' }
