/** From what the broker knows to the samples of its metrics. */
import { byReason, type Histogram, one, type Sample } from '../../exposition.ts'
import { countUpTo, type LatencyCounts } from '../../log/commit-latency.ts'
import type { StreamReport, UpstreamStatus } from '../operations.ts'
import type { MetricName } from './catalogue.ts'
import type { MetricsReport } from './report.ts'

/** Partitions that have series of their own, the first by stream: a scrape stays below some hundred kilobytes. */
export const PARTITION_SERIES_MAX = 1000
/** Edges of the histogram of commits, seconds. */
const COMMIT_EDGES = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const
export const UPSTREAM_STATES = [
  'idle',
  'sending',
  'recovering',
  'backoff',
  'held',
  'paused',
  'stopped',
  'closed',
] as const
const DOWNLINK_RUNS = ['connecting', 'reading', 'idle']
const SEVERITIES = ['critical', 'warning', 'info'] as const

type Samples = Record<MetricName, readonly Sample[] | Histogram>

export function metricSamples(report: MetricsReport): Samples {
  return {
    ...mqttSamples(report),
    ...sessionSamples(report),
    ...logSamples(report),
    ...recoverySamples(report),
    ...streamSamples(report),
    ...tableSamples(report.streams),
    ...diskSamples(report),
    ...clockSamples(report),
    ...upstreamSamples(report.upstreams),
    ...downlinkSamples(report),
    ...processSamples(report),
  }
}

const flag = (value: boolean): Sample[] => one(value ? 1 : 0)

function mqttSamples({ broker: { mqtt, ingress } }: MetricsReport) {
  const { traffic } = mqtt
  return {
    headwater_mqtt_connections: one(mqtt.connections),
    headwater_mqtt_connecting: one(mqtt.connecting),
    headwater_mqtt_connections_max: one(mqtt.connectionsMax),
    headwater_mqtt_connections_total: one(traffic.connected),
    headwater_mqtt_refused_connections_total: byReason({
      login: traffic.refusedLogins,
      limit_or_fault: traffic.refused - traffic.refusedLogins,
    }),
    headwater_mqtt_dropped_connections_total: one(traffic.dropped),
    headwater_mqtt_received_packets_total: one(traffic.receivedPackets),
    headwater_mqtt_sent_packets_total: one(traffic.sentPackets),
    headwater_mqtt_received_bytes_total: one(traffic.receivedBytes),
    headwater_mqtt_sent_bytes_total: one(traffic.sentBytes),
    headwater_listener_certificate_expiry_timestamp_seconds: mqtt.tls.map(
      ({ listener, certificate }): Sample => [{ listener }, certificate.until / 1000],
    ),
    headwater_listener_client_authority_expiry_timestamp_seconds: mqtt.tls.flatMap(
      ({ listener, clientAuthority }): Sample[] =>
        clientAuthority === null ? [] : [[{ listener }, clientAuthority.until / 1000]],
    ),
    headwater_messages_received_total: one(ingress.received),
    headwater_messages_received_bytes_total: one(ingress.receivedBytes),
    headwater_messages_sent_total: one(traffic.sentMessages),
    headwater_rejected_messages_total: byReason({
      not_allowed: traffic.refusedMessages - traffic.fullMessages,
      disk_full: traffic.fullMessages,
      too_large: ingress.tooLarge,
      commit_failed: ingress.failed,
    }),
    headwater_unrouted_messages_total: one(ingress.unrouted),
    headwater_repeated_messages_total: one(ingress.repetitions),
    headwater_dead_letters_total: one(ingress.deadLetters),
  }
}

function sessionSamples({ broker: { mqtt } }: MetricsReport) {
  const { sessions } = mqtt
  return {
    headwater_mqtt_sessions: [
      [{ state: 'connected' }, sessions.connected],
      [{ state: 'away' }, sessions.sessions - sessions.connected],
    ] satisfies Sample[],
    headwater_mqtt_subscriptions: one(sessions.subscriptions),
    headwater_dropped_messages_total: Object.entries(sessions.dropped).map(
      ([reason, value]): Sample => [{ reason: snakeCase(reason) }, value],
    ),
    headwater_queued_messages: one(sessions.queued),
    headwater_inflight_messages: one(sessions.inFlight),
    headwater_retained_messages: one(sessions.retained),
    headwater_retained_bytes: one(sessions.retainedBytes),
  }
}

