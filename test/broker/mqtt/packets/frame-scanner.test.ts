import { describe, expect, it } from 'vitest'
import { FrameScanner } from '../../../../broker/mqtt/packets/frame-scanner.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import { bytes, hex, packet, refusal, variable } from './support.ts'

const PACKET_BYTES_MAX = 1024 * 1024

/** What a scanner found: of each packet the first byte and the body. */
function scanned(chunks: readonly Buffer[], startsWith: 'connect' | 'any' = 'any'): string[] {
  const scanner = new FrameScanner(PACKET_BYTES_MAX, startsWith)
  const found: string[] = []
  for (const chunk of chunks) {
    scanner.push(chunk)
    for (let frame = scanner.next(); frame !== null; frame = scanner.next()) {
      found.push(`${frame.first.toString(16)} ${frame.bytes.toString('hex', frame.from, frame.to)}`)
    }
  }
  if (!scanner.isEmpty) found.push('more')
  return found
}

function chunksOf(whole: Buffer, size: number): Buffer[] {
  const chunks: Buffer[] = []
  for (let at = 0; at < whole.length; at += size) chunks.push(Buffer.from(whole.subarray(at, at + size)))
  return chunks
}

const bodies = [0, 1, 2, 126, 127, 128, 129, 300, 16_383, 16_384, 40_000].map((length) =>
  Buffer.alloc(length, 0xa5),
)
const stream = Buffer.concat(bodies.map((body) => packet(0x30, body)))
const expected = bodies.map((body) => `30 ${body.toString('hex')}`)

describe('packets out of chunks', () => {
  it('are found where all of them lie in one chunk', () => {
    expect(scanned([stream])).toEqual(expected)
  })

  it('are found whatever the size of the chunks is', () => {
    for (const size of [1, 2, 3, 5, 127, 128, 1000, 16_384, 65_536]) {
      expect(scanned(chunksOf(stream, size)), `chunks of ${size}`).toEqual(expected)
    }
  })

  it('are found wherever two chunks meet', () => {
    const short = Buffer.concat([
      packet(0xc0),
      packet(0x32, Buffer.alloc(200, 1)),
      packet(0xe0),
      packet(0x30, '0001 61'),
    ])
    const whole = scanned([short])
    expect(whole).toHaveLength(4)
    for (let at = 0; at <= short.length; at++) {
      expect(scanned([short.subarray(0, at), short.subarray(at)]), `cut at ${at}`).toEqual(whole)
    }
  })

  it('are found in chunks of any size, with any number of them pushed before one is asked for', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    for (let round = 0; round < 50; round++) {
      const scanner = new FrameScanner(PACKET_BYTES_MAX, 'any')
      const found: string[] = []
      const take = () => {
        for (let frame = scanner.next(); frame !== null; frame = scanner.next()) {
          found.push(`${frame.first.toString(16)} ${frame.bytes.toString('hex', frame.from, frame.to)}`)
        }
      }
      for (let at = 0; at < stream.length; ) {
        const size = random.between(0, random.between(0, 3) === 0 ? 20_000 : 40)
        scanner.push(Buffer.from(stream.subarray(at, at + size)))
        at += size
        if (random.between(0, 2) === 0) take()
      }
      take()
      expect(found, `HEADWATER_TEST_SEED=${seed}`).toEqual(expected)
      expect(scanner.isEmpty).toBe(true)
    }
  })

  it('are views of a chunk that holds all of them: nothing is copied', () => {
    const scanner = new FrameScanner(PACKET_BYTES_MAX, 'any')
    const chunk = Buffer.concat([packet(0x30, '0001 61 62'), packet(0x30, Buffer.alloc(300))])
    scanner.push(chunk)
    expect(scanner.next()?.bytes).toBe(chunk)
    expect(scanner.next()?.bytes).toBe(chunk)
  })

  it('keep their bytes while the next ones are read, even where they came in pieces', () => {
    const scanner = new FrameScanner(PACKET_BYTES_MAX, 'any')
    const views: Buffer[] = []
    for (const chunk of chunksOf(
      Buffer.concat([1, 2, 3, 4].map((n) => packet(0x30, Buffer.alloc(500, n)))),
      333,
    )) {
      scanner.push(chunk)
      for (let frame = scanner.next(); frame !== null; frame = scanner.next()) {
        views.push(frame.bytes.subarray(frame.from, frame.to))
      }
    }
    expect(views.map((view) => [...new Set(view)])).toEqual([[1], [2], [3], [4]])
  })

  it('leave nothing of a chunk behind but a copy of what is not whole yet', () => {
    const scanner = new FrameScanner(PACKET_BYTES_MAX, 'any')
    const chunk = bytes(packet(0xc0), '30 05 00 01')
    scanner.push(chunk)
    expect(scanner.next()?.first).toBe(0xc0)
    expect(scanner.next()).toBeNull()
    chunk.fill(0xff)
    scanner.push(hex('61 62 63'))
    const frame = scanner.next()
    expect(frame?.bytes.toString('hex', frame.from, frame.to)).toBe('0001616263')
  })
})

