/** Packets that do not come to an end: bounded in all, and it is whoever holds most that goes. */
import { Duplex } from 'node:stream'
import { generate } from 'mqtt-packet'
import { describe, expect, it } from 'vitest'
import type { Access } from '../../../../broker/mqtt/connection/access.ts'
import { OPEN_ACCESS } from '../../../../broker/mqtt/connection/access.ts'
import { HELD_EVENT } from '../../../../broker/mqtt/connection/frame-reader.ts'
import {
  type UnfinishedPacket,
  UnfinishedPackets,
} from '../../../../broker/mqtt/connection/unfinished-packets.ts'
import type { Front } from '../../../../broker/mqtt/front.ts'
import { Reason } from '../../../../broker/mqtt/packets/protocol-error.ts'
import { startFront, type TestClient } from './support.ts'

class Packet implements UnfinishedPacket {
  readonly owner: string
  error: Error | null = null
  constructor(owner: string) {
    this.owner = owner
  }
  giveUp(error: Error): void {
    this.error = error
  }
}

describe('the limit', () => {
  it('ends the oldest packet of the owner that holds most, and no other', () => {
    const all = new UnfinishedPackets(100)
    const [honest, first, second] = [new Packet('user a'), new Packet('address b'), new Packet('address b')]
    all.hold(honest, 40)
    all.hold(first, 25)
    all.hold(second, 30)
    expect(all.bytes).toBe(95)
    all.hold(second, 36)
    expect([honest.error, second.error]).toEqual([null, null])
    expect(first.error).toMatchObject({ reasonCode: Reason.quotaExceeded })
    expect(all.bytes).toBe(76)
  })

  it('counts what a packet takes now, and nothing of one that is whole', () => {
    const all = new UnfinishedPackets(100)
    const packet = new Packet('a')
    for (let n = 0; n < 10; n++) {
      all.hold(packet, 60)
      all.hold(packet, 90)
      all.hold(packet, 0)
    }
    expect([all.bytes, packet.error]).toEqual([0, null])
  })

  it('can end the packet that has just grown', () => {
    const all = new UnfinishedPackets(100)
    const packet = new Packet('a')
    all.hold(packet, 101)
    expect(packet.error).not.toBeNull()
    expect(all.bytes).toBe(0)
  })
})

const PACKET_BYTES = 40_000
const LIMITS = { packetBytesMax: 65_536, unfinishedBytesMax: 4 * 65_536 }

/** A PUBLISH of QoS 1 without its last byte. */
function publishOf(payloadBytes: number): Buffer {
  const length = 2 + 3 + 2 + 1 + payloadBytes
  const head = [0x32, (length & 0x7f) | 0x80, ((length >> 7) & 0x7f) | 0x80, length >> 14, 0, 3]
  return Buffer.concat([
    Buffer.from(head),
    Buffer.from('a/b'),
    Buffer.from([0, 9, 0]),
    Buffer.alloc(payloadBytes),
  ])
}

const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** The broker's end of a WebSocket, which puts messages together before it hands them over: a test says what it holds. */
async function collecting(front: Front, first: Buffer, address = '192.0.2.9'): Promise<Duplex> {
  const stream = new Duplex({
    read() {},
    write(_chunk, _encoding, done) {
      done()
    },
  })
  front.accept(stream, { address, port: 1000, identity: null })
  stream.push(first)
  await turns(5)
  return stream
}

