/**
 * Retained messages about the bridge, for dashboards that know MQTT alone:
 *
 *   <prefix>/<gateway id>/state                -> {"state":"online","version":…,"since":…,"devices":…,…}; {"state":"offline"} is the will
 *   <prefix>/<gateway id>/devices/<client id>  -> {"state":"active","link":…,"lastSeen":…,…}
 *
 * Times are ISO 8601. A client id is written as in an address (%2F for "/"), so that it is one level. A device's message goes out when
 * its state changes, else with the next round if something in it has changed.
 */
import type { DeviceStatus } from '../gateway/index.ts'
import type { Will } from '../uplink/uplink.ts'
import type { BridgeReport } from './report.ts'

/** How often changes of state are looked for. */
const LOOK_MS = 1000
/** Messages of one look, so that many devices do not crowd out what they publish. */
const PER_LOOK_MAX = 50

export interface StatusTopicsParts {
  readonly prefix: string
  readonly gatewayId: number
  readonly everyMs: number
  report(): BridgeReport
  /** @returns false: not now */
  publish(topic: string, payload: string): boolean
}

export class StatusTopics {
  readonly #parts: StatusTopicsParts
  /** What was said last of a device, and when. */
  readonly #said = new Map<string, { state: string; text: string; at: number }>()
  #bridgeSaidAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | null = null

  constructor(parts: StatusTopicsParts) {
    this.#parts = parts
  }

  static will(prefix: string, gatewayId: number): Will | null {
    if (prefix === '') return null
    const payload = Buffer.from(JSON.stringify({ state: 'offline' }))
    return { topic: `${prefix}/${gatewayId}/state`, payload, qos: 1, isRetained: true }
  }

  start(): void {
    if (this.#parts.prefix === '') return
    this.#timer = setInterval(() => this.look(), LOOK_MS)
  }

  /** A broker that is new to it knows nothing of it. */
  onUp(): void {
    this.#said.clear()
    this.#bridgeSaidAt = Number.NEGATIVE_INFINITY
    if (this.#timer !== null) this.look()
  }

  look(now = performance.now()): void {
    const report = this.#parts.report()
    if (!report.uplink.isUp) return
    if (now - this.#bridgeSaidAt >= this.#parts.everyMs && this.#say('state', bridgeText(report)))
      this.#bridgeSaidAt = now
    let left = PER_LOOK_MAX
    for (const device of report.devices) {
      const said = this.#said.get(device.clientId)
      if (left === 0) break
      if (said?.state === device.state && now - said.at < this.#parts.everyMs) continue
      const text = deviceText(device)
      if (said?.text !== text) {
        if (!this.#say(`devices/${encodeURIComponent(device.clientId)}`, text)) return
        left--
      }
      this.#said.set(device.clientId, { state: device.state, text, at: now })
    }
    this.#forget(report.devices)
  }

  /** Devices that the gateway has forgotten. */
  #forget(devices: readonly DeviceStatus[]): void {
    if (this.#said.size <= devices.length) return
    const known = new Set(devices.map(({ clientId }) => clientId))
    for (const clientId of this.#said.keys()) {
      // an empty retained message removes the one before
      if (!known.has(clientId) && this.#say(`devices/${encodeURIComponent(clientId)}`, ''))
        this.#said.delete(clientId)
    }
  }

  #say(path: string, payload: string): boolean {
    const { prefix, gatewayId } = this.#parts
    return this.#parts.publish(`${prefix}/${gatewayId}/${path}`, payload)
  }

  /** A clean stop leaves no will to say it. */
  stop(): void {
    if (this.#timer === null) return
    clearInterval(this.#timer)
    this.#timer = null
    this.#say('state', JSON.stringify({ state: 'offline' }))
  }
}

function bridgeText({ version, startedAt, devices, links, uplink }: BridgeReport): string {
  const troubles = links.filter(({ trouble }) => trouble !== null)
  return JSON.stringify({
    state: 'online',
    version,
    since: new Date(startedAt).toISOString(),
    devices: devices.filter(({ state }) => state !== 'lost' && state !== 'disconnected').length,
    links: links.length,
    troubles: troubles.map(({ name, trouble }) => `${name}: ${trouble}`),
    accepted: uplink.counters.accepted,
  })
}

function deviceText(device: DeviceStatus): string {
  const { state, link, lastSeenAt, published, delivered, queue, roundTripMs, retransmissionsSeen } = device
  const lastSeen = new Date(lastSeenAt).toISOString()
  return JSON.stringify({
    state,
    link,
    lastSeen,
    published,
    delivered,
    queue,
    roundTripMs,
    retransmissionsSeen,
  })
}
