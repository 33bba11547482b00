/** What the servers hold: connections that say nothing, and after a million messages. */
import { type Cell, interleaved } from '../progress.ts'
import { type Field, megabytes, section } from '../report.ts'
import { medians } from '../statistics.ts'
import { runIdle } from './idle.ts'
import { runLoad } from './load.ts'
import type { Manner } from './manner.ts'
import {
  type Contenders,
  cellOf,
  checkKept,
  type IngestOptions,
  MANNERS,
  type PartReport,
  serversOf,
} from './part.ts'
import type { Server } from './server.ts'

const IDLE_CONNECTIONS = 1000
const IDLE_SETTLE_SECONDS = 3
const MESSAGES = 1_000_000
const QUICK_SHARE = 0.1

export interface MemoryCase {
  readonly name: string
  readonly kind: 'idle' | 'million'
  readonly manner: Manner
}

export const MEMORY_CASES: readonly MemoryCase[] = (['idle', 'million'] as const).flatMap((kind) =>
  MANNERS.map((manner) => ({ name: manner === 'plain' ? kind : `${kind} guarded`, kind, manner })),
)

type MemoryResult = {
  readonly beforeRssBytes: number
  readonly rssBytes: number
  readonly rssPeakBytes: number
  readonly rssAnonBytes: number
}
type Row = MemoryResult & { readonly case: string; readonly server: string }

export async function memoryPart(
  cases: readonly MemoryCase[],
  options: IngestOptions,
  contenders: Contenders,
): Promise<PartReport> {
  const servers = serversOf(contenders)
  const cells = cases.flatMap((one) => servers.map((server) => memoryCell(one, server, options)))
  const results = await interleaved(cells, options.runs)
  const rows = cases.flatMap((one, at) =>
    servers.map(
      (server, index): Row => ({
        case: one.name,
        server: server.name,
        ...medians(results[at * servers.length + index]!),
      }),
    ),
  )
  return {
    sections: [section('memory', FIELDS, rows)],
    notes: [
      `idle: ${IDLE_CONNECTIONS} connections with a keep alive and a subscription each, ${IDLE_SETTLE_SECONDS} s later. million: a million messages of QoS 1 as fast as`,
      'they are taken over 10 connections, 2 s later. peak: the highest since the process began.',
    ],
    charts: [],
  }
}

function memoryCell({ name, kind, manner }: MemoryCase, server: Server, options: IngestOptions) {
  const cell: Cell<MemoryResult> = cellOf(name, server, manner, async (running) => {
    const { port, pid: serverPid } = running
    if (kind === 'idle') {
      const settleSeconds = options.quick ? 1 : IDLE_SETTLE_SECONDS
      return runIdle({ manner, connections: IDLE_CONNECTIONS, settleSeconds, port, serverPid })
    }
    const { messagesInAll, idleRssBytes, rssBytes, rssPeakBytes, rssAnonBytes } = await runLoad({
      manner,
      connections: 10,
      entry: { qos0: 0, qos1: 1 },
      window: 100,
      ratePerSecond: null,
      payloadBytes: options.size,
      warmSeconds: 0,
      seconds: 0,
      messagesMax: MESSAGES * (options.quick ? QUICK_SHARE : 1),
      port,
      serverPid,
    })
    await checkKept(running, messagesInAll)
    return { beforeRssBytes: idleRssBytes, rssBytes, rssPeakBytes, rssAnonBytes }
  })
  return cell
}

const FIELDS: readonly Field<Row>[] = [
  { title: 'load', text: (row) => row.case },
  { title: 'server', text: (row) => row.server },
  { title: 'RSS before MB', align: 'right', text: (row) => megabytes(row.beforeRssBytes) },
  { title: 'RSS MB', align: 'right', text: (row) => megabytes(row.rssBytes) },
  { title: 'peak', align: 'right', text: (row) => megabytes(row.rssPeakBytes) },
  { title: 'anon MB', align: 'right', text: (row) => megabytes(row.rssAnonBytes) },
]
