import { generate, type Packet, parser } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import {
  AcknowledgementSieve,
  type TakeAcknowledgement,
} from '../../../firmware-bridge/uplink/acknowledgement-sieve.ts'
import { type Random, seededRandom, testSeed } from '../../support/random.ts'

const PUBREC_7 = '50020007'

/** What is taken, and what goes on, of chunks in hexadecimal. */
function sifted(chunks: readonly string[], isOurs: (packetId: number) => boolean = () => true) {
  const taken: string[] = []
  let wentOn = ''
  const sieve = new AcknowledgementSieve((kind, packetId, reasonCode) => {
    if (isOurs(packetId)) taken.push(`${kind} ${packetId} ${reasonCode}`)
    return isOurs(packetId)
  })
  for (const chunk of chunks) {
    const bytes = Buffer.from(chunk, 'hex')
    sieve.read(bytes, bytes.length, (from, to) => {
      wentOn += bytes.toString('hex', from, to)
    })
  }
  return { taken, wentOn }
}

describe('acknowledgements are taken where they lie', () => {
  test('each of the three kinds, with and without a reason code, several in a chunk', () => {
    const { taken, wentOn } = sifted([`${PUBREC_7}5003000810700200094002000a`])
    expect(taken).toEqual(['pubrec 7 0', 'pubrec 8 16', 'pubcomp 9 0', 'puback 10 0'])
    expect(wentOn).toBe('')
  })

  test('with a text behind the reason code', () => {
    const bytes = '5008000780041f000161'
    expect(sifted([`${bytes}${PUBREC_7}`]).taken).toEqual(['pubrec 7 128', 'pubrec 7 0'])
  })

  test('one that nobody waits for goes on, and what is around it is taken', () => {
    const { taken, wentOn } = sifted([`50020006${PUBREC_7}50020006`], (id) => id === 7)
    expect(taken).toEqual(['pubrec 7 0'])
    expect(wentOn).toBe('5002000650020006')
  })

  test('what is inside of another packet is none', () => {
    const { taken, wentOn } = sifted([`3007000161${PUBREC_7}`, PUBREC_7])
    expect(taken).toEqual(['pubrec 7 0'])
    expect(wentOn).toBe(`3007000161${PUBREC_7}`)
  })

  test.each([2, 4, 6])('one that is cut after %i digits goes on whole, and the next is taken', (digits) => {
    const { taken, wentOn } = sifted([PUBREC_7.slice(0, digits), `${PUBREC_7.slice(digits)}70020007`])
    expect(taken).toEqual(['pubcomp 7 0'])
    expect(wentOn).toBe(PUBREC_7)
  })

  test('flags that MQTT does not know, and lengths that are none, go on to whoever refuses them', () => {
    for (const bytes of ['51020007', '4000', '400107']) {
      expect(sifted([bytes])).toEqual({ taken: [], wentOn: bytes })
    }
  })

  test('any packets in any pieces: each is taken or goes on, in order, none twice', () => {
    const seed = testSeed()
    console.info(`HEADWATER_TEST_SEED=${seed}`)
    const random = seededRandom(seed)
    let lastId = 0
    for (let round = 0; round < 300; round++) {
      const packets = Array.from({ length: 1 + random.between(0, 11) }, () => anyPacket(random, ++lastId))
      const bytes = Buffer.concat(packets.map((packet) => generate(packet, { protocolVersion: 5 })))
      const { taken, others } = throughSieve(inPieces(bytes, random))
      const expected = packets.map(textOf)
      const isAcknowledgement = (text: string) => /^pub(ack|rec|comp) /.test(text)
      // those that lay across two pieces went on
      expect([...taken, ...others.filter(isAcknowledgement)].toSorted()).toEqual(
        expected.filter(isAcknowledgement).toSorted(),
      )
      expect(others.filter((text) => !isAcknowledgement(text))).toEqual(
        expected.filter((text) => !isAcknowledgement(text)),
      )
      expect(taken).toEqual(expected.filter((text) => taken.includes(text) && !others.includes(text)))
    }
  })
})

function anyPacket(random: Random, messageId: number): Packet {
  switch (random.between(0, 5)) {
    case 0:
      return { cmd: 'puback', messageId, reasonCode: random.between(0, 1) * 0x10 } as Packet
    case 1:
      return { cmd: 'pubrec', messageId, reasonCode: random.between(0, 1) * 0x87 } as Packet
    case 2:
      return { cmd: 'pubcomp', messageId, reasonCode: 0 } as Packet
    case 3:
      return { cmd: 'pingresp' }
    case 4:
      return { cmd: 'suback', messageId, granted: [0, 1] } as Packet
    default: {
      const payload = Buffer.alloc(random.between(0, 399), 0x50)
      return { cmd: 'publish', topic: 'a', payload, qos: 1, dup: false, retain: false, messageId }
    }
  }
}

function textOf(packet: Packet): string {
  const { cmd, messageId, reasonCode = 0 } = packet as Packet & { reasonCode?: number }
  return /^pub(ack|rec|comp)$/.test(cmd) ? `${cmd} ${messageId} ${reasonCode}` : `${cmd} ${messageId ?? ''}`
}

function inPieces(bytes: Buffer, random: Random): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + random.between(1, random.between(0, 1) === 0 ? 5 : 300))
    pieces.push(bytes.subarray(at, end))
    at = end
  }
  return pieces
}

/** What went on is read by mqtt-packet, as by mqtt.js. */
function throughSieve(pieces: readonly Buffer[]): { taken: string[]; others: string[] } {
  const taken: string[] = []
  const others: string[] = []
  const reader = parser({ protocolVersion: 5 })
  reader.on('packet', (packet: Packet) => others.push(textOf(packet)))
  reader.on('error', (error: Error) => {
    throw error
  })
  const take: TakeAcknowledgement = (kind, packetId, reasonCode) => {
    taken.push(`${kind} ${packetId} ${reasonCode}`)
    return true
  }
  const sieve = new AcknowledgementSieve(take)
  for (const piece of pieces) {
    sieve.read(piece, piece.length, (from, to) => reader.parse(Buffer.from(piece.subarray(from, to))))
  }
  return { taken, others }
}
