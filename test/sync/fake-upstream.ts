/** An upstream in memory, whose answers a test decides. */
import {
  type LogIdentity,
  type PartitionState,
  partitionKey,
  readRecords,
  type Validity,
} from '../../broker/index.ts'
import type { UpstreamError } from '../../sync/errors.ts'
import { partProof } from '../../sync/proof.ts'
import type { Positions, Recovered, RecoveredPartition, Round, Upstream } from '../../sync/upstream.ts'

export class FakeUpstream implements Upstream {
  readonly name = 'fake'
  readonly kind = 'fake'
  readonly address = 'memory'
  place = 'place-1'
  readonly positions = new Map<string, { next: number; proof: number | null }>()
  /** Values by partition, as they arrived. */
  readonly values = new Map<string, string[]>()
  readonly rounds: Round[] = []
  recovers = 0
  /** Streams that are refused by the next recoveries. */
  readonly refused = new Map<string, UpstreamError>()
  /** Streams that the last recovery was asked for. */
  asked: readonly string[] = []
  disconnects = 0
  closed = false
  certificate: Validity | null = null
  /** Runs before a call takes effect; throws to make it fail. */
  beforeRecover: () => void | Promise<void> = () => {}
  beforeSend: (round: Round) => void | Promise<void> = () => {}
  /** Runs after a round took effect; throws to lose its answer. */
  afterSend: (round: Round) => void | Promise<void> = () => {}

  async recover(_identity: LogIdentity, partitions: readonly PartitionState[]): Promise<Recovered> {
    this.recovers++
    await this.beforeRecover()
    const found = new Map<string, RecoveredPartition>()
    this.asked = [...new Set(partitions.map(({ stream }) => stream))]
    const refused = new Map([...this.refused].filter(([stream]) => this.asked.includes(stream)))
    for (const { stream, partition } of partitions) {
      if (refused.has(stream)) continue
      const key = partitionKey(stream, partition)
      const position = this.positions.get(key)
      found.set(key, { next: position?.next ?? null, proof: position?.proof ?? null, place: this.place })
    }
    return { partitions: found, refused }
  }

  async send(round: Round): Promise<Positions> {
    await this.beforeSend(round)
    this.rounds.push(round)
    for (const part of round.parts) {
      const key = partitionKey(part.stream, part.partition)
      const values = this.values.get(key) ?? []
      this.values.set(key, values)
      for (const batch of part.batches) {
        for (const record of readRecords(batch.bytes)) {
          if (record.offset >= part.fromOffset) values.push(record.value?.toString() ?? '')
        }
      }
      this.positions.set(key, { next: part.nextOffset, proof: partProof(part) })
    }
    await this.afterSend(round)
    return new Map(round.parts.map((part) => [partitionKey(part.stream, part.partition), part.nextOffset]))
  }

  async disconnect(): Promise<void> {
    this.disconnects++
  }

  async close(): Promise<void> {
    this.closed = true
  }
}