function logSamples({ broker: { log, mqtt } }: MetricsReport) {
  const { compaction } = log.retention
  return {
    headwater_log_open: flag(log.condition === 'open'),
    headwater_records_appended_total: one(log.records),
    headwater_appended_bytes_total: one(log.bytes),
    headwater_commits_total: one(log.commits),
    headwater_failed_commits_total: one(log.failedCommits),
    headwater_failed_records_total: one(log.failedRecords),
    headwater_commit_duration_seconds: commitHistogram(log.commitLatency),
    headwater_fsyncs_total: [
      [{ store: 'log' }, log.commits],
      [{ store: 'sessions' }, mqtt.sessions.syncedWrites],
    ] satisfies Sample[],
    headwater_admitted_bytes: one(log.admittedBytes),
    headwater_log_segments: one(log.segments),
    headwater_removed_segments_total: one(log.retention.removedSegments),
    headwater_compactions_total: one(compaction.rounds),
    headwater_compacted_records_total: one(compaction.removedRecords),
    headwater_compaction_written_bytes_total: one(compaction.writtenBytes),
  }
}

function commitHistogram(latency: LatencyCounts): Histogram {
  return {
    buckets: COMMIT_EDGES.map((edge) => [edge, countUpTo(latency, edge * 1000)] as const),
    count: latency.counts.reduce((sum, count) => sum + count, 0),
    sum: latency.sumMs / 1000,
  }
}

function recoverySamples({ broker: { log } }: MetricsReport) {
  const { recovery } = log
  return {
    headwater_quarantined_segments_total: one(recovery.salvagedSegments),
    headwater_lost_offsets_total: one(recovery.lostOffsets),
    headwater_torn_tails_total: one(recovery.tornTails),
    headwater_log_faults_total: one(recovery.faults),
  }
}

function streamSamples({ streams, broker }: MetricsReport) {
  const { evictedBytes } = broker.log.retention
  const each = (of: (stream: StreamReport) => number): Sample[] =>
    streams.map((report) => [{ stream: report.stream }, of(report)])
  const partitions = streams.flatMap(({ stream, partitions: own }) =>
    own.map((partition) => ({ stream, ...partition })),
  )
  const shown = partitions.slice(0, PARTITION_SERIES_MAX)
  const ofEach = (of: (partition: (typeof shown)[number]) => number): Sample[] =>
    shown.map((one) => [{ stream: one.stream, partition: one.partition }, of(one)])
  return {
    headwater_stream_records: each(({ records }) => records),
    headwater_stream_bytes: each(({ bytes }) => bytes),
    headwater_stream_appended_records_total: each((stream) =>
      stream.partitions.reduce((sum, { durableOffset }) => sum + durableOffset, 0),
    ),
    headwater_dropped_unsynced_records_total: each(({ droppedRecords }) => droppedRecords),
    // from 0 on: the growth of a series that begins with what happened is not seen
    headwater_evicted_bytes_total: each(({ stream }) => evictedBytes[stream] ?? 0),
    headwater_partitions: one(partitions.length),
    headwater_log_start_offset: ofEach(({ logStartOffset }) => logStartOffset),
    headwater_log_end_offset: ofEach(({ durableOffset }) => durableOffset),
  }
}

function tableSamples(streams: readonly StreamReport[]) {
  const tables = streams.flatMap(({ table }) => (table === undefined ? [] : [table]))
  const each = (of: (table: (typeof tables)[number]) => number): Sample[] =>
    tables.map((table) => [{ stream: table.stream }, of(table)])
  return {
    headwater_table_current: each(({ state }) => (state === 'current' ? 1 : 0)),
    headwater_table_failed: each(({ state }) => (state === 'failed' ? 1 : 0)),
    headwater_table_keys: each(({ keys }) => keys),
    headwater_table_bytes: each(({ bytes }) => bytes),
    headwater_table_lag_records: each(({ lagRecords }) => lagRecords),
  }
}

function diskSamples({ broker: { log }, alarms, wear, process: facts }: MetricsReport) {
  const { space } = log
  const bySeverity = SEVERITIES.map(
    (severity): Sample => [{ severity }, alarms.filter((alarm) => alarm.severity === severity).length],
  )
  return {
    headwater_disk_used_bytes: one(space.usedBytes),
    headwater_disk_limit_bytes: one(space.bytesMax),
    headwater_disk_free_bytes: one(space.freeBytes),
    headwater_disk_reserve_bytes: one(space.reserveBytes),
    headwater_disk_full: flag(space.isFull),
    headwater_disk_written_bytes_total: one(facts.writtenBytes),
    headwater_card_endurance_bytes: one(wear.enduranceBytes),
    headwater_card_life_seconds: one(wear.lifeSeconds),
    headwater_alarms: bySeverity,
    headwater_alarm_open: alarms.map(({ id, severity, subject }): Sample => [{ id, severity, subject }, 1]),
  }
}

