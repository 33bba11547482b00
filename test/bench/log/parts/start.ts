/** What a start costs as the log grows: the same log, measured at several sizes. */

import { directoryBytes, syncFileSystem } from '../../disk-use.ts'
import { startHeadwater } from '../../ingest/headwater.ts'
import { memory } from '../../process-usage.ts'
import { Progress } from '../../progress.ts'
import { type Field, megabytes, section, significant, thousands } from '../../report.ts'
import { medians } from '../../statistics.ts'
import { type AppendResult, type OpenResult, oneStream, type Shape } from '../job.ts'
import type { LogBench, Part } from '../part.ts'

/** Records in the log at each look. */
const SIZES = [100_000, 1_000_000, 3_000_000, 10_000_000]
const SIZE_OF_SMALL_COMMITS = 1_000_000
/** What `npm start` has loaded and opened by the time it answers settles meanwhile. */
const SETTLE_MS = 2_000

const SHAPE: Shape = {
  recordBytes: 200,
  streams: oneStream(1),
  partitionsPerCommit: 1,
  recordsPerCommit: 1000,
}

type Numbers = OpenResult & {
  readonly fileBytes: number
  readonly commandMs: number
  readonly commandRssBytes: number
  readonly commandRssPeakBytes: number
  readonly commandRssAnonBytes: number
}
type Row = Numbers & { readonly case: string }

export const startPart: Part = {
  name: 'start',
  async measure(bench) {
    const sizes = SIZES.map((size) => bench.sized(size))
    const progress = new Progress(sizes.length + 1)
    const rows: Row[] = []
    try {
      const directory = bench.scratch.fresh('log')
      let records = 0
      for (const size of sizes) {
        progress.step(`start with ${thousands(size)} records`)
        await grow(bench, directory, SHAPE, size - records)
        records = size
        rows.push({ case: '1,000 a commit', ...(await started(bench, directory)) })
        progress.done()
      }
      bench.scratch.discard(directory)
      const small = bench.sized(SIZE_OF_SMALL_COMMITS)
      progress.step(`start with ${thousands(small)} commits`)
      const other = bench.scratch.fresh('log')
      await grow(bench, other, { ...SHAPE, recordsPerCommit: 1 }, small)
      rows.push({ case: 'one a commit', ...(await started(bench, other)) })
      bench.scratch.discard(other)
      progress.done()
    } finally {
      progress.stop()
    }
    return {
      sections: [section(`start, 200 B, medians of ${bench.options.runs} processes`, FIELDS, rows)],
      charts: [chart(rows)],
      notes: [
        'open: the log alone, from nothing to one that takes appends. npm start: from the start of the process to the first',
        'connection, looked for every 20 ms; its memory two seconds later, and at most until then. Files are in the page cache. A start reads the active',
        'segment whole, and of each sealed one its index.',
      ],
    }
  },
}

async function grow(bench: LogBench, directory: string, shape: Shape, records: number): Promise<void> {
  const commits = Math.round(records / shape.recordsPerCommit)
  await bench.run<AppendResult>({ kind: 'append', directory, shape, commits, isHasty: true })
  // what the hasty disk left to the system would be written while a start waits for its own fsyncs
  syncFileSystem(bench.scratch.path)
}

async function started(bench: LogBench, directory: string): Promise<Numbers> {
  const results: Numbers[] = []
  for (let run = 0; run < bench.options.runs; run++) {
    const opened = await bench.run<OpenResult>({ kind: 'open', directory })
    const from = performance.now()
    const server = await startHeadwater(bench.scratch, [], { data: directory })
    const commandMs = performance.now() - from
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
    const { rssBytes, rssPeakBytes, rssAnonBytes } = memory(server.pid)
    await server.stop()
    const fileBytes = directoryBytes(directory)
    results.push({
      ...opened,
      fileBytes,
      commandMs,
      commandRssBytes: rssBytes,
      commandRssPeakBytes: rssPeakBytes,
      commandRssAnonBytes: rssAnonBytes,
    })
  }
  return medians(results)
}

const FIELDS: readonly Field<Row>[] = [
  { title: 'records', text: (row) => row.case },
  { title: 'in the log', align: 'right', text: (row) => thousands(row.records) },
  { title: 'MB on disk', align: 'right', text: (row) => megabytes(row.fileBytes) },
  { title: 'segments', align: 'right', text: (row) => String(row.segments) },
  { title: 'active MB', align: 'right', text: (row) => megabytes(row.activeBytes) },
  { title: 'open ms', align: 'right', text: (row) => significant(row.seconds * 1000) },
  { title: 'RSS', align: 'right', text: (row) => megabytes(row.rssBytes) },
  { title: 'anon MB', align: 'right', text: (row) => megabytes(row.rssAnonBytes) },
  { title: 'npm start ms', align: 'right', text: (row) => significant(row.commandMs) },
  { title: 'RSS', align: 'right', text: (row) => megabytes(row.commandRssBytes) },
  { title: 'peak', align: 'right', text: (row) => megabytes(row.commandRssPeakBytes) },
  { title: 'anon MB', align: 'right', text: (row) => megabytes(row.commandRssAnonBytes) },
]

function chart(rows: readonly Row[]) {
  const large = rows.filter((row) => row.case === '1,000 a commit')
  const series = (name: string, of: (row: Row) => number) => ({
    name,
    points: large.map((row) => ({ x: row.records, y: of(row) })),
  })
  return {
    kind: 'lines',
    file: 'start.svg',
    title: 'Start against the size of the log',
    subtitle: 'records of 200 B, 1,000 a commit, segments of 32 MiB; files in the page cache',
    xLabel: 'records in the log',
    yLabel: 'ms',
    isLogX: true,
    isLogY: true,
    series: [
      series('npm start, to the first connection', (row) => row.commandMs),
      series('opening the log alone', (row) => row.seconds * 1000),
    ],
    marks: [{ label: 'to be reached with 10M records: 2,000 ms', value: 2000 }],
  } as const
}
