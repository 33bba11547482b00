/**
 * What can be asked of a running broker. The control socket serves it now; an HTTP API or a dashboard serves the same
 * later. The broker implements it; `sync` is added by the command line, because the broker does not know sync.
 */
import type { CertificateStatus } from '../certificate-dates.ts'
import type { ClockStatus } from '../clock/chain-clocks.ts'
import type { CommitClock } from '../clock/facts.ts'
import type { ReloadReport } from '../config/changes.ts'
import type { CompactionProgress, CompactionReport } from '../log/compactor.ts'
import type { Dumped, DumpQuery } from '../log/dump.ts'
import type { LogStatus } from '../log/log-status.ts'
import type { RepairReport } from '../log/repair.ts'
import type { LogSource, StoredBatch } from '../log/source.ts'
import type { StreamPolicy } from '../log/stream-policy.ts'
import type { VerifyProgress, VerifyReport } from '../log/verify.ts'
import type { ClientStatus } from '../mqtt/connection/client-status.ts'
import type { ListenerTls } from '../mqtt/door/listener.ts'
import type { IngressStatus } from '../mqtt/ingress.ts'
import type { SessionsStatus } from '../mqtt/session/sessions-status.ts'
import type { Traffic } from '../mqtt/traffic.ts'
import type { DirectoryRecovery } from '../storage/directory-recovery.ts'
import type { FactStore } from '../storage/fact-store.ts'
import type { FileSystem } from '../storage/file-system.ts'
import type { TableStatus } from '../tables/table-status.ts'
import type { Tables } from '../tables/tables.ts'
import type { Alarm } from './alarms/alarm.ts'
import type { HistoryReport } from './history/history.ts'
import type { LostRange } from './lost-records.ts'
import type { WearReport } from './wear/wear.ts'

/** A log that can be read by time and checked; the running broker's, or a data directory opened without one. */
export interface ReadableLog extends LogSource {
  /** @returns the first offset at or after a time (ms since 1970, as stored); the durable offset when there is none. */
  offsetForTime(stream: string, partition: number, timestamp: number): Promise<number>
  /** What is to be known of the clock that stamped a batch's records; null where it was trusted. */
  clockOf(batch: Pick<StoredBatch, 'stream' | 'commit'>): CommitClock | null
  /** Offsets of a partition that are known to be lost, in order. */
  lostOffsets(stream: string, partition: number): LostOffsets[]
  verify(onProgress: (progress: VerifyProgress) => void): Promise<VerifyReport>
  repair(onProgress: (progress: VerifyProgress) => void): Promise<RepairReport>
  /** @param stream one that is compacted, or null for all of them */
  compact(
    stream: string | null,
    onProgress?: (progress: CompactionProgress) => void,
  ): Promise<CompactionReport[]>
  /** The bytes of a backup of all that is durable now (log/backup/format.ts); a piece is valid until the next is asked for. */
  backup(): AsyncIterable<Buffer>
  /** What lies in the log, as it lies there. @throws UnknownStreamError, UnknownPartitionError */
  dump(query: DumpQuery): AsyncIterable<Dumped>
}

export interface LostOffsets {
  readonly from: number
  /** The first offset after them. */
  readonly to: number
  readonly reason: string
}

/** A data directory without a broker. */
export interface OpenedLog extends ReadableLog {
  /** What is remembered beside the log. */
  readonly facts: Pick<FactStore, 'get'>
  /** The tables that are there; opened when first asked for, and closed with the log. */
  tables(): Promise<Tables>
  close(): Promise<void>
}

export interface MqttStatus {
  /** The addresses in use, with the port that was really taken. */
  readonly listeners: readonly string[]
  /** Of those with TLS: how long their certificates are good. */
  readonly tls: readonly ListenerTls[]
  readonly connections: number
  /** Connections on which no client has logged in yet: with the others at most `connectionsMax`. */
  readonly connecting: number
  readonly connectionsMax: number
  /** Users or permissions are configured: what none of them allows is denied, to all. */
  readonly isGuarded: boolean
  /** Clients of this machine, too, have to say who they are. */
  readonly needsLogin: boolean
  /** PUBLISH packets taken since the start. */
  readonly messages: number
  /** PUBLISH packets and connections refused since the start. */
  readonly refused: number
  readonly traffic: Traffic
  readonly sessions: SessionsStatus
}

/** What an operator has not acknowledged yet. */
export interface DamageStatus {
  /** Records that are lost, of all starts; at most so many: a damaged end leaves a gap of offsets that no record had, too. */
  readonly lostOffsets: number
  readonly lost: readonly LostRange[]
  /** Since the start: damaged segments in quarantine, faults in the log, facts that are as good as missing. */
  readonly salvagedSegments: number
  readonly faults: number
  readonly factsDamaged: number
}

