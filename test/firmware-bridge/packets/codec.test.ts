import { describe, expect, it } from 'vitest'
import { decodePacket } from '../../../firmware-bridge/packets/decoder.ts'
import { encodePacket } from '../../../firmware-bridge/packets/encoder.ts'
import { shortTopicId, shortTopicName, Type } from '../../../firmware-bridge/packets/packet.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { nameOfType, plain, SAMPLES } from './samples.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

it('the samples have every type of packet', () => {
  expect(new Set(SAMPLES.map(({ type }) => type))).toEqual(new Set(Object.values(Type)))
})

describe.each(SAMPLES.map((packet, at) => [`${at} ${nameOfType(packet.type)}`, packet] as const))(
  '%s',
  (_, packet) => {
    const bytes = encodePacket(packet)

    it('is read as it was written', () => {
      expect(plain(decodePacket(bytes))).toEqual(plain(packet))
    })

    it('is read from the middle of a larger buffer', () => {
      const around = Buffer.concat([Buffer.alloc(13, 0xee), bytes, Buffer.alloc(7, 0xee)])
      expect(plain(decodePacket(around.subarray(13, 13 + bytes.length)))).toEqual(plain(packet))
    })

    it('is none when it is cut short anywhere', () => {
      for (let size = 0; size < bytes.length; size++) {
        // What a forwarder carries has a length of its own: it is found to be short when it is read.
        if (packet.type === Type.encapsulated && size === bytes.length) continue
        expect(decodePacket(bytes.subarray(0, size)).type, `${size} bytes`).toBe('malformed')
      }
    })

    it('is none with a byte after it', () => {
      if (packet.type === Type.encapsulated) return
      expect(decodePacket(Buffer.concat([bytes, hex('00')]))).toEqual({ type: 'malformed', reason: 'length' })
    })

    it('is read with the long form of its length', () => {
      if (packet.type === Type.encapsulated || bytes[0] === 1) return
      const longer = Buffer.concat([hex('010000'), bytes.subarray(1)])
      longer.writeUInt16BE(longer.length, 1)
      expect(plain(decodePacket(longer))).toEqual(plain(packet))
    })
  },
)

describe('examples in bytes', () => {
  it.each([
    ['CONNECT, clean, 60 s', '0d 04 04 01 00 3c 64 65 76 69 63 65 31'],
    ['PUBLISH of QoS -1 to the short topic ab', '09 0c 62 61 62 00 00 68 69'],
    ['PUBLISH of QoS 1, repeated, topic id 9, message id 77', '0b 0c a0 00 09 00 4d 32 31 2e 35'],
    ['PUBACK, invalid topic id', '07 0d 00 09 00 4d 02'],
    ['SUBSCRIBE with QoS 1 to a/#', '08 12 20 00 03 61 2f 23'],
    ['DISCONNECT for an hour', '04 18 0e 10'],
    ['a forwarder with node 05 06 around PINGRESP', '05 fe 00 05 06 02 17'],
    ['GWINFO of a gateway', '03 02 07'],
  ])('%s', (_, text) => {
    const decoded = decodePacket(hex(text))
    if (decoded.type === 'malformed') throw new Error(decoded.reason)
    expect(encodePacket(decoded).toString('hex')).toBe(text.replaceAll(' ', ''))
  })

  it('lengths of 255 and 256 take one byte and three', () => {
    const ping = (size: number) => encodePacket({ type: Type.pingRequest, clientId: 'c'.repeat(size) })
    expect(ping(253).subarray(0, 2)).toEqual(hex('ff16'))
    expect(ping(254).subarray(0, 4)).toEqual(hex('01010216'))
  })
})

