/** Memory as records are appended: it must not grow with them. */
import { Progress } from '../../progress.ts'
import { type Field, section, significant, thousands } from '../../report.ts'
import { median, slope } from '../../statistics.ts'
import { type AppendResult, type MemorySample, oneStream, type Shape } from '../job.ts'
import type { LogBench, Part } from '../part.ts'

const RECORDS = 10_000_000
const SAMPLES = 200
const WINDOW_BYTES = 60e6

interface Case {
  readonly name: string
  readonly retentionBytes?: number
}

const CASES: readonly Case[] = [
  { name: 'all kept' },
  { name: 'a window of 60 MB', retentionBytes: WINDOW_BYTES },
]

const FIGURES = ['rssBytes', 'rssAnonBytes'] as const
type Figure = (typeof FIGURES)[number]

interface Row {
  readonly case: string
  readonly figure: Figure
  readonly records: number
  /** Of the last half, bytes. */
  readonly least: number
  readonly middle: number
  readonly most: number
  /** Bytes that a record adds, over the last half. */
  readonly perRecord: number
  readonly samples: readonly MemorySample[]
}

export const memoryPart: Part = {
  name: 'memory',
  async measure(bench) {
    const progress = new Progress(CASES.length)
    const rows: Row[] = []
    try {
      for (const one of CASES) {
        progress.step(`memory: ${one.name}`)
        const samples = await sampled(bench, one)
        for (const figure of FIGURES) rows.push(rowOf(one, figure, samples))
        progress.done()
      }
    } finally {
      progress.stop()
    }
    const records = thousands(bench.sized(RECORDS))
    return {
      sections: [
        section(`memory over ${records} records of 200 B, 16 partitions: the last half`, FIELDS, rows),
      ],
      charts: [chart(rows)],
      notes: ['memory: one process each. anon: what is no mapped file, and the kernel cannot drop.'],
    }
  },
}

async function sampled(bench: LogBench, { retentionBytes }: Case): Promise<readonly MemorySample[]> {
  const shape: Shape = {
    recordBytes: 200,
    streams: oneStream(16).map((stream) => ({
      ...stream,
      ...(retentionBytes === undefined ? {} : { retentionBytes }),
    })),
    partitionsPerCommit: 16,
    recordsPerCommit: 1000,
  }
  const directory = bench.scratch.fresh('log')
  const commits = bench.sized(RECORDS / shape.recordsPerCommit)
  const job = { kind: 'append', directory, shape, commits, samples: SAMPLES } as const
  const { samples } = await bench.run<AppendResult>(job)
  bench.scratch.discard(directory)
  return samples
}

function rowOf({ name }: Case, figure: Figure, samples: readonly MemorySample[]): Row {
  const half = samples.slice(samples.length >>> 1)
  const bytes = half.map((sample) => sample[figure])
  return {
    case: name,
    figure,
    records: samples.at(-1)!.records,
    least: Math.min(...bytes),
    middle: median(bytes),
    most: Math.max(...bytes),
    perRecord: slope(half.map((sample) => ({ x: sample.records, y: sample[figure] }))),
    samples,
  }
}

const FIELDS: readonly Field<Row>[] = [
  { title: 'log', text: (row) => row.case },
  { title: 'memory', text: (row) => nameOf(row.figure) },
  { title: 'least MB', align: 'right', text: (row) => significant(row.least / 1e6) },
  { title: 'median MB', align: 'right', text: (row) => significant(row.middle / 1e6) },
  { title: 'most MB', align: 'right', text: (row) => significant(row.most / 1e6) },
  // bytes a record are megabytes a million of them
  { title: 'MB more per 1M records', align: 'right', text: (row) => significant(row.perRecord) },
]

function nameOf(figure: Figure): string {
  return figure === 'rssBytes' ? 'RSS' : 'anon'
}

function chart(rows: readonly Row[]) {
  return {
    kind: 'lines',
    file: 'memory.svg',
    title: 'Memory over appended records',
    subtitle: 'records of 200 B, 1,000 a commit over 16 partitions, an fsync each',
    xLabel: 'records appended',
    yLabel: 'MB',
    series: rows.map((row) => ({
      name: `${nameOf(row.figure)}, ${row.case}`,
      points: row.samples.map((sample) => ({ x: sample.records, y: sample[row.figure] / 1e6 })),
    })),
  } as const
}
