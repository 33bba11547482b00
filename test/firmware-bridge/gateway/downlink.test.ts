/** MQTT-SN 1.2, sections 6.9 to 6.13: subscriptions, and from the broker to a device. */
import { describe, expect, it } from 'vitest'
import { type Packet, type Register, ReturnCode, Type } from '../../../firmware-bridge/packets/packet.ts'
import { settled } from './fakes.ts'
import {
  Bench,
  type BenchOptions,
  connect,
  ping,
  puback,
  publish,
  regack,
  register,
  subscribe,
  told,
} from './support.ts'

const predefined = (topicId: number) => ({ kind: 'predefined', topicId }) as const
const short = (name: string) => ({ kind: 'short', name }) as const
const topics = { predefined: { 2: 'plant/all' } }

async function connected(options: BenchOptions = {}): Promise<Bench> {
  const bench = await Bench.with({ topics, ...options }, 'pump')
  bench.heard()
  return bench
}

/** Subscribed by name: the device knows the id. */
async function subscribed(options: BenchOptions = {}): Promise<{ bench: Bench; topicId: number }> {
  const bench = await connected(options)
  const [answer] = await bench.send(subscribe('plant/set', { messageId: 99 }))
  return { bench, topicId: (answer as { topicId: number }).topicId }
}

describe('SUBSCRIBE', () => {
  it.each([
    ['a name', subscribe('plant/set'), 'plant/set', 'id'],
    ['a name of two characters', subscribe('ab'), 'ab', 'id'],
    ['a wildcard', subscribe('plant/+'), 'plant/+', 0],
    ['a wildcard of all', subscribe('#'), '#', 0],
    ['a predefined topic', subscribe(predefined(2)), 'plant/all', 2],
    ['a short topic', subscribe(short('ab')), 'ab', 0],
  ])('to %s is answered with its topic id', async (_, packet, filter, id) => {
    const bench = await connected()
    const [answer] = await bench.send(packet)
    const topicId = id === 'id' ? expect.any(Number) : id
    expect(answer).toEqual({ type: Type.suback, qos: 1, topicId, messageId: 1, returnCode: 0 })
    if (id === 'id') expect((answer as { topicId: number }).topicId).toBeGreaterThan(0)
    expect([...bench.uplink.stored.get('pump')!.filters]).toEqual([[filter, 1]])
  })

  it.each([
    ['a predefined id that is not configured', subscribe(predefined(9)), 'invalid'],
    ['a filter that is none', subscribe('plant/#/x'), 'unsupported'],
    ['a filter with a control character', subscribe('a\tb'), 'unsupported'],
    ['a short wildcard', subscribe(short('a+')), 'unsupported'],
    ['what the broker refuses', subscribe('secret/x'), 'unsupported'],
  ])('to %s is refused', async (_, packet, code) => {
    const bench = await connected()
    expect(told(await bench.send(packet))).toEqual([`suback #1 q0 ${code}`])
  })

  it('is to come later while the broker is away, or when the device has too many topics', async () => {
    const bench = await connected({ config: { topicsPerDeviceMax: 1 } })
    bench.uplink.isUp = false
    expect(told(await bench.send(subscribe('#')))).toEqual(['suback #1 q0 congestion'])
    bench.uplink.isUp = true
    expect(told(await bench.send(subscribe('a/1')))).toEqual(['suback #1 q1 accepted'])
    expect(told(await bench.send(subscribe('a/2')))).toEqual(['suback #1 q0 congestion'])
  })

  it('that comes again while the broker is asked is one with the first', async () => {
    const bench = await connected()
    let open = () => {}
    bench.uplink.gate = new Promise((resolve) => {
      open = resolve
    })
    await bench.send(subscribe('#'))
    await bench.send(subscribe('#', { isDup: true }))
    open()
    await settled()
    expect(told(bench.heard())).toEqual(['suback #1 q1 accepted'])
  })

  it('is answered before the first message comes: it has the topic id', async () => {
    const bench = await connected()
    bench.post(subscribe('plant/set'))
    bench.uplink.deliver('pump', { topic: 'plant/set' })
    await settled()
    expect(told(bench.heard())).toEqual(['suback #1 q1 accepted', 'publish q1 normal #1 x'])
  })

  it('is undone by UNSUBSCRIBE', async () => {
    const bench = await connected()
    for (const topic of [short('ab'), predefined(2), { kind: 'name', name: 'a/#' } as const]) {
      await bench.send(subscribe(topic))
      expect(told(await bench.send({ type: Type.unsubscribe, messageId: 5, topic }))).toEqual(['unsuback #5'])
    }
    expect(bench.uplink.stored.get('pump')!.filters.size).toBe(0)
    const topic = predefined(9)
    expect(told(await bench.send({ type: Type.unsubscribe, messageId: 6, topic }))).toEqual(['unsuback #6'])
  })
})

