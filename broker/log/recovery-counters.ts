/** What starts and repairs had to do, since this start. */
export interface RecoveryCounters {
  tornTails: number
  tornBytes: number
  faults: number
  leftovers: number
  rebuiltIndexes: number
  /** Segments whose LevelDB was damaged: what could be read of them is the log, the rest is in the quarantine. */
  salvagedSegments: number
  /** Offsets that went with them. */
  lostOffsets: number
  /** Manifests and catalogs that were made again from the segments. */
  rebuiltManifests: number
}

export const NO_RECOVERY: RecoveryCounters = {
  tornTails: 0,
  tornBytes: 0,
  faults: 0,
  leftovers: 0,
  rebuiltIndexes: 0,
  salvagedSegments: 0,
  lostOffsets: 0,
  rebuiltManifests: 0,
}
