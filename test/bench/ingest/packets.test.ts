import mqtt, { type IPublishPacket } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { connectPacket, PubackRing, PublishRing, pubackId, publishPacketBytes } from './packets.ts'

function decode(bytes: Buffer): unknown[] {
  const packets: unknown[] = []
  const parser = mqtt.parser()
  parser.on('packet', (packet) => packets.push(packet))
  parser.on('error', (error) => packets.push(error))
  parser.parse(bytes)
  return packets
}

test('a ring over its end gives the packets that another parser reads', () => {
  for (const payloadBytes of [0, 64, 200, 20_000]) {
    const ring = new PublishRing('site/1/t', payloadBytes, 5, 1)
    expect(ring.packetBytes).toBe(publishPacketBytes('site/1/t', payloadBytes))
    const packets = decode(Buffer.concat(ring.slices(3, 4))) as IPublishPacket[]
    expect(packets.map(({ messageId }) => messageId)).toEqual([4, 5, 1, 2])
    for (const { topic, qos, payload } of packets) {
      expect([topic, qos, payload.length]).toEqual(['site/1/t', 1, payloadBytes])
    }
  }
})

test('acknowledgements come in the order of the ring', () => {
  const bytes = Buffer.concat(new PubackRing(300).slices(298, 3))
  expect([0, 4, 8].map((at) => pubackId(bytes, at))).toEqual([299, 300, 1])
  expect(() => pubackId(Buffer.from([0x30, 2, 0, 1]), 0)).toThrow('type 3')
})

test('a client connects with a clean session', () => {
  expect(decode(connectPacket('bench-1'))).toMatchObject([
    { cmd: 'connect', clientId: 'bench-1', clean: true },
  ])
})