describe('the topic of a message to a device', () => {
  it('is the id that the device knows: registered, subscribed, predefined, short', async () => {
    const { bench, topicId } = await subscribed()
    const [registered] = await bench.send(register('plant/own'))
    await bench.send(subscribe(predefined(2), { messageId: 3 }))
    bench.heard()
    const cases: [string, string, number][] = [
      ['plant/set', 'normal', topicId],
      ['plant/own', 'normal', (registered as Register).topicId],
      ['plant/all', 'predefined', 2],
      ['xy', 'short', 0x7879],
    ]
    for (const [topic, topicIdType, id] of cases) {
      const [packet] = await bench.deliver('pump', { topic, qos: 0 })
      expect(packet).toMatchObject({ type: Type.publish, topicIdType, topicId: id })
    }
  })

  it('is told first where the device does not know it, once', async () => {
    const bench = await connected()
    const [first] = await bench.deliver('pump', { topic: 'plant/new' })
    expect(told([first!])).toEqual(['register #1 plant/new'])
    const [message] = await bench.send(regack(first!))
    expect(message).toMatchObject({
      topicIdType: 'normal',
      topicId: (first as Register).topicId,
      messageId: 2,
    })
    await bench.send(puback(2))
    expect(told(await bench.deliver('pump', { topic: 'plant/new' }))).toEqual(['publish q1 normal #3 x'])
  })

  it('is told again after a new connection, also for what is in flight', async () => {
    const bench = await connected()
    const [first] = await bench.deliver('pump', { topic: 'plant/new' })
    await bench.send(regack(first!))
    const packets = await bench.send(connect({ isClean: false, duration: 61 }))
    expect(told(packets)).toEqual(['connack accepted', 'register #3 plant/new'])
    expect(told(await bench.send(regack(packets[1]!)))).toEqual(['publish q1 dup normal #2 x'])
  })

  it('that the device says it does not know is told once more, then the message is dropped', async () => {
    const { bench, topicId } = await subscribed()
    await bench.deliver('pump', { topic: 'plant/set' })
    const [again] = await bench.send(puback(1, ReturnCode.invalidTopicId, topicId))
    expect(told([again!])).toEqual(['register #2 plant/set'])
    expect(told(await bench.send(regack(again!)))).toEqual(['publish q1 dup normal #1 x'])
    expect(told(await bench.send(puback(1, ReturnCode.invalidTopicId, topicId)))).toEqual([])
    expect(bench.status('pump')).toMatchObject({ undelivered: { refused: 1 }, queue: 0 })
    expect(bench.uplink.stored.get('pump')!.queue).toEqual([])
  })

  it('that the device does not know in one connection, and in the next, is told in both', async () => {
    const { bench, topicId } = await subscribed()
    await bench.deliver('pump', { topic: 'plant/set' })
    const [register] = await bench.send(puback(1, ReturnCode.invalidTopicId, topicId))
    expect(told(await bench.send(regack(register!)))).toEqual(['publish q1 dup normal #1 x'])
    const packets = await bench.send(connect({ isClean: false, duration: 61 }))
    expect(told(packets)).toEqual(['connack accepted', 'register #3 plant/set'])
    expect(told(await bench.send(regack(packets[1]!)))).toEqual(['publish q1 dup normal #1 x'])
    const [again] = await bench.send(puback(1, ReturnCode.invalidTopicId, topicId))
    expect(told([again!])).toEqual(['register #4 plant/set'])
  })

  it('of many messages of a wildcard makes room: topic ids are bounded', async () => {
    const bench = await connected({ config: { topicsPerDeviceMax: 4 } })
    await bench.send(register('own'))
    for (let at = 0; at < 50; at++) {
      const [packet] = await bench.deliver('pump', { topic: `plant/${at}`, qos: 0 })
      expect(told([packet!])).toEqual([`register #${at + 1} plant/${at}`])
      await bench.send(regack(packet!))
    }
    expect(bench.status('pump')).toMatchObject({ topics: 5, delivered: 50 })
    expect(told(await bench.send(publish({ topicIdType: 'short' })))).toEqual(['puback #1 accepted'])
  })
})

