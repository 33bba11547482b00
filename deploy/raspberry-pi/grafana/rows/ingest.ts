/** What comes in. */
import { B, lines, type Row, S } from '../panel.ts'

export const ingest: Row = {
  id: 200,
  title: 'Ingest',
  isCollapsed: true,
  panels: [
    lines(
      {
        id: 201,
        title: 'Messages',
        about: 'PUBLISHes taken from clients and sent to them.',
        docs: 'operate.md#nothing-received',
      },
      { unit: 'cps' },
      [`rate(headwater_messages_received_total{${B}}[$__rate_interval])`, '{{instance}} received'],
      [`rate(headwater_messages_sent_total{${B}}[$__rate_interval])`, '{{instance}} sent'],
    ),
    lines(
      {
        id: 202,
        title: 'Bytes of messages',
        about: 'Payloads of messages received, and what of them became batches in the log.',
        docs: 'operate.md#metrics',
      },
      { unit: 'Bps' },
      [`rate(headwater_messages_received_bytes_total{${B}}[$__rate_interval])`, '{{instance}} payloads'],
      [`rate(headwater_appended_bytes_total{${B}}[$__rate_interval])`, '{{instance}} batches'],
    ),
    lines(
      {
        id: 203,
        title: 'Records by stream',
        about: 'Records appended to each stream, of all edges that are chosen.',
        docs: 'operate.md#metrics',
      },
      { unit: 'cps', isStacked: true },
      [
        `sum by (stream) (rate(headwater_stream_appended_records_total{${S}}[$__rate_interval]))`,
        '{{stream}}',
      ],
    ),
    lines(
      {
        id: 204,
        title: 'Not taken',
        about:
          'PUBLISHes that were refused, by reason: clients of QoS 1 and 2 are told so. disk_full and commit_failed are the broker, the others the client.',
        docs: 'operate.md#disk-full',
      },
      { unit: 'cps' },
      [
        `sum by (instance, reason) (rate(headwater_rejected_messages_total{${B}}[$__rate_interval]))`,
        '{{instance}} {{reason}}',
      ],
    ),
    lines(
      {
        id: 205,
        title: 'Taken, and no record',
        about: 'Messages that no stream takes, that came again, or that went to dead-letters.',
        docs: 'operate.md#dead-letters',
      },
      { unit: 'cps' },
      [`rate(headwater_unrouted_messages_total{${B}}[$__rate_interval])`, '{{instance}} unrouted'],
      [`rate(headwater_repeated_messages_total{${B}}[$__rate_interval])`, '{{instance}} repeated'],
      [`rate(headwater_dead_letters_total{${B}}[$__rate_interval])`, '{{instance}} dead letters'],
    ),
    lines(
      {
        id: 206,
        title: 'Accepted and not yet on disk',
        about:
          'What waits for a commit. Where it stays high the disk is slower than the clients, who are slowed down.',
        docs: 'operate.md#commits-slow',
      },
      { unit: 'bytes' },
      [`headwater_admitted_bytes{${B}}`, '{{instance}}'],
    ),
  ],
}
