/** A log in memory, with real batches, behind the interface that operations read. */
import type { CommitClock } from '../../../broker/clock/facts.ts'
import { UnknownPartitionError, UnknownStreamError } from '../../../broker/errors.ts'
import type { CompactionReport } from '../../../broker/log/compactor.ts'
import type { Dumped } from '../../../broker/log/dump.ts'
import { BatchBuilder, encodeHeaders, type RecordHeader } from '../../../broker/log/record-batch.ts'
import { NO_RECOVERY } from '../../../broker/log/recovery-counters.ts'
import type { RepairReport } from '../../../broker/log/repair.ts'
import type { LogCursor, PartitionState, StoredBatch, StreamState } from '../../../broker/log/source.ts'
import type { VerifyProgress, VerifyReport } from '../../../broker/log/verify.ts'
import type { ClientStatus } from '../../../broker/mqtt/connection/client-status.ts'
import { Drops } from '../../../broker/mqtt/session/drops.ts'
import { countSessions } from '../../../broker/mqtt/session/sessions-status.ts'
import { UnknownClientError, UsageError } from '../../../broker/operations/errors.ts'
import type {
  BrokerStatus,
  DamageStatus,
  LostOffsets,
  Operations,
  ReadableLog,
  SyncOperations,
} from '../../../broker/operations/operations.ts'
import { noDirectoryRecovery } from '../../../broker/storage/directory-recovery.ts'

export interface FakeRecord {
  readonly timestamp?: number
  readonly key?: string | Buffer | null
  readonly value?: string | Buffer | null
  readonly headers?: readonly RecordHeader[]
}

export class FakeLog implements ReadableLog {
  readonly identity = { edge: 'edge-1', incarnation: '00000000-0000-4000-8000-000000000001' }
  readonly #batches = new Map<string, StoredBatch[][]>()
  readonly #listeners = new Set<() => void>()
  verifySteps = 3
  verifyProblem: Error | null = null
  readFault: Error | null = null
  clocks: (batch: StoredBatch) => CommitClock | null = () => null
  reads = 0

