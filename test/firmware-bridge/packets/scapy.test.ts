/** Another codec reads what this one writes, and the other way: scapy's MQTT-SN, from Debian's package python3-scapy. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { decodePacket } from '../../../firmware-bridge/packets/decoder.ts'
import { encodePacket } from '../../../firmware-bridge/packets/encoder.ts'
import { type Packet, type SubscribeTopic, Type } from '../../../firmware-bridge/packets/packet.ts'
import { nameOfType, plain, SAMPLES } from './samples.ts'

/** Debian's packages are seen by Debian's Python, whatever else is first on the PATH. */
const PYTHON = '/usr/bin/python3'
const ORACLE = join(import.meta.dirname, 'scapy-oracle.py')
const INSTALLED = spawnSync(PYTHON, ['-c', 'import scapy.contrib.mqttsn']).status === 0
if (!INSTALLED)
  console.warn(
    'scapy is not installed (apt-get install python3-scapy): MQTT-SN packets are not compared with it',
  )

type Fields = Record<string, number | string>
interface Parsed {
  readonly type: number
  readonly len: number
  readonly fields: Fields
  readonly rest: string
}

const latin1 = (bytes: Uint8Array | string) => Buffer.from(bytes as string).toString('latin1')
const qosBits = (qos: number) => qos & 3
const TOPIC_ID_TYPES = { normal: 0, predefined: 1, short: 2, name: 0 }

/** What scapy calls the fields of a packet. */
function scapyFields(packet: Packet): Fields {
  switch (packet.type) {
    case Type.advertise:
      return { gw_id: packet.gatewayId, duration: packet.duration }
    case Type.searchGateway:
      return { radius: packet.radius }
    case Type.gatewayInfo:
      return { gw_id: packet.gatewayId, gw_addr: latin1(packet.gatewayAddress) }
    case Type.connect:
      return {
        will: Number(packet.hasWill),
        cleansess: Number(packet.isClean),
        prot_id: packet.protocolId,
        duration: packet.duration,
        client_id: latin1(packet.clientId),
      }
    case Type.willTopic:
    case Type.willTopicUpdate:
      if (packet.will === null) return {}
      return {
        qos: packet.will.qos,
        retain: Number(packet.will.isRetained),
        will_topic: latin1(packet.will.topic),
      }
    case Type.willMessage:
    case Type.willMessageUpdate:
      return { will_msg: latin1(packet.message) }
    case Type.register:
      return { tid: packet.topicId, mid: packet.messageId, topic_name: latin1(packet.topicName) }
    case Type.publish:
      return {
        dup: Number(packet.isDup),
        qos: qosBits(packet.qos),
        retain: Number(packet.isRetained),
        tid_type: TOPIC_ID_TYPES[packet.topicIdType],
        tid: packet.topicId,
        mid: packet.messageId,
        data: latin1(packet.data),
      }
    case Type.subscribe:
      return {
        dup: Number(packet.isDup),
        qos: packet.qos,
        mid: packet.messageId,
        ...topicFields(packet.topic),
      }
    case Type.unsubscribe:
      return { mid: packet.messageId, ...topicFields(packet.topic) }
    case Type.encapsulated:
      return { radius: packet.radius, w_node_id: latin1(packet.nodeId) }
    default:
      return answerFields(packet)
  }
}

function answerFields(packet: Packet): Fields {
  const fields: Fields = {}
  if ('qos' in packet) fields.qos = packet.qos
  if ('topicId' in packet) fields.tid = packet.topicId
  if ('messageId' in packet) fields.mid = packet.messageId
  if ('returnCode' in packet) fields.return_code = packet.returnCode
  if ('clientId' in packet) fields.client_id = latin1(packet.clientId)
  if (packet.type === Type.disconnect && packet.duration !== null) fields.duration = packet.duration
  return fields
}

function topicFields(topic: SubscribeTopic): Fields {
  const tid_type = TOPIC_ID_TYPES[topic.kind]
  if (topic.kind === 'predefined') return { tid_type, tid: topic.topicId }
  return topic.kind === 'short'
    ? { tid_type, short_topic: topic.name }
    : { tid_type, topic_name: latin1(topic.name) }
}

function ask<Answer>(questions: readonly unknown[]): Answer[] {
  const { stdout, stderr, status } = spawnSync(PYTHON, [ORACLE], {
    input: JSON.stringify(questions),
    encoding: 'utf8',
    timeout: 60_000,
  })
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout)
}

/** A field that has no byte on the wire is not among those that scapy read. */
const withoutEmpty = (fields: Fields) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''))

/** scapy 2.5 cannot build an empty WILLTOPIC: it writes the flags. */
const isBuilt = (packet: Packet) => !('will' in packet && packet.will === null)

describe.runIf(INSTALLED)('scapy', () => {
  let parsed: Parsed[]
  let built: { hex: string }[]

  beforeAll(() => {
    parsed = ask(SAMPLES.map((packet) => ({ hex: encodePacket(packet).toString('hex') })))
    built = ask(
      SAMPLES.map((packet) => ({
        type: packet.type,
        fields: isBuilt(packet) ? scapyFields(packet) : {},
        // without it scapy writes a duration
        ...(packet.type === Type.disconnect && packet.duration === null ? { len: 2 } : {}),
        ...('nodeId' in packet ? { message: Buffer.from(packet.message).toString('hex') } : {}),
      })),
    )
  }, 60_000)

  it.each(SAMPLES.map((packet, at) => [`${at} ${nameOfType(packet.type)}`, at] as const))(
    'reads what was written here, and writes what is read here: %s',
    (_, at) => {
      const packet = SAMPLES[at]!
      const bytes = encodePacket(packet)
      const { type, len, fields, rest } = parsed[at]!
      expect(type).toBe(packet.type)
      expect(len).toBe('nodeId' in packet ? bytes.length - packet.message.length : bytes.length)
      expect(fields).toMatchObject(withoutEmpty(scapyFields(packet)))
      expect(rest).toBe('nodeId' in packet ? Buffer.from(packet.message).toString('hex') : '')
      if (!isBuilt(packet)) return
      expect(built[at]!.hex).toBe(bytes.toString('hex'))
      expect(plain(decodePacket(Buffer.from(built[at]!.hex, 'hex')))).toEqual(plain(packet))
    },
  )
})
