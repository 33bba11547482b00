/** Reads messages back from where queues refer to: the log, or what no stream holds. */
import type { EventLog } from '../../log/event-log.ts'
import type { LogPartition } from '../../log/partition.ts'
import type { LogRecord } from '../../log/record-batch.ts'
import type { StoredBatch } from '../../log/source.ts'
import type { Message, Place } from '../hub/message.ts'
import { INLINE } from './delivery-table.ts'
import type { InlineMessages } from './inline-messages.ts'
import { messageBytes } from './message-bytes.ts'
import { OpenBatches } from './open-batches.ts'

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
  readonly #open = new OpenBatches()

  constructor(parts: LoaderParts) {
    this.#parts = parts
  }

  /**
   * Messages for the first of these references, at least one, in their order.
   * @param bytesMax of messages (message-bytes.ts), after which it ends
   * @throws LogUnavailableError, or where the disk is at fault
   */
  async load(references: readonly Reference[], bytesMax: number): Promise<Loaded[]> {
    const loaded: Loaded[] = []
    let bytes = 0
    for (const { partition, offset } of references) {
      if (bytes >= bytesMax) break
      const message =
        partition === INLINE ? await this.#parts.inline.get(offset) : await this.#read(partition, offset)
      loaded.push(message ?? 'gone')
      if (message !== null) bytes += messageBytes(message)
    }
    this.#open.trim()
    return loaded
  }

  /** Each second: lets go of what nobody reads on in. */
  rest(): void {
    this.#open.rest()
  }

  async #read(id: number, offset: number): Promise<Message | null> {
    const partition = this.#parts.partition(id)
    if (partition === undefined || partition.stream === '') return null
    // retention has passed it: each of a long queue would cost a read of what is there instead
    if (offset < partition.logStartOffset) return null
    let open = this.#open.find(id, offset)
    let record = open?.at(offset)
    if (record === undefined) {
      const { log } = this.#parts
      const batches = await log.read(partition.stream, partition.partition, offset, READ_BYTES)
      open = this.#open.open(id, batches, offset)
      record = open?.at(offset)
    }
    return record == null ? null : this.messageOf(record, open!.batch, partition)
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
