/**
 * Hostile bytes: whatever comes, a decoder gives a value or says what is wrong. Seeded; HEADWATER_TEST_SEED plays a failure again.
 */
import { describe, expect, it } from 'vitest'
import {
  AcknowledgementView,
  readAcknowledgement,
} from '../../../../broker/mqtt/packets/acknowledgement-view.ts'
import { decodeConnect } from '../../../../broker/mqtt/packets/connect-decoder.ts'
import { FrameScanner, PacketType } from '../../../../broker/mqtt/packets/frame-scanner.ts'
import type { ProtocolVersion } from '../../../../broker/mqtt/packets/packet.ts'
import { decodePacket } from '../../../../broker/mqtt/packets/packet-decoder.ts'
import { MqttProtocolError, Reason } from '../../../../broker/mqtt/packets/protocol-error.ts'
import { PublishView, readPublish } from '../../../../broker/mqtt/packets/publish-view.ts'
import { playLives, type Random } from '../../../support/random.ts'
import { bytes, connectBytes, hex, limits, packet, properties, text } from './support.ts'

const LIVES = 40
const STREAMS = 60
const PACKET_BYTES_MAX = 4096
const VERSIONS = [3, 4, 5] as const
const CODES: readonly number[] = Object.values(Reason)

const message = properties(
  '01 01',
  '02 0000003c',
  '03',
  text('c'),
  '08',
  text('r'),
  '09',
  text('d'),
  '23 0001',
  '26',
  text('a'),
  text('b'),
)
/** One of each kind, valid: what is changed at random. */
const SEEDS: readonly Buffer[] = [
  connectBytes({ version: 3 }),
  connectBytes({
    version: 4,
    flags: 0xee,
    payload: [text('p'), text('w'), text('x'), text('me'), text('pw')],
  }),
  connectBytes({
    flags: 0xc6,
    properties: bytes(
      '11 0000003c',
      '21 0010',
      '27 00001000',
      '15',
      text('m'),
      '16',
      text('d'),
      '26',
      text('a'),
      text('b'),
    ),
    payload: [
      text('p'),
      properties('18 00000005', '08', text('r')),
      text('w'),
      text('x'),
      text('me'),
      text('pw'),
    ],
  }),
  packet(0x30, text('a/b'), 'aabb'),
  packet(0x3a, text('a/b'), '0001', 'aabb'),
  packet(0x32, text('a/b'), '0001', message, 'aabb'),
  packet(0x30, text(''), properties('23 0001'), 'aabb'),
  packet(0x40, '0001'),
  packet(0x50, '0001', '97', properties('1f', text('why'), '26', text('a'), text('b'))),
  packet(0x62, '0001', '92'),
  packet(0x70, '0001'),
  packet(0x82, '0001', text('a/+/#'), 1, text('$share/g/a'), 2),
  packet(
    0x82,
    '0001',
    properties('0b ac02', '26', text('a'), text('b')),
    text('a/+/#'),
    0x2d,
    text('$share/g/a'),
    2,
  ),
  packet(0xa2, '0001', text('a/+'), text('é')),
  packet(0xa2, '0001', '00', text('a/+'), text('é')),
  hex('c000'),
  hex('e000'),
  packet(0xe0, '04', properties('11 00000000', '1f', text('bye'))),
  packet(0xf0, '18', properties('15', text('m'))),
]

const INTERESTING = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x23, 0x2b, 0x2f, 0xed, 0xa0, 0xc0, 0x26, 0x0b]

function changed(random: Random, whole: Buffer): Buffer {
  let found = Buffer.from(whole)
  for (let count = random.between(0, 3); count > 0 && found.length > 0; count--) {
    const at = random.between(0, found.length - 1)
    const value =
      random.between(0, 1) === 0
        ? INTERESTING[random.between(0, INTERESTING.length - 1)]!
        : random.between(0, 255)
    const kind = random.between(0, 5)
    if (kind <= 2) found[at] = value
    else if (kind === 3)
      found = Buffer.concat([found.subarray(0, at), Buffer.from([value]), found.subarray(at)])
    else if (kind === 4) found = Buffer.concat([found.subarray(0, at), found.subarray(at + 1)])
    else found[at]! ^= 1 << random.between(0, 7)
  }
  // Mostly with the right length, so that what is changed lies in the body.
  if (random.between(0, 3) === 0 || found.length < 2) return found
  return packet(found[0]!, found.subarray(2))
}

function streamOf(random: Random): Buffer {
  if (random.between(0, 9) === 0) {
    return Buffer.from(Array.from({ length: random.between(1, 200) }, () => random.between(0, 255)))
  }
  return Buffer.concat(
    Array.from({ length: random.between(1, 4) }, () =>
      changed(random, SEEDS[random.between(0, SEEDS.length - 1)]!),
    ),
  )
}

/** What a connection would see of a stream that comes in these chunks, up to the first error. */
function seen(chunks: readonly Buffer[], version: ProtocolVersion): string[] {
  const scanner = new FrameScanner(PACKET_BYTES_MAX, 'any')
  const found: string[] = []
  try {
    for (const chunk of chunks) {
      scanner.push(chunk)
      for (let frame = scanner.next(); frame !== null; frame = scanner.next()) {
        const type = frame.first >> 4
        const value =
          type === PacketType.connect ? decodeConnect(frame, limits) : decodePacket(frame, version, limits)
        found.push(JSON.stringify(value))
      }
    }
  } catch (error) {
    if (!(error instanceof MqttProtocolError)) throw error
    if (!CODES.includes(error.reasonCode)) throw new Error(`no reason code: ${error.reasonCode}`)
    found.push(`${error.reasonCode} ${error.message}`)
  }
  return found
}

