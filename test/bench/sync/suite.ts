/**
 * A backlog into a real Kafka: Headwater beside what could be used instead, what each codec leaves of it on the link, and the same
 * backlog into a real JetStream.
 */
import zlib from 'node:zlib'
import { chooseKafka, HOW_TO_RUN } from '../../support/kafka/choice.ts'
import { type KafkaServer, startKafka } from '../../support/kafka/server.ts'
import { createTopic, deleteTopic } from '../../support/kafka/topics.ts'
import { runJob } from '../children.ts'
import { type BenchOptions, chosen } from '../options.ts'
import { type Cell, interleaved } from '../progress.ts'
import type { Report, Section } from '../report.ts'
import { Scratch } from '../scratch.ts'
import { countsByPartition, PARTITIONS } from './backlog.ts'
import { BESIDE, besideCells, besideSection } from './beside.ts'
import { committedCounts } from './committed-counts.ts'
import { type Contender, mirrorMaker, own, type Place, rival, type Stock, WORKER } from './contenders.ts'
import { type JetStream, startJetStream } from './jetstream.ts'
import type { PayloadKind, PeerName, SyncJob, SyncResult } from './job.ts'
import { mirrorMakerJars } from './mirror-maker.ts'
import { isInstalled, PEERS } from './peers.ts'
import { backlogSection, OWN, wireSection } from './tables.ts'

export interface SyncOptions extends BenchOptions {
  readonly records: number
}

/** Of the backlog, sent before anything counts: the JVM compiles what runs often. */
const WARM_SHARE = 0.1
const QUICK_RECORDS = 200_000
const BESIDE_SECONDS = 4
const CODECS = [
  'none',
  'gzip',
  'lz4',
  'snappy',
  ...('createZstdCompress' in zlib ? (['zstd'] as const) : []),
] as const
const MIRROR = 'mirrormaker 2'
const TO_NATS = `${OWN} to NATS`
/** Cases of the second table begin so. */
const WIRE = 'wire '

export async function sync(options: SyncOptions): Promise<Report> {
  const { source, reason } = await chooseKafka()
  if (source === undefined) throw new Error(`there is no Kafka to send to: ${reason}; ${HOW_TO_RUN}`)
  const records = options.quick ? Math.min(QUICK_RECORDS, options.records) : options.records
  const peers = (Object.keys(PEERS) as PeerName[]).filter(isInstalled)
  const names = [
    OWN,
    `${OWN} fleet`,
    TO_NATS,
    ...peers,
    MIRROR,
    ...CODECS.map((codec) => `${WIRE}${codec}`),
    BESIDE.trim(),
  ]
  const wanted = new Set(
    chosen(
      names.map((name) => ({ name })),
      options.only,
    ).map(({ name }) => name),
  )
  const bench = new SyncBench(options, source.bootstrap, records)
  const stop = await source.start()
  try {
    const compared: Contender[] = []
    if (wanted.has(OWN)) compared.push(own(OWN, source.bootstrap, options))
    if (wanted.has(`${OWN} fleet`)) {
      compared.push(own(`${OWN} fleet`, source.bootstrap, options, { mode: 'fleet' }))
    }
    if (wanted.has(TO_NATS)) compared.push(...(await bench.jetStream()))
    for (const peer of peers) if (wanted.has(peer)) compared.push(rival(peer, source.bootstrap, options))
    if (wanted.has(MIRROR)) compared.push(...(await bench.mirrorMaker()))
    const codecs = CODECS.filter((codec) => wanted.has(`${WIRE}${codec}`))
    const wire = codecs.map((compression) => own(compression, source.bootstrap, options, { compression }))
    const sections = [
      ...(compared.length > 0
        ? [backlogSection(compared, await bench.run(compared, 'numbers'), records, options.runs)]
        : []),
      ...(wire.length > 0
        ? [wireSection(wire, await bench.run(wire, 'sensors'), records, options.runs)]
        : []),
      ...(wanted.has(BESIDE.trim()) ? [await bench.beside()] : []),
    ]
    return { bench: 'sync', options: { ...options, records }, sections, notes: bench.notes(peers) }
  } finally {
    await bench.close()
    await stop()
  }
}

/** What the cases share: backlogs on disk, a Kafka to read from, topics. */
class SyncBench {
  readonly #options: SyncOptions
  readonly #bootstrap: string
  readonly #kafka: Place
  readonly #records: number
  readonly #scratch: Scratch
  readonly #notes: string[] = []
  #local: KafkaServer | null = null
  #jetStream: JetStream | null = null
  #topics = 0

