/** What a running broker answers. The routes are the same on the control socket and, later, on a TCP port. */

import { UsageError } from '../errors.ts'
import type { Operations, StatusReport } from '../operations.ts'
import { streamReports } from '../operations.ts'
import { openReading, parseFrom } from '../reading.ts'
import { countParameter, type Route, type RouteRequest, textParameter } from './http.ts'

/** Progress of `log verify` goes out at most this often. */
const PROGRESS_MS = 200
/** A command to sync is taken up at once, but not in the same turn: its answer should show what came of it. */
const SETTLE_MS = 100

export function controlRoutes(operations: Operations): Route[] {
  const { log } = operations
  return [
    { method: 'GET', path: '/status', handle: () => statusReport(operations) },
    { method: 'GET', path: '/streams', handle: () => ({ streams: streamReports(log) }) },
    { method: 'GET', path: '/read', handle: (request) => read(operations, request) },
    { method: 'GET', path: '/sync/status', handle: () => ({ upstreams: operations.sync?.status() ?? [] }) },
    { method: 'POST', path: '/log/verify', handle: () => ({ lines: verifyLines(operations) }) },
    ...(['pause', 'resume', 'now'] as const).map(
      (command): Route => ({
        method: 'POST',
        path: `/sync/${command}`,
        handle: async ({ query }) => {
          const sync = operations.sync
          if (sync === undefined) throw new UsageError('no upstream is configured', 'add one to upstreams')
          await sync[command](query.get('upstream') ?? undefined)
          await delay(SETTLE_MS)
          return { upstreams: sync.status() }
        },
      }),
    ),
  ]
}

export function statusReport(operations: Operations): StatusReport {
  return {
    running: true,
    broker: operations.status(),
    streams: streamReports(operations.log),
    upstreams: operations.sync?.status() ?? [],
  }
}

async function read({ log }: Operations, { query, signal }: RouteRequest) {
  const lines = await openReading(
    log,
    {
      stream: textParameter(query, 'stream'),
      partition: countParameter(query, 'partition'),
      from: parseFrom(query.get('from') ?? 'earliest'),
      follow: query.get('follow') === 'true',
      count: countParameter(query, 'count'),
    },
    signal,
  )
  return { lines }
}

/** Lines of { progress }, the last one { report }. */
async function* verifyLines({ log }: Operations): AsyncGenerator<string, void, void> {
  let progress: object | null = null
  let finished = false
  const verification = log
    .verify((now) => {
      progress = now
    })
    .finally(() => {
      finished = true
    })
  // Its rejection is thrown below; until then nobody else looks at it.
  verification.catch(() => {})
  while (!finished) {
    await Promise.race([verification.catch(() => {}), delay(PROGRESS_MS)])
    if (progress !== null && !finished) yield `${JSON.stringify({ progress })}\n`
  }
  yield `${JSON.stringify({ report: await verification })}\n`
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}
