/**
 * The positions of many local partitions beside one committed offset, for a stream that is mapped by key: its local
 * partitions have no topic partition of their own to stand with. All numbers in base 36:
 *
 *   packed   := position (";" position)*
 *   position := partition "." next "." proof? "!"?    proof.ts's; none for a record that compaction removed; "!" where it is uneven
 *                                                     (repair.ts)
 *
 * A position takes at most 2 + 1 + 11 + 1 + 7 + 1 + 1 = 24 bytes, so that POSITIONS_MAX of them and what stands around them stay
 * below Kafka's 4096. Local partition p stands in carrier p mod carriers, a partition of the topic; how many carriers there are
 * follows from the number of local partitions alone, which never changes.
 *
 * Example: partition 2 at 41 without a proof, partition 10 at 1296 with 0xdeadbeef:   2.15.;a.100.1ps9wxb
 */
import type { Position } from './routes.ts'

const POSITIONS_MAX = 128
const BASE = 36
const POSITION = /^([0-9a-z]{1,2})\.([0-9a-z]{1,11})\.([0-9a-z]{0,7})(!?)$/

export function carriersOf(partitions: number): number {
  return Math.ceil(partitions / POSITIONS_MAX)
}

export function packPositions(positions: ReadonlyMap<number, Position>): string {
  return [...positions]
    .sort(([a], [b]) => a - b)
    .map(([partition, { next, proof, isUneven }]) => {
      const numbers = [partition, next, proof].map((n) => n?.toString(BASE) ?? '')
      return `${numbers.join('.')}${isUneven ? '!' : ''}`
    })
    .join(';')
}

/** @returns null for what `packPositions` did not write. */
export function unpackPositions(text: string): Map<number, Position> | null {
  const positions = new Map<number, Position>()
  for (const item of text.split(';')) {
    const match = POSITION.exec(item)
    if (match === null) return null
    const [partition, next, proof] = match.slice(1, 4).map((digits) => Number.parseInt(digits, BASE))
    if (!Number.isSafeInteger(next) || positions.has(partition!)) return null
    const position = { next: next!, proof: match[3] === '' ? null : proof! }
    positions.set(partition!, match[4] === '!' ? { ...position, isUneven: true } : position)
  }
  return positions
}
