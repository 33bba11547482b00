/**
 * What can be asked over HTTP: the listener, its documentation and `openapi.json` (openapi/) come from this table. Only what is added to is
 * `v1`; what must change otherwise gets a `v2` beside it.
 */
import type { Access } from './guard.ts'

export interface QueryParameter {
  readonly name: string
  readonly type: 'string' | 'integer' | 'boolean'
  readonly description: string
}

export interface ApiRoute {
  /** The operation's id in openapi.json. */
  readonly id: string
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly access: Access
  readonly summary: string
  /** What comes back: a value, lines of values, or text. */
  readonly answer: 'json' | 'lines' | 'text'
  readonly query?: readonly QueryParameter[]
}

const parameter = (name: string, type: QueryParameter['type'], description: string): QueryParameter => ({
  name,
  type,
  description,
})
const COUNT = parameter('count', 'integer', 'The answer ends after so many lines.')
const FOLLOW = parameter('follow', 'boolean', 'true: the answer goes on with what is written later.')
const PARTITION = parameter('partition', 'integer', 'This partition alone.')

export const API_ROUTES = [
  {
    id: 'live',
    method: 'GET',
    path: '/health/live',
    access: 'open',
    answer: 'json',
    summary: 'The process answers.',
  },
  {
    id: 'ready',
    method: 'GET',
    path: '/health/ready',
    access: 'open',
    answer: 'json',
    summary:
      'Messages are taken and made durable; 503 where not, with the reasons for those who may know them.',
  },
  {
    id: 'metrics',
    method: 'GET',
    path: '/metrics',
    access: 'status',
    answer: 'text',
    summary: 'All numbers in the text format of Prometheus, 0.0.4.',
  },
  {
    id: 'openapi',
    method: 'GET',
    path: '/openapi.json',
    access: 'open',
    answer: 'json',
    summary: 'This description.',
  },
  {
    id: 'status',
    method: 'GET',
    path: '/api/v1/status',
    access: 'status',
    answer: 'json',
    summary: 'How the broker is, and what it holds: as `headwater status --json`.',
  },
  {
    id: 'streams',
    method: 'GET',
    path: '/api/v1/streams',
    access: 'status',
    answer: 'json',
    summary: 'The streams with their partitions.',
  },
  {
    id: 'records',
    method: 'GET',
    path: '/api/v1/streams/{stream}/records',
    access: 'full',
    answer: 'lines',
    summary: 'Records of a stream, partitions merged by the time of acceptance; each a line.',
    query: [
      PARTITION,
      parameter('from', 'string', 'earliest, latest, an offset, or a time such as 2026-03-01T12:00:00Z.'),
      COUNT,
      FOLLOW,
      parameter('key', 'string', 'Records with this key alone.'),
      parameter('grep', 'string', 'Records whose topic, key, value or headers have this text in them.'),
    ],
  },
  {
    id: 'table',
    method: 'GET',
    path: '/api/v1/streams/{stream}/table',
    access: 'full',
    answer: 'lines',
    summary:
      'The latest value of each key of a stream that has a table, or the changes of the table; each a line.',
    query: [
      parameter('key', 'string', 'This key alone.'),
      parameter('prefix', 'string', 'Keys that begin so.'),
      parameter('after', 'string', 'Keys above this one, in the order of their bytes: the next page.'),
      parameter('from', 'string', 'The changes from there on, in place of the entries: as for records.'),
      PARTITION,
      COUNT,
      FOLLOW,
    ],
  },
  {
    id: 'compact',
    method: 'POST',
    path: '/api/v1/streams/{stream}/compact',
    access: 'full',
    answer: 'lines',
    summary: 'Compacts a stream now: lines of `{progress}`, and at the end `{report}`.',
  },
  {
    id: 'damage',
    method: 'GET',
    path: '/api/v1/log/damage',
    access: 'status',
    answer: 'json',
    summary: 'Records that are lost, and other damage, that nobody has acknowledged.',
  },
  {
    id: 'acknowledgeDamage',
    method: 'POST',
    path: '/api/v1/log/acknowledge',
    access: 'full',
    answer: 'json',
    summary:
      'An operator knows of it: the alarm log-damaged ends. Refused where more is lost than was confirmed.',
  },
  {
    id: 'clients',
    method: 'GET',
    path: '/api/v1/clients',
    access: 'full',
    answer: 'json',
    summary: 'The MQTT clients that are connected.',
  },
  {
    id: 'disconnect',
    method: 'POST',
    path: '/api/v1/clients/disconnect',
    access: 'full',
    answer: 'json',
    summary: "Ends a client's connection; with MQTT 5 it is told that this was an administrative action.",
  },
  {
    id: 'upstreams',
    method: 'GET',
    path: '/api/v1/upstreams',
    access: 'status',
    answer: 'json',
    summary: 'Where the log is replicated to, and the topics that are published here.',
  },
  {
    id: 'pauseUpstream',
    method: 'POST',
    path: '/api/v1/upstreams/{name}/pause',
    access: 'full',
    answer: 'json',
    summary: 'Pauses an upstream or a downlink, also across restarts.',
  },
  {
    id: 'resumeUpstream',
    method: 'POST',
    path: '/api/v1/upstreams/{name}/resume',
    access: 'full',
    answer: 'json',
    summary: 'Ends a pause; tries again what has stopped.',
  },
  {
    id: 'sendNow',
    method: 'POST',
    path: '/api/v1/upstreams/{name}/now',
    access: 'full',
    answer: 'json',
    summary: 'Tries at once, and sends all that waits, whatever backoff and schedule say.',
  },
  {
    id: 'alarms',
    method: 'GET',
    path: '/api/v1/alarms',
    access: 'status',
    answer: 'json',
    summary: 'What is wrong now, the worst first.',
  },
  {
    id: 'history',
    method: 'GET',
    path: '/api/v1/history',
    access: 'status',
    answer: 'json',
    summary: 'The last quarter of an hour in numbers, for charts.',
    query: [parameter('since', 'integer', 'Samples after this time alone, in ms since 1970.')],
  },
] as const satisfies readonly ApiRoute[]

export type ApiRouteId = (typeof API_ROUTES)[number]['id']