export interface BrokerStatus {
  readonly version: string
  readonly pid: number
  /** ms since 1970 */
  readonly startedAt: number
  readonly edge: string
  readonly incarnation: string
  readonly dataDirectory: string
  /** Where the data directory lies, and what is to be feared there. */
  readonly fileSystem: FileSystem
  /** What the start mended of identity and facts; of the log: `log.recovery`. */
  readonly dataRecovery: DirectoryRecovery
  readonly mqtt: MqttStatus
  readonly ingress: IngressStatus
  readonly log: LogStatus
  readonly damage: Omit<DamageStatus, 'lost'>
  readonly clock: ClockStatus
}

export interface UpstreamPartition {
  readonly stream: string
  readonly partition: number
  /** The next offset that upstream expects; null when nothing is known yet. */
  readonly position: number | null
  readonly durableOffset: number
  readonly lagRecords: number
}

/** What sync tells of one upstream, in the terms that the command line shows. */
export interface UpstreamStatus {
  readonly name: string
  readonly kind: string
  readonly address: string
  /** One word: idle, sending, recovering, backoff, held, paused, stopped, closed. */
  readonly state: string
  /** ms since 1970 of the last change of state */
  readonly since: number
  /** In backoff: when the next try is, ms since 1970. */
  readonly retryAt: number | null
  /** Failures in a row. */
  readonly tries: number
  /** Records on disk that upstream is to get and has not acknowledged; those that its filters leave out are not among them once read. */
  readonly lagRecords: number
  /** Their bytes as they are stored: an estimate, by the mean record of their streams. */
  readonly lagBytes: number
  /** Age of the oldest of them by its own time; null when there is none or it is not known. */
  readonly lagSecondsOldest: number | null
  /** When all of it will be upstream if it goes on as in the last half minute; null while the lag does not shrink. */
  readonly drainSeconds: number | null
  readonly partitions: readonly UpstreamPartition[]
  /** Acknowledged since the broker's start. */
  readonly sentRecords: number
  readonly sentBytes: number
  readonly recordsPerSecond: number
  readonly bytesPerSecond: number
  /** Bytes over the link since the start, all that belongs to it included; null where the upstream does not count them. */
  readonly wireBytes: number | null
  /** Records that filters left out, that were passed over for a newer one of their key, that retention took before they were sent. */
  readonly filteredRecords: number
  readonly passedOverRecords: number
  readonly skippedRecords: number
  /** Calls that were ended because they did not come to an end. */
  readonly stalls: number
  /** ms since 1970; null before the first one. */
  readonly lastAckAt: number | null
  /** By a clock that nobody sets. */
  readonly ackAgeSeconds: number | null
  readonly link: LinkStatus
  /** What this device shows upstream, as last read; null where it shows none, or has not read it yet. */
  readonly certificate: CertificateStatus | null
  readonly lastError: {
    readonly code: string
    readonly message: string
    readonly hint: string
    readonly at: number
  } | null
  readonly refused: readonly RefusedStream[]
}

/** A stream that an upstream refuses while it takes others. */
export interface RefusedStream {
  readonly stream: string
  readonly code: string
  readonly message: string
  readonly hint: string
  /** ms since 1970 of the last try, and how often it was refused in a row */
  readonly at: number
  readonly tries: number
  /** When it is tried again, ms since 1970; null where that takes `sync resume`. */
  readonly retryAt: number | null
}

/** What holds an upstream's link back. */
export interface LinkStatus {
  /** Why not everything may go now, and when that ends, ms since 1970, as far as is known. */
  readonly hold: {
    readonly reason: string
    readonly until: number | null
    /** Streams of this priority and above go all the same; null is none. */
    readonly urgentPriority: number | null
  } | null
  readonly bandwidth: {
    readonly bytesPerSecond: number
    readonly burstBytes: number
    /** It waits for its share now. */
    readonly isWaiting: boolean
  } | null
  /** null without a schedule. `isOverridden`: by `sync now`, until all that waits is upstream. */
  readonly schedule: { readonly isOpen: boolean; readonly isOverridden: boolean } | null
  readonly budgets: readonly {
    readonly period: string
    readonly bytes: number
    readonly usedBytes: number
    /** ms since 1970; null until a trusted clock has told the period. */
    readonly resetsAt: number | null
  }[]
}

/** An upstream changed its state. */
export interface UpstreamEvent {
  readonly upstream: string
  /** ms since 1970 */
  readonly at: number
  readonly from: string
  readonly to: string
  /** In backoff and stopped. */
  readonly error: UpstreamStatus['lastError']
  /** When held. */
  readonly hold: LinkStatus['hold']
}

export interface DownlinkPartition {
  readonly partition: number
  /** The next offset of the topic; all below are done. */
  readonly position: number
  /** The one after the newest committed record, as last seen. */
  readonly endOffset: number
  readonly lagRecords: number
}

