/** How a table is, for people and programs. */

export interface TableStatus {
  readonly stream: string
  /** `building` until it has first caught up with the log, then `current`. */
  readonly state: 'opening' | 'building' | 'current' | 'failed' | 'closed'
  readonly reason: string | null
  /** Of the log, in percent; 100 when nothing is left to apply. */
  readonly appliedPercent: number
  /** Records on disk that are not in the table yet. */
  readonly lagRecords: number
  /** About. Expired ones that are not removed yet are among them. */
  readonly keys: number
  /** About, on disk. */
  readonly bytes: number
  /** Times since the start that it was found unusable and built again. */
  readonly rebuilds: number
  /** Records that are not in it because they have no key, or stand in a partition that is not their key's. */
  readonly unkeyed: number
  readonly misplaced: number
}

/** Why a reader cannot be answered now. */
export function delayText({ state, reason, appliedPercent, lagRecords }: TableStatus): string {
  if (state === 'closed') return 'is closed'
  if (state === 'failed') return `cannot be read now: ${reason}`
  if (state === 'opening' || state === 'building') return `is being built (${appliedPercent}%)`
  return `is ${lagRecords} records behind the log`
}