function chunksOf(random: Random, stream: Buffer): Buffer[] {
  const chunks: Buffer[] = []
  for (let at = 0; at < stream.length; ) {
    const size = random.between(1, random.between(0, 1) === 0 ? 3 : 50)
    chunks.push(Buffer.from(stream.subarray(at, at + size)))
    at += size
  }
  return chunks
}

describe('valid packets', () => {
  it('are read the same wherever they are cut in two', () => {
    const stream = Buffer.concat([...SEEDS])
    for (const version of VERSIONS) {
      for (const seed of SEEDS) {
        const whole = seen([seed], version)
        for (let at = 1; at < seed.length; at++) {
          expect(seen([seed.subarray(0, at), seed.subarray(at)], version)).toEqual(whole)
        }
      }
      const all = seen([stream], version)
      for (let at = 1; at < stream.length; at++) {
        expect(seen([stream.subarray(0, at), stream.subarray(at)], version)).toEqual(all)
      }
    }
  })

  it('that end too soon, at any byte, are refused or read as something shorter', () => {
    for (const version of VERSIONS) {
      for (const seed of SEEDS) {
        for (let length = 2; length < seed.length; length++) {
          expect(seen([packet(seed[0]!, seed.subarray(2, length))], version)).toHaveLength(1)
        }
      }
    }
  })
})

describe('hostile bytes', () => {
  it('are refused or read, and mean the same in whatever chunks they come', () =>
    playLives(LIVES, async (random) => {
      for (let count = 0; count < STREAMS; count++) {
        const stream = streamOf(random)
        for (const version of VERSIONS) {
          const whole = seen([stream], version)
          expect(seen(chunksOf(random, stream), version), stream.toString('hex')).toEqual(whole)
        }
      }
    }))

  it('get the same judgement on the hot path as off it', () =>
    playLives(LIVES, async (random) => {
      const publish = new PublishView(limits)
      const acknowledgement = new AcknowledgementView(limits)
      for (let count = 0; count < STREAMS; count++) {
        const whole = changed(random, SEEDS[random.between(3, 10)]!)
        const version = VERSIONS[random.between(0, 2)]!
        expect(hot(whole, version, publish, acknowledgement), whole.toString('hex')).toBe(
          cold(whole, version),
        )
      }
    }))

  it('never make a packet that is longer than what came', () =>
    playLives(LIVES, async (random) => {
      for (let count = 0; count < STREAMS; count++) {
        const stream = streamOf(random)
        const scanner = new FrameScanner(PACKET_BYTES_MAX, 'any')
        let taken = 0
        try {
          scanner.push(stream)
          for (let frame = scanner.next(); frame !== null; frame = scanner.next()) {
            expect(frame.from).toBeLessThanOrEqual(frame.to)
            expect(frame.to).toBeLessThanOrEqual(frame.bytes.length)
            taken += frame.to - frame.from + 2
          }
        } catch (error) {
          if (!(error instanceof MqttProtocolError)) throw error
        }
        expect(taken).toBeLessThanOrEqual(stream.length)
      }
    }))
})

/** Frames of other types say nothing. A topic is judged apart from its PUBLISH: what fails by its topic alone counts as taken. */
function hot(
  whole: Buffer,
  version: ProtocolVersion,
  publish: PublishView,
  view: AcknowledgementView,
): string {
  return judged(whole, (frame) => {
    const type = frame.first >> 4
    if (type === PacketType.publish) {
      readPublish(frame, version, publish)
      return `${publish.packetId} ${publish.payloadTo - publish.payloadFrom} ${JSON.stringify(publish.messageProperties())}`
    }
    if (type < PacketType.puback || type > PacketType.pubcomp) return 'other'
    readAcknowledgement(frame, version, view)
    return `${view.packetId} ${view.reasonCode}`
  })
}

function cold(whole: Buffer, version: ProtocolVersion): string {
  return judged(whole, (frame) => {
    const type = frame.first >> 4
    if (type < PacketType.publish || type > PacketType.pubcomp) return 'other'
    // A wildcard in a topic is no matter of readPublish: the bytes of the topic are replaced, not their number.
    const value = decodePacket(type === PacketType.publish ? withPlainTopic(frame) : frame, version, limits)
    if (value.type === 'publish') {
      return `${value.packetId} ${value.payload.length} ${JSON.stringify(value.properties)}`
    }
    return 'packetId' in value && 'reasonCode' in value ? `${value.packetId} ${value.reasonCode}` : 'other'
  })
}

function withPlainTopic(frame: ReturnType<FrameScanner['next']> & object) {
  const copy = Buffer.from(frame.bytes)
  if (frame.from + 2 <= frame.to) {
    const to = frame.from + 2 + copy.readUInt16BE(frame.from)
    if (to <= frame.to) copy.fill('t', frame.from + 2, to)
  }
  return { ...frame, bytes: copy }
}

function judged(whole: Buffer, of: (frame: ReturnType<FrameScanner['next']> & object) => string): string {
  const scanner = new FrameScanner(PACKET_BYTES_MAX, 'any')
  try {
    scanner.push(whole)
    const frame = scanner.next()
    return frame === null ? 'more' : of(frame)
  } catch (error) {
    if (error instanceof MqttProtocolError) return error.message
    throw error
  }
}