describe('the remaining length', () => {
  it('is told from one that takes more bytes than it needs', () => {
    const minimal = (whole: string) => {
      const scanner = new FrameScanner(PACKET_BYTES_MAX, 'any')
      scanner.push(hex(whole))
      return scanner.next()?.isLengthMinimal
    }
    expect(minimal('c0 00')).toBe(true)
    expect(minimal('c0 80 00')).toBe(false)
    expect(minimal('c0 80 80 80 00')).toBe(false)
    expect(minimal('e0 01 00')).toBe(true)
    expect(minimal('e0 81 00 00')).toBe(false)
    expect(minimal(`30 80 01 ${'00'.repeat(128)}`)).toBe(true)
    expect(minimal(`30 80 81 00 ${'00'.repeat(128)}`)).toBe(false)
  })

  it('of five bytes is refused, as soon as four of them say that another follows', () => {
    expect(refusal(() => scanned([hex('30 80 80 80 80')]))).toBe('0x81 section 1.5.5')
    expect(refusal(() => scanned([hex('30'), hex('ff'), hex('ff'), hex('ff'), hex('ff')]))).toBe(
      '0x81 section 1.5.5',
    )
    expect(scanned([hex('30 80 80 80')])).toEqual(['more'])
  })

  it('beyond the maximum packet size is refused from the header alone [MQTT-3.2.2-15]', () => {
    const header = (size: number) => bytes(0x30, variable(size - 1 - variable(size).length))
    expect(scanned([header(PACKET_BYTES_MAX)])).toEqual(['more'])
    expect(refusal(() => scanned([header(PACKET_BYTES_MAX + 1)]))).toBe('0x95 MQTT-3.2.2-15')
    expect(refusal(() => scanned(chunksOf(header(PACKET_BYTES_MAX + 1), 1)))).toBe('0x95 MQTT-3.2.2-15')
    expect(refusal(() => scanned([hex('30 ff ff ff 7f')]))).toBe('0x95 MQTT-3.2.2-15')
  })

  it('is held against the maximum of the moment, the fixed header included', () => {
    const scanner = new FrameScanner(10, 'any')
    scanner.push(
      bytes(packet(0x30, Buffer.alloc(8)), packet(0x30, Buffer.alloc(9)), packet(0x30, Buffer.alloc(10))),
    )
    expect(scanner.next()?.to).toBe(10)
    scanner.packetBytesMax = 11
    expect(scanner.next()?.to).toBe(21)
    expect(refusal(() => scanner.next())).toBe('0x95 MQTT-3.2.2-15')
  })

  it('that is announced takes no memory before the bytes come', () => {
    const before = process.memoryUsage().arrayBuffers
    const scanners = Array.from({ length: 200 }, () => {
      const scanner = new FrameScanner(PACKET_BYTES_MAX, 'any')
      scanner.push(bytes(0x30, variable(1_000_000), Buffer.alloc(100)))
      scanner.next()
      return scanner
    })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200 * 8192)
    expect(scanners.every(({ isEmpty }) => !isEmpty)).toBe(true)
  })
})

describe('the first byte', () => {
  it('of a connection must be a CONNECT [MQTT-3.1.0-1]', () => {
    const first = (whole: string) => refusal(() => scanned([hex(whole)], 'connect'))
    for (const type of ['20', '30', '40', '82', 'c0', 'e0', 'f0', '00', '47']) {
      expect(first(type), type).toBe('0x82 MQTT-3.1.0-1')
    }
    expect(scanned([hex('10 00 c0 00')], 'connect')).toEqual(['10 ', 'c0 '])
    expect(refusal(() => scanned([hex('c0 00')], 'connect'))).toBe('0x82 MQTT-3.1.0-1')
  })

  it('of the reserved type 0 is refused before its length has come [section 2.1.2]', () => {
    expect(refusal(() => scanned([hex('c0 00 0a')]))).toBe('0x82 section 2.1.2')
    expect(refusal(() => scanned([hex('00 00')]))).toBe('0x82 section 2.1.2')
    expect(refusal(() => scanned([hex('30'), hex('00'), hex('0a')]))).toBe('0x82 section 2.1.2')
  })
})

describe('a scanner', () => {
  it('is empty when no part of a packet is kept', () => {
    const scanner = new FrameScanner(PACKET_BYTES_MAX, 'any')
    expect(scanner.isEmpty).toBe(true)
    scanner.push(hex('c0'))
    expect(scanner.isEmpty).toBe(false)
    expect(scanner.next()).toBeNull()
    expect(scanner.isEmpty).toBe(false)
    scanner.push(hex('00'))
    expect(scanner.next()?.first).toBe(0xc0)
    expect(scanner.isEmpty).toBe(true)
    expect(scanner.next()).toBeNull()
    scanner.push(Buffer.alloc(0))
    expect(scanner.isEmpty).toBe(true)
  })
})
