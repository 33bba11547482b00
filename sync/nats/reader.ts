/** Gets the log back out of JetStream, as any consumer can: a subject's messages in their order are one partition. */
import { baseOffsetOf, batchBytes, batchFault, nextOffsetOf, type StoredBatch } from '../../broker/index.ts'
import { UpstreamAnswerError } from '../errors.ts'
import { type MessageHead, parseHead } from './format.ts'
import type { NatsWire, StoredMessage } from './wire.ts'

const HINT = 'something else wrote to this subject; name it in a report'

export interface ReadMessage {
  /** Of the JetStream stream. */
  readonly seq: number
  readonly head: MessageHead
  /** Checked each; with the offsets of the edge's log. */
  readonly batches: readonly StoredBatch[]
}

/**
 * The messages of a subject, from a sequence on up to the last one at the start of the call. Whether one begins where the one
 * before ended is for the caller to compare (`head.from`): retention may have removed the first ones.
 * @throws UpstreamAnswerError for a message that Headwater did not write or that is damaged, NatsWireError
 */
export async function* readMessages(
  wire: NatsWire,
  stream: string,
  subject: string,
  fromSeq = 1,
): AsyncGenerator<ReadMessage> {
  for await (const message of wire.messages(stream, subject, fromSeq)) yield decodeMessage(message)
}

/** @throws UpstreamAnswerError */
export function decodeMessage({ seq, subject, header, payload }: StoredMessage): ReadMessage {
  const wrong = (what: string) => new UpstreamAnswerError(what, `message ${seq} of ${subject}`, HINT)
  const head = parseHead(header)
  if (head === null) throw wrong('headers that Headwater did not write')
  const { stream, partition } = head.origin
  const batches: StoredBatch[] = []
  let rest = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
  let offset = head.from
  while (rest.length > 0) {
    const bytes = rest.subarray(0, rest.length < 12 ? rest.length : batchBytes(rest))
    const fault = batchFault(bytes)
    if (fault !== null) throw wrong(fault)
    const baseOffset = baseOffsetOf(bytes)
    const nextOffset = nextOffsetOf(bytes)
    if (baseOffset < offset) throw wrong(`offset ${baseOffset} where ${offset} or more was to come`)
    batches.push({ stream, partition, baseOffset, nextOffset, bytes })
    offset = nextOffset
    rest = rest.subarray(bytes.length)
  }
  if (offset > head.next) throw wrong(`records up to ${offset}, and a position of ${head.next}`)
  return { seq, head, batches }
}
