import { generate, type IPublishPacket, type Packet, parser } from 'mqtt-packet'
import { describe, expect, it } from 'vitest'
import {
  encodePublish,
  encodePubrel,
  type PublishParts,
} from '../../../firmware-bridge/uplink/packet-writer.ts'
import { seededRandom, testSeed } from '../../support/random.ts'

const PLAIN: PublishParts = {
  topic: 'a',
  payload: Buffer.from('x'),
  qos: 2,
  isRetained: false,
  isDup: false,
  packetId: 7,
  properties: { b: 'c' },
}

function generated(parts: PublishParts): Buffer {
  const { topic, payload, qos, isRetained: retain, isDup: dup, packetId: messageId, properties } = parts
  const packet: IPublishPacket = {
    cmd: 'publish',
    topic,
    payload: Buffer.from(payload),
    qos,
    retain,
    dup,
    messageId,
  }
  if (properties !== null) packet.properties = { userProperties: { ...properties } }
  return generate(packet, { protocolVersion: properties === null ? 4 : 5 })
}

describe('PUBLISH and PUBREL in one buffer', () => {
  it('PUBLISH is the bytes of the example', () => {
    expect(encodePublish(PLAIN).toString('hex')).toBe('340e0001610007072600016200016378')
  })

  it('PUBREL is what mqtt-packet writes, without what MQTT 5 lets out', () => {
    for (const messageId of [1, 0x1234, 0xffff]) {
      const packet = { cmd: 'pubrel', messageId } as Packet
      expect(encodePubrel(messageId)).toEqual(generate(packet))
      const read: Packet[] = []
      parser({ protocolVersion: 5 })
        .on('packet', (one: Packet) => read.push(one))
        .parse(encodePubrel(messageId))
      expect(read).toMatchObject([{ cmd: 'pubrel', messageId, reasonCode: 0 }])
    }
  })

  it('any PUBLISH is what mqtt-packet writes, of every length of a length', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    console.log(`HEADWATER_TEST_SEED=${seed}`)
    const text = (length: number) => Array.from({ length }, () => 'aß€/𝄞'[random.between(0, 3)]).join('')
    for (const size of [0, 1, 20, 100, 127, 128, 16_300, 16_400, 2_097_151, 2_097_200]) {
      for (let run = 0; run < 20; run++) {
        const properties = Object.fromEntries(
          Array.from({ length: random.between(1, 6) }, (_, n) => [
            `${n}${text(random.between(0, 40))}`,
            text(random.between(0, 60)),
          ]),
        )
        const parts: PublishParts = {
          topic: `t${text(random.between(0, 80))}`,
          payload: Buffer.alloc(size, run),
          qos: random.between(0, 2) as 0 | 1 | 2,
          isRetained: random.next() < 0.5,
          isDup: random.next() < 0.5,
          packetId: random.between(1, 0xffff),
          properties: random.next() < 0.3 ? null : properties,
        }
        expect(encodePublish(parts).equals(generated(parts))).toBe(true)
      }
    }
  })

  it('without properties MQTT 5 has their length alone', () => {
    const read: Packet[] = []
    const reader = parser({ protocolVersion: 5 }).on('packet', (packet: Packet) => read.push(packet))
    reader.parse(encodePublish({ ...PLAIN, properties: {} }))
    expect(read).toMatchObject([
      { cmd: 'publish', topic: 'a', messageId: 7, qos: 2, payload: Buffer.from('x') },
    ])
  })

  it('a topic longer than 65,535 bytes is refused', () => {
    expect(() => encodePublish({ ...PLAIN, topic: 'x'.repeat(65_536) })).toThrow('65,535')
  })
})
