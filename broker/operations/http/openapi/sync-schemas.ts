/** Upstreams and downlinks. */
import { Type } from '@sinclair/typebox'
import { byName, certificate, count, number, orNull, text, time, words } from './pieces.ts'

const LastError = Type.Object({
  code: text('A stable code: docs/errors.md.'),
  message: text('What happened.'),
  hint: text('What to do.'),
  at: time('When.'),
})

const Link = Type.Object({
  hold: orNull(
    Type.Object({
      reason: text('Why not everything may go now.'),
      until: orNull(time('When that ends.')),
      urgentPriority: orNull(count('Streams of this priority and above go all the same.')),
    }),
  ),
  bandwidth: orNull(
    Type.Object({ bytesPerSecond: Type.Number(), burstBytes: Type.Number(), isWaiting: Type.Boolean() }),
  ),
  schedule: orNull(Type.Object({ isOpen: Type.Boolean(), isOverridden: Type.Boolean() })),
  budgets: Type.Array(
    Type.Object({
      period: Type.String(),
      bytes: Type.Number(),
      usedBytes: Type.Number(),
      resetsAt: orNull(time('When it begins again.')),
    }),
  ),
})

const RefusedStream = Type.Object({
  stream: Type.String(),
  code: Type.String(),
  message: Type.String(),
  hint: Type.String(),
  at: time('Of the last try.'),
  tries: count('In a row.'),
  retryAt: orNull(time('Of the next try.')),
})

export const Upstream = Type.Object(
  {
    name: text('Its name.'),
    kind: text('archive, kafka or nats.'),
    address: text('Where it is.'),
    state: words(
      'What it does.',
      ...['idle', 'sending', 'recovering', 'backoff', 'held', 'paused', 'stopped', 'closed'],
    ),
    since: time('Of the last change of state.'),
    retryAt: orNull(time('When the next try is.')),
    tries: count('Failures in a row.'),
    lagRecords: count('Records that it is to get.'),
    lagBytes: number('Their bytes, about.'),
    lagSecondsOldest: orNull(number('Age of the oldest of them.')),
    drainSeconds: orNull(number('When all of it will be upstream, if it goes on so.')),
    partitions: Type.Array(
      Type.Object({
        stream: Type.String(),
        partition: Type.Integer(),
        position: orNull(count('The next offset that it expects.')),
        durableOffset: Type.Integer(),
        lagRecords: Type.Integer(),
      }),
    ),
    sentRecords: count('Acknowledged since the start.'),
    sentBytes: count('Their bytes.'),
    recordsPerSecond: number('Now.'),
    bytesPerSecond: number('Now.'),
    wireBytes: orNull(count('Over the link since the start.')),
    filteredRecords: count('That filters left out.'),
    passedOverRecords: count('For a newer one of their key.'),
    skippedRecords: count('That retention took before they were sent.'),
    rounds: Type.Optional(count('Rounds of sending since the start.')),
    stalls: count('Calls that were ended.'),
    lastAckAt: orNull(time('When it acknowledged something last.')),
    ackAgeSeconds: orNull(number('Since then.')),
    link: Link,
    certificate: orNull(certificate('What this device shows upstream.')),
    lastError: orNull(LastError),
    refused: Type.Array(RefusedStream, { description: 'Streams that it refuses while it takes others.' }),
  },
  { $id: 'Upstream' },
)

export const Downlink = Type.Object(
  {
    name: text('Its name.'),
    address: text('Of the cluster.'),
    topic: text('The topic that is read.'),
    state: text('connecting, reading, idle, backoff, paused, stopped or closed.'),
    since: time('Of the last change of state.'),
    retryAt: orNull(time('Of the next try.')),
    tries: count('Failures in a row.'),
    lagRecords: count('Records that are to be published here.'),
    partitions: Type.Array(
      Type.Object({
        partition: Type.Integer(),
        position: Type.Integer(),
        endOffset: Type.Integer(),
        lagRecords: Type.Integer(),
      }),
    ),
    delivered: count('Published since the start.'),
    passedOver: byName('By reason.'),
    unacknowledged: count('Deliveries that were not acknowledged in time.'),
    lost: count('Records that the topic no longer had.'),
    lastDeliveredAt: orNull(time('Of the last one.')),
    answerAgeSeconds: orNull(number('Since the topic answered last.')),
    lastError: orNull(LastError),
  },
  { $id: 'Downlink' },
)
