/** What each route answers, and what a POST takes. */
import { type TSchema, Type } from '@sinclair/typebox'
import type { ApiRouteId } from '../route-table.ts'
import { Broker, Damage } from './broker-schemas.ts'
import { count, flag, number, orNull, text, time, words } from './pieces.ts'
import { CompactionLine, RecordLine, Stream } from './stream-schemas.ts'
import { Downlink, Upstream } from './sync-schemas.ts'

const ErrorBody = Type.Object(
  {
    code: text('A stable code: docs/errors.md.'),
    message: text('What happened.'),
    hint: text('What to do.'),
    retryable: flag('The same request may work later.'),
  },
  { $id: 'Error' },
)

const Client = Type.Object(
  {
    clientId: text('Its client id.'),
    user: orNull(text('The name by which it was let in.')),
    address: text('host:port.'),
    listener: orNull(text('Where it came in.')),
    version: Type.Integer({ description: '3: MQTT 3.1, 4: MQTT 3.1.1, 5: MQTT 5.', minimum: 3, maximum: 5 }),
    since: time('When it was let in.'),
    keepAliveSeconds: count('0: none.'),
    lastSeenAt: time('When its last packet came.'),
    messagesIn: count('PUBLISHes taken from it.'),
    messagesOut: count('PUBLISHes sent to it.'),
    bytesIn: count('Of all packets.'),
    bytesOut: count('Of all packets.'),
    unacknowledged: count('Messages of its own that were not acknowledged yet.'),
    inFlight: count('Messages to it that it has not acknowledged.'),
    queued: count('Messages that wait for it.'),
    outboxBytes: count('Bytes on their way to it.'),
  },
  { $id: 'Client' },
)

const Alarm = Type.Object(
  {
    id: text('A stable word: docs/operate.md.'),
    severity: words('How bad it is.', 'critical', 'warning', 'info'),
    subject: text('What it is about.'),
    summary: text('One line.'),
    hint: text('What to do.'),
    since: time('Since when.'),
  },
  { $id: 'Alarm' },
)

const Sample = Type.Object(
  {
    at: time('Its end.'),
    messagesPerSecond: number('PUBLISHes taken.'),
    recordsPerSecond: number('Records made durable.'),
    bytesPerSecond: number('Bytes of payloads.'),
    commitMsP50: orNull(number('Of the commits in it; null where there were none.')),
    commitMsP99: orNull(number('The same.')),
    lagRecords: count('Of all upstreams, at its end.'),
    lagBytes: number('The same.'),
    connections: count('At its end.'),
    residentBytes: count('At its end.'),
  },
  { $id: 'Sample' },
)

/** By name, for `components`. */
export const COMPONENTS: Readonly<Record<string, TSchema>> = {
  Error: ErrorBody,
  Broker,
  Stream,
  RecordLine,
  CompactionLine,
  Client,
  Upstream,
  Downlink,
  Alarm,
  Sample,
}

const ref = (name: string) => Type.Ref(name)
const Upstreams = Type.Object({
  upstreams: Type.Array(ref('Upstream')),
  downlinks: Type.Array(ref('Downlink')),
})

/** null: text that is no JSON. */
export const ANSWERS: Readonly<Record<ApiRouteId, TSchema | null>> = {
  live: Type.Object({ status: Type.Literal('live') }),
  ready: Type.Object({
    status: words('Whether it takes messages.', 'ready', 'not ready'),
    reasons: Type.Optional(Type.Array(Type.String())),
  }),
  metrics: null,
  openapi: Type.Object({ openapi: Type.String() }, { additionalProperties: true }),
  status: Type.Object({
    running: Type.Literal(true),
    broker: ref('Broker'),
    streams: Type.Array(ref('Stream')),
    upstreams: Type.Array(ref('Upstream')),
    alarms: Type.Array(ref('Alarm')),
  }),
  streams: Type.Object({ streams: Type.Array(ref('Stream')) }),
  records: ref('RecordLine'),
  table: ref('RecordLine'),
  compact: ref('CompactionLine'),
  clients: Type.Object({ clients: Type.Array(ref('Client')) }),
  disconnect: Type.Object({ disconnected: Type.Literal(true) }),
  damage: Damage,
  acknowledgeDamage: Type.Object({ acknowledged: Type.Literal(true) }),
  upstreams: Upstreams,
  pauseUpstream: Upstreams,
  resumeUpstream: Upstreams,
  sendNow: Upstreams,
  alarms: Type.Object({ alarms: Type.Array(ref('Alarm')) }),
  history: Type.Object({
    intervalSeconds: count('Between two samples.'),
    samples: Type.Array(ref('Sample'), { description: 'Oldest first.' }),
  }),
}

/** The bodies of POSTs; the others take none. */
export const BODIES: Partial<Readonly<Record<ApiRouteId, TSchema>>> = {
  acknowledgeDamage: Type.Object({
    lostOffsets: Type.Integer({
      minimum: 0,
      description: 'As `damage` has it: what is lost since then is not acknowledged.',
    }),
  }),
  disconnect: Type.Object({ clientId: Type.String({ minLength: 1, description: 'Whom to disconnect.' }) }),
}
