/**
 * What publishers notice of a drain: the same load on a broker that has a backlog and no upstream, and on one that sends that backlog
 * to Kafka meanwhile. Kafka and the generator have the same cores.
 */
import { cpSync } from 'node:fs'
import { startHeadwater } from '../ingest/headwater.ts'
import { type Load, type LoadResult, runLoad } from '../ingest/load.ts'
import { STREAM } from '../log/job.ts'
import { EDGE } from '../log/jobs/opened-log.ts'
import type { Cell } from '../progress.ts'
import { type Field, type Section, section, significant, thousands, times } from '../report.ts'
import type { Scratch } from '../scratch.ts'
import { medians, ratio } from '../statistics.ts'
import { PARTITIONS, RECORD_BYTES } from './backlog.ts'
import type { Place, Stock } from './contenders.ts'

/** Cases begin so. */
export const BESIDE = 'beside '
const LOADS = [
  { name: 'as fast as acknowledged', connections: 10, window: 100, ratePerSecond: null },
  { name: '10,000/s', connections: 10, window: 0, ratePerSecond: 10_000 },
] as const

type BesideResult = LoadResult & {
  /** Records that came to Kafka meanwhile; 0 without an upstream. */
  readonly drainedPerSecond: number
}

export interface Drained {
  readonly bootstrap: string
  readonly kafka: Place
  readonly scratch: Scratch
  readonly stock: Stock
  readonly seconds: number
  topic(): string
}

/** Each load first alone, then beside a drain. */
export function besideCells(drained: Drained): Cell<BesideResult>[] {
  return LOADS.flatMap(({ name, ...settings }) => {
    const load: Load = {
      ...settings,
      manner: 'plain',
      entry: { qos0: 0, qos1: 1 },
      payloadBytes: RECORD_BYTES,
      warmSeconds: 2,
      seconds: drained.seconds,
      messagesMax: null,
    }
    return [
      { name: `${BESIDE}${name}, alone`, measure: () => measure(drained, load, null) },
      { name: `${BESIDE}${name}, draining`, measure: () => measure(drained, load, drained.topic()) },
    ]
  })
}

async function measure(drained: Drained, load: Load, topic: string | null): Promise<BesideResult> {
  const { kafka, scratch, stock } = drained
  const directory = scratch.fresh('drained')
  cpSync(stock.directory, directory, { recursive: true })
  if (topic !== null) await kafka.create(topic)
  const server = await startHeadwater(scratch, [], { data: directory, settings: settings(drained, topic) })
  try {
    const before = topic === null ? 0 : sum(await kafka.counts(topic))
    const start = performance.now()
    const result = await runLoad({ ...load, port: server.port, serverPid: server.pid })
    const seconds = (performance.now() - start) / 1000
    if (topic === null) return { ...result, drainedPerSecond: 0 }
    const after = sum(await kafka.counts(topic))
    if (after >= stock.records)
      throw new Error('the backlog was drained before the load ended: more --records')
    return { ...result, drainedPerSecond: (after - before) / seconds }
  } finally {
    await server.stop()
    if (topic !== null) await kafka.drop(topic)
    scratch.discard(directory)
  }
}

function settings({ bootstrap }: Drained, topic: string | null): object {
  const stream = { name: STREAM, topics: ['#'], partitions: PARTITIONS }
  const upstream = { name: 'bench', kind: 'kafka', bootstrap: [bootstrap], topic, groupPrefix: `${topic}.` }
  return { edge: EDGE, streams: [stream], upstreams: topic === null ? [] : [upstream] }
}

const sum = (counts: readonly number[]) => counts.reduce((all, count) => all + count, 0)

type Row = BesideResult & { readonly load: string; readonly rateRatio: number; readonly p99Ratio: number }

const FIELDS: readonly Field<Row>[] = [
  { title: 'load', text: ({ load }) => load },
  { title: 'drained/s', align: 'right', text: (row) => thousands(row.drainedPerSecond) },
  { title: 'msg/s', align: 'right', text: (row) => thousands(row.messagesPerSecond) },
  { title: 'p50 ms', align: 'right', text: (row) => significant(row.p50Ms) },
  { title: 'p99 ms', align: 'right', text: (row) => significant(row.p99Ms) },
  { title: 'against alone: msg/s', align: 'right', text: (row) => times(row.rateRatio) },
  { title: 'p99', align: 'right', text: (row) => times(row.p99Ratio) },
]

/** @param results in the order of the cells */
export function besideSection(results: readonly BesideResult[][], records: number, runs: number): Section {
  const rows = LOADS.flatMap(({ name }, at) => {
    const [alone, draining] = [results[2 * at]!, results[2 * at + 1]!]
    const none = { rateRatio: Number.NaN, p99Ratio: Number.NaN }
    const against = {
      rateRatio: ratio(draining, alone, (result) => result.messagesPerSecond),
      p99Ratio: ratio(draining, alone, (result) => result.p99Ms),
    }
    return [
      { load: name, ...medians(alone), ...none },
      { load: `${name}, beside a drain`, ...medians(draining), ...against },
    ]
  })
  const backlog = `${records.toLocaleString('en')} records of ${RECORD_BYTES} B`
  return section(
    `QoS 1 over 10 connections while a backlog of ${backlog} drains, medians of ${runs}`,
    FIELDS,
    rows,
  )
}