describe('one message is in flight', () => {
  it('at QoS 1 until PUBACK; the broker is answered then', async () => {
    const { bench } = await subscribed()
    for (const text of ['1', '2', '3']) {
      bench.uplink.deliver('pump', { topic: 'plant/set', payload: Buffer.from(text) })
    }
    await settled()
    expect(told(bench.heard())).toEqual(['publish q1 normal #1 1'])
    expect(bench.uplink.stored.get('pump')!.queue).toHaveLength(3)
    expect(told(await bench.send(puback(1)))).toEqual(['publish q1 normal #2 2'])
    expect(bench.uplink.stored.get('pump')!.queue).toHaveLength(2)
    expect(told(await bench.send(puback(2)))).toEqual(['publish q1 normal #3 3'])
    await bench.send(puback(3))
    expect(bench.uplink.stored.get('pump')!.queue).toEqual([])
    expect(bench.status('pump')).toMatchObject({ delivered: 3, queue: 0, retransmissionsMade: 0 })
  })

  it('at QoS 2 until PUBCOMP', async () => {
    const { bench } = await subscribed()
    expect(told(await bench.deliver('pump', { topic: 'plant/set', qos: 2 }))).toEqual([
      'publish q2 normal #1 x',
    ])
    expect(told(await bench.send({ type: Type.pubrec, messageId: 1 }))).toEqual(['pubrel #1'])
    expect(told(await bench.send({ type: Type.pubrec, messageId: 1 }))).toEqual(['pubrel #1'])
    expect(told(await bench.advance(1_000))).toEqual(['pubrel #1'])
    expect(bench.uplink.stored.get('pump')!.queue).toHaveLength(1)
    await bench.send({ type: Type.pubcomp, messageId: 1 })
    expect(bench.uplink.stored.get('pump')!.queue).toEqual([])
    // Of a message that is over: the device is to end it.
    expect(told(await bench.send({ type: Type.pubrec, messageId: 1 }))).toEqual(['pubrel #1'])
  })

  it('at QoS 0 for no longer than it takes to send it', async () => {
    const { bench } = await subscribed()
    for (const text of ['1', '2']) {
      bench.uplink.deliver('pump', {
        topic: 'plant/set',
        qos: 0,
        payload: Buffer.from(text),
        isRetained: true,
      })
    }
    expect(told(bench.heard())).toEqual(['publish q0 retained normal 1', 'publish q0 retained normal 2'])
  })

  it('an answer to another message is of no use', async () => {
    const { bench } = await subscribed()
    await bench.deliver('pump', { topic: 'plant/set' })
    expect(told(await bench.send(puback(2)))).toEqual([])
    expect(bench.gateway.counters.unexpected).toBe(1)
    expect(bench.uplink.stored.get('pump')!.queue).toHaveLength(1)
  })
})

describe('what is not answered', () => {
  it('is repeated with DUP after T_RETRY, N_RETRY times; then when the device is heard', async () => {
    const { bench } = await subscribed({ config: { retries: 2 } })
    await bench.deliver('pump', { topic: 'plant/set' })
    expect(told(await bench.advance(999))).toEqual([])
    expect(told(await bench.advance(1))).toEqual(['publish q1 dup normal #1 x'])
    expect(told(await bench.advance(40_000))).toEqual(['publish q1 dup normal #1 x'])
    expect(bench.status('pump')).toMatchObject({ retransmissionsMade: 2, unanswered: 1, state: 'active' })
    expect(told(await bench.send(ping()))).toEqual(['pingResponse', 'publish q1 dup normal #1 x'])
    await bench.send(puback(1))
    expect(bench.uplink.stored.get('pump')!.queue).toEqual([])
  })

  it('is the broker’s again when the device is lost, and is delivered when it comes back', async () => {
    const bench = await Bench.with()
    await bench.send(connect({ isClean: false }))
    await bench.send(subscribe('plant/set'))
    bench.heard()
    await bench.deliver('pump', { topic: 'plant/set' })
    await bench.advance(100_000)
    expect(bench.status('pump')).toMatchObject({ state: 'lost', queue: 0 })
    expect(bench.uplink.stored.get('pump')!.queue).toHaveLength(1)
    const packets = await bench.send(connect({ isClean: false }))
    expect(told(packets.slice(-2))).toEqual(['connack accepted', 'register #2 plant/set'])
    expect(told(await bench.send(regack(packets.at(-1)!)))).toEqual(['publish q1 normal #3 x'])
    await bench.send(puback(3))
    expect(bench.uplink.stored.get('pump')!.queue).toEqual([])
  })

  it('of a REGISTER is repeated, too', async () => {
    const bench = await connected()
    await bench.deliver('pump', { topic: 'plant/new' })
    expect(told(await bench.advance(1_000))).toEqual(['register #1 plant/new'])
  })

  it('because the device is busy is repeated for as long as it says so', async () => {
    const { bench, topicId } = await subscribed({ config: { retries: 1 } })
    await bench.deliver('pump', { topic: 'plant/set' })
    for (let times = 0; times < 5; times++) {
      expect(told(await bench.send(puback(1, ReturnCode.congestion, topicId)))).toEqual([])
      expect(told(await bench.advance(1_000))).toEqual(['publish q1 dup normal #1 x'])
    }
    await bench.send(puback(1))
    expect(bench.status('pump').delivered).toBe(1)
  })

  it('because the device does not want it is dropped and counted', async () => {
    const { bench } = await subscribed()
    await bench.deliver('pump', { topic: 'plant/set' })
    await bench.send(puback(1, ReturnCode.notSupported))
    const [packet] = await bench.deliver('pump', { topic: 'plant/other' })
    await bench.send(regack(packet!, ReturnCode.notSupported))
    expect(bench.status('pump')).toMatchObject({ undelivered: { refused: 2 }, delivered: 0, queue: 0 })
  })

  it('measures the way from what was sent once alone', async () => {
    const { bench } = await subscribed()
    await bench.deliver('pump', { topic: 'plant/set' })
    await bench.advance(80)
    await bench.send(puback(1))
    expect(bench.status('pump').roundTripMs).toBe(80)
    await bench.deliver('pump', { topic: 'plant/set' })
    await bench.advance(1_500)
    await bench.send(puback(2))
    expect(bench.status('pump').roundTripMs).toBe(80)
  })
})

