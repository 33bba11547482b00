import { describe, expect, it } from 'vitest'
import { RtuPort } from '../../../firmware-bridge/modbus/rtu-port.ts'
import { seededRandom, testSeed } from '../../support/random.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
/** From the specification's own examples: unit 1 reads 2 holding registers from 0x006b; then 19 coils from 0x13. */
const REQUEST = hex('01 03 006b 0002 b5d7')
const ANSWER = hex('01 03 04 022b 0000 8a43')
const COILS_REQUEST = hex('01 01 0013 0013 8c02')

function setUp() {
  const written: Buffer[] = []
  const answers: Buffer[] = []
  const line = {
    isOpen: true,
    write: (bytes: Uint8Array) => {
      written.push(Buffer.from(bytes))
      return true
    },
  }
  const port = new RtuPort(line)
  port.on('data', (answer: Buffer) => answers.push(answer))
  return { port, written, answers }
}

function withCrc(bytes: Buffer): Buffer {
  let crc = 0xffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1
  }
  return Buffer.concat([bytes, Buffer.from([crc & 0xff, crc >>> 8])])
}

const answerTo = (body: string) => withCrc(hex(body))

describe('answers on a bus', () => {
  it('are handed on whole, however they are split', () => {
    const answer = answerTo('01 03 04 022b 0000')
    expect(answer.length).toBe(ANSWER.length)
    for (let split = 0; split <= answer.length; split++) {
      const { port, written, answers } = setUp()
      port.write(REQUEST)
      port.receive(answer.subarray(0, split))
      port.receive(answer.subarray(split))
      expect(written).toEqual([REQUEST])
      expect(answers).toEqual([answer])
    }
  })

  it('are found behind noise and behind the echo of the request', () => {
    const { port, answers } = setUp()
    port.write(REQUEST)
    port.receive(hex('00 ff 01'))
    port.receive(REQUEST)
    port.receive(answerTo('01 03 04 022b 0000'))
    expect(answers).toEqual([answerTo('01 03 04 022b 0000')])
  })

  it('of coils have a byte for eight, and an echo of the same length is none', () => {
    const { port, answers } = setUp()
    port.write(COILS_REQUEST)
    port.receive(withCrc(COILS_REQUEST.subarray(0, 6)))
    expect(answers).toEqual([])
    port.receive(answerTo('01 01 03 cd6b05'))
    expect(answers).toEqual([answerTo('01 01 03 cd6b05')])
  })

  it('that refuse are answers', () => {
    const { port, answers } = setUp()
    port.write(REQUEST)
    port.receive(answerTo('01 83 02'))
    expect(answers).toEqual([answerTo('01 83 02')])
  })

  it('of another unit, with another length or a wrong checksum are none', () => {
    const { port, answers } = setUp()
    port.write(REQUEST)
    port.receive(answerTo('02 03 04 022b 0000'))
    port.receive(answerTo('01 03 02 022b'))
    port.receive(answerTo('01 04 04 022b 0000'))
    const wrong = answerTo('01 03 04 022b 0000')
    wrong[4]! ^= 1
    port.receive(wrong)
    expect(answers).toEqual([])
    expect(port.received).toBe(9 + 7 + 9 + 9)
  })

  it('that nobody waits for are thrown away', () => {
    const { port, answers } = setUp()
    port.receive(answerTo('01 03 04 022b 0000'))
    port.write(REQUEST)
    port.rest()
    port.receive(answerTo('01 03 04 ffff ffff'))
    port.write(REQUEST)
    port.receive(answerTo('01 03 04 022b 0000'))
    port.receive(answerTo('01 03 04 ffff ffff'))
    expect(answers).toEqual([answerTo('01 03 04 022b 0000')])
    expect(port.stray).toBe(27)
  })

  it('are not looked for in noise without end', () => {
    const random = seededRandom(testSeed())
    const { port, answers } = setUp()
    port.write(REQUEST)
    for (let i = 0; i < 1000; i++) {
      port.receive(Uint8Array.from({ length: random.between(1, 300) }, () => random.between(0, 255)))
    }
    expect(answers.length, `seed ${testSeed()}`).toBeLessThan(2)
    port.write(REQUEST)
    port.receive(answerTo('01 03 04 022b 0000'))
    expect(answers.at(-1)).toEqual(answerTo('01 03 04 022b 0000'))
  })
})
