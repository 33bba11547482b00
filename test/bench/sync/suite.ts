/** A backlog into a real Kafka: Headwater's replicator beside the producers that a program could use instead. */
import { withDefaults } from '../../../broker/config/schema-check.ts'
import { KafkaUpstreamSchema } from '../../../sync/config.ts'
import type { KafkaUpstreamConfig } from '../../../sync/index.ts'
import { chooseKafka, HOW_TO_RUN } from '../../support/kafka/choice.ts'
import { createTopic, deleteTopic } from '../../support/kafka/topics.ts'
import { runJob } from '../children.ts'
import { type BenchOptions, chosen, profileFlags } from '../options.ts'
import { type Cell, interleaved } from '../progress.ts'
import { type Field, megabytes, type Report, section, significant, thousands, times } from '../report.ts'
import { Scratch } from '../scratch.ts'
import { startSettings } from '../start-settings.ts'
import { medians, ratio } from '../statistics.ts'
import { countsByPartition, PARTITIONS, RECORD_BYTES } from './backlog.ts'
import { committedCounts } from './committed-counts.ts'
import type { PeerName, SyncJob, SyncResult } from './job.ts'
import { isInstalled, PEERS } from './peers.ts'

export interface SyncOptions extends BenchOptions {
  readonly records: number
}

/** A backlog in a data directory, written once. */
interface Stock {
  readonly directory: string
  readonly records: number
}

interface Contender {
  readonly name: string
  readonly guarantee: string
  send(topic: string, stock: Stock): Promise<SyncResult>
}

type Row = SyncResult & {
  readonly contender: string
  readonly guarantee: string
  /** Headwater against this one, in the same runs; NaN where it did not take part. */
  readonly throughputRatio: number
  readonly cpuRatio: number
}

const WORKER = new URL('./worker.js', import.meta.url)
const OWN = 'headwater'
const GUARANTEES: Readonly<Record<PeerName, string>> = {
  platformatic: 'at least once',
  'platformatic idempotent': 'once a connection',
  kafkajs: 'at least once',
  'kafkajs idempotent': 'once a connection',
}
/** Of the backlog, sent before anything counts: the JVM compiles what runs often. */
const WARM_SHARE = 0.1

export async function sync(options: SyncOptions): Promise<Report> {
  const { source, reason } = await chooseKafka()
  if (source === undefined) throw new Error(`there is no Kafka to send to: ${reason}; ${HOW_TO_RUN}`)
  const peers = (Object.keys(PEERS) as PeerName[]).filter(isInstalled)
  const { bootstrap } = source
  const compared = chosen(
    [own(bootstrap, options), ...peers.map((peer) => rival(peer, bootstrap, options))],
    options.only,
  )
  const records = options.quick ? Math.min(200_000, options.records) : options.records
  const scratch = new Scratch(options.dir)
  const stop = await source.start()
  try {
    const warmUp = await prepare(scratch, Math.ceil(records * WARM_SHARE))
    await interleaved(cells(compared, bootstrap, warmUp, 'warm-up, '), 1)
    const stock = await prepare(scratch, records)
    const results = await interleaved(cells(compared, bootstrap, stock, ''), options.runs)
    return report({ ...options, records }, rowsOf(compared, results), scratch)
  } finally {
    await stop()
    scratch.remove()
  }
}

async function prepare(scratch: Scratch, records: number): Promise<Stock> {
  const directory = scratch.fresh('backlog')
  await runJob<SyncJob, SyncResult>(WORKER, { kind: 'prepare', directory, records })
  return { directory, records }
}

function own(bootstrap: string, options: SyncOptions): Contender {
  const { environment, flags } = startSettings()
  const settings = { environment, flags: [...flags, ...profileFlags(options.profile)] }
  return {
    name: OWN,
    guarantee: 'exactly once',
    send(topic, { directory }) {
      // a transactional id of its own for each run: the group remembers nothing
      const entry = { name: 'bench', kind: 'kafka', bootstrap: [bootstrap], topic, groupPrefix: `${topic}.` }
      const upstream = withDefaults(KafkaUpstreamSchema, entry) as KafkaUpstreamConfig
      return runJob<SyncJob, SyncResult>(WORKER, { kind: 'headwater', directory, upstream }, settings)
    },
  }
}

