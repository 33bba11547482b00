/** Messages in: how fast, how late, at what cost, and whether the generator could have sent more. */
import type { BarChart } from '../plots/bar-chart.ts'
import { interleaved } from '../progress.ts'
import { type Field, megabytes, section, significant, thousands, times } from '../report.ts'
import { medians, ratio } from '../statistics.ts'
import { type Load, type LoadResult, runLoad } from './load.ts'
import type { Manner } from './manner.ts'
import type { EntryShape } from './packets.ts'
import { type Contenders, cellOf, checkKept, durations, type IngestOptions, type PartReport } from './part.ts'
import { SINK, sinkOf } from './server.ts'

export interface LoadCase {
  readonly name: string
  readonly manner: Manner
  readonly connections: number
  readonly entry: EntryShape
  readonly window: number
  readonly ratePerSecond: number | null
}

const QOS_1: EntryShape = { qos0: 0, qos1: 1 }
/** QoS 0 has no acknowledgement; the one message of QoS 1 behind so many says that they are through. */
const QOS_0: EntryShape = { qos0: 63, qos1: 1 }

/** A paced load has no window: what is late is sent nevertheless. */
const LOADS: readonly Omit<LoadCase, 'manner'>[] = [
  { name: 'c1', connections: 1, entry: QOS_1, window: 100, ratePerSecond: null },
  { name: 'c10', connections: 10, entry: QOS_1, window: 100, ratePerSecond: null },
  { name: 'c100', connections: 100, entry: QOS_1, window: 10, ratePerSecond: null },
  { name: 'paced', connections: 10, entry: QOS_1, window: 0, ratePerSecond: 10_000 },
  { name: 'qos0', connections: 10, entry: QOS_0, window: 16, ratePerSecond: null },
]

export const LOAD_CASES: readonly LoadCase[] = LOADS.flatMap((load) => [
  { ...load, manner: 'plain' as const },
  { ...load, name: `${load.name} guarded`, manner: 'guarded' as const },
])

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

export async function loadPart(
  cases: readonly LoadCase[],
  options: IngestOptions,
  contenders: Contenders,
): Promise<PartReport> {
  const cells = cases.map((one) => cellsOf(one, options, contenders))
  const results = await interleaved(cells.flat(), options.runs)
  const width = cells[0]!.length
  const rows = cases.flatMap((one, at) =>
    rowsOf(one, contenders, results.slice(at * width, (at + 1) * width)),
  )
  const { size, runs } = options
  const compared = rows.filter(({ throughputRatio }) => !Number.isNaN(throughputRatio))
  return {
    sections: [
      section(`${size} B payloads, medians of ${runs}`, FIELDS, rows),
      ...(compared.length > 0
        ? [section(`headwater against ${contenders.peer!.name}`, RATIOS, compared)]
        : []),
    ],
    notes: [...NOTES, ...generatorNotes(rows)],
    charts: [chartOf(rows, contenders)],
  }
}

function cellsOf(one: LoadCase, options: IngestOptions, { own, peer }: Contenders) {
  const { name, ...settings } = one
  const load: Load = { ...settings, payloadBytes: options.size, ...durations(options), messagesMax: null }
  return [sinkOf(load), own, ...(peer === null ? [] : [peer])].map((server) =>
    cellOf(name, server, one.manner, async (running) => {
      const result = await runLoad({ ...load, port: running.port, serverPid: running.pid })
      await checkKept(running, result.messagesInAll)
      return result
    }),
  )
}

/** @param results of the generator alone, of Headwater and, where there is one, of the peer */
function rowsOf(one: LoadCase, contenders: Contenders, results: readonly LoadResult[][]): Row[] {
  const [alone, own, peer] = results as [LoadResult[], LoadResult[], LoadResult[] | undefined]
  const servers = [
    { name: SINK, acknowledges: 'no work' },
    contenders.own,
    ...(contenders.peer === null ? [] : [contenders.peer]),
  ]
  return servers.map((server, index) => {
    const isOwn = index === 1 && peer !== undefined
    const against = (of: (result: LoadResult) => number) => (isOwn ? ratio(own, peer, of) : Number.NaN)
    const found = medians(results[index]!)
    const isTimed = one.entry.qos0 === 0
    return {
      case: one.name,
      server: server.name,
      acknowledges: server.acknowledges,
      ...found,
      p50Ms: isTimed ? found.p50Ms : Number.NaN,
      p99Ms: isTimed ? found.p99Ms : Number.NaN,
      generatorPerSecond: one.ratePerSecond === null ? medians(alone).messagesPerSecond : Number.NaN,
      throughputRatio: against((result) => result.messagesPerSecond),
      cpuRatio: against((result) => result.serverCpuUs),
      p99Ratio: isTimed ? against((result) => result.p99Ms) : Number.NaN,
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
  return row.server === SINK ? '' : times(row.generatorPerSecond / row.messagesPerSecond)
}

const RATIOS: readonly Field<Row>[] = [
  { title: 'load', text: (row) => row.case },
  { title: 'msg/s', align: 'right', text: (row) => times(row.throughputRatio) },
  { title: 'CPU a message', align: 'right', text: (row) => times(row.cpuRatio) },
  { title: 'p99', align: 'right', text: (row) => times(row.p99Ratio) },
]

const NOTES = [
  'c1, c10, c100: connections with 100, 100 and 10 messages of QoS 1 in flight each. paced: 10,000 msg/s over 10 connections, latency from',
  'when a message was due. qos0: 10 connections, QoS 0, and each 64th message with QoS 1: its PUBACK says that those before it are through;',
  'Headwater has them all in its log. guarded: MQTT 5, a user with a password, permissions and, in Headwater, quotas; both servers are.',
  'Each server ran alone beside the generator, in turns. cores: processor time a second; could send: what the generator alone reaches,',
  'against this row. Headwater acknowledges after an fsync; mosquitto from memory, and it keeps nothing when nobody subscribes. What',
  'Headwater acknowledged was counted in its log after each run. anon: of the RSS at the end, what is no mapped file.',
]

/** Whether the generator could have been the limit, said in so many words. */
function generatorNotes(rows: readonly Row[]): string[] {
  const loaded = rows.filter((row) => row.server !== SINK && !Number.isNaN(row.generatorPerSecond))
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

const CHART_NAMES: Record<string, string> = {
  c1: '1 connection',
  c10: '10 connections',
  c100: '100 connections',
  qos0: '10 connections\nQoS 0',
}

function chartOf(rows: readonly Row[], { own, peer }: Contenders): BarChart {
  const of = (name: string, server: string) =>
    (rows.find((row) => row.case === name && row.server === server)?.messagesPerSecond ?? Number.NaN) / 1000
  const servers = [own.name, ...(peer === null ? [] : [peer.name])]
  const names = Object.keys(CHART_NAMES).filter((name) => rows.some((row) => row.case.startsWith(name)))
  return {
    kind: 'bars',
    file: 'ingest.svg',
    title: 'Messages a second',
    subtitle:
      'QoS 1 where nothing is said; Headwater acknowledges after an fsync. guarded: MQTT 5, users, permissions, quotas',
    xLabel: '',
    yLabel: 'thousand messages a second',
    series: servers.flatMap((server) => [server, `${server}, guarded`]),
    groups: names.map((name) => ({
      name: CHART_NAMES[name]!,
      values: servers.flatMap((server) => [of(name, server), of(`${name} guarded`, server)]),
    })),
  }
}
