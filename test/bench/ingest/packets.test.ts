import mqtt, { type IConnackPacket, type IPublishPacket } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { type Manner, versionOf } from './manner.ts'
import {
  connackAccepted,
  connectPacket,
  deliveryBytes,
  entryBytes,
  PacketReader,
  PubackRing,
  PublishRing,
  pubackBytes,
  pubackId,
  receiveMaximumOf,
} from './packets.ts'

const MANNERS: readonly Manner[] = ['plain', 'guarded']

function decode(bytes: Buffer, manner: Manner): unknown[] {
  const packets: unknown[] = []
  const parser = mqtt.parser({ protocolVersion: versionOf(manner) })
  parser.on('packet', (packet) => packets.push(packet))
  parser.on('error', (error) => packets.push(error))
  parser.parse(bytes)
  return packets
}

test('a ring over its end gives the packets that another parser reads', () => {
  for (const manner of MANNERS) {
    for (const payloadBytes of [0, 64, 200, 20_000]) {
      const of = { topic: 'site/1/t', payloadBytes, manner }
      const ring = new PublishRing({ ...of, entry: { qos0: 0, qos1: 1 }, count: 5, row: 1 })
      expect(ring.entryBytes).toBe(deliveryBytes('site/1/t', payloadBytes, manner, 1))
      const packets = decode(Buffer.concat(ring.slices(3, 4)), manner) as IPublishPacket[]
      expect(packets.map(({ messageId }) => messageId)).toEqual([4, 5, 1, 2])
      for (const { topic, qos, payload } of packets) {
        expect([topic, qos, payload.length]).toEqual(['site/1/t', 1, payloadBytes])
      }
    }
  }
})

test('an entry is its messages of QoS 0 and the one that is acknowledged for all of them', () => {
  for (const manner of MANNERS) {
    const of = { topic: 'site/1/t', payloadBytes: 64, manner }
    const entry = { qos0: 3, qos1: 1 } as const
    const ring = new PublishRing({ ...of, entry, count: 2, row: 0 })
    expect(ring.messages).toBe(4)
    expect(ring.entryBytes).toBe(entryBytes(entry, of))
    const packets = decode(Buffer.concat(ring.slices(1, 2)), manner) as IPublishPacket[]
    expect(packets.map(({ qos }) => qos)).toEqual([0, 0, 0, 1, 0, 0, 0, 1])
    expect(packets.map(({ messageId }) => messageId).filter(Boolean)).toEqual([2, 1])
  }
})

test('acknowledgements come in the order of the ring', () => {
  const bytes = Buffer.concat(new PubackRing(300).slices(298, 3))
  expect([0, 4, 8].map((at) => [pubackBytes(bytes, at), pubackId(bytes, at)])).toEqual([
    [4, 299],
    [4, 300],
    [4, 1],
  ])
  expect(pubackBytes(bytes, 12)).toBe(0)
  expect(pubackBytes(bytes.subarray(0, 7), 4)).toBe(0)
  expect(() => pubackBytes(Buffer.from([0x30, 2, 0, 1]), 0)).toThrow('type 3')
})

test('an acknowledgement of MQTT 5 may have a reason, and a refusal is no acknowledgement', () => {
  expect(pubackBytes(Buffer.from([0x40, 3, 0, 1, 0x10]), 0)).toBe(5)
  expect(pubackBytes(Buffer.from([0x40, 4, 0, 1, 0x10, 0]), 0)).toBe(6)
  expect(pubackBytes(Buffer.from([0x40, 4, 0, 1, 0x10]), 0)).toBe(0)
  expect(() => pubackBytes(Buffer.from([0x40, 3, 0, 1, 0x97]), 0)).toThrow('refused with 151')
})

test('a client connects with a clean session, and is told what may be in flight', () => {
  expect(decode(connectPacket('dev-1', 'plain'), 'plain')).toMatchObject([
    { cmd: 'connect', clientId: 'dev-1', clean: true, protocolVersion: 4 },
  ])
  expect(decode(connectPacket('dev-1', 'guarded'), 'guarded')).toMatchObject([
    { cmd: 'connect', clientId: 'dev-1', clean: true, protocolVersion: 5, username: 'device-1' },
  ])
  for (const manner of MANNERS) {
    const bytes = connackAccepted(versionOf(manner))
    const [connack] = new PacketReader(manner).read(bytes) as [IConnackPacket]
    expect(receiveMaximumOf(connack)).toBe(65_535)
    bytes[3] = 5
    expect(() => receiveMaximumOf(new PacketReader(manner).read(bytes)[0] as IConnackPacket)).toThrow(
      'code 5',
    )
  }
})
