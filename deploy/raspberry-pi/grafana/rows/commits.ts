/** The commit that every acknowledgement waits for. */
import { B, heatmap, lines, type Query, type Row, stat } from '../panel.ts'

const LATENCY = 'headwater_commit_duration_seconds'

function quantile(share: number, name: string): Query {
  const buckets = `sum by (instance, le) (rate(${LATENCY}_bucket{${B}}[$__rate_interval]))`
  return [`histogram_quantile(${share}, ${buckets})`, `{{instance}} ${name}`]
}

export const commits: Row = {
  id: 300,
  title: 'Commits',
  isCollapsed: true,
  panels: [
    heatmap(
      {
        id: 301,
        title: 'Latency of commits',
        about:
          'How many group commits took how long, fsync included. A second band far above the first is a card that collects garbage.',
        docs: 'operate.md#commits-slow',
      },
      's',
      `sum by (le) (increase(${LATENCY}_bucket{${B}}[$__rate_interval]))`,
    ),
    lines(
      {
        id: 302,
        title: 'Quantiles of the latency',
        about:
          'What half of all commits, nine in ten, and 99 in a hundred stayed below. More than a second for the last is an alarm.',
        docs: 'operate.md#commits-slow',
        width: 12,
      },
      {
        unit: 's',
        steps: [
          [null, 'green'],
          [1, 'red'],
        ],
      },
      quantile(0.5, 'p50'),
      quantile(0.9, 'p90'),
      quantile(0.99, 'p99'),
    ),
    lines(
      {
        id: 303,
        title: 'fsyncs',
        about:
          'Writes that waited for the disk: commits of the log, and states of sessions. They are what wears a card.',
        docs: 'operate.md#card-life-short',
      },
      { unit: 'cps' },
      [`rate(headwater_fsyncs_total{${B}}[$__rate_interval])`, '{{instance}} {{store}}'],
    ),
    lines(
      {
        id: 304,
        title: 'Records a commit',
        about: 'How many records shared one fsync. It grows with load: that is what keeps the card whole.',
        docs: 'operate.md#metrics',
      },
      { unit: 'short' },
      [
        `rate(headwater_records_appended_total{${B}}[$__rate_interval]) / rate(headwater_commits_total{${B}}[$__rate_interval])`,
        '{{instance}}',
      ],
    ),
    lines(
      {
        id: 305,
        title: 'Commits that failed',
        about: 'Group commits that did not reach the disk, and the records in them. None was acknowledged.',
        docs: 'operate.md#commits-failing',
      },
      { unit: 'short' },
      [`increase(headwater_failed_commits_total{${B}}[$__rate_interval])`, '{{instance}} commits'],
      [`increase(headwater_failed_records_total{${B}}[$__rate_interval])`, '{{instance}} records'],
    ),
    stat(
      {
        id: 306,
        title: 'Found by the last start',
        about:
          'Damaged segments in quarantine, offsets that went with them, other faults, and commits that a loss of power cut off (no damage: none was acknowledged). Since the last start of each edge.',
        docs: 'operate.md#log-damaged',
        width: 24,
      },
      {
        unit: 'none',
        steps: [
          [null, 'green'],
          [1, 'red'],
        ],
        overrides: [
          {
            matcher: { id: 'byName', options: 'unfinished commits' },
            properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: 'text' } }],
          },
        ],
      },
      [`sum(headwater_quarantined_segments_total{${B}})`, 'segments in quarantine'],
      [`sum(headwater_lost_offsets_total{${B}})`, 'offsets lost'],
      [`sum(headwater_log_faults_total{${B}})`, 'faults'],
      [`sum(headwater_torn_tails_total{${B}})`, 'unfinished commits'],
    ),
  ],
}
