/** The log alone: append with fsync, read, start, and what reaches the device. */
import { runJob } from '../children.ts'
import { type BenchOptions, chosen, profileFlags } from '../options.ts'
import { type Cell, interleaved } from '../progress.ts'
import { type Field, megabytes, type Report, section, significant, thousands, times } from '../report.ts'
import { Scratch } from '../scratch.ts'
import { startSettings } from '../start-settings.ts'
import { medians, ratio } from '../statistics.ts'
import type { LogJob, LogResult, Shape } from './job.ts'

export interface LogOptions extends BenchOptions {
  /** Payload that each append case writes. */
  readonly megabytes: number
}

interface Case {
  readonly name: string
  readonly shape: Shape
}

const CASES: readonly Case[] = [
  {
    name: '100 B, 1,000 a commit',
    shape: { recordBytes: 100, partitions: 1, partitionsPerCommit: 1, recordsPerCommit: 1000 },
  },
  {
    name: '200 B, 4 kB x 64 partitions a commit',
    shape: { recordBytes: 200, partitions: 64, partitionsPerCommit: 64, recordsPerCommit: 64 * 20 },
  },
  {
    name: '200 B, 4 kB of one partition a commit',
    shape: { recordBytes: 200, partitions: 64, partitionsPerCommit: 1, recordsPerCommit: 20 },
  },
  {
    name: '1 KB, 1,000 a commit',
    shape: { recordBytes: 1024, partitions: 1, partitionsPerCommit: 1, recordsPerCommit: 1000 },
  },
]

/** Small commits wait for the disk most of the time: fewer of them tell as much. */
const COMMITS_MAX = 10_000

/** In this order: the readers read what the first one wrote. */
const KINDS = ['append', 'append to a file', 'read batches', 'read in commit order', 'start'] as const
type Kind = (typeof KINDS)[number]

type Row = LogResult & {
  readonly case: string
  readonly kind: Kind
  /** Records a second against the plain file's, in the same runs. */
  readonly fileRatio: number
}

const WORKER = new URL('./worker.js', import.meta.url)

export async function log(options: LogOptions): Promise<Report> {
  const scratch = new Scratch(options.dir)
  try {
    const cases = chosen(CASES, options.only)
    const cells = cases.flatMap((one) => cellsOf(one, options, scratch))
    const results = await interleaved(cells, options.runs)
    const rows = cases.flatMap((one, at) =>
      rowsOf(one, results.slice(at * KINDS.length, (at + 1) * KINDS.length)),
    )
    return report(options, rows, scratch)
  } finally {
    scratch.remove()
  }
}

function cellsOf({ name, shape }: Case, options: LogOptions, scratch: Scratch): Cell<LogResult>[] {
  const wanted =
    ((options.quick ? 0.2 : 1) * options.megabytes * 1e6) / (shape.recordBytes * shape.recordsPerCommit)
  const commits = Math.max(1, Math.min(COMMITS_MAX, Math.round(wanted)))
  const { environment, flags } = startSettings()
  const settings = { environment, flags: [...flags, ...profileFlags(options.profile)] }
  let written = ''
  return KINDS.map((kind) => ({
    name: `${name}: ${kind}`,
    async measure() {
      if (kind === 'append') written = scratch.fresh('log')
      const directory = kind === 'append to a file' ? scratch.fresh('file') : written
      const result = await runJob<LogJob, LogResult>(WORKER, jobOf(kind, directory, shape, commits), settings)
      if (kind === 'append to a file' || kind === 'start') scratch.discard(directory)
      return result
    },
  }))
}

function jobOf(kind: Kind, directory: string, shape: Shape, commits: number): LogJob {
  if (kind === 'append' || kind === 'append to a file') return { kind, directory, shape, commits }
  return { kind, directory }
}

