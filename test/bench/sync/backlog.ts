/** The records that all contenders send: the same keys, payloads and partitions, in the same order. */
import { partitionOf } from '../../../broker/log/murmur2.ts'
import { Payloads } from '../payloads.ts'
import type { PayloadKind } from './job.ts'
import { SensorBacklog } from './sensors.ts'

export const PARTITIONS = 4
export const RECORD_BYTES = 200
const DEVICES = 100

export interface BacklogRecord {
  readonly key: Buffer
  readonly value: Buffer
  readonly partition: number
}

export class Backlog {
  readonly #payloads = new Payloads(RECORD_BYTES)
  readonly #keys: { key: Buffer; partition: number }[] = []
  #next = 0

  constructor() {
    for (let device = 0; device < DEVICES; device++) {
      const key = Buffer.from(`site/1/dev/${String(device).padStart(5, '0')}/t`)
      this.#keys.push({ key, partition: partitionOf(key, PARTITIONS) })
    }
  }

  next(): BacklogRecord {
    const { key, partition } = this.#keys[this.#next++ % DEVICES]!
    return { key, partition, value: this.#payloads.next() }
  }
}

/** The records of one kind of payload, from the first on. */
export function backlogOf(payload: PayloadKind): { next(): BacklogRecord } {
  return payload === 'numbers' ? new Backlog() : new SensorBacklog(PARTITIONS)
}

/** How many of the first `records` go to each partition. */
export function countsByPartition(records: number, payload: PayloadKind): number[] {
  const backlog = backlogOf(payload)
  const counts = new Array<number>(PARTITIONS).fill(0)
  for (let i = 0; i < records; i++) counts[backlog.next().partition]!++
  return counts
}
