/** Streams, their records and tables, and what compacting one tells. */
import { Type } from '@sinclair/typebox'
import { count, flag, orNull, text, words } from './pieces.ts'

const Partition = Type.Object({
  partition: count('Its number.'),
  logStartOffset: count('The first offset that can be read.'),
  durableOffset: count('All below are on disk.'),
  records: count('Records that can be read.'),
})

const Table = Type.Object({
  stream: text('Its stream.'),
  state: words('How it is.', 'opening', 'building', 'current', 'failed', 'closed'),
  reason: orNull(text('Why it failed.')),
  appliedPercent: count('Of the log, in percent.'),
  lagRecords: count('Records that are not in it yet.'),
  keys: count('About.'),
  bytes: count('About, on disk.'),
  rebuilds: count('Times since the start that it was built again.'),
  unkeyed: count('Records that have no key.'),
  misplaced: count("Records in a partition that is not their key's."),
})

const Policy = Type.Object(
  {
    deletes: flag('Old records go by size or age.'),
    compacts: flag('The newest record of each key stays.'),
    retentionBytes: orNull(count('The newest bytes that are kept at least.')),
    retentionMs: orNull(count('How long a record is kept at least.')),
    unsynced: words('What happens to records that upstream has not got.', 'keep', 'drop-oldest'),
    priority: count('Lower ones give way first.'),
    tombstoneMs: count('How long a tombstone is seen.'),
  },
  { description: 'What may go from it, and when.' },
)

export const Stream = Type.Object(
  {
    stream: text('Its name.'),
    records: count('Records that can be read.'),
    bytes: count('Bytes of stored batches.'),
    droppedRecords: count('Records that went before every upstream had them, ever.'),
    isCompacted: flag('Older records of a key go.'),
    policy: Type.Optional(Policy),
    partitions: Type.Array(Partition),
    table: Type.Optional(Table),
  },
  { $id: 'Stream' },
)

const Bytes = Type.Union([
  Type.String(),
  Type.Object({ base64: Type.String() }, { description: 'Bytes that are no text.' }),
])

const Record = Type.Object({
  stream: text('Its stream.'),
  partition: count('Its partition.'),
  offset: count('Its offset.'),
  timestamp: text('When it was accepted, ISO 8601.'),
  clock: Type.Optional(
    Type.Object(
      {
        trust: text('How far the clock was to be believed.'),
        correctedTimestamp: Type.Optional(Type.String()),
      },
      { description: 'Where that clock was not to be trusted.' },
    ),
  ),
  topic: orNull(text('The MQTT topic.')),
  key: orNull(Bytes),
  value: orNull(Bytes),
  headers: Type.Array(Type.Object({ key: Type.String(), value: orNull(Bytes) })),
})

const Gap = Type.Object(
  {
    stream: Type.String(),
    partition: Type.Integer(),
    gap: Type.Object({ from: Type.Integer(), to: Type.Integer(), reason: Type.String() }),
  },
  { description: 'In the place of records that are lost.' },
)

const LastLine = Type.Object(
  { error: Type.Ref('Error') },
  { description: 'The last line, where the answer could not go on.' },
)

export const RecordLine = Type.Union([Record, Gap, LastLine], { $id: 'RecordLine' })

export const CompactionLine = Type.Union(
  [
    Type.Object({ progress: Type.Object({ bytesDone: Type.Number(), bytesTotal: Type.Number() }) }),
    Type.Object({
      report: Type.Array(
        Type.Object({
          streams: Type.Array(Type.String()),
          segments: count('Written anew or removed.'),
          bytesBefore: count('Of the segments that were looked at.'),
          bytesAfter: count('The same afterwards.'),
          bytesWritten: count('For it.'),
          recordsRemoved: count('Older ones of their keys.'),
          tombstonesRemoved: count('That were seen long enough.'),
          isComplete: flag('Nothing is left for the next round.'),
        }),
      ),
    }),
    LastLine,
  ],
  { $id: 'CompactionLine' },
)
