/** What is kept, and what it does to the disk. */
import { asLimit, B, lines, type Row, S, stat, table } from '../panel.ts'

const YEAR_SECONDS = 31_557_600

export const log: Row = {
  id: 400,
  title: 'Log and disk',
  isCollapsed: true,
  panels: [
    lines(
      {
        id: 401,
        title: 'Bytes by stream',
        about: 'Stored batches of each stream, of all edges that are chosen.',
        docs: 'operate.md#metrics',
      },
      { unit: 'bytes', isStacked: true },
      [`sum by (stream) (headwater_stream_bytes{${S}})`, '{{stream}}'],
    ),
    lines(
      {
        id: 402,
        title: 'Records by stream',
        about: 'Records that can be read, of all edges that are chosen.',
        docs: 'operate.md#metrics',
      },
      { unit: 'short', isStacked: true },
      [`sum by (stream) (headwater_stream_records{${S}})`, '{{stream}}'],
    ),
    lines(
      {
        id: 403,
        title: 'Disk',
        about:
          'The log, what it may have, what the file system has free, and the reserve. Free below the reserve: nothing new is taken unless something may go.',
        docs: 'operate.md#disk-full',
      },
      { unit: 'bytes', overrides: [asLimit('limit'), asLimit('reserve')] },
      [`headwater_disk_used_bytes{${B}}`, '{{instance}} log'],
      [`headwater_disk_limit_bytes{${B}}`, '{{instance}} limit'],
      [`headwater_disk_free_bytes{${B}}`, '{{instance}} free'],
      [`headwater_disk_reserve_bytes{${B}}`, '{{instance}} reserve'],
    ),
    stat(
      {
        id: 404,
        title: 'A new card lasts',
        about:
          'log.disk.enduranceBytes by the rate of the last day. Empty where it is not set, and in the first ten minutes. Less than two years is an alarm.',
        docs: 'operate.md#card-life-short',
        width: 8,
      },
      {
        unit: 's',
        steps: [
          [null, 'red'],
          [2 * YEAR_SECONDS, 'orange'],
          [5 * YEAR_SECONDS, 'green'],
        ],
      },
      [`headwater_card_life_seconds{${B}}`, '{{instance}}'],
    ),
    lines(
      {
        id: 405,
        title: 'Written to the device',
        about:
          'As the kernel counts it for the broker, whole pages: what a card feels. Of it: what compaction wrote.',
        docs: 'operate.md#card-life-short',
      },
      { unit: 'Bps' },
      [`rate(headwater_disk_written_bytes_total{${B}}[$__rate_interval])`, '{{instance}}'],
      [`rate(headwater_compaction_written_bytes_total{${B}}[$__rate_interval])`, '{{instance}} compaction'],
    ),
    lines(
      {
        id: 406,
        title: 'Bytes written a byte received',
        about:
          'How much is written to the device for a byte of payload, over an hour. Small messages at a low rate cost most: a page each.',
        docs: 'operate.md#card-life-short',
      },
      { unit: 'short' },
      [
        `rate(headwater_disk_written_bytes_total{${B}}[1h]) / (rate(headwater_messages_received_bytes_total{${B}}[1h]) > 0)`,
        '{{instance}}',
      ],
    ),
    lines(
      {
        id: 407,
        title: 'What went for want of room',
        about:
          'Records that went before every upstream had them, and bytes that went within their retention.',
        docs: 'operate.md#unsynced-dropped',
      },
      {
        unit: 'short',
        overrides: [
          {
            matcher: { id: 'byRegexp', options: '/evicted$/' },
            properties: [{ id: 'unit', value: 'bytes' }],
          },
        ],
      },
      [
        `increase(headwater_dropped_unsynced_records_total{${S}}[$__rate_interval])`,
        '{{instance}} {{stream}} not upstream',
      ],
      [`increase(headwater_evicted_bytes_total{${S}}[$__rate_interval])`, '{{instance}} {{stream}} evicted'],
    ),
    lines(
      {
        id: 408,
        title: 'Retention and compaction',
        about: 'Segments there are, those that retention removed, records that compaction removed.',
        docs: 'operate.md#metrics',
      },
      { unit: 'short' },
      [`headwater_log_segments{${B}}`, '{{instance}} segments'],
      [`increase(headwater_removed_segments_total{${B}}[$__rate_interval])`, '{{instance}} segments removed'],
      [`increase(headwater_compactions_total{${B}}[$__rate_interval])`, '{{instance}} rounds of compaction'],
      [
        `increase(headwater_compacted_records_total{${B}}[$__rate_interval])`,
        '{{instance}} records compacted',
      ],
    ),
    lines(
      {
        id: 409,
        title: 'Tables',
        about: 'Records that a table does not have yet. A table that failed is built again by itself.',
        docs: 'operate.md#table-failed',
      },
      {
        unit: 'short',
        overrides: [
          { matcher: { id: 'byRegexp', options: '/bytes$/' }, properties: [{ id: 'unit', value: 'bytes' }] },
        ],
      },
      [`headwater_table_lag_records{${S}}`, '{{instance}} {{stream}} lag'],
      [`headwater_table_keys{${S}}`, '{{instance}} {{stream}} keys'],
      [`headwater_table_bytes{${S}}`, '{{instance}} {{stream}} bytes'],
      [`headwater_table_failed{${S}} == 1`, '{{instance}} {{stream}} failed'],
    ),
    table(
      {
        id: 410,
        title: 'Partitions',
        about:
          'The hundred that hold the most offsets. Partitions above the 1,000 first of an edge have no series.',
        docs: 'operate.md#metrics',
      },
      [
        { field: 'instance', title: 'Instance' },
        { field: 'stream', title: 'Stream' },
        { field: 'partition', title: 'Partition' },
        { field: 'Value', title: 'Offsets kept', unit: 'locale' },
      ],
      `topk(100, headwater_log_end_offset{${S}} - headwater_log_start_offset{${S}})`,
    ),
  ],
}
