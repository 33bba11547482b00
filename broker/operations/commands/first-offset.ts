/** Where a time is in a partition, found by reading one record from there. */
import { splitLines } from '../control/control-client.ts'
import type { LogAccess } from './log-access.ts'

/** @returns the offset of the first record from a time on; the end where there is none. */
export async function firstOffset(
  access: LogAccess,
  stream: string,
  partition: number,
  from: string,
  signal: AbortSignal,
): Promise<number> {
  const pieces = await access.read({ stream, partition, from, follow: false, count: 1 }, signal)
  for await (const line of splitLines(pieces)) {
    const { offset } = JSON.parse(line) as { offset?: number }
    if (offset !== undefined) return offset
  }
  const report = (await access.streams()).find((each) => each.stream === stream)
  return report?.partitions.find((each) => each.partition === partition)?.durableOffset ?? 0
}
