/** What a start mended of a data directory besides the log: counted for status. */
export interface DirectoryRecovery {
  /** headwater.json was missing or damaged and is made again from its copy. */
  identityRestored: number
  /** Neither headwater.json nor its copy could be read: the log goes on under a new incarnation. */
  identityReplaced: number
  /** The store of facts was damaged, or a start before this one was cut short while it mended it. */
  factsSalvaged: number
  /** There was a log and no store of facts. */
  factsMissing: number
  /** Facts whose checksum is wrong: they are as good as missing. */
  factsDamaged: number
  /** A restore had been cut short: what it left is removed, and this is a new log. */
  restoresCleared: number
}

export function noDirectoryRecovery(): DirectoryRecovery {
  return {
    identityRestored: 0,
    identityReplaced: 0,
    factsSalvaged: 0,
    factsMissing: 0,
    factsDamaged: 0,
    restoresCleared: 0,
  }
}
