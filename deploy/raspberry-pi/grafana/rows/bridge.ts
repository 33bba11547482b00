/** Devices without MQTT, and the wires to them. */
import { G, lines, type Row, states, table } from '../panel.ts'

const P = 'headwater_bridge'

export const bridge: Row = {
  id: 700,
  title: 'Bridge',
  isCollapsed: true,
  panels: [
    states(
      {
        id: 701,
        title: 'Broker and links',
        about: 'Whether the bridge has its broker, and whether each link carries.',
        docs: 'operate.md#bridge-link-down',
      },
      {
        mappings: {
          '0': { text: 'down', color: 'red', index: 0 },
          '1': { text: 'up', color: 'green', index: 1 },
        },
        steps: [[null, 'text']],
      },
      [`${P}_broker_up{${G}}`, '{{instance}} broker'],
      [`${P}_link_up{${G}}`, '{{instance}} {{link}}'],
    ),
    lines(
      {
        id: 702,
        title: 'Devices',
        about: 'By state. Lost: it went silent without a goodbye.',
        docs: 'operate.md#bridge-devices-lost',
        width: 12,
      },
      { unit: 'short', isStacked: true },
      [`sum by (state) (${P}_devices{${G}})`, '{{state}}'],
    ),
    lines(
      {
        id: 703,
        title: 'Messages of devices',
        about: 'By what became of them: accepted, repeated, told to come later (congested), refused.',
        docs: 'operate.md#bridge-messages-lost',
      },
      { unit: 'cps' },
      [
        `sum by (instance, result) (rate(${P}_publishes_total{${G}}[$__rate_interval]))`,
        '{{instance}} {{result}}',
      ],
      [
        `sum by (instance, result) (rate(${P}_publishes_qos0_total{${G}}[$__rate_interval]))`,
        '{{instance}} QoS 0 {{result}}',
      ],
    ),
    lines(
      {
        id: 704,
        title: 'Sent again',
        about:
          'By devices and to devices. Many: a bad line, a device that sleeps too soon, or a broker that is slow to acknowledge.',
        docs: 'operate.md#bridge-frames-damaged',
      },
      { unit: 'cps' },
      [
        `sum by (instance) (rate(${P}_device_retransmissions_seen_total{${G}}[$__rate_interval]))`,
        '{{instance}} by devices',
      ],
      [
        `sum by (instance) (rate(${P}_device_retransmissions_made_total{${G}}[$__rate_interval]))`,
        '{{instance}} to devices',
      ],
    ),
    lines(
      {
        id: 705,
        title: 'Damaged and dropped frames',
        about: 'By reason. crc, cobs, length, truncated: noise on the wire, or two rates that differ.',
        docs: 'operate.md#bridge-frames-damaged',
      },
      { unit: 'cps' },
      [`rate(${P}_link_dropped_frames_total{${G}}[$__rate_interval])`, '{{instance}} {{link}} {{reason}}'],
    ),
    lines(
      {
        id: 706,
        title: 'Frames',
        about: 'Frames, datagrams or lines of each link.',
        docs: 'operate.md#bridge-link-down',
      },
      { unit: 'cps' },
      [`rate(${P}_link_received_frames_total{${G}}[$__rate_interval])`, '{{instance}} {{link}} received'],
      [`rate(${P}_link_sent_frames_total{${G}}[$__rate_interval])`, '{{instance}} {{link}} sent'],
    ),
    lines(
      {
        id: 707,
        title: 'Bytes',
        about: 'Of each link, framing and all.',
        docs: 'operate.md#bridge-link-down',
      },
      { unit: 'Bps' },
      [`rate(${P}_link_received_bytes_total{${G}}[$__rate_interval])`, '{{instance}} {{link}} received'],
      [`rate(${P}_link_sent_bytes_total{${G}}[$__rate_interval])`, '{{instance}} {{link}} sent'],
    ),
    lines(
      {
        id: 708,
        title: 'Lost and not delivered',
        about:
          'Messages of devices that are lost, those that devices will not get, those that the broker never took (given up), and those of lines and registers that gave way to newer ones.',
        docs: 'operate.md#bridge-messages-lost',
      },
      { unit: 'cps' },
      [
        `sum by (instance, reason) (rate(${P}_device_dropped_messages_total{${G}}[$__rate_interval]))`,
        '{{instance}} lost: {{reason}}',
      ],
      [
        `sum by (instance, reason) (rate(${P}_device_undelivered_messages_total{${G}}[$__rate_interval]))`,
        '{{instance}} not delivered: {{reason}}',
      ],
      [`rate(${P}_messages_given_up_total{${G}}[$__rate_interval])`, '{{instance}} given up'],
      [
        `sum by (instance) (rate(${P}_link_lost_messages_total{${G}}[$__rate_interval]))`,
        '{{instance}} of lines and registers',
      ],
    ),
    lines(
      {
        id: 709,
        title: 'Refused and malformed',
        about: 'Devices that were refused, packets that are none, and packets above the rate of a peer.',
        docs: 'bridge.md',
      },
      { unit: 'cps' },
      [`rate(${P}_connects_refused_total{${G}}[$__rate_interval])`, '{{instance}} refused: {{reason}}'],
      [`rate(${P}_packets_malformed_total{${G}}[$__rate_interval])`, '{{instance}} malformed: {{reason}}'],
      [`rate(${P}_packets_flooded_total{${G}}[$__rate_interval])`, '{{instance}} flooded'],
    ),
    lines(
      {
        id: 710,
        title: 'Waiting',
        about: 'Messages that the broker has not done with, and that wait for devices.',
        docs: 'operate.md#bridge-without-broker',
      },
      { unit: 'short' },
      [`${P}_in_flight_messages{${G}}`, '{{instance}} for the broker'],
      [`sum by (instance) (${P}_device_queue_messages{${G}})`, '{{instance}} for devices'],
      [`sum by (instance) (${P}_link_waiting_messages{${G}})`, '{{instance}} of lines and registers'],
    ),
    lines(
      {
        id: 711,
        title: 'Writes of the window',
        about: 'With an fsync each; they remember messages, so that none is taken twice.',
        docs: 'operate.md#bridge-commits-failing',
      },
      { unit: 'cps' },
      [`rate(${P}_window_commits_total{${G}}[$__rate_interval])`, '{{instance}}'],
      [`rate(${P}_window_failed_commits_total{${G}}[$__rate_interval])`, '{{instance}} failed'],
    ),
    lines(
      { id: 712, title: 'Memory of the bridge', about: 'Resident.', docs: 'bridge.md' },
      { unit: 'bytes' },
      [`${P}_resident_memory_bytes{${G}}`, '{{instance}}'],
    ),
    table(
      {
        id: 713,
        title: 'Devices that were silent longest',
        about: 'Twenty of them. The 1,000 first of a bridge have series of their own.',
        docs: 'operate.md#bridge-devices-lost',
        width: 12,
      },
      [
        { field: 'instance', title: 'Instance' },
        { field: 'device', title: 'Device' },
        { field: 'Value', title: 'Silent for', unit: 's' },
      ],
      `topk(20, time() - ${P}_device_last_seen_seconds{${G}})`,
    ),
    table(
      {
        id: 714,
        title: 'Devices with the longest round trip',
        about: 'Twenty of them: the time that a device takes to answer, smoothed.',
        docs: 'bridge.md',
        width: 12,
      },
      [
        { field: 'instance', title: 'Instance' },
        { field: 'device', title: 'Device' },
        { field: 'Value', title: 'Round trip', unit: 's' },
      ],
      `topk(20, ${P}_device_round_trip_seconds{${G}})`,
    ),
  ],
}
