/** Reads what the log holds beyond the positions that are in the stored state: messages that came after the last checkpoint. */
import type { EventLog } from '../../log/event-log.ts'
import type { LogPartition } from '../../log/partition.ts'
import { readRecords } from '../../log/record-batch.ts'
import { partitionKey } from '../../log/source.ts'
import type { Message } from '../hub/message.ts'
import type { MessageLoader } from './message-loader.ts'

const READ_BYTES = 256 * 1024

/**
 * Calls back for each message, in commit order, as far as the log was durable when it began.
 * @param applied the next offset by partition id; a partition that is not there is read from its start
 * @returns how many there were
 */
export async function catchUp(
  log: Pick<EventLog, 'openCursor' | 'clockOf'>,
  partitions: readonly LogPartition[],
  applied: ReadonlyMap<number, number>,
  loader: MessageLoader,
  onMessage: (message: Message) => void,
): Promise<number> {
  const byName = new Map(partitions.map((own) => [partitionKey(own.stream, own.partition), own]))
  const from = new Map<string, number>()
  let isBehind = false
  for (const [name, { id, durableOffset, logStartOffset }] of byName) {
    const offset = Math.max(applied.get(id) ?? 0, logStartOffset)
    from.set(name, offset)
    isBehind ||= offset < durableOffset
  }
  if (!isBehind) return 0
  const cursor = log.openCursor(from)
  let messages = 0
  try {
    for (;;) {
      const batches = await cursor.next(READ_BYTES)
      if (batches.length === 0) return messages
      for (const batch of batches) {
        const name = partitionKey(batch.stream, batch.partition)
        const partition = byName.get(name)!
        for (const record of readRecords(batch.bytes)) {
          if (record.offset < from.get(name)!) continue
          messages++
          onMessage(loader.messageOf(record, batch, partition))
        }
      }
    }
  } finally {
    await cursor.close()
  }
}
