/** Append and read as the same load is spread over more partitions and more streams. */
import { type Cell, interleaved } from '../../progress.ts'
import { type Field, megabytes, section, significant, thousands } from '../../report.ts'
import { medians } from '../../statistics.ts'
import type { AppendResult, LogResult, Shape } from '../job.ts'
import { type LogBench, type Part, perSecond, writtenRatio } from '../part.ts'

/** Streams, and partitions of all of them together. */
const SPREADS = [
  { streams: 1, partitions: 1 },
  { streams: 1, partitions: 16 },
  { streams: 1, partitions: 256 },
  { streams: 16, partitions: 16 },
  { streams: 16, partitions: 256 },
] as const
type Spread = (typeof SPREADS)[number]

const RECORD_BYTES = 200
const RECORDS_PER_COMMIT = 1024

const KINDS = ['append', 'read in turns', 'read in commit order'] as const
type Kind = (typeof KINDS)[number]

type Row = LogResult & { readonly streams: number; readonly partitions: number; readonly kind: Kind }

export const spreadPart: Part = {
  name: 'spread',
  async measure(bench) {
    const { runs } = bench.options
    const results = await interleaved(
      SPREADS.flatMap((spread) => cellsOf(spread, bench)),
      runs,
    )
    const rows = SPREADS.flatMap((spread, at) =>
      KINDS.map((kind, k): Row => ({ ...spread, kind, ...medians(results[at * KINDS.length + k]!) })),
    )
    const wide = SPREADS.map((spread) =>
      KINDS.map((kind) => rows.find((row) => row.kind === kind && isOf(row, spread))!),
    )
    return {
      sections: [
        section(`200 B, 1,024 a commit over all partitions, medians of ${runs}`, FIELDS, wide.map(wideRow)),
      ],
      charts: [
        chart(rows, 'append-by-partitions.svg', 'Append against partitions', ['append']),
        chart(rows, 'read-by-partitions.svg', 'Read against partitions', [
          'read in turns',
          'read in commit order',
        ]),
      ],
      notes: [
        'read: stored batches, 1 MiB a read. In turns: of each partition in turn, as consumers do that keep up with one another. In',
        'commit order: as the replicator reads.',
      ],
    }
  },
}

function cellsOf(spread: Spread, bench: LogBench): Cell<LogResult>[] {
  const shape = shapeOf(spread)
  const commits = bench.sized((bench.options.megabytes * 1e6) / (RECORD_BYTES * RECORDS_PER_COMMIT))
  let directory = ''
  return KINDS.map((kind) => ({
    name: `${spread.streams} x ${spread.partitions / spread.streams} partitions: ${kind}`,
    async measure() {
      if (kind !== 'append') {
        const result = await bench.run<LogResult>({ kind, directory })
        if (kind === KINDS.at(-1)) bench.scratch.discard(directory)
        return result
      }
      directory = bench.scratch.fresh('log')
      const { samples: _, ...result } = await bench.run<AppendResult>({ kind, directory, shape, commits })
      return result
    },
  }))
}

function shapeOf({ streams, partitions }: Spread): Shape {
  return {
    recordBytes: RECORD_BYTES,
    streams: Array.from({ length: streams }, (_, i) => ({
      name: `bench-${i}`,
      partitions: partitions / streams,
    })),
    partitionsPerCommit: partitions,
    recordsPerCommit: RECORDS_PER_COMMIT,
  }
}

function isOf(row: Row, { streams, partitions }: Spread): boolean {
  return row.streams === streams && row.partitions === partitions
}

/** A row of the table: all that was measured of one spread. */
interface WideRow {
  readonly streams: number
  readonly partitions: number
  readonly append: Row
  readonly inTurns: Row
  readonly inCommitOrder: Row
}

function wideRow([append, inTurns, inCommitOrder]: Row[]): WideRow {
  const { streams, partitions } = append!
  return {
    streams,
    partitions,
    append: append!,
    inTurns: inTurns!,
    inCommitOrder: inCommitOrder!,
  }
}

const FIELDS: readonly Field<WideRow>[] = [
  { title: 'streams', align: 'right', text: (row) => String(row.streams) },
  { title: 'partitions', align: 'right', text: (row) => String(row.partitions) },
  { title: 'append records/s', align: 'right', text: ({ append }) => thousands(perSecond(append)) },
  { title: 'p99 ms', align: 'right', text: ({ append }) => significant(append.commitP99Ms) },
  { title: 'device B/payload B', align: 'right', text: ({ append }) => significant(writtenRatio(append)) },
  { title: 'RSS peak', align: 'right', text: ({ append }) => megabytes(append.rssPeakBytes) },
  { title: 'read in turns', align: 'right', text: ({ inTurns }) => thousands(perSecond(inTurns)) },
  {
    title: 'in commit order',
    align: 'right',
    text: ({ inCommitOrder }) => thousands(perSecond(inCommitOrder)),
  },
]

function chart(rows: readonly Row[], file: string, title: string, kinds: readonly Kind[]) {
  const series = kinds.flatMap((kind) =>
    [1, 16].map((streams) => ({
      name: [
        ...(kinds.length > 1 ? [kind.replace('read ', '')] : []),
        streams === 1 ? '1 stream' : '16 streams',
      ].join(', '),
      points: rows
        .filter((row) => row.kind === kind && row.streams === streams)
        .map((row) => ({ x: row.partitions, y: perSecond(row) })),
    })),
  )
  return {
    kind: 'lines',
    file,
    title,
    subtitle: 'records of 200 B, commits of 1,024 over all partitions, an fsync each',
    xLabel: 'partitions, of all streams together',
    yLabel: 'records a second',
    xTicks: [1, 16, 256].map((value) => ({ value, label: String(value) })),
    series,
  } as const
}