  constructor(options: SyncOptions, bootstrap: string, records: number) {
    this.#options = options
    this.#bootstrap = bootstrap
    this.#kafka = {
      create: (topic) => createTopic(bootstrap, topic, PARTITIONS),
      counts: (topic) => committedCounts(bootstrap, topic),
      drop: (topic) => deleteTopic(bootstrap, topic),
    }
    this.#records = records
    this.#scratch = new Scratch(options.dir)
  }

  /** None where it cannot run here, and why among the notes. */
  async mirrorMaker(): Promise<Contender[]> {
    try {
      const classpath = await mirrorMakerJars()
      this.#local = await startKafka()
      return [mirrorMaker(this.#bootstrap, this.#local, classpath, (name) => this.#scratch.fresh(name))]
    } catch (error) {
      const [line] = (error as Error).message.split('\n')
      this.#notes.push(`MirrorMaker 2 is not compared, it cannot be had here: ${line}`)
      return []
    }
  }

  /** None where it cannot run here, and why among the notes. */
  async jetStream(): Promise<Contender[]> {
    try {
      this.#jetStream = await startJetStream(TO_NATS, this.#options)
      return [this.#jetStream.contender]
    } catch (error) {
      const [line] = (error as Error).message.split('\n')
      this.#notes.push(`JetStream is not measured, there is none here: ${line}`)
      return []
    }
  }

  async run(contenders: readonly Contender[], payload: PayloadKind): Promise<SyncResult[][]> {
    const warmUp = await this.#prepare(Math.ceil(this.#records * WARM_SHARE), payload)
    const cold = contenders.filter(({ warmsUpAlone }) => !warmsUpAlone)
    await interleaved(this.#cells(cold, warmUp, 'warm-up, '), 1)
    const stock = await this.#prepare(this.#records, payload)
    return interleaved(this.#cells(contenders, stock, ''), this.#options.runs)
  }

  /** What publishers notice of a drain. */
  async beside(): Promise<Section> {
    const stock = await this.#prepare(this.#records, 'numbers')
    const cells = besideCells({
      bootstrap: this.#bootstrap,
      kafka: this.#kafka,
      scratch: this.#scratch,
      stock,
      seconds: this.#options.quick ? 1 : BESIDE_SECONDS,
      topic: () => this.#topic(),
    })
    return besideSection(await interleaved(cells, this.#options.runs), stock.records, this.#options.runs)
  }

  #topic(): string {
    return `bench-${process.pid}-${++this.#topics}`
  }

  notes(peers: readonly PeerName[]): string[] {
    const missing = (Object.keys(PEERS) as PeerName[]).filter((peer) => !peers.includes(peer))
    return [
      'Each run sends to a new topic, from the first connection to the last acknowledgement; then the topic is read under',
      'read_committed and the run counts only if every partition holds exactly what was sent. Headwater reads the records',
      'from its log on disk and adds a header that names their origin; the JavaScript producers get them from memory, with the',
      'partition already known. MirrorMaker 2 reads them from a Kafka on this machine; its start and the first tenth do not',
      'count. acks=all, libraries loaded before the clock runs, in turns; no compression but where a codec is named. anon: of',
      'the RSS at the end, what is no mapped file; LevelDB maps the tables it reads. Bytes on the wire are those written to',
      'sockets; payload is keys and values.',
      'Beside a drain: QoS 1 publishers on a broker with that backlog, without an upstream and with one; the drain leaves the event loop',
      'to publishers, and Kafka takes its processor time from the same cores.',
      'JetStream is one nats-server with file storage; it acknowledges what it has written and calls fsync every two minutes.',
      ...missing.map((peer) => `${peer} is not installed here, so it is not compared: npm ci brings it.`),
      ...this.#notes,
      ...this.#scratch.notes(),
    ]
  }

  async close(): Promise<void> {
    await this.#local?.stop()
    await this.#jetStream?.stop()
    this.#scratch.remove()
  }

  async #prepare(records: number, payload: PayloadKind): Promise<Stock> {
    const directory = this.#scratch.fresh('backlog')
    const job: SyncJob = { kind: 'prepare', directory, records, payload }
    const { payloadBytes } = await runJob<SyncJob, SyncResult>(WORKER, job)
    return { directory, records, payload, payloadBytes }
  }

  #cells(contenders: readonly Contender[], stock: Stock, prefix: string): Cell<SyncResult>[] {
    const expected = countsByPartition(stock.records, stock.payload).join(' ')
    return contenders.map(({ name, send, place = this.#kafka }) => ({
      name: prefix + name,
      measure: async () => {
        const topic = this.#topic()
        await place.create(topic)
        const result = await send(topic, stock)
        const found = (await place.counts(topic)).join(' ')
        if (found !== expected) throw new Error(`${name} left ${found} records by partition, not ${expected}`)
        await place.drop(topic)
        return result
      },
    }))
  }
}
