/** Reads messages back from where queues refer to: the log, or what no stream holds. */
import type { EventLog } from '../../log/event-log.ts'
import type { LogPartition } from '../../log/partition.ts'
import { type LogRecord, readRecords } from '../../log/record-batch.ts'
import type { StoredBatch } from '../../log/source.ts'
import type { Message, Place } from '../hub/message.ts'
import { INLINE } from './delivery-table.ts'
import type { InlineMessages } from './inline-messages.ts'
import { messageBytes } from './message-bytes.ts'

export interface Reference {
  readonly partition: number
  readonly offset: number
}

/**
 * A message from its record. Its bytes may be views into the record's. `qos` is 2 where the record does not tell, so that the granted one
 * counts; `clientId` is null where it does not tell.
 */
export type MessageOfRecord = (record: LogRecord, place: Place) => Message

/** gone: it is not there any more. */
export type Loaded = Message | 'gone'

/** What one read of a partition brings, at least. */
const READ_BYTES = 32 * 1024

export interface LoaderParts {
  readonly log: Pick<EventLog, 'read' | 'clockOf'>
  readonly inline: InlineMessages
  readonly messageOf: MessageOfRecord
  partition(id: number): LogPartition | undefined
  /** ms since 1970, the clock of records' timestamps. */
  now(): number
}

export class MessageLoader {
  readonly #parts: LoaderParts

  constructor(parts: LoaderParts) {
    this.#parts = parts
  }

  /**
   * Messages for the first of these references, at least one, in their order.
   * @param bytesMax of messages (message-bytes.ts), after which it ends
   * @throws LogUnavailableError, or where the disk is at fault
   */
  async load(references: readonly Reference[], bytesMax: number): Promise<Loaded[]> {
    const found: (Loaded | undefined)[] = new Array(references.length)
    const wanted = byPartition(references)
    let bytes = 0
    for (const [i, { partition, offset }] of references.entries()) {
      if (bytes >= bytesMax) return found.slice(0, i) as Loaded[]
      if (partition === INLINE) found[i] = (await this.#parts.inline.get(offset)) ?? 'gone'
      else {
        // one message can be referred to twice: as retained, and as it was published
        const first = wanted.get(partition)!.get(offset)!
        if (found[first] === undefined) await this.#read(partition, offset, wanted.get(partition)!, found)
        found[i] = found[first] ?? 'gone'
      }
      const message = found[i]
      if (message !== 'gone') bytes += messageBytes(message!)
    }
    return found as Loaded[]
  }

  async #read(
    id: number,
    offset: number,
    wanted: ReadonlyMap<number, number>,
    found: (Loaded | undefined)[],
  ): Promise<void> {
    const partition = this.#parts.partition(id)
    if (partition === undefined || partition.stream === '') return
    const { log } = this.#parts
    const batches = await log.read(partition.stream, partition.partition, offset, READ_BYTES)
    for (const batch of batches) {
      for (const record of readRecords(batch.bytes)) {
        const i = wanted.get(record.offset)
        if (i !== undefined) found[i] ??= this.messageOf(record, batch, partition)
      }
    }
  }

  /** The message's bytes are its own, and its time is right as far as that is known. */
  messageOf(record: LogRecord, batch: StoredBatch, partition: LogPartition): Message {
    const { log, now, messageOf } = this.#parts
    const message = messageOf(record, { partition, offset: record.offset })
    const clock = log.clockOf(batch)?.(record.timestamp) ?? null
    // by a clock that was not trusted and never corrected nobody knows how old it is: its expiry begins now
    const timestamp = clock === null ? message.timestamp : (clock.correctedTimestamp ?? now())
    const { properties } = message
    const correlationData = properties?.correlationData
    return {
      ...message,
      payload: Buffer.from(message.payload),
      timestamp,
      properties:
        correlationData === undefined
          ? properties
          : { ...properties, correlationData: Buffer.from(correlationData) },
    }
  }
}

/** By partition: the place of each offset in the list. */
function byPartition(references: readonly Reference[]): Map<number, Map<number, number>> {
  const wanted = new Map<number, Map<number, number>>()
  for (const [i, { partition, offset }] of references.entries()) {
    let offsets = wanted.get(partition)
    if (offsets === undefined) {
      offsets = new Map()
      wanted.set(partition, offsets)
    }
    if (!offsets.has(offset)) offsets.set(offset, i)
  }
  return wanted
}
