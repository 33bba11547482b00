/** How the broker itself is. */
import { Type } from '@sinclair/typebox'
import { byName, certificate, count, counts, flag, number, orNull, text, time, words } from './pieces.ts'

const Sessions = Type.Object(
  {
    dropped: byName('Messages that were not delivered, by reason.'),
    failure: orNull(text('Why the state of sessions cannot be written now.')),
    ...counts(
      '',
      ...['sessions', 'connected', 'stored', 'subscriptions', 'queued', 'inFlight', 'evicted'],
      ...['retained', 'retainedOwn', 'retainedBytes', 'wills', 'willsBytes', 'willsPublished', 'willsFailed'],
      ...['willsDropped', 'heldBytes', 'waitedFor', 'letGo', 'inlineMessages', 'inlineBytes', 'replays'],
      ...['replayed', 'writes', 'syncedWrites', 'failedWrites', 'unwritten', 'writtenBytes'],
    ).properties,
  },
  { description: 'What sessions hold.' },
)

const ListenerTls = Type.Object({
  listener: text('Its address.'),
  certFile: text('Where the certificate is.'),
  keyFile: text('Where its key is.'),
  clientCaFile: orNull(text("Where the authorities of clients' certificates are.")),
  certificate: certificate('What it shows clients: of the chain the one that ends first.'),
  clientAuthority: orNull(certificate("What clients' certificates are taken from: the one that ends first.")),
  fault: orNull(
    text('Why the files as they are now cannot be used, so that older certificates stay in use.'),
  ),
})

const Mqtt = Type.Object({
  listeners: Type.Array(Type.String(), { description: 'The addresses in use.' }),
  tls: Type.Array(ListenerTls, { description: 'Of those with TLS: how long their certificates are good.' }),
  connections: count('Clients that are connected.'),
  connecting: count(
    'Connections on which no client has logged in yet; they count towards connectionsMax, too.',
  ),
  connectionsMax: count('limits.connectionsMax.'),
  isGuarded: flag('Users or permissions are configured.'),
  needsLogin: flag('Clients of this machine, too, have to say who they are.'),
  messages: count('PUBLISHes taken since the start.'),
  refused: count('PUBLISHes and connections refused since the start.'),
  traffic: counts(
    'What came and went since the start.',
    ...['connected', 'refused', 'dropped', 'refusedLogins', 'refusedMessages', 'fullMessages'],
    ...['receivedPackets', 'receivedBytes', 'sentPackets', 'sentBytes', 'sentMessages'],
  ),
  sessions: Sessions,
})

const Latency = Type.Object(
  {
    upToMs: Type.Array(orNull(Type.Number()), {
      description: 'Upper edges of buckets, rising; null: above all.',
    }),
    counts: Type.Array(Type.Number(), { description: 'As many.' }),
    sumMs: number('Of all commits.'),
  },
  { description: 'How long commits took since the start.' },
)

const Log = Type.Object({
  condition: text('open, or why it takes no records: failed, closed.'),
  reason: orNull(text('What failed.')),
  ...counts(
    '',
    ...['commits', 'records', 'bytes', 'failedCommits', 'failedRecords', 'segments', 'storedBytes'],
    ...['admittedBytes', 'waitingMs', 'commitMsP50', 'commitMsP99', 'commitMsMax'],
  ).properties,
  commitLatency: Latency,
  recovery: counts(
    'What starts and repairs had to do.',
    ...['tornTails', 'tornBytes', 'faults', 'leftovers', 'rebuiltIndexes', 'salvagedSegments', 'lostOffsets'],
    'rebuiltManifests',
  ),
  space: Type.Object({
    isFull: flag('Nothing new is taken until there is room.'),
    fullSince: orNull(time('Since when.')),
    usedBytes: count("Bytes of the log's files."),
    bytesMax: orNull(count('log.disk.bytesMax.')),
    freeBytes: orNull(count('Bytes free on the file system.')),
    reserveBytes: count('log.disk.reserveBytes.'),
  }),
  retention: Type.Object({
    evictedBytes: byName('By stream: bytes that went within their retention, because the disk needed room.'),
    ...counts('', 'removedSegments', 'rewrittenSegments', 'rewrittenBytes').properties,
    compaction: Type.Object({
      isRunning: flag('A round is under way.'),
      ...counts('', 'rounds', 'savedBytes', 'writtenBytes', 'removedRecords').properties,
    }),
  }),
})

const Clock = Type.Object({
  trust: words('How far it is to be believed.', 'synchronized', 'rtc', 'assumed', 'untrusted'),
  evidence: text('What that rests on.'),
  isTrusted: flag('Retention by time goes on.'),
  bootId: text('Of this boot of the machine.'),
  steps: count('Times that it was set, since the start.'),
  lastStepMs: orNull(number('By how much, the last time.')),
  correctedUntil: orNull(time('Records before it were stamped by a clock that was wrong.')),
  correctedByMs: orNull(number('By how much.')),
})

const damage = {
  lostOffsets: count(
    'Records that are lost, of all starts, at most: gaps of offsets that no record had are among them.',
  ),
  salvagedSegments: count('Damaged segments that went to quarantine since the start.'),
  faults: count('Faults of the log that were found since the start.'),
  factsDamaged: count('Facts that are as good as missing, found since the start.'),
}

export const Damage = Type.Object({
  ...damage,
  lost: Type.Array(
    Type.Object({
      stream: text('Its name.'),
      partition: count('Of it.'),
      from: count('The first offset that is lost.'),
      to: count('The first one after them.'),
    }),
    { description: 'Which these are.' },
  ),
})

export const Broker = Type.Object(
  {
    version: text('Of Headwater.'),
    pid: count('Its process.'),
    startedAt: time('When it was started.'),
    edge: text("This device's name upstream."),
    incarnation: text("A UUID that changes when the log's identity does."),
    dataDirectory: text('Where the log is.'),
    fileSystem: Type.Object({
      kind: text('reliable, volatile, network, fragile, overlay, read-only or unknown.'),
      type: text('As the mount table names it.'),
      mountPoint: orNull(text('Where it is mounted.')),
      warning: orNull(text('What is to be feared there.')),
    }),
    dataRecovery: counts(
      'What the start mended of identity and facts.',
      ...['identityRestored', 'identityReplaced', 'factsSalvaged', 'factsMissing', 'factsDamaged'],
      'restoresCleared',
    ),
    mqtt: Mqtt,
    ingress: counts(
      'Messages since the start.',
      ...['received', 'receivedBytes', 'appended', 'repetitions', 'unrouted', 'deadLetters', 'tooLarge'],
      'failed',
    ),
    log: Log,
    damage: Type.Object(damage, { description: 'What nobody has acknowledged.' }),
    clock: Clock,
  },
  { $id: 'Broker' },
)
