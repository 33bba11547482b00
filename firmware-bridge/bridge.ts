/** The running bridge: links, the gateway, lines and the uplink, started in the order in which they need each other. */
import { parseListenAddress } from '../broker/config/address.ts'
import type { LogSink } from '../broker/log-sink.ts'
import { BodyMapper } from './bodies/body-mapper.ts'
import { systemClock } from './clock.ts'
import { bridgeClientId, isOutlet, outletClientId } from './config/client-ids.ts'
import type { BridgeConfig, LinkConfig } from './config/schema.ts'
import { newGatewayCounters } from './gateway/counters.ts'
import { Gateway, type GatewayLink } from './gateway/index.ts'
import type { LineLinkConfig } from './lines/config.ts'
import type { LineLink } from './lines/line-link.ts'
import type { Link } from './links/link.ts'
import type { ModbusLinkConfig } from './modbus/config.ts'
import type { ModbusLink } from './modbus/modbus-link.ts'
import { Outbox } from './outlet/outbox.ts'
import { type BridgeReport, type LinkReport, linkReport } from './status/report.ts'
import { StatusServer } from './status/status-server.ts'
import { StatusTopics } from './status/status-topics.ts'
import { openLevelWindowDb } from './uplink/level-window-db.ts'
import { MqttUplink, witnessClientIdOf } from './uplink/mqtt-uplink.ts'

export interface BridgeParts {
  readonly config: BridgeConfig
  readonly version: string
  readonly log: LogSink
  /** Whether this machine's Unix time can be believed. */
  readonly isClockTrusted: () => boolean
}

/** A link that publishes by itself, without devices: text lines. */
interface SelfPublishing {
  start(): Promise<void>
  stop(): Promise<void>
  report(): LinkReport
}

export class Bridge {
  readonly #parts: BridgeParts
  readonly #startedAt = Date.now()
  readonly #closers: (() => Promise<void>)[] = []
  readonly #links: Link[] = []
  readonly #self: SelfPublishing[] = []
  #uplink!: MqttUplink
  #gateway!: Gateway
  #topics!: StatusTopics
  #statusPort = 0

  private constructor(parts: BridgeParts) {
    this.#parts = parts
  }

  /** Resolves once devices can come; the broker need not be there. @throws BridgeError */
  static async start(parts: BridgeParts): Promise<Bridge> {
    const bridge = new Bridge(parts)
    try {
      await bridge.#start()
    } catch (error) {
      await bridge.stop()
      throw error
    }
    return bridge
  }

  /** Where status and metrics are asked for. */
  get statusPort(): number {
    return this.#statusPort
  }

