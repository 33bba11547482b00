/** A running replicator into NATS with a log of its own, and everything that it says. */
import { inspect } from 'node:util'
import { expect } from 'vitest'
import type { CheckpointCache } from '../../../sync/checkpoint.ts'
import type { NatsUpstreamConfig } from '../../../sync/config.ts'
import { createReplicator, type Replicator, type UpstreamDeps } from '../../../sync/index.ts'
import { until } from '../kafka/security-setup.ts'
import { MemoryLog } from '../memory-log.ts'
import { expectChain, messagesOf, natsConfig, recordsOf } from './open-nats.ts'

const noCache: CheckpointCache = { load: async () => null, save: async () => {} }

export class NatsEdge {
  readonly log: MemoryLog
  readonly lines: string[] = []
  readonly #cache: CheckpointCache
  #replicator: Replicator | null = null

  constructor(partitions = 2, cache: CheckpointCache = noCache) {
    this.log = new MemoryLog().addStream('events', partitions)
    this.#cache = cache
  }

  async start(config: NatsUpstreamConfig, deps: UpstreamDeps = {}): Promise<void> {
    const note = (message: string, fields?: unknown) =>
      void this.lines.push(fields === undefined ? message : `${message} ${JSON.stringify(fields)}`)
    const sink = { info: note, warn: note, error: note }
    this.#replicator = await createReplicator(config, { log: this.log, cache: this.#cache, sink, ...deps })
    this.#replicator.start()
  }

  status() {
    return this.#replicator!.status()
  }

  append(records: number, perCommit = records): void {
    for (const { stream, partition } of this.log.partitions()) {
      this.log.appendMany(stream, partition, records, perCommit)
    }
  }

  isLevel(): boolean {
    const { state, lagRecords } = this.status()
    return state === 'idle' && lagRecords === 0
  }

  /** Appends some records to each partition, and waits until upstream has acknowledged all. */
  async replicate(records = 40): Promise<void> {
    this.append(records)
    await this.level()
  }

  /** Waits until upstream has acknowledged all. */
  async level(): Promise<void> {
    await until('all is sent', () => this.isLevel()).catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(this.status())}\n${this.lines.join('\n')}`)
    })
  }

  /** @throws unless each record is upstream once and in order. @returns how many there are */
  async readBack(
    address: string,
    config: Partial<NatsUpstreamConfig> = {},
    env: NodeJS.ProcessEnv = {},
  ): Promise<number> {
    let records = 0
    for (const { stream, partition, durableOffset } of this.log.partitions()) {
      const messages = await messagesOf(address, stream, partition, config, env)
      expectChain(messages)
      const values = recordsOf(messages).map(({ value }) => value)
      const wanted = Array.from({ length: durableOffset }, (_, offset) => `${stream}/${partition}/${offset}`)
      if (values.join() !== wanted.join()) {
        const found = `${values.length} records, ${new Set(values).size} of them different`
        throw new Error(`${stream}/${partition}: ${found}; ${wanted.length} were sent`)
      }
      records += values.length
    }
    return records
  }

  /** Each record is there once and in order, and nobody was taken for a second edge. */
  async expectExact(address: string, config: Partial<NatsUpstreamConfig> = {}): Promise<void> {
    const appended = this.log.partitions().reduce((sum, { durableOffset }) => sum + durableOffset, 0)
    expect(await this.readBack(address, config)).toBe(appended)
    expect(this.lines.join('\n')).not.toMatch(/HW_FENCED|HW_CHECKPOINT|HW_SYNC_INTERNAL/)
  }

  /** Everything that was said, and the status as any output shows it. */
  said(): string {
    return [...this.lines, JSON.stringify(this.status()), inspect(this.status(), { depth: 20 })].join('\n')
  }

  async stop(): Promise<void> {
    await this.#replicator?.close()
    this.#replicator = null
  }
}

export function edgeConfig(address: string, changes: Partial<NatsUpstreamConfig> = {}): NatsUpstreamConfig {
  const quick = { round: { bytesMax: 65_536, lingerMs: 5 }, backoff: { firstMs: 20, msMax: 200 } }
  return natsConfig(address, { ...quick, ...changes })
}
