/** Compaction by key: what it writes, takes and saves, and what a writer beside it notices. */
import { syncFileSystem } from '../../disk-use.ts'
import { type Cell, interleaved } from '../../progress.ts'
import { type Field, megabytes, section, significant, thousands, times } from '../../report.ts'
import { median, medians } from '../../statistics.ts'
import {
  type AppendResult,
  type CompactResult,
  type PacedResult,
  QUANTILES,
  type Shape,
  STREAM,
} from '../job.ts'
import { type LogBench, type Part, writtenRatio } from '../part.ts'

const RECORD_BYTES = 200
const KEYS = 100_000
const PARTITIONS = 4
const RECORDS_PER_COMMIT = 1000
const PACE = 10_000
const SECONDS_ALONE = 20

/** One round: the same records three times, not compacted, compacted while they come, and compacted afterwards. */
interface Round {
  readonly plain: Numbers
  readonly byRule: Numbers
  readonly onDemand: CompactResult
  readonly paced: PacedResult
}
type Numbers = Omit<AppendResult, 'samples'>

interface CompactionRow {
  readonly case: string
  /** Written to the device per payload byte: in all, and of it for compaction. */
  readonly written: number
  readonly added: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly rounds: number
  readonly savedBytes: number
  readonly leftBytes: number
  readonly rssPeakBytes: number
}

interface PacedRow {
  readonly case: string
  readonly quantilesMs: readonly number[]
  readonly ratios: readonly number[]
}

export const compactionPart: Part = {
  name: 'compaction',
  async measure(bench) {
    const { runs } = bench.options
    const [rounds] = await interleaved<Round>([cell(bench)], runs)
    const rows = compactionRows(rounds!)
    const paced = pacedRows(rounds!.map((round) => round.paced))
    const megabytesOfPayload = megabytes(rounds![0]!.plain.payloadBytes)
    const title = `compaction: ${megabytesOfPayload} MB of 200 B over ${keysOf(bench)} keys, medians of ${runs}`
    const seconds = significant(median(rounds!.map((round) => round.paced.compactionSeconds)))
    const pacedTitle = `commits of ${thousands(PACE)} records/s, without compaction and during one of ${seconds} s`
    return {
      sections: [section(title, FIELDS, rows), section(pacedTitle, PACED_FIELDS, paced)],
      written: [
        { name: 'keyed,\nnot compacted', values: [rows[0]!.written] },
        { name: 'compacted\non demand', values: [rows[1]!.written] },
        { name: 'compacted\nby the rule', values: [rows[2]!.written] },
      ],
      charts: [latencyChart(paced)],
      notes: [
        'compaction: on demand, of all that was written before; by the rule, looked for all the time while the same comes in as fast as',
        'the log takes it. Added: bytes written to the device for compaction, per payload byte. Left: stored batches at the end.',
        'commits beside it: from when a record was due to its acknowledgement; half of what is alone is before, half after.',
      ],
    }
  },
}

function cell(bench: LogBench): Cell<Round> {
  const keyed: Shape = {
    recordBytes: RECORD_BYTES,
    streams: [{ name: STREAM, partitions: PARTITIONS }],
    partitionsPerCommit: PARTITIONS,
    recordsPerCommit: RECORDS_PER_COMMIT,
    keys: keysOf(bench),
  }
  const compacted = { ...keyed, streams: keyed.streams.map((stream) => ({ ...stream, isCompacted: true })) }
  const payload = bench.options.compactedMegabytes * 1e6
  const commits = bench.sized(payload / (RECORD_BYTES * RECORDS_PER_COMMIT))
  return {
    name: 'compaction',
    async measure() {
      const append = (shape: Shape, isTidied: boolean) =>
        inFresh(bench, async (directory) => {
          const job = { kind: 'append', directory, shape, commits, isTidied } as const
          const { samples: _, ...result } = await bench.run<AppendResult>(job)
          return result
        })
      const prepared = <Answer>(work: (directory: string) => Promise<Answer>) =>
        inFresh(bench, async (directory) => {
          await bench.run({ kind: 'append', directory, shape: compacted, commits, isHasty: true })
          // what another process dirtied and this one removes would count as written less
          syncFileSystem(directory)
          return work(directory)
        })
      return {
        plain: await append(keyed, false),
        byRule: await append(compacted, true),
        onDemand: await prepared((directory) =>
          bench.run<CompactResult>({ kind: 'compact', directory, shape: compacted }),
        ),
        paced: await prepared((directory) =>
          bench.run<PacedResult>({
            kind: 'paced',
            directory,
            shape: compacted,
            recordsPerSecond: PACE,
            seconds: bench.sized(SECONDS_ALONE),
          }),
        ),
      }
    },
  }
}

/** Fewer with fewer records: each key is then written as often. */
function keysOf(bench: LogBench): number {
  return bench.sized(KEYS)
}

