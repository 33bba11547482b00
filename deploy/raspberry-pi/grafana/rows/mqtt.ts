/** Clients, and what waits for them. */
import { asLimit, B, lines, type Row, stat } from '../panel.ts'

export const mqtt: Row = {
  id: 600,
  title: 'MQTT',
  isCollapsed: true,
  panels: [
    lines(
      {
        id: 601,
        title: 'Connections',
        about:
          'Clients that are connected, connections on which nobody has logged in yet, and how many both may be.',
        docs: 'operate.md#connection-limit',
      },
      { unit: 'short', overrides: [asLimit('limit')] },
      [`headwater_mqtt_connections{${B}}`, '{{instance}}'],
      [`headwater_mqtt_connections_max{${B}}`, '{{instance}} limit'],
      [`headwater_mqtt_connecting{${B}}`, '{{instance}} not logged in'],
    ),
    lines(
      {
        id: 602,
        title: 'Connections that come',
        about:
          'Let in, and ended for a fault. Many without a change in their number: a client that goes in a circle, or two of one id.',
        docs: 'operate.md#connection-limit',
      },
      { unit: 'cps' },
      [`rate(headwater_mqtt_connections_total{${B}}[$__rate_interval])`, '{{instance}} let in'],
      [`rate(headwater_mqtt_dropped_connections_total{${B}}[$__rate_interval])`, '{{instance}} ended'],
    ),
    lines(
      {
        id: 603,
        title: 'Refused',
        about: 'Login: user or password. 20 in ten minutes are an alarm.',
        docs: 'operate.md#logins-refused',
      },
      { unit: 'cps' },
      [`rate(headwater_mqtt_refused_connections_total{${B}}[$__rate_interval])`, '{{instance}} {{reason}}'],
    ),
    lines(
      {
        id: 604,
        title: 'Sessions',
        about: 'Of clients that are connected and away, and their subscriptions.',
        docs: 'operate.md#messages-dropped',
      },
      { unit: 'short' },
      [`headwater_mqtt_sessions{${B}}`, '{{instance}} {{state}}'],
      [`headwater_mqtt_subscriptions{${B}}`, '{{instance}} subscriptions'],
    ),
    lines(
      {
        id: 605,
        title: 'Queues',
        about: 'Messages of QoS 1 and 2 that wait for their clients, and those sent and not acknowledged.',
        docs: 'operate.md#messages-dropped',
      },
      { unit: 'short' },
      [`headwater_queued_messages{${B}}`, '{{instance}} queued'],
      [`headwater_inflight_messages{${B}}`, '{{instance}} in flight'],
    ),
    lines(
      {
        id: 606,
        title: 'Drops',
        about: 'Messages that a session did not deliver, by reason. In the log they are all the same.',
        docs: 'operate.md#messages-dropped',
      },
      { unit: 'cps' },
      [
        `sum by (instance, reason) (rate(headwater_dropped_messages_total{${B}}[$__rate_interval])) > 0`,
        '{{instance}} {{reason}}',
      ],
    ),
    lines(
      { id: 607, title: 'Packets', about: 'MQTT packets of all kinds.', docs: 'operate.md#metrics' },
      { unit: 'cps' },
      [`rate(headwater_mqtt_received_packets_total{${B}}[$__rate_interval])`, '{{instance}} received'],
      [`rate(headwater_mqtt_sent_packets_total{${B}}[$__rate_interval])`, '{{instance}} sent'],
    ),
    lines(
      { id: 608, title: 'Bytes', about: 'Of MQTT, packets and all.', docs: 'operate.md#metrics' },
      { unit: 'Bps' },
      [`rate(headwater_mqtt_received_bytes_total{${B}}[$__rate_interval])`, '{{instance}} received'],
      [`rate(headwater_mqtt_sent_bytes_total{${B}}[$__rate_interval])`, '{{instance}} sent'],
    ),
    lines(
      {
        id: 609,
        title: 'Retained messages',
        about: 'Topics that have one, and their bytes.',
        docs: 'operate.md#metrics',
      },
      {
        unit: 'short',
        overrides: [
          { matcher: { id: 'byRegexp', options: '/bytes$/' }, properties: [{ id: 'unit', value: 'bytes' }] },
        ],
      },
      [`headwater_retained_messages{${B}}`, '{{instance}} topics'],
      [`headwater_retained_bytes{${B}}`, '{{instance}} bytes'],
    ),
    stat(
      {
        id: 610,
        title: "Listeners' certificates end in",
        about:
          'What listeners with TLS show clients, and the authorities that they take certificates of clients from.',
        docs: 'operate.md#certificate-due',
        width: 12,
      },
      {
        unit: 's',
        steps: [
          [null, 'red'],
          [7 * 86_400, 'orange'],
          [30 * 86_400, 'green'],
        ],
      },
      [`headwater_listener_certificate_expiry_timestamp_seconds{${B}} - time()`, '{{instance}} {{listener}}'],
      [
        `headwater_listener_client_authority_expiry_timestamp_seconds{${B}} - time()`,
        '{{instance}} {{listener}} clients',
      ],
    ),
  ],
}