describe('a link that does not carry', () => {
  it('is tried again for QoS 0, then the message is dropped', async () => {
    const { bench } = await subscribed({ config: { retries: 1 } })
    bench.link.isOpen = false
    await bench.deliver('pump', { topic: 'plant/set', qos: 0 })
    bench.link.isOpen = true
    expect(told(await bench.advance(1_000))).toEqual(['publish q0 normal x'])
    bench.link.isOpen = false
    await bench.deliver('pump', { topic: 'plant/set', qos: 0 })
    await bench.advance(3_000)
    expect(bench.status('pump')).toMatchObject({ undelivered: { unsent: 1 }, delivered: 1, queue: 0 })
  })

  it('is not sent to after its peer is gone, until the device is heard', async () => {
    const { bench } = await subscribed()
    bench.link.listener!.onGone('p1', 'unplugged')
    expect(told(await bench.deliver('pump', { topic: 'plant/set' }))).toEqual([])
    await bench.advance(5_000)
    expect(bench.heard()).toEqual([])
    expect(told(await bench.send(ping()))).toEqual(['pingResponse', 'publish q1 normal #1 x'])
  })
})

describe('a message that cannot arrive', () => {
  it('because it is longer than the link carries is dropped, counted, and its broker answered', async () => {
    const { bench } = await subscribed()
    bench.link.messageBytesMax = 64
    expect(told(await bench.deliver('pump', { topic: 'plant/set', payload: Buffer.alloc(58) }))).toEqual([])
    expect(told(await bench.deliver('pump', { topic: `plant/${'x'.repeat(60)}` }))).toEqual([])
    expect(bench.status('pump').undelivered).toEqual({ 'too-long': 2 })
    expect(bench.uplink.stored.get('pump')!.queue).toEqual([])
    const [packet] = await bench.deliver('pump', { topic: 'plant/set', payload: Buffer.alloc(57) })
    expect(packet).toMatchObject({ type: Type.publish })
  })

  it('because its time is over is dropped and counted', async () => {
    const { bench } = await subscribed()
    const expiresAt = bench.clock.monotonic() + 500
    await bench.deliver('pump', { topic: 'plant/set', payload: Buffer.from('1') })
    await bench.deliver('pump', { topic: 'plant/set', payload: Buffer.from('2'), expiresAt })
    await bench.deliver('pump', { topic: 'plant/set', payload: Buffer.from('3') })
    await bench.advance(500)
    expect(told(await bench.send(puback(1)))).toEqual(['publish q1 normal #2 3'])
    expect(bench.status('pump').undelivered).toEqual({ expired: 1 })
  })
})

describe('what is urgent', () => {
  it('goes before what is not; among equals the order stays', async () => {
    const bench = await connected({ topics: { priority: ['+/stop', 'plant/#'] } })
    const payload = (text: string) => ({ payload: Buffer.from(text), qos: 0 as const })
    bench.link.listener!.onGone('p1', 'away')
    for (const [topic, text] of [
      ['ab', '1'],
      ['plant/a', '2'],
      ['plant/b', '3'],
      ['plant/stop', '4'],
      ['cd', '5'],
    ]) {
      bench.uplink.deliver('pump', { topic: topic!, ...payload(text!) })
    }
    let packets = await bench.send(ping())
    const texts: string[] = []
    while (packets.length > 0) {
      const next: Packet[] = []
      for (const packet of packets) {
        if (packet.type === Type.publish) texts.push(Buffer.from(packet.data).toString())
        if (packet.type === Type.register) next.push(...(await bench.send(regack(packet))))
      }
      packets = next
    }
    expect(texts).toEqual(['4', '2', '3', '1', '5'])
  })
})
