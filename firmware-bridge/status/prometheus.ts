/** The report in Prometheus' text format 0.0.4: base units, `_total` for counters, `headwater_bridge_` before all names. */
import { byReason, Exposition, one, type Sample } from '../../broker/exposition.ts'
import type { DeviceStatus } from '../gateway/index.ts'
import type { BridgeReport } from './report.ts'

/** Devices that have series of their own; the first by client id. */
export const DEVICES_MAX = 1000
/** Of a damaged frame. From 0 on: the growth of a series that begins with what happened is not seen. */
const FRAME_FAULTS = { cobs: 0, crc: 0, length: 0, oversize: 0, truncated: 0 }
const DEVICE_STATES: Readonly<Record<DeviceStatus['state'], 0>> = {
  active: 0,
  asleep: 0,
  awake: 0,
  joining: 0,
  'will-topic': 0,
  'will-message': 0,
  disconnected: 0,
  lost: 0,
}

export function prometheusText(report: BridgeReport): string {
  const text = new Exposition('headwater_bridge_')
  writeBridge(text, report)
  writeUplink(text, report)
  writeGateway(text, report)
  writeLinks(text, report)
  writeDevices(text, report)
  return text.toString()
}

function writeBridge(text: Exposition, { version, startedAt, residentBytes, gatewayId }: BridgeReport): void {
  text.write('gauge', 'info', 'Version and gateway id, always 1.', [[{ version, gateway_id: gatewayId }, 1]])
  text.write('gauge', 'start_time_seconds', 'When the bridge was started, Unix time.', one(startedAt / 1000))
  text.write('gauge', 'resident_memory_bytes', 'Memory that the process has.', one(residentBytes))
}

function writeUplink(text: Exposition, { uplink }: BridgeReport): void {
  const { counters } = uplink
  text.write('gauge', 'broker_up', 'Whether the MQTT broker is connected.', one(uplink.isUp ? 1 : 0))
  text.write(
    'counter',
    'broker_losses_total',
    'Times that the broker could not be reached any more.',
    one(uplink.brokerLosses),
  )
  text.write('gauge', 'sessions', 'MQTT sessions of devices.', one(uplink.sessions))
  text.write(
    'gauge',
    'in_flight_messages',
    'Messages that the broker has not done with.',
    one(uplink.inFlight),
  )
  const results = (['accepted', 'repeated', 'congested', 'refused'] as const).map(
    (result): Sample => [{ result }, counters[result]],
  )
  text.write(
    'counter',
    'publishes_total',
    'Messages of QoS 1 and 2 of devices, by what became of them.',
    results,
  )
  text.write(
    'counter',
    'messages_given_up_total',
    'Messages upon which the broker ended the connection each time.',
    one(counters.givenUp),
  )
  const handed = [
    [{ result: 'handed_over' }, counters.handedOver],
    [{ result: 'dropped' }, counters.dropped],
  ] as const
  text.write(
    'counter',
    'publishes_qos0_total',
    'Messages of QoS 0 and -1 of devices, by what became of them.',
    handed,
  )
  text.write(
    'counter',
    'window_commits_total',
    'Writes with an fsync that remember messages.',
    one(uplink.windowCommits),
  )
  text.write(
    'counter',
    'window_failed_commits_total',
    'Writes that were to remember messages and failed.',
    one(uplink.windowFailedCommits),
  )
}

function writeGateway(text: Exposition, { gateway }: BridgeReport): void {
  text.write(
    'counter',
    'packets_received_total',
    'MQTT-SN packets of devices.',
    one(gateway.messagesReceived),
  )
  text.write('counter', 'packets_sent_total', 'MQTT-SN packets to devices.', one(gateway.messagesSent))
  text.write(
    'counter',
    'packets_malformed_total',
    'What came in a whole frame and is no packet.',
    byReason(gateway.malformed),
  )
  text.write(
    'counter',
    'packets_unexpected_total',
    'Packets without use in the state of their device.',
    one(gateway.unexpected),
  )
  text.write(
    'counter',
    'packets_not_connected_total',
    'Packets of peers that are not connected.',
    one(gateway.notConnected),
  )
  text.write('counter', 'packets_flooded_total', "Packets above a peer's rate.", one(gateway.flooded))
  text.write('counter', 'connects_refused_total', 'Devices that were refused.', byReason(gateway.refused))
  text.write(
    'counter',
    'client_id_collisions_total',
    'Devices with the client id of another one.',
    one(gateway.collisions),
  )
}