/** What sync tells of one downlink. */
export interface DownlinkStatus {
  readonly name: string
  readonly address: string
  readonly topic: string
  /** One word: connecting, reading, idle, backoff, paused, stopped, closed. */
  readonly state: string
  /** ms since 1970 of the last change of state */
  readonly since: number
  /** In backoff: when the next try is, ms since 1970; failures in a row. */
  readonly retryAt: number | null
  readonly tries: number
  readonly lagRecords: number
  readonly partitions: readonly DownlinkPartition[]
  /** Since the broker's start: published, and passed over by reason. */
  readonly delivered: number
  readonly passedOver: Readonly<Record<string, number>>
  /** Deliveries to a subscriber that did not acknowledge in time. */
  readonly unacknowledged: number
  /** Records that the topic no longer had when they were to be read. */
  readonly lost: number
  /** ms since 1970 of the last message that was delivered */
  readonly lastDeliveredAt: number | null
  /** Since the topic answered last, by a clock that nobody sets: a minute at most while all is well and nothing is delivered. null before the first answer. */
  readonly answerAgeSeconds: number | null
  readonly lastError: UpstreamStatus['lastError']
}

export interface SyncOperations {
  status(): UpstreamStatus[]
  /** Calls back at each change of an upstream's state; between records it goes from idle to sending and back. @returns the way to stop */
  onChange(listener: (event: UpstreamEvent) => void): () => void
  /** None where none is configured. */
  downlinks?(): DownlinkStatus[]
  /** Each takes the name of one upstream or downlink, or none for all. @throws UnknownUpstreamError */
  pause(upstream?: string): Promise<void> | void
  resume(upstream?: string): Promise<void> | void
  /** Tries at once, whatever the backoff says, and sends all that waits, whatever the schedule says. */
  now(upstream?: string): Promise<void> | void
  /**
   * Moves an upstream's position in a stream: what it gets next, by partition.
   * @throws UnknownUpstreamError, and the upstream's own reasons why it cannot be
   */
  rewind(upstream: string, stream: string, to: ReadonlyMap<number, number>): Promise<RewoundPosition[]>
}

export interface RewoundPosition {
  readonly stream: string
  readonly partition: number
  readonly from: number
  readonly to: number
}

/** What the broker itself answers. */
export interface BrokerOperations {
  readonly log: ReadableLog
  /** None where no stream has one. */
  readonly tables?: Tables
  status(): BrokerStatus
  /** MQTT clients that are connected now. */
  clients(): ClientStatus[]
  /** Ends a client's connection; with MQTT 5 it is told that this was an administrative action. @throws UnknownClientError */
  disconnect(clientId: string): void
  damage(): DamageStatus
  /** All damage that there is now is known to an operator. @param lostOffsets as they were shown @throws UsageError where there are others by now */
  acknowledgeDamage(lostOffsets: number): Promise<void>
}

export interface Operations extends BrokerOperations {
  readonly sync?: SyncOperations
  /** What is wrong now, the worst first. */
  alarms(): Alarm[]
  /** What is written to the device, and how long that may go on. */
  wear(): WearReport
  /** The last quarter of an hour. @param since ms since 1970: what came after it */
  history(since?: number | null): HistoryReport
  /** Reads the configuration again. @throws ReloadRefusedError */
  reload?(): Promise<ReloadReport>
}

/** `headwater status` as JSON. */
export interface StatusReport {
  readonly running: boolean
  readonly broker: BrokerStatus | null
  readonly streams: readonly StreamReport[]
  readonly upstreams: readonly UpstreamStatus[]
  /** Of a running broker: what is wrong now, the worst first. */
  readonly alarms?: readonly Alarm[]
}

export interface StreamReport {
  readonly stream: string
  /** Records that can be read. */
  readonly records: number
  /** Bytes of stored batches. */
  readonly bytes: number
  /** Records that went before every upstream had them, ever. */
  readonly droppedRecords: number
  readonly isCompacted: boolean
  /** What may go from it, and when. */
  readonly policy?: StreamPolicy
  readonly partitions: readonly PartitionReport[]
  /** Where the stream has one. */
  readonly table?: TableStatus
}

export interface PartitionReport {
  readonly partition: number
  readonly logStartOffset: number
  readonly durableOffset: number
  readonly records: number
}

/** `headwater streams` as JSON. */
export function streamReports(log: LogSource, tables?: Tables): StreamReport[] {
  const partitions = log.partitions()
  const statuses = new Map(tables?.status().map((status) => [status.stream, status]))
  return log.streams().map(({ stream, records: counts, bytes, droppedRecords, isCompacted, policy }) => {
    const own = partitions
      .filter((state) => state.stream === stream)
      .map(({ partition, logStartOffset, durableOffset }) => ({
        partition,
        logStartOffset,
        durableOffset,
        records: counts[partition] ?? 0,
      }))
    const records = own.reduce((sum, partition) => sum + partition.records, 0)
    const table = statuses.get(stream)
    return {
      stream,
      records,
      bytes,
      droppedRecords,
      isCompacted,
      ...(policy === undefined ? {} : { policy }),
      partitions: own,
      ...(table === undefined ? {} : { table }),
    }
  })
}
