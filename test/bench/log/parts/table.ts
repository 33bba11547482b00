/** Tables by their number of keys: a lookup must not take longer, nor memory grow, because there are more of them. */
import { type Cell, interleaved } from '../../progress.ts'
import { type Field, megabytes, section, significant, thousands } from '../../report.ts'
import { median, medians } from '../../statistics.ts'
import { QUANTILES, type TableJob, type TableResult } from '../job.ts'
import { type LogBench, type Part, perSecond } from '../part.ts'

const KEYS = [10_000, 100_000, 1_000_000]
const LOOKUPS = 20_000
const PARTITIONS = 4
const RECORD_BYTES = 200

type Numbers = Omit<TableResult, 'lookupMs' | 'missMs'>
type Row = Numbers & {
  readonly keys: number
  readonly lookupMs: readonly number[]
  readonly missMs: readonly number[]
}

export const tablePart: Part = {
  name: 'table',
  async measure(bench) {
    const { runs } = bench.options
    const results = await interleaved(
      KEYS.map((keys) => cellOf(bench.sized(keys), bench)),
      runs,
    )
    const rows = KEYS.map((keys, i) => rowOf(bench.sized(keys), results[i]!))
    const title = `a table of values of ${RECORD_BYTES} B, medians of ${runs}`
    return {
      sections: [section(title, FIELDS, rows)],
      charts: [chart(rows)],
      notes: [
        `table: built from a log of one record a key; then ${thousands(LOOKUPS)} lookups one after another, of keys that are there and of others`,
        'in turn. They wait for nothing: all is applied. Its files are in the page cache as far as memory allows.',
      ],
    }
  },
}

function cellOf(keys: number, bench: LogBench): Cell<TableResult> {
  return {
    name: `table of ${thousands(keys)} keys`,
    async measure() {
      const directory = bench.scratch.fresh('log')
      const job: Omit<TableJob, 'kind'> = {
        directory,
        partitions: PARTITIONS,
        keys,
        recordBytes: RECORD_BYTES,
        lookups: bench.sized(LOOKUPS),
      }
      await bench.run({ ...job, kind: 'fill a table' })
      const result = await bench.run<TableResult>({ ...job, kind: 'build a table' })
      bench.scratch.discard(directory)
      return result
    },
  }
}

function rowOf(keys: number, results: readonly TableResult[]): Row {
  const numbers = results.map(({ lookupMs: _, missMs: __, ...rest }): Numbers => rest)
  const quantiles = (of: (result: TableResult) => readonly number[]) =>
    QUANTILES.map((_, q) => median(results.map((result) => of(result)[q]!)))
  return {
    keys,
    ...medians(numbers),
    lookupMs: quantiles(({ lookupMs }) => lookupMs),
    missMs: quantiles(({ missMs }) => missMs),
  }
}

const FIELDS: readonly Field<Row>[] = [
  { title: 'keys', align: 'right', text: (row) => thousands(row.keys) },
  { title: 'built, keys/s', align: 'right', text: (row) => thousands(perSecond(row)) },
  { title: 'lookup p50 ms', align: 'right', text: (row) => significant(row.lookupMs[0]!) },
  { title: 'p99', align: 'right', text: (row) => significant(row.lookupMs[2]!) },
  { title: 'no such key p50 ms', align: 'right', text: (row) => significant(row.missMs[0]!) },
  { title: 'p99', align: 'right', text: (row) => significant(row.missMs[2]!) },
  { title: 'scanned, keys/s', align: 'right', text: (row) => thousands(row.scannedPerSecond) },
  { title: 'MB on disk', align: 'right', text: (row) => megabytes(row.tableBytes) },
  { title: 'RSS peak', align: 'right', text: (row) => megabytes(row.rssPeakBytes) },
  { title: 'anon MB', align: 'right', text: (row) => megabytes(row.rssAnonBytes) },
]

function chart(rows: readonly Row[]) {
  return {
    kind: 'lines',
    file: 'table.svg',
    title: 'Finding a key in a table',
    subtitle: `values of ${RECORD_BYTES} B, one lookup after another`,
    xLabel: 'keys in the table',
    yLabel: 'ms',
    series: [
      { name: 'median', points: rows.map((row) => ({ x: row.keys, y: row.lookupMs[0]! })) },
      { name: '99th percentile', points: rows.map((row) => ({ x: row.keys, y: row.lookupMs[2]! })) },
    ],
  } as const
}
