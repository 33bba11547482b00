/** A JetStream, read back for the verification: a subject is a partition, and its messages say whose they are. */
import { type LogIdentity, type PartitionState, readRecords } from '../../broker/index.ts'
import type { AuditItem, AuditSource, Strangers } from '../audit/source.ts'
import { toUpstreamError } from './answers.ts'
import { parseHead } from './format.ts'
import { decodeMessage } from './reader.ts'
import { permissionsOf, type StreamOptions, type Target, targetOf } from './stream.ts'
import type { NatsWire, StoredMessage, StreamFacts } from './wire.ts'

/** Reading many messages takes a consumer. */
const READ_CALLS = ['CONSUMER.CREATE', 'CONSUMER.MSG.NEXT', 'CONSUMER.INFO', 'CONSUMER.DELETE']
const REMOVED = 'the stream no longer holds messages from there'

export interface NatsAuditOptions extends StreamOptions {
  readonly name: string
  readonly address: string
  readonly inboxPrefix: string
}

export class NatsAudit implements AuditSource {
  readonly kind = 'nats'
  readonly name: string
  readonly address: string
  readonly #options: NatsAuditOptions
  readonly #openWire: (identity: LogIdentity) => Promise<NatsWire>
  #wire: NatsWire | null = null
  #otherLogs = 0
  #unmarked = 0

  constructor(
    options: NatsAuditOptions,
    deps: { readonly openWire: (identity: LogIdentity) => Promise<NatsWire> },
  ) {
    this.name = options.name
    this.address = options.address
    this.#options = options
    this.#openWire = deps.openWire
  }

  /** Records of other edges stand on other subjects. A message that says nothing counts as one record. */
  get strangers(): Strangers {
    return { otherEdges: 0, otherLogs: this.#otherLogs, unmarked: this.#unmarked }
  }

  async *read(
    identity: LogIdentity,
    partitions: readonly PartitionState[],
    signal: AbortSignal,
  ): AsyncGenerator<AuditItem> {
    try {
      this.#wire ??= await this.#openWire(identity)
      for (const state of partitions) {
        const target = targetOf(this.#options, identity, state)
        const facts = await this.#wire.stream(target.natsStream)
        if (facts !== null) yield* this.#readOne(this.#wire, identity, target, facts, state, signal)
      }
    } catch (error) {
      const { inboxPrefix } = this.#options
      const write = permissionsOf(this.#options, inboxPrefix, identity.edge)
      const calls = READ_CALLS.map((call) => `$JS.API.${call}.>`).join(', ')
      const permissions = `${write}, and for the verification to publish to ${calls}`
      throw toUpstreamError(error, { address: this.address, stream: this.#options.stream, permissions })
    }
  }

  async close(): Promise<void> {
    this.#wire?.close()
    this.#wire = null
  }

  async *#readOne(
    wire: NatsWire,
    identity: LogIdentity,
    { natsStream, subject, stream, partition }: Target,
    facts: StreamFacts,
    { logStartOffset }: PartitionState,
    signal: AbortSignal,
  ): AsyncGenerator<AuditItem> {
    // Where the stream has removed nothing, nothing excuses what is not there.
    const removes = facts.firstSeq > 1 || facts.deleted > 0
    const place = { place: `${natsStream}/${subject}`, stream, partition }
    const gap = { kind: 'gap', ...place, reason: REMOVED } as const
    let next: number | null = null
    for await (const message of wire.messages(natsStream, subject, 1)) {
      if (signal.aborted) return
      const ours = this.#ours(message, identity)
      if (ours === null) continue
      // A position that a person moved says nothing of what stood before it.
      const isMove = next !== null && ours.from === ours.next
      if (removes && !isMove && ours.from > (next ?? logStartOffset)) yield gap
      next = ours.next
      if (ours.records.length > 0) yield { kind: 'records', ...place, records: ours.records }
    }
    if (removes && next === null) yield gap
  }

  /** Null for a message that is not of this log. */
  #ours(message: StoredMessage, identity: LogIdentity) {
    if (parseHead(message.header) === null) {
      this.#unmarked++
      return null
    }
    const { head, batches } = decodeMessage(message)
    const records = batches.flatMap(({ bytes }) => [...readRecords(bytes)])
    if (head.origin.edge === identity.edge && head.origin.incarnation === identity.incarnation) {
      return { from: head.from, next: head.next, records }
    }
    this.#otherLogs += records.length
    return null
  }
}
