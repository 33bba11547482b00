/** QoS 1 over MQTT: how fast, how late, at what cost, and whether the generator could have sent more. */
import { type BenchOptions, chosen, profileFlags } from '../options.ts'
import { type Cell, interleaved } from '../progress.ts'
import { type Field, megabytes, type Report, section, significant, thousands, times } from '../report.ts'
import { Scratch } from '../scratch.ts'
import { medians, ratio } from '../statistics.ts'
import { headwater } from './headwater.ts'
import { type Load, type LoadResult, runLoad } from './load.ts'
import { mosquitto } from './mosquitto.ts'
import { type Server, sink } from './server.ts'

export interface IngestOptions extends BenchOptions {
  readonly size: number
  readonly seconds: number
}

interface Case {
  readonly name: string
  readonly connections: number
  readonly window: number
  readonly ratePerSecond: number | null
}

/** A paced load has no window: what is late is sent nevertheless. */
const CASES: readonly Case[] = [
  { name: 'c1', connections: 1, window: 100, ratePerSecond: null },
  { name: 'c10', connections: 10, window: 100, ratePerSecond: null },
  { name: 'c100', connections: 100, window: 10, ratePerSecond: null },
  { name: 'paced', connections: 10, window: 0, ratePerSecond: 10_000 },
]

type Row = LoadResult & {
  readonly case: string
  readonly server: string
  readonly acknowledges: string
  /** What the generator reached against a server that does nothing; NaN where the load is paced. */
  readonly generatorPerSecond: number
  /** Against the peer, in the same runs; NaN where there is none. */
  readonly throughputRatio: number
  readonly cpuRatio: number
  readonly p99Ratio: number
}

/** Above this share of a core the generator may be what limits a row, unless the server's own core had no time left. */
const GENERATOR_SHARE_MAX = 0.8
const SERVER_SHARE_FULL = 0.9
/** Below this many times a row's rate the generator's ceiling is too near. */
const HEADROOM_MIN = 1.5

export async function ingest(options: IngestOptions): Promise<Report> {
  const scratch = new Scratch(options.dir)
  try {
    const peer = mosquitto(scratch)
    const own = headwater(scratch, profileFlags(options.profile))
    const servers = [sink, own, ...(peer === null ? [] : [peer])]
    const cases = chosen(CASES, options.only)
    const cells = cases.flatMap((one) => servers.map((server) => cell(one, server, options)))
    const results = await interleaved(cells, options.runs)
    const rows = cases.flatMap((one, at) => {
      const ofCase = results.slice(at * servers.length, (at + 1) * servers.length)
      return rowsOf(one, servers, ofCase)
    })
    return report(options, rows, peer, scratch)
  } finally {
    scratch.remove()
  }
}

function cell(one: Case, server: Server, options: IngestOptions): Cell<LoadResult> {
  const { name, ...settings } = one
  const seconds = options.quick ? Math.min(1, options.seconds) : options.seconds
  const warmSeconds = options.quick ? 0.5 : 1.5
  const load: Load = { ...settings, payloadBytes: options.size, warmSeconds, seconds }
  return {
    name: `${name}, ${server.name}`,
    async measure() {
      const running = await server.start(load)
      try {
        return await runLoad({ ...load, port: running.port, serverPid: running.pid })
      } finally {
        await running.stop()
      }
    },
  }
}

/** @param results of the generator alone, of Headwater and, where there is one, of the peer */
function rowsOf(one: Case, servers: readonly Server[], results: readonly LoadResult[][]): Row[] {
  const [alone, own, peer] = results as [LoadResult[], LoadResult[], LoadResult[] | undefined]
  return servers.map((server, index) => {
    const isOwn = index === 1 && peer !== undefined
    const against = (of: (result: LoadResult) => number) => (isOwn ? ratio(own, peer, of) : Number.NaN)
    return {
      case: one.name,
      server: server.name,
      acknowledges: server.acknowledges,
      ...medians(results[index]!),
      generatorPerSecond: one.ratePerSecond === null ? medians(alone).messagesPerSecond : Number.NaN,
      throughputRatio: against((result) => result.messagesPerSecond),
      cpuRatio: against((result) => result.serverCpuUs),
      p99Ratio: against((result) => result.p99Ms),
    }
  })
}

