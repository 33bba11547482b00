/** Whom a log line is about: the same words in all of them, so that they can be searched for. */
export interface Who {
  /** Its client id. */
  readonly client: string
  /** The address that it comes from; not there while it is away. */
  readonly from?: string
  /** The name it was let in by, or asks to be. */
  readonly user: string
}

/** What users are called that have no name; no user may be called so. */
export const ANONYMOUS = 'anonymous'
