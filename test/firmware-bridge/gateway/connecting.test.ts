/** MQTT-SN 1.2, sections 6.2, 6.3 and 6.4: CONNECT, clean sessions, keep alive, DISCONNECT. */
import { describe, expect, it } from 'vitest'
import { ReturnCode, Type } from '../../../firmware-bridge/packets/packet.ts'
import { settled } from './fakes.ts'
import {
  Bench,
  connect,
  disconnect,
  ping,
  puback,
  publish,
  register,
  subscribe,
  told,
  willMessage,
  willTopic,
} from './support.ts'

describe('CONNECT', () => {
  it('is answered when the broker has the session', async () => {
    const bench = await Bench.with()
    let open = () => {}
    bench.uplink.gate = new Promise((resolve) => {
      open = resolve
    })
    expect(told(await bench.send(connect()))).toEqual([])
    open()
    await settled()
    expect(told(bench.heard())).toEqual(['connack accepted'])
    expect(bench.uplink.connects[0]).toMatchObject({
      clientId: 'pump',
      isClean: true,
      keepAliveSeconds: 60,
      will: null,
    })
    expect(bench.status('pump')).toMatchObject({ state: 'active', link: 'udp test', peer: 'p1', connects: 1 })
  })

  it.each([
    ['a protocol id that is not 1', connect({ protocolId: 2 }), 'protocol'],
    ['no client id', connect({ clientId: '' }), 'client-id'],
    ['a client id of 24 characters', connect({ clientId: 'x'.repeat(24) }), 'client-id'],
    ['a client id that would change topics', connect({ clientId: 'a/b' }), 'client-id'],
    ['a client id with a wildcard', connect({ clientId: 'a+' }), 'client-id'],
    ['a client id with a control character', connect({ clientId: 'a\nb' }), 'client-id'],
    ['a client id that no pattern allows', connect({ clientId: 'pumpe' }), 'not-allowed'],
    ['a client id of the bridge itself', connect({ clientId: 'headwater-bridge-1' }), 'not-allowed'],
  ])('with %s is not supported', async (_, packet, reason) => {
    const bench = await Bench.with({ allow: ['pump', 'sensor-*', 'headwater-*'] })
    expect(told(await bench.send(packet))).toEqual(['connack unsupported'])
    expect(bench.gateway.counters.refused).toEqual(new Map([[reason, 1]]))
    expect(bench.uplink.connects).toEqual([])
  })

  it.each(['a', 'x'.repeat(23), 'ö'.repeat(23), 'sensor-1'])('takes the client id %s', async (clientId) => {
    const bench = await Bench.with()
    expect(told(await bench.send(connect({ clientId })))).toEqual(['connack accepted'])
  })

  it('takes a longer client id where clientIdCharactersMax says so', async () => {
    const bench = await Bench.with({ config: { clientIdCharactersMax: 30 } })
    expect(told(await bench.send(connect({ clientId: 'x'.repeat(31) })))).toEqual(['connack unsupported'])
    expect(told(await bench.send(connect({ clientId: 'x'.repeat(30) })))).toEqual(['connack accepted'])
  })

  it('takes the client ids of patterns, whose other characters are no patterns', async () => {
    const bench = await Bench.with({ allow: ['s.nsor-*', '*-1'] })
    expect(told(await bench.send(connect({ clientId: 's.nsor-x' })))).toEqual(['connack accepted'])
    expect(told(await bench.send(connect({ clientId: 'other-1' }), 'p2'))).toEqual(['connack accepted'])
    expect(told(await bench.send(connect({ clientId: 'sensor-x' })))).toEqual(['connack unsupported'])
  })

  it('is to come later while the broker is away, and is not supported where it refuses the client', async () => {
    const bench = await Bench.with()
    bench.uplink.isUp = false
    expect(told(await bench.send(connect()))).toEqual(['connack congestion'])
    expect(bench.status('pump').state).toBe('disconnected')
    bench.uplink.isUp = true
    bench.uplink.refused.add('pump')
    expect(told(await bench.send(connect()))).toEqual(['connack unsupported'])
    bench.uplink.refused.clear()
    expect(told(await bench.send(connect()))).toEqual(['connack accepted'])
    expect(bench.gateway.counters.refused).toEqual(
      new Map([
        ['broker-away', 1],
        ['broker', 1],
      ]),
    )
  })

  it('that comes again is answered again, and nothing begins anew', async () => {
    const bench = await Bench.with({}, 'pump')
    expect(told(await bench.send(connect()))).toEqual(['connack accepted'])
    expect(bench.uplink.connects).toHaveLength(1)
    // After something else was heard it is another connection.
    await bench.send(ping())
    expect(told(await bench.send(connect()))).toEqual(['connack accepted'])
    expect(bench.uplink.connects).toHaveLength(2)
    expect(bench.uplink.stored.get('pump')!.epoch).toBe(2)
  })

  it('that comes again while the session is being made is one with it; another one is next', async () => {
    const bench = await Bench.with()
    let open = () => {}
    bench.uplink.gate = new Promise((resolve) => {
      open = resolve
    })
    await bench.send(connect({ isClean: false }))
    await bench.send(connect({ isClean: false }))
    await bench.send(connect({ isClean: true, duration: 9 }))
    open()
    await settled()
    await settled()
    expect(told(bench.heard())).toEqual(['connack accepted'])
    expect(bench.uplink.connects.map(({ isClean }) => isClean)).toEqual([false, true])
    expect(bench.status('pump').connects).toBe(1)
  })

  it('is to come later when the broker does not answer for a minute; what it answers then is ended', async () => {
    const bench = await Bench.with()
    let open = () => {}
    bench.uplink.gate = new Promise((resolve) => {
      open = resolve
    })
    await bench.send(connect())
    expect(told(await bench.advance(59_999))).toEqual([])
    expect(told(await bench.advance(1))).toEqual(['connack congestion'])
    open()
    await settled()
    expect(bench.heard()).toEqual([])
    expect(bench.status('pump').state).toBe('disconnected')
    expect(bench.uplink.sessions.size).toBe(0)
    expect(told(await bench.send(connect()))).toEqual(['connack accepted'])
  })

  it('ends at a DISCONNECT that comes while the session is being made', async () => {
    const bench = await Bench.with()
    let open = () => {}
    bench.uplink.gate = new Promise((resolve) => {
      open = resolve
    })
    await bench.send(connect())
    expect(told(await bench.send(disconnect()))).toEqual(['disconnect'])
    open()
    await settled()
    await settled()
    expect(told(bench.heard())).toEqual([])
    expect(bench.status('pump').state).toBe('disconnected')
    expect(bench.uplink.sessions.size).toBe(0)
  })
})

