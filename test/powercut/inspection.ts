/** What a broker that came up is asked, by the means that an operator has: `log verify`, `status`, `read`. */
import { isDeepStrictEqual } from 'node:util'
import { ControlClient } from '../../broker/operations/control/control-client.ts'
import { NotRunningError } from '../../broker/operations/errors.ts'
import type { StatusReport } from '../../broker/operations/operations.ts'
import type { RecordJson } from '../../broker/operations/record-json.ts'
import type { BrokerProcess } from '../support/broker-process.ts'
import type { FoundRecord, Judge, PartitionEnds } from './judge.ts'

const CONTROL_MS_MAX = 10_000
/** Nobody writes while a log is inspected, and room is made but once. */
const TRIES = 5

export interface Inspection {
  readonly problems: readonly string[]
  /** Records that were not there, or not looked at, before. */
  readonly newRecords: number
  readonly tornBytes: number
  readonly segments: number
}

interface Verified {
  readonly isWhole: boolean
  readonly problems: readonly { readonly place: string; readonly commit: number; readonly reason: string }[]
}

export async function inspect(broker: BrokerProcess, data: string, judge: Judge): Promise<Inspection> {
  const { status, partitions } = await readAll(data, judge)
  for (const { ends, records } of partitions) judge.take(ends, records)
  const { problems, newRecords } = judge.verdict()
  const verified = (await broker.ask(['log', 'verify', '--json'])) as Verified
  const { log } = status.broker!
  return {
    problems: [...faultsOf(status), ...faultsFound(verified), ...problems],
    newRecords,
    tornBytes: log.recovery.tornBytes,
    segments: log.segments,
  }
}

interface ReadPartition {
  readonly ends: PartitionEnds
  readonly records: readonly FoundRecord[]
}

/** Once more where the broker made room in between: what was read is not what the status said then. */
async function readAll(
  data: string,
  judge: Judge,
): Promise<{ status: StatusReport; partitions: ReadPartition[] }> {
  const { client, status: first } = await answered(data)
  for (let status = first, tries = 1; ; tries++) {
    const partitions: ReadPartition[] = []
    for (const ends of endsOf(status)) {
      partitions.push({ ends, records: await recordsOf(client, ends, judge.readFrom(ends)) })
    }
    const later = await client.json<StatusReport>('GET', '/status')
    if (isDeepStrictEqual(endsOf(later), endsOf(status)) || tries === TRIES) return { status, partitions }
    status = later
  }
}

/** Asks the broker to do something, and waits for its end. */
export async function ask(data: string, path: string): Promise<void> {
  const client = await ControlClient.of(data)
  for await (const _ of client.lines('POST', path, {}, new AbortController().signal));
}

/** The control socket opens a moment after the first listener. */
async function answered(data: string): Promise<{ client: ControlClient; status: StatusReport }> {
  const deadline = Date.now() + CONTROL_MS_MAX
  for (;;) {
    try {
      const client = await ControlClient.of(data)
      return { client, status: await client.json<StatusReport>('GET', '/status') }
    } catch (error) {
      if (!(error instanceof NotRunningError) || Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}

function endsOf({ streams }: StatusReport): PartitionEnds[] {
  return streams.flatMap(({ stream, partitions }) =>
    partitions.map(({ partition, logStartOffset, durableOffset }) => ({
      stream,
      partition,
      logStartOffset,
      durableOffset,
    })),
  )
}

async function recordsOf(client: ControlClient, ends: PartitionEnds, from: number): Promise<FoundRecord[]> {
  const { stream, partition, durableOffset } = ends
  if (from >= durableOffset) return []
  const query = { stream, partition, from, follow: false }
  const records: FoundRecord[] = []
  for await (const line of client.lines<RecordJson>('GET', '/read', query, new AbortController().signal)) {
    const value = typeof line.value === 'string' ? line.value : null
    records.push({ offset: line.offset, topic: line.topic, value })
  }
  return records
}

/** A power cut damages nothing that was whole, and no upstream may need a person after it. */
function faultsOf({ broker, upstreams }: StatusReport): string[] {
  const { condition, recovery } = broker!.log
  return [
    ...(condition === 'open' ? [] : [`the log is ${condition}`]),
    ...(recovery.faults === 0 ? [] : [`the start counted ${recovery.faults} faults`]),
    ...upstreams.filter(({ state }) => state === 'stopped').map(({ name }) => `upstream ${name} has stopped`),
  ]
}

function faultsFound({ isWhole, problems }: Verified): string[] {
  if (isWhole) return []
  return [
    'log verify: the log is damaged',
    ...problems.slice(0, 5).map((found) => `  ${JSON.stringify(found)}`),
  ]
}