async function inFresh<Answer>(
  { scratch }: LogBench,
  work: (directory: string) => Promise<Answer>,
): Promise<Answer> {
  const directory = scratch.fresh('log')
  try {
    return await work(directory)
  } finally {
    scratch.discard(directory)
  }
}

function compactionRows(rounds: readonly Round[]): CompactionRow[] {
  const plain = medians(rounds.map((round) => round.plain))
  const byRule = medians(rounds.map((round) => round.byRule))
  const onDemand = medians(rounds.map((round) => round.onDemand))
  const appended = writtenRatio(plain)
  const before = {
    case: 'not compacted',
    written: appended,
    added: 0,
    seconds: plain.seconds,
    cpuSeconds: plain.cpuSeconds,
    rounds: 0,
    savedBytes: 0,
    leftBytes: plain.storedBytes,
    rssPeakBytes: plain.rssPeakBytes,
  }
  const demanded = {
    case: 'on demand, afterwards',
    written: appended + onDemand.deviceBytes / plain.payloadBytes,
    added: onDemand.deviceBytes / plain.payloadBytes,
    seconds: onDemand.seconds,
    cpuSeconds: onDemand.cpuSeconds,
    rounds: 1,
    savedBytes: onDemand.bytesBefore - onDemand.bytesAfter,
    leftBytes: onDemand.bytesAfter,
    rssPeakBytes: onDemand.rssPeakBytes,
  }
  const ruled = {
    case: 'by the rule, beside it',
    written: writtenRatio(byRule),
    added: writtenRatio(byRule) - appended,
    seconds: byRule.seconds,
    cpuSeconds: byRule.cpuSeconds,
    rounds: byRule.compactions,
    savedBytes: plain.storedBytes - byRule.storedBytes,
    leftBytes: byRule.storedBytes,
    rssPeakBytes: byRule.rssPeakBytes,
  }
  return [before, demanded, ruled]
}

function pacedRows(rounds: readonly PacedResult[]): PacedRow[] {
  const each = (of: (round: PacedResult, q: number) => number) =>
    QUANTILES.map((_, q) => median(rounds.map((round) => of(round, q))))
  return [
    {
      case: 'alone',
      quantilesMs: each(({ aloneMs }, q) => aloneMs[q]!),
      ratios: QUANTILES.map(() => Number.NaN),
    },
    {
      case: 'beside compaction',
      quantilesMs: each(({ besideMs }, q) => besideMs[q]!),
      ratios: each(({ aloneMs, besideMs }, q) => besideMs[q]! / aloneMs[q]!),
    },
  ]
}

const FIELDS: readonly Field<CompactionRow>[] = [
  { title: 'compacted', text: (row) => row.case },
  { title: 'device B/payload B', align: 'right', text: (row) => significant(row.written) },
  { title: 'added', align: 'right', text: (row) => significant(row.added) },
  { title: 'rounds', align: 'right', text: (row) => String(row.rounds) },
  { title: 'seconds', align: 'right', text: (row) => significant(row.seconds) },
  { title: 'CPU s', align: 'right', text: (row) => significant(row.cpuSeconds) },
  { title: 'saved MB', align: 'right', text: (row) => megabytes(row.savedBytes) },
  { title: 'left MB', align: 'right', text: (row) => megabytes(row.leftBytes) },
  { title: 'RSS peak', align: 'right', text: (row) => megabytes(row.rssPeakBytes) },
]

const PERCENTILES = QUANTILES.map((q) => `p${Number((q * 100).toPrecision(4))}`)

const PACED_FIELDS: readonly Field<PacedRow>[] = [
  { title: 'commits', text: (row) => row.case },
  ...PERCENTILES.map((name, q) => ({
    title: `${name} ms`,
    align: 'right' as const,
    text: (row: PacedRow) => significant(row.quantilesMs[q]!),
  })),
  ...PERCENTILES.map((name, q) => ({
    title: `${name} ratio`,
    align: 'right' as const,
    text: (row: PacedRow) => times(row.ratios[q]!),
  })),
]

function latencyChart(rows: readonly PacedRow[]) {
  // one in so many is slower: quantiles that matter are decades apart
  const places = QUANTILES.map((q) => 1 / (1 - q))
  return {
    kind: 'lines',
    file: 'compaction-latency.svg',
    title: 'Commits with and without compaction beside them',
    subtitle: `${thousands(PACE)} records a second of 200 B, from when a record was due to its acknowledgement`,
    xLabel: 'percentile',
    yLabel: 'ms',
    isLogY: true,
    xTicks: places.map((value, q) => ({ value, label: PERCENTILES[q]! })),
    series: rows.map((row) => ({
      name: row.case,
      points: places.map((x, q) => ({ x, y: row.quantilesMs[q]! })),
    })),
  } as const
}
