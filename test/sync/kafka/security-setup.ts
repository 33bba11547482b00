/** Upstreams on the listeners of a secure Kafka, and all that they say, to be searched for secrets. */
import { chmod, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import type { CheckpointCache } from '../../../sync/checkpoint.ts'
import type { KafkaUpstreamConfig, UpstreamConfig } from '../../../sync/config.ts'
import {
  createReplicator,
  createUpstream,
  type Replicator,
  type UpstreamDeps,
  type UpstreamError,
} from '../../../sync/index.ts'
import { readTopic, uniqueName } from '../../support/kafka/index.ts'
import { MemoryLog } from '../memory-log.ts'
import { settled } from './kafka-place.ts'

const noCache: CheckpointCache = { load: async () => null, save: async () => {} }
const UNTIL_MS_MAX = 30_000
const RECORDS = 40

export type Security = Pick<KafkaUpstreamConfig, 'tls' | 'sasl'>

export function securityConfig(
  address: string,
  security: Security,
  name = uniqueName('edge'),
): KafkaUpstreamConfig {
  return {
    name: 'central',
    kind: 'kafka',
    bootstrap: [address],
    topic: `${name}-{stream}`,
    createTopics: true,
    replicationFactor: -1,
    topicConfig: {},
    provenance: 'record',
    mode: 'exactly-once',
    partitioning: 'auto',
    compression: 'none',
    groupPrefix: `${name}.`,
    transactionTimeoutMs: 10_000,
    batchBytesMax: 1_000_000,
    round: { bytesMax: 65_536, lingerMs: 5 },
    backoff: { firstMs: 20, msMax: 200 },
    ...security,
  }
}

export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + UNTIL_MS_MAX
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${UNTIL_MS_MAX} ms: ${what}`)
    await sleep(10)
  }
}

/** A running replicator with a log of one stream, and everything that it says. */
export class SecureEdge {
  readonly log = new MemoryLog().addStream('events', 2)
  readonly lines: string[] = []
  readonly #name = uniqueName('edge')
  readonly #plain: string
  #replicator: Replicator | null = null

  /** @param plain host:port of a listener by which the test reads back */
  constructor(plain: string) {
    this.#plain = plain
  }

  async start(address: string, security: Security, deps: UpstreamDeps = {}): Promise<void> {
    const note = (message: string, fields?: unknown) =>
      this.lines.push(fields === undefined ? message : `${message} ${JSON.stringify(fields)}`)
    const sink = { info: note, warn: note, error: note }
    const config = securityConfig(address, security, this.#name)
    this.#replicator = await createReplicator(config, { log: this.log, cache: noCache, sink, ...deps })
    this.#replicator.start()
  }

  status() {
    return this.#replicator!.status()
  }

  /** Appends some records, and waits until upstream has acknowledged all. */
  async replicate(): Promise<void> {
    for (const partition of [0, 1]) this.log.appendMany('events', partition, RECORDS)
    await until(`all is sent; ${JSON.stringify(this.status().lastError)}`, () => {
      const { state, lagRecords } = this.status()
      return state === 'idle' && lagRecords === 0
    })
  }

  /** All records upstream under read_committed, by partition in order. @throws unless each is there once */
  async readBack(): Promise<number> {
    await settled(this.#plain, `${this.#name}.${this.log.identity.edge}`)
    const records = await readTopic(this.#plain, `${this.#name}-events`)
    const ends = this.log.partitions()
    for (const { partition, durableOffset } of ends) {
      const values = records.filter((record) => record.partition === partition).map(({ value }) => `${value}`)
      const wanted = Array.from({ length: durableOffset }, (_, offset) => `events/${partition}/${offset}`)
      if (values.join() !== wanted.join()) {
        throw new Error(`partition ${partition}: ${values.length} records, ${wanted.length} were sent`)
      }
    }
    return records.length
  }

  /** Everything that was said, and the status as any output shows it. */
  said(): string {
    return [...this.lines, JSON.stringify(this.status()), inspect(this.status(), { depth: 20 })].join('\n')
  }

  async stop(): Promise<void> {
    await this.#replicator?.close()
  }
}

/** Tries to connect once. @returns the error, and all that it says in any form */
export async function refusal(
  config: UpstreamConfig,
  deps: UpstreamDeps = {},
): Promise<{ error: UpstreamError; said: string }> {
  const lines: string[] = []
  const note = (message: string) => lines.push(message)
  const upstream = await createUpstream(config, { sink: { info: note, warn: note, error: note }, ...deps })
  const log = new MemoryLog().addStream('events', 1)
  try {
    await upstream.recover(log.identity, log.partitions())
  } catch (thrown) {
    const error = thrown as UpstreamError
    const forms = [
      error.line,
      error.stack,
      JSON.stringify(error),
      inspect(error, { depth: 20, showHidden: true }),
    ]
    return { error, said: [...lines, ...forms].join('\n') }
  } finally {
    await upstream.close()
  }
  throw new Error('it was let in')
}

/** Files of one device in a directory of their own. */
export async function secretFile(
  directory: string,
  name: string,
  text: string,
  mode = 0o600,
): Promise<string> {
  const path = join(directory, name)
  // put in its place whole, as tools that renew certificates do: a look may come at any moment
  await writeFile(`${path}.new`, text)
  await chmod(`${path}.new`, mode)
  await rename(`${path}.new`, path)
  return path
}
