/** The log alone, in parts: append, read, start, retention, compaction, tables, memory, and what reaches the device. */
import { chosen } from '../options.ts'
import { type Chart, writeCharts } from '../plots/plots.ts'
import type { Report } from '../report.ts'
import { Scratch } from '../scratch.ts'
import { LogBench, type LogOptions, type Part, type PartReport } from './part.ts'
import { appendPart } from './parts/append.ts'
import { compactionPart } from './parts/compaction.ts'
import { memoryPart } from './parts/memory.ts'
import { retentionPart } from './parts/retention.ts'
import { spreadPart } from './parts/spread.ts'
import { startPart } from './parts/start.ts'
import { tablePart } from './parts/table.ts'

const PARTS: readonly Part[] = [
  appendPart,
  startPart,
  spreadPart,
  retentionPart,
  compactionPart,
  tablePart,
  memoryPart,
]
const PLOTS = 'docs/bench'
/** What is to be reached with 64 partitions, append-only and with a window at work. */
const WRITTEN_MAX = 2.3

export async function log(options: LogOptions): Promise<Report> {
  const scratch = new Scratch(options.dir)
  try {
    const parts: PartReport[] = []
    const bench = new LogBench(options, scratch)
    for (const part of chosen(PARTS, options.only)) parts.push(await part.measure(bench))
    const { plots } = options
    const files = plots === undefined ? [] : writeCharts(chartsOf(parts), plots === true ? PLOTS : plots)
    const notes = [
      'Each row is a process of its own, with the settings of `npm start`. Reads come from the page cache as far as memory allows.',
      ...parts.flatMap((part) => part.notes),
      'device B/payload B: write_bytes of /proc/self/io less what was removed before it had to be written, all threads.',
      'anon: at the end, what is no mapped file; LevelDB maps the tables it reads, and the kernel drops those when it must.',
      ...scratch.notes(),
      ...(files.length > 0 ? [`Drawn: ${files.join(', ')}`] : []),
    ]
    return { bench: 'log', options, sections: parts.flatMap(({ sections }) => sections), notes }
  } finally {
    scratch.remove()
  }
}

function chartsOf(parts: readonly PartReport[]): Chart[] {
  const groups = parts.flatMap(({ written = [] }) => written)
  const written: Chart = {
    kind: 'bars',
    file: 'bytes-written.svg',
    title: 'Bytes written to the device per byte of payload',
    subtitle: 'records of 200 B; 64 partitions in batches of 4 kB, keyed ones 4 partitions',
    xLabel: '',
    yLabel: 'bytes written per payload byte',
    series: ['device'],
    groups,
    marks: [{ label: `to be reached, append-only and with a window: ${WRITTEN_MAX}`, value: WRITTEN_MAX }],
  }
  const charts = parts.flatMap(({ charts = [] }) => charts)
  return groups.length === 0 ? charts : [...charts, written]
}
