/** All edges at a glance: which are away, which have alarms, which are behind. */
import { B, lines, type Row, type Steps, stat, table, U } from '../panel.ts'

const NONE_IS_GOOD: Steps = [
  [null, 'green'],
  [1, 'red'],
]
const SEVERITIES: Steps = [
  [null, 'green'],
  [1, 'orange'],
]

export const fleet: Row = {
  id: 100,
  title: 'Fleet',
  isCollapsed: false,
  panels: [
    stat(
      {
        id: 101,
        title: 'Edges that answer',
        about: 'Edges whose last scrape came through.',
        docs: 'operate.md#edge-down',
      },
      {
        unit: 'none',
        steps: [
          [null, 'red'],
          [1, 'green'],
        ],
      },
      [`count(headwater_build_info{${B}}) or vector(0)`, ''],
    ),
    stat(
      {
        id: 102,
        title: 'Edges that do not',
        about:
          'Targets of the job headwater whose last scrape failed: no power, no link, not running, or the token is refused.',
        docs: 'operate.md#edge-down',
      },
      { unit: 'none', steps: NONE_IS_GOOD },
      ['count(up{job="headwater"} == 0) or vector(0)', ''],
    ),
    stat(
      {
        id: 103,
        title: 'Open alarms',
        about:
          'What edges themselves know to be wrong. Critical: messages are refused or do not go upstream until a person acts.',
        docs: 'operate.md#alarms',
        width: 8,
      },
      { unit: 'none', steps: SEVERITIES },
      [`sum by (severity) (headwater_alarms{${B}})`, '{{severity}}'],
    ),
    stat(
      {
        id: 104,
        title: 'Versions',
        about: 'How many edges run which version. More than one for long: a roll-out that got stuck.',
        docs: 'operate.md#versions-differ',
        width: 8,
      },
      { unit: 'none' },
      [`count by (version) (headwater_build_info{${B}})`, '{{version}}'],
    ),
    table(
      {
        id: 105,
        title: 'Alarms',
        about: 'Each alarm that is open. The id leads to what it means and what to do.',
        docs: 'operate.md#alarms',
        width: 10,
      },
      [
        { field: 'severity', title: 'Severity' },
        { field: 'instance', title: 'Instance' },
        { field: 'id', title: 'Alarm', link: `\${docs}/operate.md#\${__value.raw}` },
        { field: 'subject', title: 'Of' },
      ],
      `headwater_alarm_open{${B}}`,
    ),
    table(
      {
        id: 106,
        title: 'Edges',
        about:
          'One line an edge. Lag is the age of the oldest record that an upstream is to get; room is what is free above the reserve.',
        docs: 'operate.md#where-to-look',
        width: 14,
      },
      [
        { field: 'edge', title: 'Edge', link: `/d/headwater?var-edge=\${__value.raw}` },
        { field: 'instance', title: 'Instance' },
        { field: 'version', title: 'Version' },
        { field: 'Value #B', title: 'Alarms', steps: SEVERITIES },
        { field: 'Value #C', title: 'Messages/s', unit: 'cps' },
        {
          field: 'Value #D',
          title: 'Lag',
          unit: 's',
          steps: [
            [null, 'green'],
            [600, 'orange'],
            [3600, 'red'],
          ],
        },
        {
          field: 'Value #E',
          title: 'Room',
          unit: 'bytes',
          steps: [
            [null, 'red'],
            [100_000_000, 'green'],
          ],
        },
        { field: 'Value #F', title: 'Runs since', unit: 's' },
      ],
      `headwater_build_info{${B}}`,
      `sum by (instance) (headwater_alarms{${B},severity!="info"})`,
      `sum by (instance) (rate(headwater_messages_received_total{${B}}[$__rate_interval]))`,
      `max by (instance) (headwater_upstream_lag_seconds{${B}})`,
      `sum by (instance) (headwater_disk_free_bytes{${B}} - headwater_disk_reserve_bytes{${B}})`,
      `time() - max by (instance) (process_start_time_seconds{${B}})`,
    ),
    lines(
      {
        id: 107,
        title: 'Messages of all edges',
        about:
          'Received from and sent to MQTT clients, records made durable, records that upstream acknowledged.',
        docs: 'operate.md#metrics',
      },
      { unit: 'cps' },
      [`sum(rate(headwater_messages_received_total{${B}}[$__rate_interval]))`, 'received'],
      [`sum(rate(headwater_messages_sent_total{${B}}[$__rate_interval]))`, 'sent to clients'],
      [`sum(rate(headwater_records_appended_total{${B}}[$__rate_interval]))`, 'made durable'],
      [`sum(rate(headwater_upstream_sent_records_total{${U}}[$__rate_interval]))`, 'acknowledged upstream'],
    ),
    lines(
      {
        id: 108,
        title: 'The ten that lag most',
        about: 'Age of the oldest record that an upstream is to get. An hour is an alarm.',
        docs: 'operate.md#upstream-lagging',
      },
      {
        unit: 's',
        steps: [
          [null, 'green'],
          [3600, 'red'],
        ],
      },
      [`topk(10, max by (instance) (headwater_upstream_lag_seconds{${U}}))`, '{{instance}}'],
    ),
    lines(
      {
        id: 109,
        title: 'The ten with the least room',
        about:
          'Bytes free above the reserve. At 0 the oldest records that upstream has go, then messages are refused.',
        docs: 'operate.md#disk-nearly-full',
      },
      { unit: 'bytes', min: null },
      [`bottomk(10, headwater_disk_free_bytes{${B}} - headwater_disk_reserve_bytes{${B}})`, '{{instance}}'],
    ),
  ],
}