  constructor(streams: Record<string, number>) {
    for (const [name, partitions] of Object.entries(streams)) {
      this.#batches.set(
        name,
        Array.from({ length: partitions }, () => []),
      )
    }
  }

  get listeners(): number {
    return this.#listeners.size
  }

  /** Appends one batch and makes it durable. */
  append(stream: string, partition: number, records: readonly FakeRecord[]): void {
    const own = this.#batches.get(stream)![partition]!
    const builder = new BatchBuilder()
    for (const { timestamp = 1000, key = null, value = '', headers = [] } of records) {
      builder.append(timestamp, bytes(key), bytes(value), encodeHeaders(headers))
    }
    const baseOffset = own.at(-1)?.nextOffset ?? 0
    const batch = Buffer.from(builder.seal(baseOffset))
    own.push({ stream, partition, baseOffset, nextOffset: baseOffset + records.length, bytes: batch })
    for (const listener of this.#listeners) listener()
  }

  /** Drops the oldest batch, as retention does. */
  dropFirst(stream: string, partition: number): void {
    this.#batches.get(stream)![partition]!.shift()
  }

  streams(): StreamState[] {
    return [...this.#batches].map(([stream, partitions]) => ({
      stream,
      partitions: partitions.length,
      records: partitions.map((batches) =>
        batches.reduce((sum, { baseOffset, nextOffset }) => sum + nextOffset - baseOffset, 0),
      ),
      bytes: partitions.flat().reduce((sum, { bytes }) => sum + bytes.length, 0),
      droppedRecords: 0,
      isCompacted: false,
    }))
  }

  partitions(): PartitionState[] {
    return [...this.#batches].flatMap(([stream, partitions]) =>
      partitions.map((batches, partition) => ({
        stream,
        partition,
        logStartOffset: batches[0]?.baseOffset ?? 0,
        durableOffset: batches.at(-1)?.nextOffset ?? 0,
      })),
    )
  }

  async read(stream: string, partition: number, offset: number, bytesMax: number): Promise<StoredBatch[]> {
    this.reads++
    if (this.readFault !== null) throw this.readFault
    const partitions = this.#batches.get(stream)
    if (partitions === undefined) throw new UnknownStreamError(stream, [...this.#batches.keys()])
    const own = partitions[partition]
    if (own === undefined) throw new UnknownPartitionError(stream, partition, partitions.length)
    const found: StoredBatch[] = []
    let size = 0
    for (const batch of own) {
      if (batch.nextOffset <= offset) continue
      if (found.length > 0 && size + batch.bytes.length > bytesMax) break
      found.push(batch)
      size += batch.bytes.length
    }
    return found
  }

  async offsetForTime(stream: string, partition: number, timestamp: number): Promise<number> {
    const own = this.#batches.get(stream)![partition]!
    for (const batch of own) if (Number(batch.bytes.readBigInt64BE(35)) >= timestamp) return batch.baseOffset
    return own.at(-1)?.nextOffset ?? 0
  }

  clockOf(batch: StoredBatch): CommitClock | null {
    return this.clocks(batch)
  }

  openCursor(): LogCursor {
    throw new Error('not used by operations')
  }

  onDurable(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** By partition. */
  readonly lost = new Map<number, LostOffsets[]>()

  lostOffsets(_stream: string, partition: number): LostOffsets[] {
    return this.lost.get(partition) ?? []
  }

  async repair(): Promise<RepairReport> {
    return { problemsBefore: 0, repairedSegments: 0, holes: [], problems: [], isWhole: true }
  }

  async compact(): Promise<CompactionReport[]> {
    return []
  }

  /** What a backup gives out; an error in place of a piece is thrown there. */
  backupPieces: (Buffer | Error)[] = []
  backupPiecesTaken = 0

  async *backup(): AsyncGenerator<Buffer> {
    for (const piece of this.backupPieces) {
      if (piece instanceof Error) throw piece
      this.backupPiecesTaken++
      yield piece
    }
  }

  dumped: Dumped[] = []

  async *dump(): AsyncGenerator<Dumped> {
    yield* this.dumped
  }

  async verify(onProgress: (progress: VerifyProgress) => void): Promise<VerifyReport> {
    for (let step = 1; step <= this.verifySteps; step++) {
      onProgress({ bytesDone: step, bytesTotal: this.verifySteps })
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
    if (this.verifyProblem !== null) throw this.verifyProblem
    return {
      isWhole: true,
      segments: 1,
      commits: 1,
      batches: 1,
      records: 1,
      bytes: 100,
      expiredRecords: 0,
      holes: [],
      partitions: [],
      problems: [],
      problemsLeftOut: 0,
    }
  }
}

function bytes(text: string | Buffer | null): Buffer | null {
  return typeof text === 'string' ? Buffer.from(text) : text
}

export const fakeStatus: BrokerStatus = {
  version: '0.1.0',
  pid: 1,
  startedAt: 1_700_000_000_000,
  edge: 'edge-1',
  incarnation: '00000000-0000-4000-8000-000000000001',
  dataDirectory: '/data',
  fileSystem: { kind: 'reliable', type: 'ext4', mountPoint: '/', warning: null },
  dataRecovery: noDirectoryRecovery(),
  mqtt: {
    listeners: ['127.0.0.1:1883'],
    tls: [],
    connections: 2,
    connecting: 0,
    connectionsMax: 1000,
    isGuarded: false,
    needsLogin: false,
    messages: 7,
    refused: 0,
    traffic: {
      connected: 3,
      refused: 0,
      dropped: 0,
      refusedLogins: 0,
      refusedMessages: 0,
      fullMessages: 0,
      receivedPackets: 10,
      receivedBytes: 900,
      sentPackets: 9,
      sentBytes: 90,
      sentMessages: 2,
    },
    sessions: countSessions([], {
      dropped: new Drops().counts(),
      retained: 0,
      retainedOwn: 0,
      retainedBytes: 0,
      wills: 0,
      willsPublished: 0,
      evicted: 0,
      willsBytes: 0,
      willsFailed: 0,
      willsDropped: 0,
      heldBytes: 0,
      waitedFor: 0,
      letGo: 0,
      inlineMessages: 0,
      inlineBytes: 0,
      replays: 0,
      replayed: 0,
      writes: 0,
      syncedWrites: 0,
      failedWrites: 0,
      unwritten: 0,
      writtenBytes: 0,
      failure: null,
    }),
  },
  ingress: {
    received: 7,
    receivedBytes: 700,
    appended: 7,
    repetitions: 0,
    unrouted: 0,
    deadLetters: 0,
    tooLarge: 0,
    failed: 0,
  },
  log: {
    condition: 'open',
    reason: null,
    commits: 3,
    records: 7,
    bytes: 700,
    failedCommits: 0,
    failedRecords: 0,
    segments: 1,
    storedBytes: 4096,
    admittedBytes: 0,
    waitingMs: 0,
    commitMsP50: 0.5,
    commitMsP99: 2,
    commitMsMax: 3,
    commitLatency: { upToMs: [0.5, 2, 3.15], counts: [1, 1, 1], sumMs: 5.5 },
    recovery: NO_RECOVERY,
    space: {
      isFull: false,
      fullSince: null,
      usedBytes: 4096,
      bytesMax: null,
      freeBytes: 1e9,
      reserveBytes: 134_217_728,
    },
    retention: {
      evictedBytes: {},
      removedSegments: 0,
      rewrittenSegments: 0,
      rewrittenBytes: 0,
      compaction: { isRunning: false, rounds: 0, savedBytes: 0, writtenBytes: 0, removedRecords: 0 },
    },
  },
  damage: { lostOffsets: 0, salvagedSegments: 0, faults: 0, factsDamaged: 0 },
  clock: {
    trust: 'synchronized',
    evidence: 'systemd-timesyncd',
    isTrusted: true,
    bootId: '00000000-0000-4000-8000-000000000002',
    steps: 0,
    lastStepMs: null,
    correctedUntil: null,
    correctedByMs: null,
  },
}

export const fakeClient: ClientStatus = {
  clientId: 'sensor-1',
  user: null,
  address: '127.0.0.1:40000',
  listener: '127.0.0.1:1883',
  version: 5,
  since: 1_700_000_000_000,
  keepAliveSeconds: 60,
  lastSeenAt: 1_700_000_060_000,
  messagesIn: 7,
  messagesOut: 0,
  bytesIn: 700,
  bytesOut: 35,
  unacknowledged: 0,
  inFlight: 0,
  queued: 0,
  outboxBytes: 0,
}

/** Four records are lost, until that is acknowledged. */
export function fakeDamage(): Pick<Operations, 'damage' | 'acknowledgeDamage'> {
  const none = { lostOffsets: 0, lost: [], salvagedSegments: 0, faults: 0, factsDamaged: 0 }
  const lost = [{ stream: 'events', partition: 0, from: 40, to: 44 }]
  let damage: DamageStatus = { ...none, lostOffsets: 4, lost, salvagedSegments: 1 }
  return {
    damage: () => damage,
    async acknowledgeDamage(lostOffsets) {
      if (lostOffsets !== damage.lostOffsets) throw new UsageError('4 records at most are lost', 'look')
      damage = none
    },
  }
}

/** One client is connected, until it is disconnected. */
export function fakeClients(): Pick<Operations, 'clients' | 'disconnect'> {
  let clients = [fakeClient]
  return {
    clients: () => clients,
    disconnect(clientId) {
      if (!clients.some((client) => client.clientId === clientId)) throw new UnknownClientError(clientId)
      clients = []
    },
  }
}

export function fakeOperations(log: FakeLog, sync?: SyncOperations): Operations {
  const noWear = { writtenBytes: null, bytesPerSecond: null, enduranceBytes: null, lifeSeconds: null }
  const watched = {
    alarms: () => [],
    wear: () => noWear,
    history: () => ({ intervalSeconds: 5, samples: [] }),
  }
  return {
    log,
    status: () => fakeStatus,
    ...fakeClients(),
    ...fakeDamage(),
    ...watched,
    ...(sync === undefined ? {} : { sync }),
  }
}