function rowsOf(one: Case, results: readonly LogResult[][]): Row[] {
  const perSecond = ({ records, seconds }: LogResult) => records / seconds
  return KINDS.map((kind, index) => {
    const fileRatio = kind === 'append' ? ratio(results[0]!, results[1]!, perSecond) : Number.NaN
    return { case: one.name, kind, ...medians(results[index]!), fileRatio }
  })
}

const APPENDED: readonly Field<Row>[] = [
  { title: 'records', text: (row) => row.case },
  { title: 'into', text: (row) => (row.kind === 'append' ? 'the log' : 'a plain file') },
  { title: 'records/s', align: 'right', text: (row) => thousands(row.records / row.seconds) },
  { title: 'MB/s', align: 'right', text: (row) => significant(row.payloadBytes / row.seconds / 1e6) },
  {
    title: 'of the file',
    align: 'right',
    text: (row) => (row.kind === 'append' ? times(row.fileRatio) : ''),
  },
  { title: 'durable p50 ms', align: 'right', text: (row) => significant(row.commitP50Ms) },
  { title: 'p99 ms', align: 'right', text: (row) => significant(row.commitP99Ms) },
  {
    title: 'CPU us/record',
    align: 'right',
    text: (row) => significant((row.cpuSeconds * 1e6) / row.records),
  },
  { title: 'device B/payload B', align: 'right', text: deviceRatio },
  { title: 'RSS peak', align: 'right', text: (row) => megabytes(row.rssPeakBytes) },
  { title: 'anon MB', align: 'right', text: (row) => megabytes(row.rssAnonBytes) },
]

function deviceRatio(row: Row): string {
  return row.deviceBytes > 0 ? significant(row.deviceBytes / row.payloadBytes) : '-'
}

const READ: readonly Field<Row>[] = [
  { title: 'records', text: (row) => row.case },
  { title: 'how', text: (row) => row.kind.replace('read ', '') },
  { title: 'records/s', align: 'right', text: (row) => thousands(row.records / row.seconds) },
  { title: 'MB/s', align: 'right', text: (row) => significant(row.payloadBytes / row.seconds / 1e6) },
  {
    title: 'CPU us/record',
    align: 'right',
    text: (row) => significant((row.cpuSeconds * 1e6) / row.records),
  },
  { title: 'RSS peak', align: 'right', text: (row) => megabytes(row.rssPeakBytes) },
  { title: 'anon MB', align: 'right', text: (row) => megabytes(row.rssAnonBytes) },
]

const STARTED: readonly Field<Row>[] = [
  { title: 'records', text: (row) => row.case },
  { title: 'in the log', align: 'right', text: (row) => thousands(row.records) },
  { title: 'open ms', align: 'right', text: (row) => significant(row.seconds * 1000) },
  { title: 'RSS peak', align: 'right', text: (row) => megabytes(row.rssPeakBytes) },
  { title: 'anon MB', align: 'right', text: (row) => megabytes(row.rssAnonBytes) },
]

function report(options: LogOptions, rows: readonly Row[], scratch: Scratch): Report {
  const of = (...kinds: Kind[]) => rows.filter(({ kind }) => kinds.includes(kind))
  const sections = [
    section(
      `append, an fsync each commit, medians of ${options.runs}`,
      APPENDED,
      of('append', 'append to a file'),
    ),
    section('read as stored batches', READ, of('read batches', 'read in commit order')),
    section('start', STARTED, of('start')),
  ]
  const notes = [
    'Each row is a process of its own, with the settings of `npm start`. The next commit is appended while the last fsync is',
    'under way, as in the broker. A plain file, one write and one fdatasync a commit, is the limit of this disk. Payloads',
    'vary; no keys, no compression.',
    "durable: from the append of a commit's last record to its acknowledgement. CPU: all threads.",
    'device B/payload B: write_bytes of /proc/self/io less what was removed before it had to be written, all threads.',
    'anon: at the end, what is no mapped file; LevelDB maps the tables it reads, and the kernel drops those when it must.',
    'Reads come from the page cache as far as memory allows.',
    ...scratch.notes(),
  ]
  return { bench: 'log', options, sections, notes }
}
