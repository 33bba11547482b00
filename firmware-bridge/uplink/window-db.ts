/** The disk of the window store, small enough that a test hands in one that fails or forgets. */
export interface WindowDb {
  /** In the order of keys. */
  range(range: { from: Buffer; to: Buffer }): Promise<[key: Buffer, value: Buffer][]>
  /** All of it or nothing. @param isSynced it is on the disk when the promise resolves */
  write(changes: readonly WindowChange[], isSynced: boolean): Promise<void>
  close(): Promise<void>
}

/** value null: the key goes. */
export type WindowChange = readonly [key: Buffer, value: Buffer | null]
