/** Puts a replicator's status together. */
import { certificateStatus, type LinkStatus, type LogSource, partitionKey } from '../broker/index.ts'
import type { Selection } from './filter/selection.ts'
import { type Health, lagBytesOf } from './health.ts'
import { wantedPartitions } from './lanes.ts'
import type { Refusals } from './refusals.ts'
import type { ReplicatorState, ReplicatorStatus } from './status.ts'
import type { Positions, Upstream } from './upstream.ts'

export interface StatusParts {
  readonly log: LogSource
  readonly upstream: Upstream
  readonly selection: Selection
  readonly state: ReplicatorState
  readonly since: number
  readonly tries: number
  /** Where upstream stands, by `partitionKey`. */
  readonly positions: Positions
  /** Up to where nothing waits. */
  readonly done: Positions
  readonly health: Health
  readonly link: LinkStatus
  readonly stalls: number
  readonly lastError: ReplicatorStatus['lastError']
  readonly refusals: Refusals
  readonly now: number
}

export function statusOf(parts: StatusParts): ReplicatorStatus {
  const { log, upstream, state, health, refusals } = parts
  const partitions = wantedPartitions(log, parts.selection).map(
    ({ stream, partition, logStartOffset, durableOffset }) => {
      const key = partitionKey(stream, partition)
      const position = parts.positions.get(key) ?? null
      const done = Math.max(parts.done.get(key) ?? position ?? 0, logStartOffset)
      return { stream, partition, position, durableOffset, lagRecords: Math.max(0, durableOffset - done) }
    },
  )
  const lags = new Map<string, number>()
  for (const { stream, lagRecords } of partitions) lags.set(stream, (lags.get(stream) ?? 0) + lagRecords)
  const lagRecords = sumOf(lags)
  // What is left out does not drain: it would say that the rest never does.
  const drained = new Map([...lags].filter(([stream]) => !refusals.isOut(stream)))
  const drainRecords = sumOf(drained)
  health.noteLag(drainRecords)
  const oldest = lagRecords === 0 ? null : earlier(health.oldestTimestamp, health.oldestLeftOut)
  return {
    name: upstream.name,
    kind: upstream.kind,
    address: upstream.address,
    state: state.kind,
    since: parts.since,
    retryAt: state.kind === 'backoff' ? state.until : null,
    tries: parts.tries,
    lagRecords,
    lagBytes: lagBytesOf(log, lags),
    lagSecondsOldest: oldest === null ? null : Math.max(0, (parts.now - oldest) / 1000),
    drainSeconds: state.kind === 'sending' || drainRecords === 0 ? health.drainSeconds(drainRecords) : null,
    partitions,
    sentRecords: health.sentRecords,
    sentBytes: health.sentBytes,
    wireBytes: upstream.wireBytes ?? null,
    rounds: health.rounds,
    filteredRecords: health.filteredRecords,
    passedOverRecords: health.passedOverRecords,
    skippedRecords: health.skippedRecords,
    stalls: parts.stalls,
    lastAckAt: health.lastAckAt,
    ackAgeSeconds: health.ackAgeSeconds,
    certificate: certificateStatus(upstream.certificate ?? null, parts.now),
    lastError: parts.lastError,
    refused: refusals.status(),
    recordsPerSecond: health.recordsPerSecond,
    bytesPerSecond: health.bytesPerSecond,
    link: parts.link,
  }
}

function sumOf(lags: ReadonlyMap<string, number>): number {
  return [...lags.values()].reduce((sum, lag) => sum + lag, 0)
}

function earlier(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b)
}
