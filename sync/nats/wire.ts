/** What the upstream asks of a NATS server, whatever client carries it; a test puts itself in front of it. */

/** Why a request failed; `api` is an answer of JetStream with a code. */
export type NatsFault =
  | 'unreachable'
  | 'broken'
  | 'timeout'
  | 'auth'
  | 'tls'
  | 'permission'
  | 'no-jetstream'
  | 'no-stream'
  | 'api'

export class NatsWireError extends Error {
  readonly fault: NatsFault
  /** JetStream's `err_code`; 0 where it gave none. */
  readonly apiCode: number
  constructor(fault: NatsFault, message: string, cause: unknown, apiCode = 0) {
    super(message, { cause })
    this.name = 'NatsWireError'
    this.fault = fault
    this.apiCode = apiCode
  }
}

/** Another message stands on the subject than the one that was expected. */
export const WRONG_LAST_SEQUENCE: ReadonlySet<number> = new Set([10_071, 10_164])

/** A JetStream stream: what it is, and how far it is. */
export interface StreamFacts {
  readonly name: string
  /** When it was created, as the server says it, to the nanosecond. */
  readonly created: string
  readonly subjects: readonly string[]
  readonly retention: string
  /** Words for what keeps it from being written exactly once; empty when nothing does. */
  readonly oddities: readonly string[]
  readonly firstSeq: number
  readonly lastSeq: number
  /** Messages that were removed between the first and the last. */
  readonly deleted: number
}

export interface NewStream {
  readonly name: string
  readonly subjects: readonly string[]
  readonly replicas: number
  readonly storage: 'file' | 'memory'
  readonly bytesMax: number
  readonly ageMsMax: number
}

export interface StoredMessage {
  readonly subject: string
  readonly seq: number
  header(name: string): string | null
  readonly payload: Uint8Array
}

export interface Publication {
  readonly stream: string
  readonly subject: string
  readonly headers: readonly (readonly [string, string])[]
  readonly payload: Buffer
  /** The sequence of the subject's last message, 0 for none; the server refuses when it is another. */
  readonly expectedSeq: number
}

export interface NatsWire {
  /** Of headers and payload together. */
  readonly messageBytesMax: number
  /** Null when there is none. */
  stream(name: string): Promise<StreamFacts | null>
  createStream(stream: NewStream): Promise<StreamFacts>
  /** The last message of a subject, as the stream's leader has it. */
  lastMessage(stream: string, subject: string): Promise<StoredMessage | null>
  messageAt(stream: string, seq: number): Promise<StoredMessage | null>
  /** The subject's messages in order, from a sequence on, as far as the stream goes when it is asked. */
  messages(stream: string, subject: string, fromSeq: number): AsyncIterable<StoredMessage>
  /** @returns the sequence that the message got, once the server acknowledged it */
  publish(publication: Publication): Promise<number>
  /** Breaks the connection; requests under way fail. */
  close(): void
}
