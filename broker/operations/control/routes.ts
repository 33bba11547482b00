/** What a running broker answers. The routes are the same on the control socket and, later, on a TCP port. */

import { NotCompactedError, UnknownStreamError } from '../../errors.ts'
import { dumpLines } from '../dump-json.ts'
import { UsageError } from '../errors.ts'
import type { Operations, StatusReport, SyncOperations } from '../operations.ts'
import { streamReports } from '../operations.ts'
import { openReading, parseFrom } from '../reading.ts'
import { recordFilter } from '../record-filter.ts'
import { openTableReading } from '../table-reading.ts'
import { repairAll, verifyAll } from '../verifying.ts'
import { countParameter, type Route, type RouteRequest, textParameter } from './http.ts'

/** What a reader of batches gets at once; one batch comes whole even if it is larger. */
const BATCHES_BYTES = 262_144
/** Progress of long work goes out at most this often. */
const PROGRESS_MS = 200
/** A command to sync is taken up at once, but not in the same turn: its answer should show what came of it. */
const SETTLE_MS = 100

export function controlRoutes(operations: Operations): Route[] {
  const { log, tables } = operations
  return [
    { method: 'GET', path: '/status', handle: () => statusReport(operations) },
    { method: 'POST', path: '/reload', handle: () => reload(operations) },
    { method: 'GET', path: '/streams', handle: () => ({ streams: streamReports(log, tables) }) },
    { method: 'GET', path: '/clients', handle: () => ({ clients: operations.clients() }) },
    { method: 'POST', path: '/clients/disconnect', handle: (request) => disconnect(operations, request) },
    { method: 'GET', path: '/alarms', handle: () => ({ alarms: operations.alarms() }) },
    { method: 'GET', path: '/history', handle: (request) => history(operations, request) },
    { method: 'GET', path: '/read', isStream: true, handle: (request) => read(operations, request) },
    { method: 'GET', path: '/table', isStream: true, handle: (request) => table(operations, request) },
    { method: 'GET', path: '/sync/status', handle: () => syncAnswer(operations) },
    {
      method: 'POST',
      path: '/log/verify',
      handle: ({ signal }) => ({ lines: progressLines((tell) => verifyAll(log, tables, tell, signal)) }),
    },
    {
      method: 'POST',
      path: '/log/repair',
      handle: ({ signal }) => ({ lines: progressLines((tell) => repairAll(log, tables, tell, signal)) }),
    },
    { method: 'GET', path: '/log/damage', handle: () => operations.damage() },
    {
      method: 'POST',
      path: '/log/acknowledge',
      handle: ({ query }) => acknowledge(operations, countParameter(query, 'lostOffsets')),
    },
    { method: 'POST', path: '/streams/compact', handle: (request) => compact(operations, request) },
    { method: 'GET', path: '/backup', handle: () => ({ bytes: log.backup() }) },
    { method: 'GET', path: '/log/batches', handle: (request) => batches(operations, request) },
    { method: 'GET', path: '/log/dump', isStream: true, handle: (request) => dump(operations, request) },
    { method: 'POST', path: '/sync/rewind', handle: (request) => rewind(operations, request) },
    ...(['pause', 'resume', 'now'] as const).map(
      (command): Route => ({
        method: 'POST',
        path: `/sync/${command}`,
        handle: ({ query }) => commandSync(operations, command, query.get('upstream') ?? undefined),
      }),
    ),
  ]
}

export async function commandSync(
  operations: Operations,
  command: 'pause' | 'resume' | 'now',
  upstream: string | undefined,
) {
  await syncOf(operations)[command](upstream)
  await delay(SETTLE_MS)
  return syncAnswer(operations)
}

export function history(operations: Operations, { query }: RouteRequest) {
  return operations.history(countParameter(query, 'since'))
}

function reload(operations: Operations) {
  if (operations.reload === undefined) throw new UsageError('this broker reads nothing again', 'restart it')
  return operations.reload()
}

function disconnect(operations: Operations, { query }: RouteRequest) {
  operations.disconnect(textParameter(query, 'clientId'))
  return { disconnected: true }
}

/** What is shown has to be confirmed: what was lost since then is not among it. */
export async function acknowledge(operations: Operations, lostOffsets: number | null) {
  if (lostOffsets === null) {
    throw new UsageError(
      'lostOffsets is missing',
      'send the number that is to be acknowledged, as it was shown',
    )
  }
  await operations.acknowledgeDamage(lostOffsets)
  return { acknowledged: true }
}

