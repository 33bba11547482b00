/** Upstreams and downlinks that are well, as sync tells of them. */
import type { DownlinkStatus, UpstreamStatus } from '../../../broker/operations/operations.ts'

export function fakeUpstream(more: Partial<UpstreamStatus> = {}): UpstreamStatus {
  return {
    name: 'archive',
    kind: 'archive',
    address: '/data/upstream',
    state: 'idle',
    since: 1_700_000_000_000,
    retryAt: null,
    tries: 0,
    lagRecords: 0,
    lagBytes: 0,
    lagSecondsOldest: null,
    drainSeconds: null,
    partitions: [{ stream: 'events', partition: 0, position: 15, durableOffset: 15, lagRecords: 0 }],
    sentRecords: 15,
    sentBytes: 1500,
    recordsPerSecond: 0,
    bytesPerSecond: 0,
    wireBytes: 2000,
    filteredRecords: 0,
    passedOverRecords: 0,
    skippedRecords: 0,
    stalls: 0,
    lastAckAt: 1_700_000_000_000,
    ackAgeSeconds: 1,
    link: { hold: null, bandwidth: null, schedule: null, budgets: [] },
    certificate: null,
    lastError: null,
    refused: [],
    ...more,
  }
}

export function fakeDownlink(more: Partial<DownlinkStatus> = {}): DownlinkStatus {
  return {
    name: 'commands',
    address: 'kafka.example.com:9092',
    topic: 'commands',
    state: 'idle',
    since: 1_700_000_000_000,
    retryAt: null,
    tries: 0,
    lagRecords: 0,
    partitions: [],
    delivered: 3,
    passedOver: {},
    unacknowledged: 0,
    lost: 0,
    lastDeliveredAt: null,
    answerAgeSeconds: 1,
    lastError: null,
    ...more,
  }
}
