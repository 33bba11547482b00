/** What was measured, as tables. */
import { type Field, megabytes, type Section, section, significant, thousands, times } from '../report.ts'
import { medians, ratio } from '../statistics.ts'
import { PARTITIONS, RECORD_BYTES } from './backlog.ts'
import type { Contender } from './contenders.ts'
import type { SyncResult } from './job.ts'

export const OWN = 'headwater'

type Row = SyncResult & {
  readonly name: string
  readonly guarantee: string
  /** The first contender against this one, in the same runs; NaN for itself. */
  readonly throughputRatio: number
  readonly cpuRatio: number
}

function rowsOf(contenders: readonly Contender[], results: readonly SyncResult[][], own: string): Row[] {
  const at = contenders.findIndex(({ name }) => name === own)
  const ownResults = results[at]
  return contenders.map(({ name, guarantee }, index) => {
    const peer = results[index]!
    const against = (of: (result: SyncResult) => number) =>
      ownResults === undefined || index === at ? Number.NaN : ratio(ownResults, peer, of)
    return {
      name,
      guarantee,
      ...medians(peer),
      throughputRatio: against((result) => result.records / result.seconds),
      cpuRatio: against((result) => result.cpuSeconds / result.records),
    }
  })
}

const RATE: Field<Row> = {
  title: 'records/s',
  align: 'right',
  text: (row) => thousands(row.records / row.seconds),
}
const CPU: Field<Row> = {
  title: 'CPU us/record',
  align: 'right',
  text: (row) => significant((row.cpuSeconds * 1e6) / row.records),
}
const RSS: Field<Row> = { title: 'RSS peak MB', align: 'right', text: (row) => megabytes(row.rssPeakBytes) }
const ANON: Field<Row> = { title: 'anon MB', align: 'right', text: (row) => megabytes(row.rssAnonBytes) }
const wirePerPayload = (row: SyncResult) => row.wireBytes / row.payloadBytes

const BACKLOG_FIELDS: readonly Field<Row>[] = [
  { title: 'sent by', text: (row) => row.name },
  { title: 'guarantee', text: (row) => row.guarantee },
  RATE,
  CPU,
  RSS,
  ANON,
  { title: 'headwater: records/s', align: 'right', text: (row) => times(row.throughputRatio) },
  { title: 'CPU', align: 'right', text: (row) => times(row.cpuRatio) },
]

const WIRE_FIELDS: readonly Field<Row>[] = [
  { title: 'compression', text: (row) => row.name },
  { title: 'wire B/payload B', align: 'right', text: (row) => significant(wirePerPayload(row)) },
  { title: 'wire B/record', align: 'right', text: (row) => significant(row.wireBytes / row.records) },
  RATE,
  CPU,
  RSS,
]

function amount(records: number, runs: number): string {
  return `in ${PARTITIONS} partitions, ${runs === 1 ? 'one run' : `medians of ${runs} runs`}: ${records.toLocaleString('en')} records`
}

export function backlogSection(
  contenders: readonly Contender[],
  results: readonly SyncResult[][],
  records: number,
  runs: number,
): Section {
  const title = `A backlog of records of ${RECORD_BYTES} B ${amount(records, runs)}`
  return section(title, BACKLOG_FIELDS, rowsOf(contenders, results, OWN))
}

export function wireSection(
  contenders: readonly Contender[],
  results: readonly SyncResult[][],
  records: number,
  runs: number,
): Section {
  const bytes = results[0]![0]!.payloadBytes / records
  const title = `JSON of sensors, ${Math.round(bytes)} B with its key, ${amount(records, runs)}`
  return section(title, WIRE_FIELDS, rowsOf(contenders, results, 'none'))
}
