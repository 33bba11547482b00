/**
 * Every metric of the broker: name, type, help, labels. `headwater_` stands before all of them but the ones that Prometheus' own clients
 * have under these names in every process. Base units: seconds, bytes; counters count since the start unless they say "ever".
 *
 * Names are part of the interface: alert rules and dashboards have them (deploy/raspberry-pi/). One is added, none is changed. A help is read alone,
 * in a list of its metric only: it names what it counts, never the line above.
 */
import type { MetricType } from '../../exposition.ts'

export interface Metric {
  readonly type: MetricType
  readonly help: string
  readonly labels: readonly string[]
}

const counter = (help: string, ...labels: string[]): Metric => ({ type: 'counter', help, labels })
const gauge = (help: string, ...labels: string[]): Metric => ({ type: 'gauge', help, labels })
const histogram = (help: string): Metric => ({ type: 'histogram', help, labels: [] })

const MQTT = {
  headwater_mqtt_connections: gauge('MQTT clients that are connected.'),
  headwater_mqtt_connecting: gauge(
    'Connections on which no client has logged in yet: they hold a place, too.',
  ),
  headwater_mqtt_connections_max: gauge('MQTT clients that may be connected: limits.connectionsMax.'),
  headwater_mqtt_connections_total: counter('MQTT connections that were let in.'),
  headwater_mqtt_refused_connections_total: counter('Connections that were refused.', 'reason'),
  headwater_mqtt_dropped_connections_total: counter('Connections that were ended for a fault.'),
  headwater_mqtt_sessions: gauge('Sessions, of clients that are connected and away.', 'state'),
  headwater_mqtt_subscriptions: gauge('Subscriptions of all sessions.'),
  headwater_mqtt_received_packets_total: counter('MQTT packets received.'),
  headwater_mqtt_sent_packets_total: counter('MQTT packets sent.'),
  headwater_mqtt_received_bytes_total: counter('Bytes received by MQTT.'),
  headwater_mqtt_sent_bytes_total: counter('Bytes sent by MQTT.'),
  headwater_listener_certificate_expiry_timestamp_seconds: gauge(
    'When the certificate that a listener shows clients ends, Unix time.',
    'listener',
  ),
  headwater_listener_client_authority_expiry_timestamp_seconds: gauge(
    "When the authority that a listener takes clients' certificates from ends, Unix time.",
    'listener',
  ),
  headwater_messages_received_total: counter('PUBLISHes taken from clients.'),
  headwater_messages_received_bytes_total: counter('Bytes of the payloads of PUBLISHes taken from clients.'),
  headwater_messages_sent_total: counter('PUBLISHes sent to clients.'),
  headwater_rejected_messages_total: counter('PUBLISHes that were not taken.', 'reason'),
  headwater_unrouted_messages_total: counter('PUBLISHes that no stream takes: passed on, not recorded.'),
  headwater_repeated_messages_total: counter('PUBLISHes that came again and made no second record.'),
  headwater_dead_letters_total: counter('Messages that went to the stream dead-letters.'),
  headwater_dropped_messages_total: counter('Messages that a session did not deliver.', 'reason'),
  headwater_queued_messages: gauge('Messages of QoS 1 and 2 that wait for their clients.'),
  headwater_inflight_messages: gauge('Messages sent to clients and not acknowledged.'),
  headwater_retained_messages: gauge('Topics that have a retained message.'),
  headwater_retained_bytes: gauge('Bytes of all retained messages.'),
} as const

const LOG = {
  headwater_log_open: gauge('1 while the log takes records.'),
  headwater_records_appended_total: counter('Records made durable.'),
  headwater_appended_bytes_total: counter('Bytes of the record batches made durable.'),
  headwater_stream_records: gauge('Records that can be read.', 'stream'),
  headwater_stream_bytes: gauge('Bytes of stored batches.', 'stream'),
  headwater_stream_appended_records_total: counter('Records ever appended.', 'stream'),
  headwater_dropped_unsynced_records_total: counter(
    'Records that went before every upstream had them, ever.',
    'stream',
  ),
  headwater_evicted_bytes_total: counter(
    'Bytes that went within their retention: the disk needed room.',
    'stream',
  ),
  headwater_log_start_offset: gauge('The first offset that can be read.', 'stream', 'partition'),
  headwater_log_end_offset: gauge('The offset after the last durable record.', 'stream', 'partition'),
  headwater_partitions: gauge(
    'Partitions of all streams; those above the 1,000 first have no series of their own.',
  ),
  headwater_commits_total: counter('Group commits, one fsync each.'),
  headwater_failed_commits_total: counter('Group commits that did not reach the disk.'),
  headwater_failed_records_total: counter('Records in group commits that did not reach the disk.'),
  headwater_commit_duration_seconds: histogram('Time of a group commit with its fsync.'),
  headwater_fsyncs_total: counter('Writes that waited for an fsync.', 'store'),
  headwater_admitted_bytes: gauge('Bytes accepted and not yet on disk.'),
  headwater_log_segments: gauge('Segments of the log.'),
  headwater_removed_segments_total: counter('Segments that retention removed.'),
  headwater_compactions_total: counter('Rounds of compaction.'),
  headwater_compacted_records_total: counter('Records that compaction removed.'),
  headwater_compaction_written_bytes_total: counter('Bytes that compaction wrote.'),
  headwater_quarantined_segments_total: counter(
    'Damaged segments that were salvaged and put into quarantine.',
  ),
  headwater_lost_offsets_total: counter('Offsets that went with damaged segments.'),
  headwater_torn_tails_total: counter('Unfinished commits that the start dropped; none was acknowledged.'),
  headwater_log_faults_total: counter('Faults that starts and repairs found in the log.'),
  headwater_table_current: gauge('1 while the table has caught up with its stream.', 'stream'),
  headwater_table_failed: gauge('1 while the table cannot be read.', 'stream'),
  headwater_table_keys: gauge('Keys of the table, about.', 'stream'),
  headwater_table_bytes: gauge('Bytes of the table on disk, about.', 'stream'),
  headwater_table_lag_records: gauge('Records that the table does not have yet.', 'stream'),
} as const

