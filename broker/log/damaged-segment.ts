/** A segment whose files are not what LevelDB wrote. */
import type { Finding } from '../storage/level-files/findings.ts'
import { DamagedFilesError } from '../storage/level-files/table-cursor.ts'
import type { Segment } from './segment.ts'

/** LevelDB cannot open the segment, or opening it could end the process. */
export class DamagedSegmentError extends Error {
  readonly segment: Segment
  readonly findings: readonly Finding[]

  constructor(segment: Segment, findings: readonly Finding[]) {
    super(`segment ${segment.id} is damaged: ${findings.map(({ kind }) => kind).join(', ')}`)
    this.segment = segment
    this.findings = findings
  }
}

/** Runs work on a segment's files: damage that it meets is told as the segment's. @throws DamagedSegmentError */
export async function namingDamage<T>(segment: Segment, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof DamagedFilesError) throw new DamagedSegmentError(segment, error.findings)
    throw error
  }
}
