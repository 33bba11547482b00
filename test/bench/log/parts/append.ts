/** Appending with an fsync each commit, beside what the disk can do at most, and reading it again. */
import { type Cell, interleaved } from '../../progress.ts'
import { type Field, megabytes, section, significant, thousands, times } from '../../report.ts'
import { medians, ratio } from '../../statistics.ts'
import { type AppendResult, type LogJob, type LogResult, oneStream, type Shape } from '../job.ts'
import { type LogBench, type Part, perSecond, writtenRatio } from '../part.ts'

interface Case {
  readonly name: string
  readonly shape: Shape
}

const CASES: readonly Case[] = [
  {
    name: '100 B, 1,000 a commit',
    shape: { recordBytes: 100, streams: oneStream(1), partitionsPerCommit: 1, recordsPerCommit: 1000 },
  },
  {
    name: '200 B, 4 kB x 64 partitions a commit',
    shape: { recordBytes: 200, streams: oneStream(64), partitionsPerCommit: 64, recordsPerCommit: 64 * 20 },
  },
  {
    name: '200 B, 4 kB of one partition a commit',
    shape: { recordBytes: 200, streams: oneStream(64), partitionsPerCommit: 1, recordsPerCommit: 20 },
  },
  {
    name: '1 KB, 1,000 a commit',
    shape: { recordBytes: 1024, streams: oneStream(1), partitionsPerCommit: 1, recordsPerCommit: 1000 },
  },
]

/** Small commits wait for the disk most of the time: fewer of them tell as much. */
const COMMITS_MAX = 10_000

/** In this order: the readers read what the first one wrote. */
const KINDS = ['append', 'append to a file', 'read batches', 'read in commit order'] as const
type Kind = (typeof KINDS)[number]

type Row = LogResult & {
  readonly case: string
  readonly kind: Kind
  /** Records a second against the plain file's, in the same runs. */
  readonly fileRatio: number
}

export const appendPart: Part = {
  name: 'append',
  async measure(bench) {
    const { runs } = bench.options
    const results = await interleaved(
      CASES.flatMap((one) => cellsOf(one, bench)),
      runs,
    )
    const rows = CASES.flatMap((one, at) =>
      rowsOf(one, results.slice(at * KINDS.length, (at + 1) * KINDS.length)),
    )
    const of = (...kinds: Kind[]) => rows.filter(({ kind }) => kinds.includes(kind))
    const title = `append, an fsync each commit, medians of ${runs}`
    return {
      sections: [
        section(title, APPENDED, of('append', 'append to a file')),
        section('read as stored batches', READ, of('read batches', 'read in commit order')),
      ],
      notes: [
        'append: the next commit is appended while the last fsync is under way, as in the broker. A plain file, one write and one',
        'fdatasync a commit, is the limit of this disk. Payloads vary; no keys, no compression.',
        "durable: from the append of a commit's last record to its acknowledgement. CPU: all threads.",
      ],
    }
  },
}

function cellsOf({ name, shape }: Case, bench: LogBench): Cell<LogResult>[] {
  const { scratch, options } = bench
  const commitBytes = shape.recordBytes * shape.recordsPerCommit
  const commits = Math.min(COMMITS_MAX, bench.sized((options.megabytes * 1e6) / commitBytes))
  let written = ''
  return KINDS.map((kind) => ({
    name: `${name}: ${kind}`,
    async measure() {
      if (kind === 'append') written = scratch.fresh('log')
      const directory = kind === 'append to a file' ? scratch.fresh('file') : written
      const answer = await bench.run<LogResult | AppendResult>(jobOf(kind, directory, shape, commits))
      if (kind === 'append to a file' || kind === KINDS.at(-1)) scratch.discard(directory)
      return withoutSamples(answer)
    },
  }))
}

function jobOf(kind: Kind, directory: string, shape: Shape, commits: number): LogJob {
  if (kind === 'append' || kind === 'append to a file') return { kind, directory, shape, commits }
  return { kind, directory }
}

/** Medians are taken of numbers. */
function withoutSamples(result: LogResult | AppendResult): LogResult {
  if (!('samples' in result)) return result
  const { samples: _, ...numbers } = result
  return numbers
}

function rowsOf(one: Case, results: readonly LogResult[][]): Row[] {
  return KINDS.map((kind, index) => {
    const fileRatio = kind === 'append' ? ratio(results[0]!, results[1]!, perSecond) : Number.NaN
    return { case: one.name, kind, ...medians(results[index]!), fileRatio }
  })
}

const RATES: readonly Field<Row>[] = [
  { title: 'records/s', align: 'right', text: (row) => thousands(perSecond(row)) },
  { title: 'MB/s', align: 'right', text: (row) => significant(row.payloadBytes / row.seconds / 1e6) },
]

const USED: readonly Field<Row>[] = [
  { title: 'RSS peak', align: 'right', text: (row) => megabytes(row.rssPeakBytes) },
  { title: 'anon MB', align: 'right', text: (row) => megabytes(row.rssAnonBytes) },
]

const CPU: Field<Row> = {
  title: 'CPU us/record',
  align: 'right',
  text: (row) => significant((row.cpuSeconds * 1e6) / row.records),
}

const APPENDED: readonly Field<Row>[] = [
  { title: 'records', text: (row) => row.case },
  { title: 'into', text: (row) => (row.kind === 'append' ? 'the log' : 'a plain file') },
  ...RATES,
  {
    title: 'of the file',
    align: 'right',
    text: (row) => (row.kind === 'append' ? times(row.fileRatio) : ''),
  },
  { title: 'durable p50 ms', align: 'right', text: (row) => significant(row.commitP50Ms) },
  { title: 'p99 ms', align: 'right', text: (row) => significant(row.commitP99Ms) },
  CPU,
  { title: 'device B/payload B', align: 'right', text: (row) => significant(writtenRatio(row)) },
  ...USED,
]

const READ: readonly Field<Row>[] = [
  { title: 'records', text: (row) => row.case },
  { title: 'how', text: (row) => (row.kind === 'read batches' ? 'by partition' : 'in commit order') },
  ...RATES,
  CPU,
  ...USED,
]
