/** Who a packet is from: collisions, moves, forwarders, floods, and what is no packet. */
import { describe, expect, it } from 'vitest'
import { STRANGERS_MAX } from '../../../firmware-bridge/gateway/link-port.ts'
import { encodeEncapsulated, encodePacket } from '../../../firmware-bridge/packets/encoder.ts'
import { type Packet, Type } from '../../../firmware-bridge/packets/packet.ts'
import { MemoryLink } from './fakes.ts'
import { Bench, connect, disconnect, ping, puback, publish, register, subscribe, told } from './support.ts'

describe('two peers with one client id', () => {
  it('the new one has it; the other is disconnected, and it is logged', async () => {
    const bench = await Bench.with({}, 'pump')
    bench.heard()
    expect(told(await bench.send(connect(), 'p2'))).toEqual(['connack accepted'])
    expect(told(bench.heard('p1'))).toEqual(['disconnect'])
    expect(bench.gateway.counters.collisions).toBe(1)
    expect(bench.log.join()).toContain('two peers connect as pump: udp test p1, now udp test p2')
    expect(told(await bench.send(publish(), 'p1'))).toEqual(['disconnect'])
    expect(told(await bench.send(publish(), 'p2'))).toEqual(['puback #1 accepted'])
    expect(bench.uplink.sessions.size).toBe(1)
  })

  it('refuse: the new one is to come later; when the other is silent it may', async () => {
    const bench = await Bench.with({ config: { onCollision: 'refuse' } }, 'pump')
    bench.heard()
    expect(told(await bench.send(connect(), 'p2'))).toEqual(['connack congestion'])
    expect(told(await bench.send(publish(), 'p1'))).toEqual(['puback #1 accepted'])
    await bench.advance(90_000)
    expect(told(await bench.send(connect(), 'p2'))).toEqual(['connack accepted'])
  })

  it('refuse: one that sleeps may come from another address', async () => {
    const bench = await Bench.with({ config: { onCollision: 'refuse' } }, 'pump')
    await bench.send(disconnect(100))
    expect(told(await bench.send(connect({ isClean: false }), 'p2'))).toEqual(['connack accepted'])
    expect(bench.status('pump')).toMatchObject({ peer: 'p2', state: 'active' })
  })
})

describe('one peer with two client ids', () => {
  it('the first one has vanished: its will is published', async () => {
    const bench = await Bench.with()
    await bench.send(connect({ hasWill: true }))
    await bench.send({ type: Type.willTopic, will: { qos: 0, isRetained: false, topic: 'gone' } })
    await bench.send({ type: Type.willMessage, message: Buffer.from('bye') })
    bench.heard()
    expect(told(await bench.send(connect({ clientId: 'valve' })))).toEqual(['connack accepted'])
    expect(bench.uplink.wills).toMatchObject([{ topic: 'gone' }])
    expect(bench.status('pump').state).toBe('lost')
    await bench.send(publish())
    expect(bench.uplink.published[0]!.clientId).toBe('valve')
  })

  it('the second wakes where the first was', async () => {
    const bench = await Bench.with({}, 'pump', 'valve')
    await bench.send(disconnect(100), 'p2')
    bench.heard()
    expect(told(await bench.send(ping('valve'), 'p1'))).toEqual(['pingResponse'])
    expect(bench.status('pump').state).toBe('lost')
    expect(bench.status('valve')).toMatchObject({ state: 'asleep', peer: 'p1' })
  })
})

describe('a device that is reset', () => {
  it.each([
    [
      'in the middle of a message to it',
      async (bench: Bench) => void bench.uplink.deliver('pump', { topic: 'ab' }),
    ],
    [
      'in the middle of REGISTER',
      async (bench: Bench) => void bench.uplink.deliver('pump', { topic: 'a/b' }),
    ],
    [
      'in the middle of QoS 2 to it',
      async (bench: Bench) => {
        bench.uplink.deliver('pump', { topic: 'ab', qos: 2 })
        await bench.send({ type: Type.pubrec, messageId: 1 })
      },
    ],
    ['in the middle of its own message', async (bench: Bench) => bench.post(publish())],
    ['in the middle of SUBSCRIBE', async (bench: Bench) => bench.post(subscribe('x/#'))],
    ['asleep', async (bench: Bench) => void (await bench.send(disconnect(100)))],
    ['while it is asked for its will', async (bench: Bench) => bench.post(connect({ hasWill: true }))],
  ])('%s begins anew, from another address too', async (_, before) => {
    for (const peer of ['p1', 'p2']) {
      const bench = await Bench.with({}, 'pump')
      await bench.send(ping())
      await before(bench)
      bench.heard()
      const answers = told(await bench.send(connect({ isClean: true }), peer))
      expect(answers).toContain('connack accepted')
      expect(bench.status('pump')).toMatchObject({ state: 'active', peer, queue: 0 })
      expect(told(await bench.send(publish({ data: 'new' }), peer))).toEqual(['puback #1 accepted'])
      expect(bench.published.at(-1)).toBe('ab new')
    }
  })
})

