/** How a stream goes to its topic, as its checkpoint says: for whoever reads it back. */
import type { LogIdentity } from '../../broker/index.ts'
import type { Clock } from '../clock.ts'
import { parseMetadata } from './checkpoint-metadata.ts'
import { COORDINATOR_ANSWERS, patiently } from './retry.ts'
import type { KafkaWire } from './wire.ts'

export type CheckpointWire = Pick<KafkaWire, 'findCoordinator' | 'offsetFetch'>

const PATIENCE = { answers: COORDINATOR_ANSWERS, msMax: 5000 }

/**
 * @param group the edge's
 * @param topicPartitions how many partitions the topic has
 * @returns null where nothing is written that is of this log
 */
export async function recordedMapping(
  wire: CheckpointWire,
  clock: Clock,
  group: string,
  { incarnation }: LogIdentity,
  stream: string,
  topic: string,
  topicPartitions: number,
): Promise<'identity' | 'key' | null> {
  const coordinator = await patiently(clock, PATIENCE, () => wire.findCoordinator('group', group))
  const asked = new Map([[topic, Array.from({ length: topicPartitions }, (_, partition) => partition)]])
  const offsets = await patiently(clock, PATIENCE, () =>
    wire.offsetFetch(coordinator, group, asked, 'ignore'),
  )
  for (const { offset, metadata } of offsets) {
    const parsed = offset < 0 ? null : parseMetadata(metadata)
    if (parsed === null || parsed.incarnation !== incarnation || parsed.stream !== stream) continue
    return parsed.kind === 'single' ? 'identity' : 'key'
  }
  return null
}