describe('CleanSession', () => {
  it('keeps session, topic ids and will of a device that does not set it', async () => {
    const bench = await Bench.with()
    await bench.send(connect({ isClean: false, hasWill: true }))
    await bench.send(willTopic('gone'))
    await bench.send(willMessage('bye'))
    const session = bench.uplink.sessions.get('pump')!
    const [answer] = (await bench.send(register('a/b'))).slice(-1)
    expect(told(await bench.send(connect({ isClean: false })))).toEqual(['connack accepted'])
    expect(bench.uplink.sessions.get('pump')).toBe(session)
    expect(session.will).toMatchObject({ topic: 'gone' })
    const { topicId } = answer as { topicId: number }
    expect(told(await bench.send(publish({ topicIdType: 'normal', topicId })))).toEqual([
      'puback #1 accepted',
    ])
  })

  it('begins anew for one that sets it: session, topic ids, will', async () => {
    const bench = await Bench.with()
    await bench.send(connect({ isClean: false, hasWill: true }))
    await bench.send(willTopic('gone'))
    await bench.send(willMessage('bye'))
    const [answer] = (await bench.send(register('a/b'))).slice(-1)
    const session = bench.uplink.sessions.get('pump')!
    bench.heard()
    expect(told(await bench.send(connect({ isClean: true })))).toEqual(['connack accepted'])
    expect(session.ends).toEqual(['clean'])
    expect(bench.uplink.wills).toEqual([])
    expect(bench.uplink.connects.at(-1)).toMatchObject({ isClean: true, will: null })
    const { topicId } = answer as { topicId: number }
    expect(told(await bench.send(publish({ topicIdType: 'normal', topicId })))).toEqual(['puback #1 invalid'])
  })

  it('of before is over: what waits for a device that has lost its gateway is delivered when it connects without', async () => {
    const bench = await Bench.with({}, 'pump')
    await bench.send(subscribe('ab'))
    bench.uplink.receiveMax = 1
    bench.uplink.deliver('pump', { topic: 'ab', payload: Buffer.from('1') })
    bench.uplink.deliver('pump', { topic: 'ab', payload: Buffer.from('2') })
    await bench.advance(100)
    const packets = await bench.send(connect({ isClean: false }))
    expect(told(packets)).toEqual(['connack accepted', 'publish q1 dup short #1 1'])
    expect(told(await bench.send(puback(1)))).toEqual(['publish q1 short #2 2'])
    expect(bench.uplink.connects).toHaveLength(1)
  })

  it('of a device that was lost is not asked for again: its session is taken up, with its will', async () => {
    const bench = await Bench.with()
    await bench.send(connect({ isClean: false, hasWill: true, duration: 10 }))
    await bench.send(willTopic('gone'))
    await bench.send(willMessage('bye'))
    await bench.advance(15_000)
    expect(bench.uplink.wills).toHaveLength(1)
    await bench.send(connect({ isClean: false }))
    expect(bench.uplink.connects.at(-1)).toMatchObject({ isClean: false, will: { topic: 'gone' } })
  })
})