const FIELDS: readonly Field<Row>[] = [
  { title: 'load', text: (row) => row.case },
  { title: 'server', text: (row) => row.server },
  { title: 'PUBACK', text: (row) => row.acknowledges },
  { title: 'msg/s', align: 'right', text: (row) => thousands(row.messagesPerSecond) },
  { title: 'p50 ms', align: 'right', text: (row) => significant(row.p50Ms) },
  { title: 'p99 ms', align: 'right', text: (row) => significant(row.p99Ms) },
  { title: 'CPU us/msg', align: 'right', text: (row) => significant(row.serverCpuUs) },
  { title: 'RSS idle', align: 'right', text: (row) => megabytes(row.idleRssBytes) },
  { title: 'end', align: 'right', text: (row) => megabytes(row.rssBytes) },
  { title: 'peak', align: 'right', text: (row) => megabytes(row.rssPeakBytes) },
  { title: 'anon MB', align: 'right', text: (row) => megabytes(row.rssAnonBytes) },
  { title: 'cores: server', align: 'right', text: (row) => significant(row.serverCpuShare) },
  { title: 'generator', align: 'right', text: (row) => significant(row.generatorCpuShare) },
  { title: 'could send', align: 'right', text: headroom },
]

function headroom(row: Row): string {
  return row.server === sink.name ? '' : times(row.generatorPerSecond / row.messagesPerSecond)
}

const RATIOS: readonly Field<Row>[] = [
  { title: 'load', text: (row) => row.case },
  { title: 'msg/s', align: 'right', text: (row) => times(row.throughputRatio) },
  { title: 'CPU a message', align: 'right', text: (row) => times(row.cpuRatio) },
  { title: 'p99', align: 'right', text: (row) => times(row.p99Ratio) },
]

function report(options: IngestOptions, rows: Row[], peer: Server | null, scratch: Scratch): Report {
  const { size, runs } = options
  const sections = [section(`QoS 1, ${size} B payloads, medians of ${runs}`, FIELDS, rows)]
  const compared = rows.filter(({ throughputRatio }) => !Number.isNaN(throughputRatio))
  if (peer !== null) sections.push(section(`headwater against ${peer.name}`, RATIOS, compared))
  const notes = [
    'c1, c10, c100: connections with 100, 100 and 10 messages in flight each. paced: 10,000 msg/s over 10 connections,',
    'latency from when a message was due. Each server ran alone beside the generator, in turns. cores: processor time a',
    'second; could send: what the generator alone reaches, against this row. Headwater acknowledges after an fsync;',
    'mosquitto from memory, and it keeps nothing when nobody subscribes. anon: of the RSS at the end, what is no mapped file.',
    ...(peer === null
      ? ['No mosquitto here, so nothing to compare with: install it (apt install mosquitto).']
      : []),
    ...generatorNotes(rows),
    ...scratch.notes(),
  ]
  return { bench: 'ingest', options, sections, notes }
}

/** Whether the generator could have been the limit, said in so many words. */
function generatorNotes(rows: readonly Row[]): string[] {
  const loaded = rows.filter((row) => row.server !== sink.name && !Number.isNaN(row.generatorPerSecond))
  const doubtful = loaded.filter(isDoubtful)
  if (loaded.length === 0) return []
  if (doubtful.length > 0) {
    const names = doubtful.map((row) => `${row.case} ${row.server}`).join(', ')
    return [`The generator may be the limit of: ${names}. Its ceiling or its core was near.`]
  }
  const least = Math.min(...loaded.map((row) => row.generatorPerSecond / row.messagesPerSecond))
  return [
    `The generator is not the limit: a sink that only acknowledges takes at least ${times(least)} as much from it, and in each`,
    'row its core had time left, or the server had used up its own.',
  ]
}

function isDoubtful(row: Row): boolean {
  const isNearCeiling = row.generatorPerSecond < row.messagesPerSecond * HEADROOM_MIN
  const isBusy = row.generatorCpuShare > GENERATOR_SHARE_MAX && row.serverCpuShare < SERVER_SHARE_FULL
  return isNearCeiling || isBusy
}
