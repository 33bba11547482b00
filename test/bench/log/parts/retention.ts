/** A retention window at work: what it costs in bytes written, and how much of the disk the log holds. */
import { diskBytesWritten, SizeWatch } from '../../disk-use.ts'
import { type Cell, interleaved } from '../../progress.ts'
import { type Field, megabytes, section, significant, thousands, times } from '../../report.ts'
import { medians } from '../../statistics.ts'
import { type AppendResult, oneStream, type Shape, type StreamShape } from '../job.ts'
import { type LogBench, type Part, perSecond, writtenRatio } from '../part.ts'

const WINDOW_BYTES = 60e6
const PAYLOAD_BYTES = 600e6
const RECORD_BYTES = 200
/** 4 kB of each partition a commit. */
const RECORDS_PER_BATCH = 20

type Numbers = Omit<AppendResult, 'samples'> & {
  readonly wholeDiskBytes: number
  readonly largestBytes: number
  /** The window and what is kept for ever; NaN where there is no window. */
  readonly windowBytes: number
}
type Row = Numbers & { readonly case: string }

interface Case {
  readonly name: string
  readonly label: string
  streams(windowBytes: number): StreamShape[]
}

const CASES: readonly Case[] = [
  { name: 'append only', label: 'append only\n64 partitions', streams: () => oneStream(64) },
  {
    name: 'window',
    label: 'retention window\n64 partitions',
    streams: (retentionBytes) => oneStream(64).map((stream) => ({ ...stream, retentionBytes })),
  },
  {
    name: 'window, beside 10 % kept',
    label: 'window beside\n10 % kept',
    streams: (retentionBytes) => [
      { name: 'passing', partitions: 54, retentionBytes },
      { name: 'kept', partitions: 6 },
    ],
  },
]

export const retentionPart: Part = {
  name: 'retention',
  async measure(bench) {
    const { runs } = bench.options
    const results = await interleaved(
      CASES.map((one) => cellOf(one, bench)),
      runs,
    )
    const rows = CASES.map(({ name }, i): Row => ({ case: name, ...medians(results[i]!) }))
    const payload = megabytes(bench.sized(PAYLOAD_BYTES))
    const window = megabytes(bench.sized(WINDOW_BYTES))
    const title = `retention: ${payload} MB in batches of 4 kB, a window of ${window} MB, medians of ${runs}`
    return {
      sections: [section(title, FIELDS, rows)],
      written: rows.map((row, i) => ({ name: CASES[i]!.label, values: [writtenRatio(row)] })),
      notes: [
        'retention: written until the janitor has nothing left to do. Rewritten: bytes of stored batches that were copied to get rid',
        'of dead ones beside them. Cancelled: dirtied, but in files that were gone before the system wrote them; not in device B.',
        "Whole disk: what the device wrote meanwhile for all processes, the file system's journal included. Largest: of all files of the",
        'data directory, looked at every 20 ms; against the window and what is kept beside it.',
      ],
    }
  },
}

function cellOf(one: Case, bench: LogBench): Cell<Numbers> {
  const retentionBytes = bench.sized(WINDOW_BYTES)
  const shape = shapeOf(one.streams(retentionBytes))
  const commits = bench.sized(PAYLOAD_BYTES / (shape.recordsPerCommit * RECORD_BYTES))
  const isWindow = shape.streams.some((stream) => stream.retentionBytes !== undefined)
  return {
    name: one.name,
    async measure() {
      const { scratch } = bench
      const directory = scratch.fresh('log')
      const before = diskBytesWritten(scratch.path)
      const watch = new SizeWatch(directory)
      const job = { kind: 'append', directory, shape, commits, isTidied: true } as const
      const { samples: _, ...result } = await bench.run<AppendResult>(job)
      const largestBytes = watch.stop()
      const wholeDiskBytes = diskBytesWritten(scratch.path) - before
      scratch.discard(directory)
      const windowBytes = isWindow ? retentionBytes + result.keptBytes : Number.NaN
      return { ...result, wholeDiskBytes, largestBytes, windowBytes }
    },
  }
}

function shapeOf(streams: readonly StreamShape[]): Shape {
  const partitions = streams.reduce((sum, stream) => sum + stream.partitions, 0)
  return {
    recordBytes: RECORD_BYTES,
    streams,
    partitionsPerCommit: partitions,
    recordsPerCommit: partitions * RECORDS_PER_BATCH,
  }
}

const FIELDS: readonly Field<Row>[] = [
  { title: 'case', text: (row) => row.case },
  { title: 'records/s', align: 'right', text: (row) => thousands(perSecond(row)) },
  { title: 'p99 ms', align: 'right', text: (row) => significant(row.commitP99Ms) },
  { title: 'device B/payload B', align: 'right', text: (row) => significant(writtenRatio(row)) },
  { title: 'cancelled', align: 'right', text: (row) => perPayload(row, row.cancelledBytes) },
  { title: 'whole disk', align: 'right', text: (row) => perPayload(row, row.wholeDiskBytes) },
  { title: 'rewritten', align: 'right', text: (row) => perPayload(row, row.rewrittenBytes) },
  { title: 'MB at the end', align: 'right', text: (row) => megabytes(row.storedBytes) },
  { title: 'largest MB', align: 'right', text: (row) => megabytes(row.largestBytes) },
  { title: 'of the window', align: 'right', text: (row) => times(row.largestBytes / row.windowBytes) },
  { title: 'RSS peak', align: 'right', text: (row) => megabytes(row.rssPeakBytes) },
]

function perPayload({ payloadBytes }: Row, bytes: number): string {
  return significant(bytes / payloadBytes)
}