describe('keep alive', () => {
  it.each([
    ['PINGREQ', ping()],
    ['PUBLISH', publish({ qos: 0 })],
    ['an answer that nobody waits for', puback(9)],
  ])('goes on with %s', async (_, packet) => {
    const bench = await Bench.with()
    await bench.send(connect({ duration: 10 }))
    for (let times = 0; times < 5; times++) {
      await bench.advance(14_000)
      await bench.send(packet)
    }
    expect(bench.status('pump').state).toBe('active')
    await bench.advance(15_000)
    expect(bench.status('pump').state).toBe('lost')
    expect(bench.log.join()).toContain('device pump is lost')
  })

  it('of 0 never ends', async () => {
    const bench = await Bench.with()
    await bench.send(connect({ duration: 0 }))
    await bench.advance(1e9)
    expect(bench.status('pump').state).toBe('active')
  })

  it('of 0 ends when the port is unplugged', async () => {
    const bench = await Bench.with()
    await bench.send(connect({ duration: 0 }))
    bench.link.listener!.onGone(null, 'unplugged')
    expect(bench.status('pump').state).toBe('lost')
  })

  it('takes one timer for all devices, and none for a message', async () => {
    const bench = await Bench.with({}, ...Array.from({ length: 50 }, (_, at) => `d${at}`))
    expect(bench.clock.timers).toBe(1)
    for (let at = 1; at <= 50; at++) await bench.send(publish(), `p${at}`)
    expect(bench.clock.timers).toBe(1)
  })
})

describe('a device that is not connected', () => {
  it.each([
    ['PUBLISH', publish()],
    ['REGISTER', register('a/b')],
    ['SUBSCRIBE', subscribe('a')],
    ['PINGREQ', ping()],
    ['PINGREQ of a sleeping device that nobody knows', ping('pump')],
    ['DISCONNECT', disconnect(60)],
  ])('is told so after %s', async (_, packet) => {
    const bench = await Bench.with()
    expect(told(await bench.send(packet))).toEqual(['disconnect'])
    expect(bench.gateway.counters.notConnected).toBe(1)
    expect(bench.uplink.published).toEqual([])
  })

  it('is told so once in the time of a retry: one that sends back what it hears is not answered for ever', async () => {
    const bench = await Bench.with()
    expect(told(await bench.send(disconnect()))).toEqual(['disconnect'])
    for (let n = 0; n < 5; n++) expect(await bench.send(disconnect())).toEqual([])
    await bench.advance(1_000)
    expect(told(await bench.send(publish()))).toEqual(['disconnect'])
    expect(bench.gateway.counters.notConnected).toBe(7)
  })

  it.each([
    ['ADVERTISE', { type: Type.advertise, gatewayId: 9, duration: 1 }],
    ['CONNACK', { type: Type.connack, returnCode: ReturnCode.accepted }],
    ['PINGRESP', { type: Type.pingResponse }],
    ['PUBACK', puback(3)],
  ] as const)('is not answered after %s: it may be a gateway', async (_, packet) => {
    const bench = await Bench.with()
    expect(told(await bench.send(packet))).toEqual([])
    expect(bench.gateway.counters.unexpected).toBe(1)
  })

  it('is told so after it was lost, and may come back', async () => {
    const bench = await Bench.with({}, 'pump')
    bench.heard()
    await bench.advance(90_000)
    expect(told(await bench.send(publish()))).toEqual(['disconnect'])
    expect(told(await bench.send(connect()))).toEqual(['connack accepted'])
  })
})

describe('DISCONNECT', () => {
  it('ends the session and is answered; once more, too', async () => {
    const bench = await Bench.with({}, 'pump')
    bench.heard()
    const session = bench.uplink.sessions.get('pump')!
    expect(told(await bench.send(disconnect()))).toEqual(['disconnect'])
    expect(session.ends).toEqual(['clean'])
    expect(told(await bench.send(disconnect()))).toEqual(['disconnect'])
    expect(session.ends).toEqual(['clean'])
  })

  it('is sent when the broker ends the session', async () => {
    const bench = await Bench.with({}, 'pump')
    bench.heard()
    bench.uplink.connects[0]!.listener.onEnded('taken over')
    await settled()
    expect(told(bench.heard())).toEqual(['disconnect'])
    expect(bench.status('pump').state).toBe('disconnected')
  })

  it('is sent when the gateway stops, and nothing after it', async () => {
    const bench = await Bench.with({}, 'pump', 'valve')
    await bench.send(disconnect(60), 'p2')
    bench.heard()
    bench.heard('p2')
    await bench.gateway.stop()
    expect(told(bench.heard())).toEqual(['disconnect'])
    expect(told(bench.heard('p2'))).toEqual([])
    expect(bench.clock.timers).toBe(0)
  })
})
