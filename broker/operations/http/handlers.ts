/** What the routes of route-table.ts answer. */
import { EXPOSITION_TYPE } from '../../exposition.ts'
import { Reply } from '../control/answer.ts'
import type { RouteRequest } from '../control/http.ts'
import {
  acknowledge,
  commandSync,
  compact,
  history,
  read,
  statusReport,
  syncAnswer,
  table,
} from '../control/routes.ts'
import { UsageError } from '../errors.ts'
import { notReady } from '../health.ts'
import { metricsReport } from '../metrics/report.ts'
import { metricsText } from '../metrics/text.ts'
import { type Operations, streamReports } from '../operations.ts'
import type { Access } from './guard.ts'
import type { ApiRouteId } from './route-table.ts'

export interface ApiRequest extends RouteRequest {
  /** What the asker may know. */
  readonly granted: Access
}

export type ApiHandler = (request: ApiRequest) => Promise<object> | object

export interface ApiWorld {
  readonly operations: Operations
  /** The text of openapi.json; null where it was not built. */
  openApi(): Promise<string | null>
}

export function apiHandlers({ operations, openApi }: ApiWorld): Record<ApiRouteId, ApiHandler> {
  const { log, tables } = operations
  const upstream =
    (command: 'pause' | 'resume' | 'now'): ApiHandler =>
    ({ params }) =>
      commandSync(operations, command, params.name)
  return {
    live: () => ({ status: 'live' }),
    ready: ({ granted }) => ready(operations, granted),
    metrics: () => new Reply(200, EXPOSITION_TYPE, metricsText(metricsReport(operations))),
    openapi: async () => openApiReply(await openApi()),
    status: () => statusReport(operations),
    streams: () => ({ streams: streamReports(log, tables) }),
    records: (request) => read(operations, withStream(request)),
    table: (request) => table(operations, withStream(request)),
    compact: (request) => compact(operations, withStream(request)),
    damage: () => operations.damage(),
    acknowledgeDamage: ({ body }) => acknowledge(operations, countField(body, 'lostOffsets')),
    clients: () => ({ clients: operations.clients() }),
    disconnect: ({ body }) => {
      operations.disconnect(textField(body, 'clientId'))
      return { disconnected: true }
    },
    upstreams: () => syncAnswer(operations),
    pauseUpstream: upstream('pause'),
    resumeUpstream: upstream('resume'),
    sendNow: upstream('now'),
    alarms: () => ({ alarms: operations.alarms() }),
    history: (request) => history(operations, request),
  }
}

function ready(operations: Operations, granted: Access): Reply {
  const reasons = notReady(operations.status())
  const status = reasons.length === 0 ? 'ready' : 'not ready'
  const body = granted === 'open' ? { status } : { status, reasons }
  return Reply.json(reasons.length === 0 ? 200 : 503, body)
}

function openApiReply(text: string | null): Reply {
  if (text !== null) return new Reply(200, 'application/json; charset=utf-8', text)
  const error = { code: 'HW_NO_ROUTE', message: 'openapi.json was not built', hint: 'npm run build' }
  return Reply.json(404, { error })
}

/** The stream's name comes in the path here, in the query on the control socket. */
function withStream(request: ApiRequest): ApiRequest {
  const query = new URLSearchParams(request.query)
  query.set('stream', request.params.stream ?? '')
  return { ...request, query }
}

function countField(body: Readonly<Record<string, unknown>>, name: string): number | null {
  const value = body[name]
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : null
}

/** @throws UsageError */
function textField(body: Readonly<Record<string, unknown>>, name: string): string {
  const value = body[name]
  if (typeof value === 'string' && value !== '') return value
  throw new UsageError(`the field ${name} is missing`, `send {"${name}": "..."}`)
}
