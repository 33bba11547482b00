import { describe, expect, it } from 'vitest'
import { frameBytesMax } from '../../../firmware-bridge/framing/frame.ts'
import { FrameEncoder } from '../../../firmware-bridge/framing/frame-encoder.ts'
import { playLives, seededRandom, testSeed } from '../../support/random.ts'
import { collecting, framed, someMessage } from './collected.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const PINGREQ = hex('02 16')
/** The example of frame.ts. */
const WIRE = hex('00 05 02 16 09 9a 00')

describe('a frame', () => {
  it('is on the wire as its grammar shows', () => {
    expect(framed(PINGREQ).toString('hex')).toBe(WIRE.toString('hex'))
  })

  it('is read with one delimiter between, or several', () => {
    const { decoder, messages, dropped } = collecting()
    decoder.push(hex('05 02 16 09 9a 00 05 02 16 09 9a 00 00 00 00 05 02 16 09 9a 00'))
    expect(messages).toEqual([PINGREQ, PINGREQ, PINGREQ])
    expect(dropped).toEqual([])
  })

  it('of every length comes back as it went', () => {
    const random = seededRandom(testSeed())
    const { decoder, messages, dropped } = collecting(254)
    const sent = Array.from({ length: 253 }, (_, i) => {
      const message = Buffer.alloc(i + 2, random.between(0, 0xfd))
      message[0] = message.length
      return message
    })
    for (const message of sent) decoder.push(framed(message))
    expect(messages).toEqual(sent)
    expect(dropped).toEqual([])
  })

  it('may be a forwarder’s, with the message that it carries', () => {
    const { decoder, messages, dropped } = collecting()
    decoder.push(framed(hex('05 fe 00 01 02 02 17')))
    decoder.push(framed(hex('05 fe 00 01 02 03 17')))
    expect(messages).toEqual([hex('05 fe 00 01 02 02 17')])
    expect(dropped).toEqual(['length'])
  })

  it('may have its length in three octets', () => {
    const { decoder, messages, dropped } = collecting()
    decoder.push(framed(hex('01 00 06 18 00 3c')))
    decoder.push(framed(hex('01 00 07 18 00 3c')))
    expect(messages).toEqual([hex('01 00 06 18 00 3c')])
    expect(dropped).toEqual(['length'])
  })

  it('comes whole from chunks that are split anywhere', () => {
    const random = seededRandom(testSeed())
    const sent = [someMessage(random, 40), PINGREQ, someMessage(random, 40)]
    const wire = framed(...sent)
    for (let first = 0; first <= wire.length; first++) {
      for (let second = first; second <= wire.length; second++) {
        const { decoder, messages, dropped } = collecting()
        for (const [from, to] of [
          [0, first],
          [first, second],
          [second, wire.length],
        ])
          decoder.push(wire.subarray(from, to))
        expect(messages, `split at ${first} and ${second}, seed ${testSeed()}`).toEqual(sent)
        expect(dropped).toEqual([])
      }
    }
  })

  it('comes whole byte by byte', () => {
    const { decoder, messages } = collecting()
    for (const byte of framed(PINGREQ, PINGREQ)) decoder.push(Uint8Array.of(byte))
    expect(messages).toEqual([PINGREQ, PINGREQ])
  })
})

describe('a bad frame is dropped and told why', () => {
  const PUBLISH = hex('0a 0c 20 00 07 00 2a 31 32 33')

  it.each([
    ['crc', hex('00 05 02 16 09 9b 00')],
    ['crc', hex('00 05 03 16 09 9a 00')],
    ['cobs', hex('00 06 02 16 09 9a 00')],
    ['cobs', hex('00 04 02 16 09 9a 00')],
    ['truncated', hex('00 02 02 00')],
    ['truncated', hex('00 04 02 16 09 00')],
    ['length', framed(hex('03 16'))],
    ['length', framed(hex('01 00 02'))],
    ['oversize', framed(Buffer.concat([hex('81'), Buffer.alloc(128, 7)]))],
    ['oversize', Buffer.concat([hex('00'), Buffer.alloc(100_000, 7), hex('00')])],
  ])('%s (%#)', (reason, wire) => {
    const { decoder, messages, dropped } = collecting(128)
    decoder.push(wire)
    decoder.push(framed(PUBLISH))
    expect(dropped).toEqual([reason])
    expect(messages).toEqual([PUBLISH])
  })

  it('one that is too long is told once, however it comes', () => {
    const { decoder, messages, dropped } = collecting(128)
    for (let i = 0; i < 1000; i++) decoder.push(Buffer.alloc(7, 0x55))
    decoder.push(framed(PINGREQ))
    expect(dropped).toEqual(['oversize'])
    expect(decoder.bytesSkipped).toBe(7000)
    expect(messages).toEqual([PINGREQ])
  })

  it('the longest that fits is taken, in one chunk and in two', () => {
    const message = Buffer.alloc(128, 7)
    message[0] = 128
    const wire = framed(message)
    expect(wire.length - 2).toBeLessThanOrEqual(frameBytesMax(128))
    const { decoder, messages } = collecting(128)
    decoder.push(wire)
    decoder.push(wire.subarray(0, 100))
    decoder.push(wire.subarray(100))
    expect(messages).toEqual([message, message])
  })

  it('one that the port left unfinished is told, and what comes next is not joined to it', () => {
    const { decoder, messages, dropped } = collecting()
    decoder.push(WIRE.subarray(0, 4))
    decoder.reset()
    decoder.push(WIRE.subarray(4))
    decoder.push(WIRE)
    expect(dropped).toEqual(['truncated', 'cobs'])
    expect(messages).toEqual([PINGREQ])
    decoder.reset()
    expect(dropped.length).toBe(2)
  })
})

describe('noise', () => {
  it('before a frame does not harm it', async () => {
    await playLives(200, async (random) => {
      const { decoder, messages } = collecting()
      const noise = Buffer.from(Array.from({ length: random.between(0, 400) }, () => random.between(0, 255)))
      const sent = [someMessage(random), someMessage(random)]
      decoder.push(noise)
      decoder.push(framed(...sent))
      expect(messages.slice(-2)).toEqual(sent)
    })
  })

  it('between frames costs those that it touches', async () => {
    await playLives(100, async (random) => {
      const { decoder, messages } = collecting()
      const sent = Array.from({ length: 20 }, () => someMessage(random))
      const hit = random.between(1, 18)
      sent.forEach((message, i) => {
        const wire = framed(message)
        // a byte of the frame itself, not of its delimiters
        if (i === hit) wire[random.between(1, wire.length - 2)]! ^= 1 << random.between(0, 7)
        decoder.push(wire)
      })
      expect(messages).toEqual(sent.filter((_, i) => i !== hit))
    })
  })
})

describe('the encoder', () => {
  it('uses one buffer again and again', () => {
    const encoder = new FrameEncoder(128)
    const first = encoder.encode(PINGREQ)
    const second = encoder.encode(hex('03 16 41'))
    expect(second.buffer).toBe(first.buffer)
  })

  it('takes no message that is longer than its frame', () => {
    expect(() => new FrameEncoder(128).encode(Buffer.alloc(129))).toThrow('129 bytes is too long')
  })
})
