/** What a message costs the MQTT-SN gateway: from a link's bytes of a PUBLISH to the last answer, with a broker that accepts at once. */
import { Value } from '@sinclair/typebox/value'
import { silentSink } from '../../../broker/log-sink.ts'
import { systemClock } from '../../../firmware-bridge/clock.ts'
import { GatewaySchema, TopicsSchema } from '../../../firmware-bridge/gateway/config.ts'
import { Gateway, opaqueBodies } from '../../../firmware-bridge/gateway/index.ts'
import type { Link, LinkListener } from '../../../firmware-bridge/links/link.ts'
import { encodePacket } from '../../../firmware-bridge/packets/encoder.ts'
import { PROTOCOL_ID, type QoS, Type } from '../../../firmware-bridge/packets/packet.ts'
import type { DeviceSession, PublishResult, Uplink } from '../../../firmware-bridge/uplink/uplink.ts'
import { type Field, type Section, section, significant, thousands } from '../report.ts'
import { median } from '../statistics.ts'

const DEVICES = 200
const PAYLOAD_BYTES = 17

const CASES = [
  { name: 'QoS 0', qos: 0 },
  { name: 'QoS 1', qos: 1 },
  { name: 'QoS 2', qos: 2 },
] as const

/** Messages of each device in a run; the first tenth is not measured. */
const ROUNDS = 2_000
const ROUNDS_QUICK = 200
const SHORT_TOPIC_ID = 0x6162
/** Where a PUBLISH without a long length has its message id. */
const MESSAGE_ID_AT = 5

interface Row {
  readonly case: string
  readonly messages: number
  readonly cpuMicroseconds: number
  readonly perSecondPerCore: number
}

const FIELDS: readonly Field<Row>[] = [
  { title: 'CASE', text: (row) => row.case },
  { title: 'MESSAGES', align: 'right', text: (row) => thousands(row.messages) },
  { title: 'CPU us/msg', align: 'right', text: (row) => significant(row.cpuMicroseconds) },
  { title: 'msg/s of a core', align: 'right', text: (row) => thousands(row.perSecondPerCore) },
]

export async function gateway(runs: number, quick: boolean): Promise<Section> {
  const rounds = quick ? ROUNDS_QUICK : ROUNDS
  const rows: Row[] = []
  for (const { name, qos } of CASES) {
    const found: number[] = []
    for (let run = 0; run < runs; run++) found.push(await measure(qos, rounds))
    const cpuMicroseconds = median(found)
    const perSecondPerCore = 1e6 / cpuMicroseconds
    rows.push({ case: name, messages: DEVICES * rounds, cpuMicroseconds, perSecondPerCore })
  }
  return section(`The gateway: ${DEVICES} devices, ${PAYLOAD_BYTES} B`, FIELDS, rows)
}

/** @returns processor time of a message, microseconds */
async function measure(qos: QoS, rounds: number): Promise<number> {
  const link = new CountingLink()
  const gateway = new Gateway({
    links: [{ link, retryMs: null }],
    uplink: ACCEPTING,
    config: { ...Value.Create(GatewaySchema), advertiseSeconds: 0, messagesPerSecondMax: 100_000 },
    topics: Value.Create(TopicsSchema),
    allow: ['*'],
    reserved: new Set(),
    bodies: opaqueBodies,
    clock: systemClock,
    isClockTrusted: () => true,
    log: silentSink,
    random: Math.random,
  })
  await gateway.start()
  const peers = Array.from({ length: DEVICES }, (_, at) => `192.0.2.${at % 256}:${50_000 + at}`)
  for (const [at, peer] of peers.entries()) link.hand(peer, connect(`device-${at}`))
  await turn()
  await publish(link, peers, qos, rounds / 10)
  const sent = link.sent
  const before = process.cpuUsage()
  await publish(link, peers, qos, rounds)
  const { user, system } = process.cpuUsage(before)
  const answers = link.sent - sent
  await gateway.stop()
  if (answers !== rounds * peers.length * qos) throw new Error(`${answers} answers: not all acknowledged`)
  return (user + system) / (rounds * peers.length)
}

async function publish(
  link: CountingLink,
  peers: readonly string[],
  qos: QoS,
  rounds: number,
): Promise<void> {
  const packet = encodePacket({
    type: Type.publish,
    isDup: false,
    qos,
    isRetained: false,
    topicIdType: 'short',
    topicId: SHORT_TOPIC_ID,
    messageId: 1,
    data: Buffer.alloc(PAYLOAD_BYTES, 'x'),
  })
  const release = encodePacket({ type: Type.pubrel, messageId: 1 })
  for (let round = 0; round < rounds; round++) {
    const messageId = (round % 0xffff) + 1
    if (qos > 0) packet.writeUInt16BE(messageId, MESSAGE_ID_AT)
    release.writeUInt16BE(messageId, 2)
    for (const peer of peers) link.hand(peer, packet)
    await turn()
    if (qos < 2) continue
    for (const peer of peers) link.hand(peer, release)
    await turn()
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

const connect = (clientId: string): Buffer =>
  encodePacket({
    type: Type.connect,
    hasWill: false,
    isClean: true,
    protocolId: PROTOCOL_ID,
    duration: 3_600,
    clientId,
  })

class CountingLink implements Link {
  readonly name = 'bench'
  readonly kind = 'udp'
  readonly messageBytesMax = 1_400
  readonly counters = { framesReceived: 0, framesSent: 0, bytesReceived: 0, bytesSent: 0, dropped: new Map() }
  readonly trouble = null
  sent = 0
  #listener: LinkListener | null = null

  async open(listener: LinkListener): Promise<void> {
    this.#listener = listener
  }

  hand(peer: string, bytes: Buffer): void {
    this.#listener!.onMessage(peer, bytes)
  }

  send(): boolean {
    this.sent++
    return true
  }

  broadcast(): boolean {
    return true
  }

  async close(): Promise<void> {}
}

const ACCEPTED: PublishResult = { kind: 'accepted' }

const SESSION: DeviceSession = {
  isPresent: false,
  publish: async () => ACCEPTED,
  release: async () => {},
  subscribe: async (_, qos) => qos,
  unsubscribe: async () => {},
  setWill: async () => {},
  end: async () => {},
}

const ACCEPTING: Uplink = {
  isUp: true,
  connect: async () => SESSION,
  publishUnconnected: () => true,
  close: async () => {},
}