  async #start(): Promise<void> {
    await this.#startUplink()
    await this.#startStatus()
    await this.#startLinks()
  }

  async #startUplink(): Promise<void> {
    const { config, log } = this.#parts
    const { broker, sessions, clientIdPrefix, window, gateway, status } = config
    const db = await openLevelWindowDb(config.data)
    const will = StatusTopics.will(status.topicPrefix, gateway.id)
    try {
      this.#uplink = await MqttUplink.start({
        config: {
          ...{ broker, sessions, clientIdPrefix, window },
          bridgeClientId: `${clientIdPrefix}${bridgeClientId(config)}`,
        },
        db,
        log,
        will,
        onUp: () => this.#topics?.onUp(),
      })
    } catch (error) {
      await db.close()
      throw error
    }
    this.#closers.push(() => this.#uplink.close())
  }

  async #startStatus(): Promise<void> {
    const { status, gateway } = this.#parts.config
    const address = parseListenAddress(status.address)
    // the configuration was checked
    if (typeof address === 'string') throw new Error(address)
    const server = await StatusServer.start(address, () => this.report())
    this.#statusPort = server.port
    this.#closers.push(() => server.close())
    this.#topics = new StatusTopics({
      prefix: status.topicPrefix,
      gatewayId: gateway.id,
      everyMs: status.publishSeconds * 1000,
      report: () => this.report(),
      publish: (topic, payload) => this.#uplink.publishState(topic, payload),
    })
    this.#closers.push(async () => this.#topics.stop())
  }

  async #startLinks(): Promise<void> {
    const { config, log, isClockTrusted } = this.#parts
    const links: GatewayLink[] = []
    for (const entry of config.links) {
      if (entry.kind === 'serial' && entry.protocol === 'line') this.#self.push(await this.#lineLink(entry))
      else if (entry.kind === 'serial' && entry.protocol === 'modbus')
        this.#self.push(await this.#modbusLink(entry))
      else links.push(await this.#gatewayLink(entry))
    }
    this.#gateway = new Gateway({
      links,
      uplink: this.#uplink,
      config: config.gateway,
      topics: config.topics,
      allow: config.devices.allow,
      reserved: this.#ownClientIds(),
      bodies: new BodyMapper(config.devices.bodies),
      clock: systemClock,
      isClockTrusted,
      log,
      random: Math.random,
    })
    this.#closers.push(() => this.#gateway.stop())
    await this.#gateway.start()
    for (const self of this.#self) {
      this.#closers.push(() => self.stop())
      await self.start()
    }
    this.#topics.start()
  }

  /** Without the prefix, as devices have theirs. */
  #ownClientIds(): Set<string> {
    const { config } = this.#parts
    const own = bridgeClientId(config)
    return new Set([own, witnessClientIdOf(own), ...config.links.filter(isOutlet).map(outletClientId)])
  }

  /** Each kind of link is loaded where there is one: serialport takes 5 MB. */
  async #gatewayLink(entry: Exclude<LinkConfig, LineLinkConfig | ModbusLinkConfig>): Promise<GatewayLink> {
    const { log } = this.#parts
    let link: Link
    if (entry.kind === 'udp') {
      const { UdpLink } = await import('./links/udp-link.ts')
      link = new UdpLink(entry, { clock: systemClock, log, random: Math.random })
    } else {
      const { SerialLink } = await import('./links/serial-link.ts')
      const { systemSerialHost } = await import('./links/serial-line.ts')
      link = new SerialLink(entry, systemSerialHost(systemClock, log))
    }
    this.#links.push(link)
    return { link, retryMs: entry.retryMs }
  }

  async #lineLink(entry: LineLinkConfig): Promise<SelfPublishing> {
    const { log, isClockTrusted } = this.#parts
    const { LineLink } = await import('./lines/line-link.ts')
    const { systemSerialHost } = await import('./links/serial-line.ts')
    const host = { ...systemSerialHost(systemClock, log), isClockTrusted }
    return this.#selfPublishing(new LineLink(entry, host, this.#outbox(entry)), 'line')
  }

  async #modbusLink(entry: ModbusLinkConfig): Promise<SelfPublishing> {
    const { log, isClockTrusted } = this.#parts
    const { ModbusLink } = await import('./modbus/modbus-link.ts')
    const { startCron } = await import('../broker/cron.ts')
    const { systemSerialHost } = await import('./links/serial-line.ts')
    const host = { ...systemSerialHost(systemClock, log), isClockTrusted, startSchedule: startCron }
    return this.#selfPublishing(new ModbusLink(entry, host, this.#outbox(entry)), 'modbus')
  }

  #outbox(entry: LineLinkConfig | ModbusLinkConfig): Outbox {
    const host = { uplink: this.#uplink, clock: systemClock, log: this.#parts.log, random: Math.random }
    return new Outbox(outletClientId(entry), entry, host)
  }

  #selfPublishing(link: LineLink | ModbusLink, protocol: 'line' | 'modbus'): SelfPublishing {
    return {
      start: () => link.start(),
      stop: () => link.stop(),
      report: () => {
        const { accepted, refused, dropped } = link.outbox.counters
        const published = { accepted, refused, dropped, waiting: link.outbox.length }
        return linkReport(link, 'serial', protocol, published)
      },
    }
  }

  report(): BridgeReport {
    const { config, version } = this.#parts
    // asked before there is one: status is there first
    const { malformed, refused, ...counts } = this.#gateway?.counters ?? newGatewayCounters()
    return {
      version,
      pid: process.pid,
      startedAt: this.#startedAt,
      gatewayId: config.gateway.id,
      residentBytes: process.memoryUsage.rss(),
      uplink: this.#uplink.status(),
      gateway: { ...counts, malformed: Object.fromEntries(malformed), refused: Object.fromEntries(refused) },
      links: [
        ...this.#links.map((link) => linkReport(link, link.kind, 'mqtt-sn', null)),
        ...this.#self.map((self) => self.report()),
      ],
      devices: [...(this.#gateway?.devices() ?? [])],
    }
  }

  /** Devices are told, what is in flight is waited for, and the broker's sessions stay. */
  async stop(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close()
  }
}
