/** What goes up, what comes down. */
import { B, lines, type Row, stat, states, table, U } from '../panel.ts'

/** In the order of samples.ts, times how bad they are: a bar's value is its number. */
const STATES = ['idle', 'sending', 'recovering', 'backoff', 'held', 'paused', 'stopped', 'closed']
const COLOURS: Readonly<Record<string, string>> = {
  idle: 'green',
  sending: 'blue',
  recovering: 'yellow',
  backoff: 'orange',
  held: 'purple',
  paused: 'text',
  stopped: 'red',
  closed: 'text',
}

const stateNumber = STATES.map(
  (state, index) => `${index + 1} * headwater_upstream_state{${U},state="${state}"}`,
).join(' + ignoring (state) ')

export const upstream: Row = {
  id: 500,
  title: 'Upstream',
  isCollapsed: true,
  panels: [
    states(
      {
        id: 501,
        title: 'State',
        about:
          'Held: by its schedule, budget or bandwidth. Backoff: tries again after a failure. Stopped: waits for a person.',
        docs: 'operate.md#upstream-stopped',
        width: 24,
      },
      {
        mappings: Object.fromEntries(
          STATES.map((text, index) => [`${index + 1}`, { text, color: COLOURS[text]!, index }]),
        ),
        steps: [[null, 'text']],
      },
      [stateNumber, '{{instance}} {{upstream}}'],
    ),
    lines(
      {
        id: 502,
        title: 'Lag',
        about: 'Records that upstream is to get.',
        docs: 'operate.md#upstream-lagging',
      },
      { unit: 'short' },
      [`headwater_upstream_lag_records{${U}}`, '{{instance}} {{upstream}}'],
    ),
    lines(
      {
        id: 503,
        title: 'Lag in bytes',
        about: 'What is to go over the link, about.',
        docs: 'operate.md#upstream-lagging',
      },
      { unit: 'bytes' },
      [`headwater_upstream_lag_bytes{${U}}`, '{{instance}} {{upstream}}'],
    ),
    lines(
      {
        id: 504,
        title: 'Age',
        about: 'Of the oldest record that upstream is to get. An hour is an alarm.',
        docs: 'operate.md#upstream-lagging',
      },
      {
        unit: 's',
        steps: [
          [null, 'green'],
          [3600, 'red'],
        ],
      },
      [`headwater_upstream_lag_seconds{${U}}`, '{{instance}} {{upstream}}'],
    ),
    lines(
      {
        id: 505,
        title: 'Records acknowledged',
        about:
          'By upstream, set against those made durable here: where the second is above the first for long, the lag grows.',
        docs: 'operate.md#upstream-lagging',
      },
      { unit: 'cps' },
      [`rate(headwater_upstream_sent_records_total{${U}}[$__rate_interval])`, '{{instance}} {{upstream}}'],
      [`rate(headwater_records_appended_total{${B}}[$__rate_interval])`, '{{instance}} made durable'],
    ),
    lines(
      {
        id: 506,
        title: 'Bytes',
        about:
          'That upstream acknowledged, and over the link, all that belongs to it included: what a mobile contract counts.',
        docs: 'operate.md#metrics',
      },
      { unit: 'Bps' },
      [
        `rate(headwater_upstream_sent_bytes_total{${U}}[$__rate_interval])`,
        '{{instance}} {{upstream}} acknowledged',
      ],
      [`rate(headwater_upstream_wire_bytes_total{${U}}[$__rate_interval])`, '{{instance}} {{upstream}} link'],
    ),
    lines(
      {
        id: 507,
        title: 'Time to drain',
        about: 'If the lag goes on falling as in the last quarter of an hour. Empty where it does not fall.',
        docs: 'operate.md#upstream-lagging',
      },
      { unit: 's' },
      [
        `headwater_upstream_lag_records{${U}} / (-deriv(headwater_upstream_lag_records{${U}}[15m]) > 0)`,
        '{{instance}} {{upstream}}',
      ],
    ),
    lines(
      {
        id: 508,
        title: 'Since the last acknowledgement',
        about:
          'Ten minutes, while records wait, is an alarm. Where nothing waits it grows, and that is well.',
        docs: 'operate.md#upstream-stalled',
      },
      { unit: 's' },
      [`headwater_upstream_last_ack_age_seconds{${U}}`, '{{instance}} {{upstream}}'],
    ),
    lines(
      {
        id: 509,
        title: 'Failures',
        about:
          'In a row, calls that did not come to an end, and streams that upstream refuses while it takes others.',
        docs: 'operate.md#stream-refused',
      },
      { unit: 'short' },
      [`headwater_upstream_failures{${U}}`, '{{instance}} {{upstream}} in a row'],
      [
        `increase(headwater_upstream_stalls_total{${U}}[$__rate_interval])`,
        '{{instance}} {{upstream}} stalls',
      ],
      [`headwater_upstream_refused_streams{${U}}`, '{{instance}} {{upstream}} refused streams'],
    ),
    lines(
      {
        id: 510,
        title: 'Records that do not go',
        about: 'Left out by filters, as configured, and taken by retention before they were sent.',
        docs: 'operate.md#unsynced-dropped',
      },
      { unit: 'cps' },
      [
        `rate(headwater_upstream_filtered_records_total{${U}}[$__rate_interval])`,
        '{{instance}} {{upstream}} filtered',
      ],
      [
        `rate(headwater_upstream_skipped_records_total{${U}}[$__rate_interval])`,
        '{{instance}} {{upstream}} skipped',
      ],
    ),
    stat(
      {
        id: 511,
        title: 'Certificate ends in',
        about: "This device's own, as upstream is shown it. Empty where none is.",
        docs: 'operate.md#certificate-due',
        width: 8,
      },
      {
        unit: 's',
        steps: [
          [null, 'red'],
          [7 * 86_400, 'orange'],
          [30 * 86_400, 'green'],
        ],
      },
      [`headwater_upstream_certificate_expiry_timestamp_seconds{${U}} - time()`, '{{instance}} {{upstream}}'],
    ),
    table(
      {
        id: 512,
        title: 'Partitions that lag',
        about: 'The twenty that lag most.',
        docs: 'operate.md#upstream-lagging',
        width: 16,
      },
      [
        { field: 'instance', title: 'Instance' },
        { field: 'upstream', title: 'Upstream' },
        { field: 'stream', title: 'Stream' },
        { field: 'partition', title: 'Partition' },
        { field: 'Value', title: 'Records', unit: 'locale' },
      ],
      `topk(20, headwater_upstream_partition_lag_records{${U},stream=~"$stream"} > 0)`,
    ),
    lines(
      {
        id: 513,
        title: 'Downlinks',
        about: 'Records of topics upstream that are to be published here, and those that were, or were not.',
        docs: 'operate.md#downlink-stopped',
        width: 12,
      },
      { unit: 'short' },
      [`headwater_downlink_lag_records{${B}}`, '{{instance}} {{downlink}} lag'],
      [
        `increase(headwater_downlink_delivered_total{${B}}[$__rate_interval])`,
        '{{instance}} {{downlink}} published',
      ],
      [
        `increase(headwater_downlink_passed_over_total{${B}}[$__rate_interval])`,
        '{{instance}} {{downlink}} passed over: {{reason}}',
      ],
    ),
    states(
      {
        id: 514,
        title: 'Downlinks that run',
        about: 'Not: stopped, paused, or waiting after a failure.',
        docs: 'operate.md#downlink-stopped',
      },
      {
        mappings: {
          '0': { text: 'no', color: 'red', index: 0 },
          '1': { text: 'runs', color: 'green', index: 1 },
        },
        steps: [[null, 'text']],
      },
      [`headwater_downlink_running{${B}}`, '{{instance}} {{downlink}}'],
    ),
    lines(
      {
        id: 515,
        title: 'Downlinks that are away',
        about: "Since a downlink's topic answered last: a minute at most while all is well.",
        docs: 'operate.md#downlink-stalled',
      },
      { unit: 's' },
      [`headwater_downlink_last_answer_age_seconds{${B}}`, '{{instance}} {{downlink}}'],
    ),
    lines(
      {
        id: 516,
        title: 'Failures of downlinks',
        about: 'In a row. Ten minutes of them are an alarm.',
        docs: 'operate.md#downlink-stalled',
      },
      { unit: 'short' },
      [`headwater_downlink_failures{${B}}`, '{{instance}} {{downlink}} in a row'],
    ),
  ],
}