function clockSamples({ broker: { clock }, now }: MetricsReport) {
  return {
    headwater_clock_time_seconds: one(now / 1000),
    headwater_clock_trusted: flag(clock.isTrusted),
    headwater_clock_steps_total: one(clock.steps),
  }
}

function upstreamSamples(upstreams: readonly UpstreamStatus[]) {
  const each = (of: (upstream: UpstreamStatus) => number | null): Sample[] =>
    upstreams.map((upstream) => [{ upstream: upstream.name }, of(upstream)])
  const lags = upstreams.flatMap(({ name, partitions }) =>
    partitions.map(
      ({ stream, partition, lagRecords }): Sample => [{ upstream: name, stream, partition }, lagRecords],
    ),
  )
  return {
    headwater_upstream_state: upstreams.flatMap(({ name, state: now }) =>
      UPSTREAM_STATES.map((state): Sample => [{ upstream: name, state }, state === now ? 1 : 0]),
    ),
    headwater_upstream_lag_records: each(({ lagRecords }) => lagRecords),
    headwater_upstream_lag_bytes: each(({ lagBytes }) => lagBytes),
    headwater_upstream_lag_seconds: each(({ lagRecords, lagSecondsOldest }) =>
      lagRecords === 0 ? 0 : lagSecondsOldest,
    ),
    headwater_upstream_partition_lag_records: lags.slice(0, PARTITION_SERIES_MAX),
    headwater_upstream_last_ack_age_seconds: each(({ ackAgeSeconds }) => ackAgeSeconds),
    headwater_upstream_sent_records_total: each(({ sentRecords }) => sentRecords),
    headwater_upstream_sent_bytes_total: each(({ sentBytes }) => sentBytes),
    headwater_upstream_wire_bytes_total: each(({ wireBytes }) => wireBytes),
    headwater_upstream_filtered_records_total: each(({ filteredRecords }) => filteredRecords),
    headwater_upstream_skipped_records_total: each(({ skippedRecords }) => skippedRecords),
    headwater_upstream_stalls_total: each(({ stalls }) => stalls),
    headwater_upstream_failures: each(({ tries }) => tries),
    headwater_upstream_refused_streams: each(({ refused }) => refused.length),
    headwater_upstream_certificate_expiry_timestamp_seconds: each(({ certificate }) =>
      certificate === null ? null : certificate.until / 1000,
    ),
  }
}

function downlinkSamples({ downlinks }: MetricsReport) {
  return {
    headwater_downlink_lag_records: downlinks.map(
      ({ name, lagRecords }): Sample => [{ downlink: name }, lagRecords],
    ),
    headwater_downlink_last_answer_age_seconds: downlinks.map(
      ({ name, answerAgeSeconds }): Sample => [{ downlink: name }, answerAgeSeconds],
    ),
    headwater_downlink_failures: downlinks.map(({ name, tries }): Sample => [{ downlink: name }, tries]),
    headwater_downlink_delivered_total: downlinks.map(
      ({ name, delivered }): Sample => [{ downlink: name }, delivered],
    ),
    headwater_downlink_passed_over_total: downlinks.flatMap(({ name, passedOver }) =>
      byReason(passedOver, { downlink: name }),
    ),
    headwater_downlink_running: downlinks.map(
      ({ name, state }): Sample => [{ downlink: name }, DOWNLINK_RUNS.includes(state) ? 1 : 0],
    ),
  }
}

function processSamples({ broker, process: facts }: MetricsReport) {
  return {
    headwater_build_info: [
      [{ version: broker.version, node: process.versions.node, edge: broker.edge }, 1],
    ] satisfies Sample[],
    process_resident_memory_bytes: one(facts.residentBytes),
    process_cpu_seconds_total: one(facts.cpuSeconds),
    process_start_time_seconds: one(broker.startedAt / 1000),
    process_open_fds: one(facts.openFiles),
    process_max_fds: one(facts.openFilesMax),
    headwater_memory_limit_bytes: one(facts.memoryBytesMax),
    headwater_event_loop_active_seconds_total: one(facts.loopActiveSeconds),
    nodejs_heap_size_used_bytes: one(facts.heapBytes),
  }
}

/** Of a counter's name here to a value of a label. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