function writeLinks(text: Exposition, { links }: BridgeReport): void {
  const each = (value: (link: BridgeReport['links'][number]) => number | null): Sample[] =>
    links.map((link) => [{ link: link.name }, value(link)])
  text.write(
    'gauge',
    'link_up',
    'Whether the link carries.',
    each(({ trouble }) => (trouble === null ? 1 : 0)),
  )
  text.write(
    'counter',
    'link_received_frames_total',
    'Frames, datagrams or lines received whole.',
    each((link) => link.framesReceived),
  )
  text.write(
    'counter',
    'link_sent_frames_total',
    'Frames or datagrams sent.',
    each((link) => link.framesSent),
  )
  text.write(
    'counter',
    'link_received_bytes_total',
    'Bytes received.',
    each((link) => link.bytesReceived),
  )
  text.write(
    'counter',
    'link_sent_bytes_total',
    'Bytes sent.',
    each((link) => link.bytesSent),
  )
  const dropped = links.flatMap((link) =>
    byReason({ ...(hasFrames(link) ? FRAME_FAULTS : {}), ...link.dropped }, { link: link.name }),
  )
  text.write('counter', 'link_dropped_frames_total', 'What was dropped, by reason.', dropped)
  text.write(
    'counter',
    'link_published_messages_total',
    'Messages of lines and registers that the broker has.',
    each((link) => link.published?.accepted ?? null),
  )
  text.write(
    'counter',
    'link_lost_messages_total',
    'Messages of lines and registers that gave way to newer ones, or were refused.',
    each((link) => (link.published === null ? null : link.published.dropped + link.published.refused)),
  )
  text.write(
    'gauge',
    'link_waiting_messages',
    'Messages of lines and registers that wait for the broker.',
    each((link) => link.published?.waiting ?? null),
  )
}

const hasFrames = ({ kind, protocol }: BridgeReport['links'][number]) =>
  kind === 'serial' && protocol === 'mqtt-sn'

function writeDevices(text: Exposition, report: BridgeReport): void {
  const states = new Map<string, number>(Object.entries(DEVICE_STATES))
  for (const { state } of report.devices) states.set(state, (states.get(state) ?? 0) + 1)
  text.write(
    'gauge',
    'devices',
    'Devices by state.',
    [...states].map(([state, value]) => [{ state }, value]),
  )
  const devices = report.devices.toSorted((a, b) => (a.clientId < b.clientId ? -1 : 1)).slice(0, DEVICES_MAX)
  const each = (value: (device: BridgeReport['devices'][number]) => number | null): Sample[] =>
    devices.map((device) => [{ device: device.clientId }, value(device)])
  text.write(
    'gauge',
    'device_last_seen_seconds',
    'When the device was heard last, Unix time.',
    each((device) => device.lastSeenAt / 1000),
  )
  text.write(
    'counter',
    'device_received_packets_total',
    'Packets of the device.',
    each((device) => device.received),
  )
  text.write(
    'counter',
    'device_sent_packets_total',
    'Packets to the device.',
    each((device) => device.sent),
  )
  text.write(
    'counter',
    'device_published_messages_total',
    'Messages of the device that the broker has.',
    each((device) => device.published),
  )
  text.write(
    'counter',
    'device_delivered_messages_total',
    'Messages that the device has.',
    each((device) => device.delivered),
  )
  text.write(
    'counter',
    'device_retransmissions_seen_total',
    'Messages that the device sent again.',
    each((device) => device.retransmissionsSeen),
  )
  text.write(
    'counter',
    'device_retransmissions_made_total',
    'Messages that the device was sent again.',
    each((device) => device.retransmissionsMade),
  )
  text.write(
    'counter',
    'device_dropped_messages_total',
    'Messages of the device that are lost, by reason.',
    devices.flatMap((device) => byReason(device.dropped, { device: device.clientId })),
  )
  text.write(
    'counter',
    'device_undelivered_messages_total',
    'Messages that the device will not get, by reason.',
    devices.flatMap((device) => byReason(device.undelivered, { device: device.clientId })),
  )
  text.write(
    'gauge',
    'device_round_trip_seconds',
    'Time that the device takes to answer, smoothed.',
    each((device) => (device.roundTripMs === null ? null : device.roundTripMs / 1000)),
  )
  text.write(
    'gauge',
    'device_queue_messages',
    'Messages that wait for the device.',
    each((device) => device.queue),
  )
  text.write(
    'gauge',
    'device_clock_offset_seconds',
    "What is to be added to the device's clock.",
    each((device) => (device.clockOffsetMs === null ? null : device.clockOffsetMs / 1000)),
  )
}