describe('a front', () => {
  it('ends flooders that never finish, not the one who is slow with a single packet', async () => {
    const { open, sink } = await startFront({ limits: LIMITS })
    const connected = async (clientId: string, address: string) => {
      const client = open(5, address)
      await client.connect({ clientId })
      return client
    }
    const whole = publishOf(PACKET_BYTES)
    const slow = await connected('slow', '192.0.2.1')
    slow.sendBytes(whole.subarray(0, -1))
    const flooders: TestClient[] = []
    for (let n = 0; n < 12; n++) {
      const one = await connected(`flood-${n}`, '192.0.2.9')
      flooders.push(one)
      one.sendBytes(whole.subarray(0, -1))
      // what was sent is with the broker
      await turns(10)
    }
    const ended = flooders.filter(({ received }) => received.some(({ cmd }) => cmd === 'disconnect'))
    expect(ended.length).toBeGreaterThanOrEqual(12 - 262_144 / PACKET_BYTES)
    expect(ended).toEqual(flooders.slice(0, ended.length))
    expect(await flooders[0]!.next('disconnect')).toMatchObject({ reasonCode: Reason.quotaExceeded })
    slow.sendBytes(whole.subarray(-1))
    expect(await slow.next('puback')).toMatchObject({ messageId: 9 })
    expect(JSON.stringify(sink)).toContain('packets that are not whole')
  })

  it('lets go of what a connection held that ends, or that comes to its end', async () => {
    const { open } = await startFront({ limits: LIMITS })
    const whole = publishOf(PACKET_BYTES)
    for (let n = 0; n < 12; n++) {
      const client = open(5, '192.0.2.9')
      await client.connect({ clientId: `c${n}` })
      client.sendBytes(whole.subarray(0, -1))
      await turns(5)
      if (n % 2 === 0) {
        client.stream.destroy()
        await turns(5)
        continue
      }
      client.sendBytes(whole.subarray(-1))
      expect(await client.next('puback')).toMatchObject({ messageId: 9 })
    }
  })

  it('counts the addresses of one IPv6 network as one: who has them all is whoever holds most', async () => {
    const { open } = await startFront({ limits: LIMITS })
    const whole = publishOf(60_000)
    const slow = open(5, '192.0.2.1')
    await slow.connect({ clientId: 'slow' })
    slow.sendBytes(whole.subarray(0, -1))
    for (let n = 0; n < 12; n++) {
      const one = open(5, `2001:db8::${n + 1}`)
      await one.connect({ clientId: `flood-${n}` })
      one.sendBytes(publishOf(PACKET_BYTES).subarray(0, -1))
      await turns(10)
    }
    slow.sendBytes(whole.subarray(-1))
    expect(await slow.next('puback')).toMatchObject({ messageId: 9 })
  })

  it('does not hold against a user what somebody brings who only says that he is the user', async () => {
    const access: Access = {
      ...OPEN_ACCESS,
      // a password that is being looked at
      canConnect: ({ clientId, peer }) =>
        peer.address === '192.0.2.1' ? Promise.resolve({ name: 'plc', clientId }) : new Promise(() => {}),
    }
    const { front, open } = await startFront({ limits: LIMITS, access })
    const honest = open(5, '192.0.2.1')
    await honest.connect({ clientId: 'plc', username: 'plc', password: Buffer.from('right') })
    const whole = publishOf(PACKET_BYTES)
    honest.sendBytes(whole.subarray(0, -1))
    await turns(10)
    const asking = generate({
      cmd: 'connect',
      clientId: 'x',
      username: 'plc',
      password: Buffer.from('wrong'),
    })
    const impostors: Duplex[] = []
    for (let n = 0; n < 4; n++) {
      const one = await collecting(front, asking)
      impostors.push(one)
      one.emit(HELD_EVENT, 60_000)
    }
    expect(impostors.map(({ destroyed }) => destroyed)).toEqual([true, false, false, false])
    honest.sendBytes(whole.subarray(-1))
    expect(await honest.next('puback')).toMatchObject({ messageId: 9 })
    for (const one of impostors) one.destroy()
  })

  it('counts what a stream collects until it is closed, also once nothing of it is handled any more', async () => {
    const { front, sink } = await startFront({ limits: LIMITS })
    const streams: Duplex[] = []
    const hold = async () => {
      // no CONNECT: it is dropped, and has a while to take its leave
      const one = await collecting(front, Buffer.from([0x30, 0]))
      streams.push(one)
      one.emit(HELD_EVENT, 60_000)
      await turns(5)
    }
    for (let n = 0; n < 5; n++) await hold()
    expect(JSON.stringify(sink)).toContain('not a CONNECT')
    expect(streams.map(({ destroyed }) => destroyed)).toEqual([true, false, false, false, false])
    for (const one of streams) one.destroy()
    await turns(5)
    for (let n = 0; n < 4; n++) await hold()
    expect(streams.slice(5).some(({ destroyed }) => destroyed)).toBe(false)
    for (const one of streams) one.destroy()
  })
})