function syncOf({ sync }: Operations): SyncOperations {
  if (sync === undefined) throw new UsageError('no upstream is configured', 'add one to upstreams')
  return sync
}

/** `to` is partition:offset, several with commas. */
async function rewind(operations: Operations, { query }: RouteRequest) {
  const text = textParameter(query, 'to')
  const to = new Map<number, number>()
  for (const pair of text.split(',')) {
    const [, partition, offset] = /^(\d{1,9}):(\d{1,15})$/.exec(pair) ?? []
    if (offset === undefined) throw new UsageError(`to is "${text}"`, 'it is partition:offset,...')
    to.set(Number(partition), Number(offset))
  }
  const upstream = textParameter(query, 'upstream')
  return { rewound: await syncOf(operations).rewind(upstream, textParameter(query, 'stream'), to) }
}

export function statusReport(operations: Operations): StatusReport {
  return {
    running: true,
    broker: operations.status(),
    streams: streamReports(operations.log, operations.tables),
    upstreams: operations.sync?.status() ?? [],
    alarms: operations.alarms(),
  }
}

export function syncAnswer({ sync }: Operations) {
  return { upstreams: sync?.status() ?? [], downlinks: sync?.downlinks?.() ?? [] }
}

export async function read({ log }: Operations, { query, signal }: RouteRequest) {
  const lines = await openReading(
    log,
    {
      stream: textParameter(query, 'stream'),
      partition: countParameter(query, 'partition'),
      from: parseFrom(query.get('from') ?? 'earliest'),
      follow: query.get('follow') === 'true',
      count: countParameter(query, 'count'),
      filter: recordFilter({ key: query.get('key'), grep: query.get('grep') }),
    },
    signal,
  )
  return { lines }
}

/** Some stored batches of a partition, one behind the other, from the one that holds an offset; none at the end. */
async function batches({ log }: Operations, { query }: RouteRequest) {
  const stream = textParameter(query, 'stream')
  const from = countParameter(query, 'from') ?? 0
  const found = await log.read(stream, countParameter(query, 'partition') ?? 0, from, BATCHES_BYTES)
  return {
    bytes: (async function* () {
      for (const { bytes } of found) yield bytes
    })(),
  }
}

export async function table({ log, tables }: Operations, { query, signal }: RouteRequest) {
  const request = {
    stream: textParameter(query, 'stream'),
    key: query.get('key'),
    prefix: query.get('prefix'),
    after: query.get('after'),
    from: query.get('from'),
    partition: countParameter(query, 'partition'),
    follow: query.get('follow') === 'true',
    count: countParameter(query, 'count'),
  }
  return { lines: await openTableReading(log, tables, request, signal) }
}

export async function compact({ log }: Operations, { query }: RouteRequest) {
  const stream = query.get('stream')
  if (stream !== null && !log.streams().some((known) => known.stream === stream)) {
    throw new UnknownStreamError(
      stream,
      log.streams().map((known) => known.stream),
    )
  }
  if (stream !== null && !log.streams().some((known) => known.stream === stream && known.isCompacted)) {
    throw new NotCompactedError(stream)
  }
  return { lines: progressLines((tell) => log.compact(stream, tell)) }
}

function dump({ log }: Operations, { query }: RouteRequest) {
  const lines = dumpLines(log, {
    stream: query.get('stream'),
    partition: countParameter(query, 'partition'),
    from: countParameter(query, 'from'),
    to: countParameter(query, 'to'),
    segment: query.get('segment'),
    records: query.get('records') === 'true',
  })
  return { lines }
}

/** Lines of { progress }, the last one { report }. */
async function* progressLines<Progress, Report>(
  work: (tell: (progress: Progress) => void) => Promise<Report>,
): AsyncGenerator<string, void, void> {
  let progress: Progress | null = null
  let finished = false
  const working = work((now) => {
    progress = now
  }).finally(() => {
    finished = true
  })
  // Its rejection is thrown below; until then nobody else looks at it.
  working.catch(() => {})
  while (!finished) {
    await Promise.race([working.catch(() => {}), delay(PROGRESS_MS)])
    if (progress !== null && !finished) yield `${JSON.stringify({ progress })}\n`
  }
  yield `${JSON.stringify({ report: await working })}\n`
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}