describe('devices behind a forwarder', () => {
  const wrap = (node: string, packet: Packet) =>
    encodeEncapsulated(0, Buffer.from(node, 'hex'), encodePacket(packet))
  const inner = (packets: Packet[]) =>
    packets.map((packet) => {
      if (packet.type !== Type.encapsulated) throw new Error('not for a node')
      return `${Buffer.from(packet.nodeId).toString('hex')} ${Buffer.from(packet.message).toString('hex')}`
    })

  it('are each their own, and are answered through it', async () => {
    const bench = await Bench.with()
    expect(inner(await bench.send(wrap('01', connect({ clientId: 'a' }))))).toEqual(['01 030500'])
    expect(inner(await bench.send(wrap('0202', connect({ clientId: 'b' }))))).toEqual(['0202 030500'])
    // The forwarder itself may be a device.
    expect(told(await bench.send(connect({ clientId: 'f' })))).toEqual(['connack accepted'])
    await bench.send(wrap('01', publish({ data: 'a' })))
    await bench.send(wrap('0202', publish({ data: 'b' })))
    await bench.send(publish({ data: 'f' }))
    expect(bench.uplink.published.map(({ clientId }) => clientId)).toEqual(['a', 'b', 'f'])
    expect(bench.status('b').peer).toBe('p1 node 0202')
    expect(inner(await bench.send(wrap('03', publish())))).toContain('03 0218')
  })

  it('are unreachable with it', async () => {
    const bench = await Bench.with()
    await bench.send(wrap('01', connect({ clientId: 'a', duration: 0 })))
    await bench.send(wrap('02', connect({ clientId: 'b', duration: 0 })), 'p2')
    bench.link.listener!.onGone('p1', 'gone')
    expect(bench.status('a').state).toBe('lost')
    expect(bench.status('b').state).toBe('active')
  })

  it('get messages that fit with the node id around them', async () => {
    const bench = await Bench.with()
    bench.link.messageBytesMax = 64
    await bench.send(wrap('0102', connect({ clientId: 'a' })))
    bench.heard()
    await bench.deliver('a', { topic: 'ab', payload: Buffer.alloc(53) })
    expect(bench.status('a').undelivered).toEqual({ 'too-long': 1 })
    expect((await bench.deliver('a', { topic: 'ab', payload: Buffer.alloc(52) }))[0]).toMatchObject({
      type: Type.encapsulated,
    })
  })
})

describe('a flood from one peer', () => {
  const config = { messagesPerSecondMax: 10 }

  it('is refused with congestion above messagesPerSecondMax, and does not disturb others', async () => {
    const bench = await Bench.with({ config }, 'pump', 'valve')
    bench.heard()
    const answers: string[] = []
    for (let at = 1; at <= 100; at++) answers.push(...told(await bench.send(publish({ messageId: at }))))
    const accepted = answers.filter((answer) => answer.endsWith('accepted'))
    // Two seconds' worth at once, less the CONNECT.
    expect(accepted).toHaveLength(19)
    expect(answers).toHaveLength(100)
    expect(bench.gateway.counters.flooded).toBe(81)
    expect(told(await bench.send(publish({ data: 'other' }), 'p2')).slice(-1)).toEqual(['puback #1 accepted'])
    expect(bench.log.filter((line) => line.includes('messagesPerSecondMax'))).toHaveLength(1)
    await bench.advance(1_000)
    for (let at = 1; at <= 20; at++) await bench.send(publish({ messageId: at, data: 'later' }))
    expect(bench.published.filter((text) => text.endsWith('later'))).toHaveLength(10)
  })

  it.each([
    ['CONNECT', connect({ clientId: 'x' }), ['connack congestion']],
    ['REGISTER', register('a'), ['regack #1 congestion']],
    ['SUBSCRIBE', subscribe('a'), ['suback #1 q0 congestion']],
    ['PUBLISH of QoS 2', publish({ qos: 2 }), ['puback #1 congestion']],
    ['PUBLISH of QoS 0', publish({ qos: 0 }), []],
    ['PINGREQ', ping(), []],
  ])('is answered with congestion: %s', async (_, packet, answers) => {
    const bench = await Bench.with({ config }, 'pump')
    for (let at = 0; at < 20; at++) bench.post(ping())
    bench.heard()
    expect(told(await bench.send(packet))).toEqual(answers)
    expect(bench.status('pump').state).toBe('active')
  })

  it('keeps the device alive that makes it', async () => {
    const bench = await Bench.with({ config }, 'pump')
    for (let second = 0; second < 200; second++) {
      for (let at = 0; at < 30; at++) bench.post(publish({ qos: 0 }))
      await bench.advance(1_000)
    }
    expect(bench.status('pump').state).toBe('active')
  })

  it('from ever new addresses leaves nothing behind', async () => {
    const bench = await Bench.with({}, 'pump')
    for (let at = 0; at < 5_000; at++) {
      bench.post(publish(), `stranger ${at}`)
      bench.post(Buffer.from([9, 9]), `stranger ${at}`)
      bench.post(connect({ clientId: '' }), `stranger ${at}`)
    }
    expect(bench.gateway.routes).toBe(STRANGERS_MAX + 1)
    expect(bench.log).toHaveLength(2)
    expect(told(await bench.send(publish())).slice(-1)).toEqual(['puback #1 accepted'])
  })
})

