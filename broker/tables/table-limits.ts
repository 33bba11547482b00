/** What a table may take of memory and time. Tests hand in others. */

export interface PendingLimits {
  /** Changes are written once they take this much memory. */
  readonly pendingBytesMax: number
  /** Changes are written once the oldest of them has waited so long; after a crash they are applied again. */
  readonly pendingMsMax: number
  /** Changes are written once this much of the log went into them. */
  readonly pendingLogBytesMax: number
}

export interface SweepLimits {
  /** Between two sweeps, and between two steps of one. */
  readonly sweepEveryMs: number
  readonly sweepPauseMs: number
}

export interface TableLimits extends PendingLimits, SweepLimits {
  /** LevelDB's write buffer, of which it holds two: the larger, the less it writes again and again. */
  readonly writeBufferBytes: number
  /** How long new records collect before they are applied, while nobody waits for them. */
  readonly restMs: number
  /** How often it is looked for offsets that the log has lost. */
  readonly holesEveryMs: number
  /** How long a reader waits for what was durable when it asked. */
  readonly waitMsMax: number
}

const MEBIBYTE = 1024 * 1024
/** Of all tables together. */
const PENDING_BYTES_MAX = 4 * MEBIBYTE
const WRITE_BUFFER_BYTES_MAX = 8 * MEBIBYTE

/** What each of several tables may take: together they have bounds. */
export function limitsOfEach(tables: number): TableLimits {
  return {
    pendingBytesMax: Math.min(2 * MEBIBYTE, Math.max(MEBIBYTE / 4, PENDING_BYTES_MAX / tables)),
    writeBufferBytes: Math.max(MEBIBYTE / 2, WRITE_BUFFER_BYTES_MAX / tables),
    pendingMsMax: 10_000,
    pendingLogBytesMax: 32 * MEBIBYTE,
    restMs: 50,
    holesEveryMs: 1_000,
    waitMsMax: 2_000,
    sweepEveryMs: 600_000,
    sweepPauseMs: 20,
  }
}
