/** Appends as the ingress does: the next commit's records come in while the last one's fsync is under way. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Chain } from '../../../../broker/log/chain.ts'
import type { EventLog } from '../../../../broker/log/event-log.ts'
import type { LogPartition } from '../../../../broker/log/partition.ts'
import { NO_HEADERS } from '../../../../broker/log/record-batch.ts'
import { KeyDraw } from '../../key-draw.ts'
import { Payloads } from '../../payloads.ts'
import { LatencyBuckets } from '../../statistics.ts'
import type { Shape } from '../job.ts'

export class Writer {
  readonly chain: Chain
  /** Of each commit, from the append of its last record to its acknowledgement. */
  readonly latency = new LatencyBuckets()
  readonly #shape: Shape
  readonly #partitions: readonly LogPartition[]
  readonly #payloads: Payloads
  readonly #keys: KeyDraw | null
  #at = 0
  #underWay: Promise<void> = Promise.resolve()

  constructor(log: EventLog, shape: Shape) {
    const streams = shape.streams.map(({ name }) => log.stream(name))
    this.chain = streams[0]!.chain
    if (streams.some(({ chain }) => chain !== this.chain)) throw new Error('the streams have several chains')
    this.#shape = shape
    this.#partitions = streams.flatMap(({ partitions }) => partitions)
    this.#payloads = new Payloads(shape.recordBytes)
    this.#keys = shape.keys === undefined ? null : new KeyDraw(shape.keys)
  }

  /** One commit's records; resolves once the commit before is durable and the chain takes more. */
  async commit(): Promise<void> {
    this.append(this.#shape.recordsPerCommit)
    const last = this.#underWay
    this.#underWay = this.#committed()
    await last
    await this.chain.admission.drained()
    // by then the chain has taken what was appended, unless it is sealing a segment; what comes now is the next commit's
    await nextTurn()
  }

  /** Resolves once all that was appended is durable. */
  end(): Promise<void> {
    return this.#underWay
  }

  append(records: number): void {
    const { partitionsPerCommit } = this.#shape
    const partitions = this.#partitions
    const timestamp = Date.now()
    for (let i = 0; i < records; i++) {
      let place = this.#at + (i % partitionsPerCommit)
      let key: Buffer | null = null
      if (this.#keys !== null) {
        place = this.#keys.next()
        key = this.#keys.key(place)
      }
      const partition = partitions[place % partitions.length]!
      this.chain.append(partition, timestamp, key, this.#payloads.next(), NO_HEADERS)
    }
    this.#at = (this.#at + partitionsPerCommit) % partitions.length
  }

  #committed(): Promise<void> {
    const appendedAt = performance.now()
    return new Promise((resolve, reject) => {
      this.chain.onCommit((error) => {
        if (error !== null) return reject(error)
        this.latency.record((performance.now() - appendedAt) * 1000)
        resolve()
      })
    })
  }
}
