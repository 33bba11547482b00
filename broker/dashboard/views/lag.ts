import type { UpstreamStatus } from '../api/types.ts'

/** @returns records of a stream, or of one of its partitions, that the upstream does not have; null where it does not get the stream */
export function lagOf({ partitions }: UpstreamStatus, stream: string, partition?: number): number | null {
  const own = partitions.filter(
    (one) => one.stream === stream && (partition === undefined || one.partition === partition),
  )
  return own.length === 0 ? null : own.reduce((sum, { lagRecords }) => sum + lagRecords, 0)
}