describe('what is not a packet', () => {
  it.each([
    ['nothing', '', 'length'],
    ['a length of 0', '00 17', 'length'],
    ['a length of 1, long form without its bytes', '01 17', 'length'],
    ['a length that is less than what came', '02 17 00', 'length'],
    ['a length that is more than what came', '03 17', 'length'],
    ['a long length that disagrees', '01 00 05 17', 'length'],
    ['PINGRESP with a body', '03 17 00', 'length'],
    ['PUBACK without a return code', '06 0d 00 09 00 4d', 'length'],
    ['DISCONNECT with half a duration', '03 18 00', 'length'],
    ['WILLTOPIC with flags alone', '03 07 00', 'length'],
    ['REGISTER of an empty name', '06 0a 00 00 00 05', 'length'],
    ['SUBSCRIBE to an empty name', '05 12 00 00 03', 'length'],
    ['SUBSCRIBE to a short topic of three', '08 12 02 00 03 61 62 63', 'length'],
    ['type 03', '02 03', 'unknown-type'],
    ['type 11', '02 11', 'unknown-type'],
    ['type 1e', '02 1e', 'unknown-type'],
    ['type ff', '02 ff', 'unknown-type'],
    ['PUBLISH with the reserved topic id type', '07 0c 03 00 09 00 00', 'flags'],
    ['SUBSCRIBE with QoS -1', '06 12 60 00 03 61', 'flags'],
    ['WILLTOPIC with QoS 3', '04 07 60 61', 'flags'],
    ['SUBACK with QoS 3', '08 13 60 00 01 00 03 00', 'flags'],
    ['PUBLISH of QoS 1 with message id 0', '07 0c 20 00 09 00 00', 'message-id'],
    ['PUBREL with message id 0', '04 10 00 00', 'message-id'],
    ['SUBSCRIBE with message id 0', '06 12 00 00 00 61', 'message-id'],
    ['a PUBACK that accepts message id 0', '07 0d 00 09 00 00 00', 'message-id'],
    ['PUBACK with a reserved return code', '07 0d 00 09 00 4d 04', 'return-code'],
    ['CONNACK with a reserved return code', '03 05 ff', 'return-code'],
    ['a client id with U+0000', '08 04 04 01 00 3c 61 00', 'text'],
    ['a client id with half a character', '08 04 04 01 00 3c 61 c3', 'text'],
    ['a topic with U+0000 after an umlaut', '0a 0a 00 00 00 05 c3 b6 00 61', 'text'],
    ['an encoded surrogate', '09 0a 00 00 00 05 ed a0 80', 'text'],
    ['a forwarder without a node id', '03 fe 00 02 17', 'encapsulation'],
    ['a forwarder with nothing to forward', '05 fe 00 05 06', 'encapsulation'],
    ['a forwarder that forwards for another', '04 fe 00 05 05 fe 00 05 06', 'encapsulation'],
    ['a forwarder with reserved bits', '04 fe 04 05 02 17', 'flags'],
  ])('%s', (_, text, reason) => {
    expect(decodePacket(hex(text))).toEqual({ type: 'malformed', reason })
  })

  it('a PUBACK that refuses a PUBLISH without a message id is one', () => {
    expect(decodePacket(hex('07 0d 00 09 00 00 02'))).toMatchObject({ messageId: 0, returnCode: 2 })
  })

  it('is told without an exception for whatever bytes come; what is read is written as it was read', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    let packets = 0
    for (let round = 0; round < 60_000; round++) {
      const bytes = garbage(random)
      const decoded = decodePacket(bytes)
      if (decoded.type === 'malformed') continue
      packets++
      const again = decodePacket(encodePacket(decoded))
      expect(plain(again), `HEADWATER_TEST_SEED=${seed}, ${bytes.toString('hex')}`).toEqual(plain(decoded))
    }
    expect(packets).toBeGreaterThan(5_000)
  })
})

/** Half of it random, half of it samples with one byte changed; most with a length that fits, to come further. */
function garbage(random: ReturnType<typeof seededRandom>): Buffer {
  if (random.next() < 0.5) {
    const bytes = Buffer.from(encodePacket(SAMPLES[random.between(0, SAMPLES.length - 1)]!))
    bytes[random.between(0, bytes.length - 1)] = random.between(0, 255)
    return bytes
  }
  const bytes = Buffer.from(Array.from({ length: random.between(0, 24) }, () => random.between(0, 255)))
  if (bytes.length >= 2 && random.next() < 0.8) bytes[0] = bytes.length
  if (bytes.length >= 2 && random.next() < 0.5) bytes[1] = random.between(0, 0x1f)
  return bytes
}

describe('short topics', () => {
  it('are two bytes that are the topic id', () => {
    expect(shortTopicId('ab')).toBe(0x6162)
    expect(shortTopicName(0x6162)).toBe('ab')
    expect(shortTopicId('ö')).toBe(0xc3b6)
    expect(shortTopicName(0xc3b6)).toBe('ö')
    expect([0x8081, 0xc0ff].map(shortTopicName), 'no text: no two of them are one topic').toEqual(['', ''])
    expect(shortTopicId('a')).toBeNull()
    expect(shortTopicId('abc')).toBeNull()
  })
})