describe('devicesMax', () => {
  it('is how many are known; one more takes the place of one that is gone', async () => {
    const bench = await Bench.with({ config: { devicesMax: 3 } }, 'a', 'b', 'c')
    expect(told(await bench.send(connect({ clientId: 'd' }), 'p4'))).toEqual(['connack congestion'])
    expect(bench.gateway.counters.refused.get('full')).toBe(1)
    await bench.send(disconnect(), 'p2')
    expect(told(await bench.send(connect({ clientId: 'd' }), 'p4'))).toEqual(['connack accepted'])
    expect([...bench.gateway.devices()].map(({ clientId }) => clientId)).toEqual(['a', 'c', 'd'])
  })

  it('bounds what ever new client ids leave behind', async () => {
    const bench = await Bench.with({ config: { devicesMax: 20, messagesPerSecondMax: 10_000 } })
    for (let at = 0; at < 500; at++) {
      await bench.send(connect({ clientId: `c${at}`, duration: 10 }), `p${at}`)
      await bench.advance(1_000)
    }
    expect([...bench.gateway.devices()].length).toBeLessThanOrEqual(20)
    expect(bench.gateway.routes).toBeLessThanOrEqual(20 + STRANGERS_MAX)
    expect(bench.uplink.sessions.size).toBeLessThanOrEqual(20)
  })
})

describe('a peer with ever new client ids', () => {
  it('has no more sessions asked for than there may be devices, also of those that it left', async () => {
    const bench = await Bench.with({ config: { devicesMax: 5, messagesPerSecondMax: 10_000 } }, 'pump')
    let open = () => {}
    bench.uplink.gate = new Promise((resolve) => {
      open = resolve
    })
    let asked = 0
    const { connect: ask } = bench.uplink
    bench.uplink.connect = (device) => {
      asked++
      return ask.call(bench.uplink, device)
    }
    for (let at = 0; at < 200; at++) await bench.send(connect({ clientId: `evil${at}` }), 'p2')
    expect(asked).toBe(5)
    expect(bench.gateway.counters.refused.get('full')).toBe(195)
    open()
    await bench.advance(1_000)
    expect(told(await bench.send(connect({ clientId: 'valve' }), 'p3'))).toEqual(['connack accepted'])
  })

  it('does not keep others out for ever: who says CONNECT and nothing else makes room', async () => {
    const bench = await Bench.with({ config: { devicesMax: 3 } }, 'pump', 'evil1', 'evil2')
    await bench.send(ping())
    expect(told(await bench.send(connect({ clientId: 'valve' }), 'p4'))).toEqual(['connack congestion'])
    await bench.advance(10_000)
    expect(told(await bench.send(connect({ clientId: 'valve' }), 'p4'))).toEqual(['connack accepted'])
    expect([...bench.gateway.devices()].map(({ clientId }) => clientId)).toEqual(['pump', 'evil2', 'valve'])
    expect(told(await bench.send(publish(), 'p2'))).toEqual(['disconnect'])
  })
})

describe('what is no packet', () => {
  it('is counted by reason, logged once, and not answered', async () => {
    const bench = await Bench.with({}, 'pump')
    bench.heard()
    for (const text of ['', '0217ff', '02ff', '070c0300090000', '030500ff', '03ff0102']) {
      expect(await bench.send(Buffer.from(text, 'hex'))).toEqual([])
    }
    expect(Object.fromEntries(bench.gateway.counters.malformed)).toEqual({
      length: 4,
      'unknown-type': 1,
      flags: 1,
    })
    expect(bench.log.filter((line) => line.includes('is not MQTT-SN'))).toHaveLength(1)
    expect(told(await bench.send(puback(1)))).toEqual([])
    expect(bench.status('pump').state).toBe('active')
  })
})

it('a gateway with several links keeps their peers apart', async () => {
  const bench = await Bench.with({ link: new MemoryLink('serial', 'serial a') }, 'pump')
  expect(bench.status('pump')).toMatchObject({ link: 'serial a', peer: 'p1' })
})