function rival(peer: PeerName, bootstrap: string, options: SyncOptions): Contender {
  const settings = { flags: profileFlags(options.profile) }
  return {
    name: peer,
    guarantee: GUARANTEES[peer],
    send: (topic, { records }) =>
      runJob<SyncJob, SyncResult>(WORKER, { kind: 'peer', peer, bootstrap, topic, records }, settings),
  }
}

let topics = 0

function cells(
  contenders: readonly Contender[],
  bootstrap: string,
  stock: Stock,
  prefix: string,
): Cell<SyncResult>[] {
  const expected = countsByPartition(stock.records).join(' ')
  return contenders.map(({ name, send }) => ({
    name: prefix + name,
    async measure() {
      const topic = `bench-${process.pid}-${++topics}`
      await createTopic(bootstrap, topic, PARTITIONS)
      const result = await send(topic, stock)
      const found = (await committedCounts(bootstrap, topic)).join(' ')
      if (found !== expected) throw new Error(`${name} left ${found} records by partition, not ${expected}`)
      await deleteTopic(bootstrap, topic)
      return result
    },
  }))
}

function rowsOf(contenders: readonly Contender[], results: readonly SyncResult[][]): Row[] {
  const at = contenders.findIndex(({ name }) => name === OWN)
  const ownResults = results[at]
  return contenders.map(({ name, guarantee }, index) => {
    const peer = results[index]!
    const against = (of: (result: SyncResult) => number) =>
      ownResults === undefined || index === at ? Number.NaN : ratio(ownResults, peer, of)
    return {
      contender: name,
      guarantee,
      ...medians(peer),
      throughputRatio: against((result) => result.records / result.seconds),
      cpuRatio: against((result) => result.cpuSeconds / result.records),
    }
  })
}

const FIELDS: readonly Field<Row>[] = [
  { title: 'sent by', text: (row) => row.contender },
  { title: 'guarantee', text: (row) => row.guarantee },
  { title: 'records/s', align: 'right', text: (row) => thousands(row.records / row.seconds) },
  {
    title: 'CPU us/record',
    align: 'right',
    text: (row) => significant((row.cpuSeconds * 1e6) / row.records),
  },
  { title: 'RSS peak', align: 'right', text: (row) => megabytes(row.rssPeakBytes) },
  { title: 'anon MB', align: 'right', text: (row) => megabytes(row.rssAnonBytes) },
  { title: 'headwater: records/s', align: 'right', text: (row) => times(row.throughputRatio) },
  { title: 'CPU', align: 'right', text: (row) => times(row.cpuRatio) },
]

function report(options: SyncOptions, rows: readonly Row[], scratch: Scratch): Report {
  const title = `${options.records.toLocaleString('en')} records of ${RECORD_BYTES} B in ${PARTITIONS} partitions, medians of ${options.runs}`
  const missing = (Object.keys(PEERS) as PeerName[]).filter((peer) => !isInstalled(peer))
  const notes = [
    'Each run sends to a new topic, from the first connection to the last acknowledgement; then the topic is read under',
    'read_committed and the run counts only if every partition holds exactly what was sent. Headwater reads the records',
    'from its log on disk and adds a header that names their origin; the others get them from memory, with the partition',
    'already known. acks=all, no compression, libraries loaded before the clock runs, in turns. anon: of the RSS',
    'at the end, what is no mapped file; LevelDB maps the tables it reads.',
    ...missing.map((peer) => `${peer} is not installed here, so it is not compared: npm ci brings it.`),
    ...scratch.notes(),
  ]
  return { bench: 'sync', options, sections: [section(title, FIELDS, rows)], notes }
}
