/** A gateway with one link, and devices that a test speaks for. */
import { Value } from '@sinclair/typebox/value'
import type { LogSink } from '../../../broker/log-sink.ts'
import { type BodyMapper, opaqueBodies } from '../../../firmware-bridge/gateway/bodies.ts'
import {
  type GatewayConfig,
  GatewaySchema,
  type TopicsConfig,
  TopicsSchema,
} from '../../../firmware-bridge/gateway/config.ts'
import { Gateway } from '../../../firmware-bridge/gateway/gateway.ts'
import { decodePacket } from '../../../firmware-bridge/packets/decoder.ts'
import { encodePacket } from '../../../firmware-bridge/packets/encoder.ts'
import {
  type Connect,
  type Packet,
  type Publish,
  type QoS,
  type Register,
  type Subscribe,
  type SubscribeTopic,
  Type,
  type WillTopic,
} from '../../../firmware-bridge/packets/packet.ts'
import { plain } from '../packets/samples.ts'
import { FakeClock, FakeUplink, MemoryLink, settled } from './fakes.ts'

export interface BenchOptions {
  readonly config?: Partial<GatewayConfig>
  readonly topics?: Partial<TopicsConfig>
  readonly allow?: readonly string[]
  readonly bodies?: BodyMapper
  readonly link?: MemoryLink
  readonly isClockTrusted?: boolean
  readonly random?: () => number
}

export class Bench {
  readonly clock = new FakeClock()
  readonly uplink = new FakeUplink()
  readonly link: MemoryLink
  readonly gateway: Gateway
  readonly log: string[] = []
  readonly #sent = new Map<string, Packet[]>()

  constructor(options: BenchOptions = {}) {
    this.link = options.link ?? new MemoryLink()
    this.link.onSend = (peer, bytes) => {
      const packet = decodePacket(bytes)
      if (packet.type === 'malformed') throw new Error(`${packet.reason}: ${bytes.toString('hex')}`)
      this.#sent.set(peer, [...(this.#sent.get(peer) ?? []), plain(packet) as Packet])
    }
    const line = (message: string) => void this.log.push(message)
    const log: LogSink = { info: line, warn: line, error: line }
    this.gateway = new Gateway({
      links: [{ link: this.link, retryMs: 1_000 }],
      uplink: this.uplink,
      config: { ...Value.Create(GatewaySchema), advertiseSeconds: 0, ...options.config },
      topics: { ...Value.Create(TopicsSchema), ...options.topics },
      allow: options.allow ?? ['*'],
      reserved: new Set(['headwater-bridge-1']),
      bodies: options.bodies ?? opaqueBodies,
      clock: this.clock,
      isClockTrusted: () => options.isClockTrusted ?? true,
      log,
      random: options.random ?? (() => 0.5),
    })
  }

  /** Started, with a device connected for each id: peer `p1` the first. */
  static async with(options: BenchOptions = {}, ...clientIds: string[]): Promise<Bench> {
    const bench = new Bench(options)
    await bench.gateway.start()
    for (const [at, clientId] of clientIds.entries()) await bench.send(connect({ clientId }), `p${at + 1}`)
    return bench
  }

  /** @returns what the peer was sent since it was last looked */
  async send(packet: Packet | Uint8Array, peer = 'p1'): Promise<Packet[]> {
    this.post(packet, peer)
    await settled()
    return this.heard(peer)
  }

  post(packet: Packet | Uint8Array, peer = 'p1'): void {
    this.link.listener!.onMessage(peer, 'type' in packet ? encodePacket(packet) : packet)
  }

  async advance(ms: number, peer = 'p1'): Promise<Packet[]> {
    await this.clock.advance(ms)
    return this.heard(peer)
  }

  heard(peer = 'p1'): Packet[] {
    const packets = this.#sent.get(peer) ?? []
    this.#sent.delete(peer)
    return packets
  }

  async deliver(clientId: string, message: Parameters<FakeUplink['deliver']>[1]): Promise<Packet[]> {
    this.uplink.deliver(clientId, message)
    await settled()
    return this.heard()
  }

  status(clientId: string) {
    return [...this.gateway.devices()].find((device) => device.clientId === clientId)!
  }

  /** What the broker got, as text. */
  get published(): string[] {
    return this.uplink.published.map(
      ({ message }) => `${message.topic} ${Buffer.from(message.payload).toString()}`,
    )
  }
}

export const connect = (fields: Partial<Connect> = {}): Connect => ({
  type: Type.connect,
  hasWill: false,
  isClean: true,
  protocolId: 1,
  duration: 60,
  clientId: 'pump',
  ...fields,
})

export const publish = (fields: Partial<Omit<Publish, 'data'>> & { data?: string } = {}): Publish => ({
  type: Type.publish,
  isDup: false,
  qos: 1,
  isRetained: false,
  topicIdType: 'short',
  topicId: 0x6162,
  messageId: fields.qos === 0 || fields.qos === -1 ? 0 : 1,
  ...fields,
  data: Buffer.from(fields.data ?? 'hi'),
})

export const subscribe = (
  topic: string | SubscribeTopic,
  fields: Partial<Omit<Subscribe, 'topic'>> = {},
): Subscribe => ({
  type: Type.subscribe,
  isDup: false,
  qos: 1,
  messageId: 1,
  ...fields,
  topic: typeof topic === 'string' ? { kind: 'name', name: topic } : topic,
})

export const register = (topicName: string, messageId = 1): Register => ({
  type: Type.register,
  topicId: 0,
  messageId,
  topicName,
})

export const willTopic = (topic: string | null): WillTopic => ({
  type: Type.willTopic,
  will: topic === null ? null : { qos: 1, isRetained: true, topic },
})
export const willMessage = (text: string) => ({ type: Type.willMessage, message: Buffer.from(text) }) as const

export const disconnect = (duration: number | null = null): Packet => ({ type: Type.disconnect, duration })
export const ping = (clientId = ''): Packet => ({ type: Type.pingRequest, clientId })
export const puback = (messageId: number, returnCode: 0 | 1 | 2 | 3 = 0, topicId = 0): Packet => ({
  type: Type.puback,
  topicId,
  messageId,
  returnCode,
})
export const regack = (packet: Packet, returnCode: 0 | 1 | 2 | 3 = 0): Packet => {
  const { topicId, messageId } = packet as Register
  return { type: Type.regack, topicId, messageId, returnCode }
}

/** Short, for tables: `PUBLISH q1 dup normal 5 #1 "hi"`. */
export function told(packets: readonly Packet[]): string[] {
  return packets.map(tell)
}

function tell(packet: Packet): string {
  const name = Object.entries(Type).find(([, type]) => type === packet.type)![0]
  if (packet.type === Type.publish) {
    const { qos, isDup, isRetained, topicIdType, messageId, data } = packet
    const flags = `${isDup ? ' dup' : ''}${isRetained ? ' retained' : ''}`
    return `${name} q${qos}${flags} ${topicIdType}${qos > 0 ? ` #${messageId}` : ''} ${Buffer.from(data)}`
  }
  const parts: string[] = [name]
  if ('messageId' in packet) parts.push(`#${packet.messageId}`)
  if ('qos' in packet) parts.push(`q${(packet as { qos: QoS }).qos}`)
  if ('topicName' in packet) parts.push(packet.topicName)
  if ('returnCode' in packet)
    parts.push(['accepted', 'congestion', 'invalid', 'unsupported'][packet.returnCode]!)
  return parts.join(' ')
}
