/** Who takes a backlog to Kafka, each as its users run it. */
import { withDefaults } from '../../../broker/config/schema-check.ts'
import { KafkaUpstreamSchema } from '../../../sync/config.ts'
import type { KafkaUpstreamConfig } from '../../../sync/index.ts'
import type { KafkaServer } from '../../support/kafka/server.ts'
import { createTopic, deleteTopic } from '../../support/kafka/topics.ts'
import { runJob } from '../children.ts'
import { type BenchOptions, profileFlags } from '../options.ts'
import { startSettings } from '../start-settings.ts'
import { PARTITIONS } from './backlog.ts'
import type { PayloadKind, PeerName, SyncJob, SyncResult } from './job.ts'
import { mirror } from './mirror-maker.ts'

/** A backlog in a data directory, written once. */
export interface Stock {
  readonly directory: string
  readonly records: number
  readonly payload: PayloadKind
  /** Of keys and values. */
  readonly payloadBytes: number
}

export interface Contender {
  readonly name: string
  readonly guarantee: string
  /** Its first part does not count, so that it needs no run to warm up. */
  readonly warmsUpAlone?: boolean
  send(topic: string, stock: Stock): Promise<SyncResult>
  /** Where it sends to; without it the Kafka of all others. */
  readonly place?: Place
}

/** Where a backlog goes, and is read back; a topic is Kafka's, or a stream of another. */
export interface Place {
  create(topic: string): Promise<unknown>
  /** Records that a reader finds, by partition. */
  counts(topic: string): Promise<number[]>
  drop(topic: string): Promise<unknown>
}

export const WORKER = new URL('./worker.js', import.meta.url)
const GUARANTEES: Readonly<Record<PeerName, string>> = {
  platformatic: 'at least once',
  'platformatic idempotent': 'once a connection',
  kafkajs: 'at least once',
  'kafkajs idempotent': 'once a connection',
}

/** Those of the start script. */
export function ownSettings({ profile }: Pick<BenchOptions, 'profile'>) {
  const { environment, flags } = startSettings()
  return { environment, flags: [...flags, ...profileFlags(profile)] }
}

/** @param changes to the configuration of an upstream that has no more than its address */
export function own(
  name: string,
  bootstrap: string,
  options: Pick<BenchOptions, 'profile'>,
  changes: Partial<KafkaUpstreamConfig> = {},
): Contender {
  const settings = ownSettings(options)
  return {
    name,
    guarantee: changes.mode === 'fleet' ? 'once a process' : 'exactly once',
    async send(topic, { directory, payloadBytes }) {
      // a transactional id of its own for each run: the group remembers nothing
      const entry = {
        name: 'bench',
        kind: 'kafka',
        bootstrap: [bootstrap],
        topic,
        groupPrefix: `${topic}.`,
        ...changes,
      }
      const upstream = withDefaults(KafkaUpstreamSchema, entry) as KafkaUpstreamConfig
      const job: SyncJob = { kind: 'headwater', directory, upstream }
      const result = await runJob<SyncJob, SyncResult>(WORKER, job, settings)
      return { ...result, payloadBytes }
    },
  }
}

export function rival(peer: PeerName, bootstrap: string, options: Pick<BenchOptions, 'profile'>): Contender {
  const settings = { flags: profileFlags(options.profile) }
  return {
    name: peer,
    guarantee: GUARANTEES[peer],
    send: (topic, { records }) =>
      runJob<SyncJob, SyncResult>(WORKER, { kind: 'peer', peer, bootstrap, topic, records }, settings),
  }
}

/** It reads the same records from a Kafka of its own on this machine, where Headwater has its log. */
export function mirrorMaker(
  bootstrap: string,
  local: KafkaServer,
  classpath: string,
  fresh: (name: string) => string,
): Contender {
  return {
    name: 'mirrormaker 2',
    guarantee: 'exactly once',
    warmsUpAlone: true,
    async send(topic, stock) {
      await createTopic(local.bootstrap, topic, PARTITIONS)
      await own('fill', local.bootstrap, {}, { provenance: 'none' }).send(topic, stock)
      const directory = fresh('mirror')
      const job = { classpath, directory, source: local.bootstrap, target: bootstrap, topic }
      const result = await mirror({ ...job, records: stock.records })
      await deleteTopic(local.bootstrap, topic)
      return result
    },
  }
}