const DEVICE = {
  headwater_disk_used_bytes: gauge("Bytes of the log's files."),
  headwater_disk_limit_bytes: gauge(
    "Bytes that the log's files may have: log.disk.bytesMax, where it is set.",
  ),
  headwater_disk_free_bytes: gauge("Bytes free on the data directory's file system."),
  headwater_disk_reserve_bytes: gauge(
    'Bytes of the file system that the log leaves free: log.disk.reserveBytes.',
  ),
  headwater_disk_full: gauge('1 while nothing new is taken for want of room.'),
  headwater_disk_written_bytes_total: counter(
    'Bytes that this process had written to the device, as the kernel counts them.',
  ),
  headwater_card_endurance_bytes: gauge(
    'Bytes that a new card takes before it wears out: log.disk.enduranceBytes, where it is set.',
  ),
  headwater_card_life_seconds: gauge(
    'How long a new card lasts if it goes on as in the last day, or since the start.',
  ),
  headwater_clock_time_seconds: gauge(
    "The edge's own clock, Unix time: set against when it is scraped it tells how wrong that is.",
  ),
  headwater_clock_trusted: gauge('1 while the clock is to be believed.'),
  headwater_clock_steps_total: counter('Times that the clock was set by more than it may drift.'),
  headwater_memory_limit_bytes: gauge(
    'Memory that the service or the container may have, where it is limited.',
  ),
  headwater_event_loop_active_seconds_total: counter(
    'Time that the one thread which serves all clients was busy: a rate near 1 is all it can do.',
  ),
  headwater_alarms: gauge('Alarms that are open.', 'severity'),
  headwater_alarm_open: gauge('1 for each alarm that is open.', 'id', 'severity', 'subject'),
  headwater_build_info: gauge('Version, runtime and edge; always 1.', 'version', 'node', 'edge'),
} as const

const SYNC = {
  headwater_upstream_state: gauge('1 for the state that the upstream is in.', 'upstream', 'state'),
  headwater_upstream_lag_records: gauge('Records that upstream is to get.', 'upstream'),
  headwater_upstream_lag_bytes: gauge('Bytes of the records that upstream is to get, about.', 'upstream'),
  headwater_upstream_lag_seconds: gauge(
    'Age of the oldest record that upstream is to get, by its own time; 0 where there is none.',
    'upstream',
  ),
  headwater_upstream_partition_lag_records: gauge(
    'Records of one partition that upstream is to get.',
    'upstream',
    'stream',
    'partition',
  ),
  headwater_upstream_last_ack_age_seconds: gauge('Since upstream acknowledged something last.', 'upstream'),
  headwater_upstream_sent_records_total: counter('Records that upstream acknowledged.', 'upstream'),
  headwater_upstream_sent_bytes_total: counter('Bytes that upstream acknowledged.', 'upstream'),
  headwater_upstream_wire_bytes_total: counter(
    'Bytes over the link, all that belongs to it included.',
    'upstream',
  ),
  headwater_upstream_filtered_records_total: counter('Records that filters left out.', 'upstream'),
  headwater_upstream_skipped_records_total: counter(
    'Records that retention took before they were sent.',
    'upstream',
  ),
  headwater_upstream_stalls_total: counter(
    'Calls that were ended because they did not come to an end.',
    'upstream',
  ),
  headwater_upstream_failures: gauge('Failures in a row.', 'upstream'),
  headwater_upstream_refused_streams: gauge(
    'Streams that the upstream refuses while it takes others.',
    'upstream',
  ),
  headwater_upstream_certificate_expiry_timestamp_seconds: gauge(
    "When this device's certificate ends, Unix time.",
    'upstream',
  ),
  headwater_downlink_lag_records: gauge('Records of the topic that are to be published here.', 'downlink'),
  headwater_downlink_last_answer_age_seconds: gauge(
    'Since the topic of the downlink answered last: a minute at most while all is well.',
    'downlink',
  ),
  headwater_downlink_failures: gauge('Failures of the downlink in a row.', 'downlink'),
  headwater_downlink_delivered_total: counter('Records that were published here.', 'downlink'),
  headwater_downlink_passed_over_total: counter(
    'Records of the topic that were not published here.',
    'downlink',
    'reason',
  ),
  headwater_downlink_running: gauge(
    '0 while the downlink is stopped, paused or waits after a failure.',
    'downlink',
  ),
} as const

/** As every Prometheus client has them. */
const PROCESS = {
  process_resident_memory_bytes: gauge('Resident memory size in bytes.'),
  process_cpu_seconds_total: counter('Total user and system CPU time spent in seconds.'),
  process_start_time_seconds: gauge('Start time of the process since unix epoch in seconds.'),
  process_open_fds: gauge('Number of open file descriptors.'),
  process_max_fds: gauge('Maximum number of open file descriptors.'),
  nodejs_heap_size_used_bytes: gauge('Process heap size used from Node.js in bytes.'),
} as const

export const METRICS = { ...MQTT, ...LOG, ...DEVICE, ...SYNC, ...PROCESS } as const

export type MetricName = keyof typeof METRICS
