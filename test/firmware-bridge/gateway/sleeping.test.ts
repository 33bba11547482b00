/** MQTT-SN 1.2, section 6.14: devices that sleep. */
import { describe, expect, it } from 'vitest'
import { Type } from '../../../firmware-bridge/packets/packet.ts'
import { settled } from './fakes.ts'
import {
  Bench,
  type BenchOptions,
  connect,
  disconnect,
  ping,
  puback,
  publish,
  regack,
  subscribe,
  told,
} from './support.ts'

/** Subscribed to a short topic, asleep for 100 s. */
async function asleep(options: BenchOptions = {}): Promise<Bench> {
  const bench = await Bench.with({ ...options, config: { awakeMs: 0, ...options.config } })
  await bench.send(connect({ isClean: false }))
  await bench.send(subscribe({ kind: 'short', name: 'ab' }))
  await bench.send(disconnect(100))
  bench.heard()
  return bench
}

const message = (text: string, qos: 0 | 1 | 2 = 1) => ({ topic: 'ab', payload: Buffer.from(text), qos })

describe('DISCONNECT with a duration', () => {
  it('is answered; the session and its subscriptions go on', async () => {
    const bench = await Bench.with({}, 'pump')
    bench.heard()
    expect(told(await bench.send(disconnect(100)))).toEqual(['disconnect'])
    expect(bench.status('pump').state).toBe('asleep')
    expect(bench.uplink.sessions.get('pump')!.ends).toEqual([])
    expect(told(await bench.send(disconnect(100)))).toEqual(['disconnect'])
    expect(bench.status('pump').state).toBe('asleep')
  })

  it.each([0, null])('of %s ends the session', async (duration) => {
    const bench = await asleep()
    const session = bench.uplink.sessions.get('pump')!
    await bench.send(disconnect(duration))
    expect(session.ends).toEqual(['clean'])
  })

  it.each([
    [10, 15_000],
    [60, 90_000],
    [100, 110_000],
    [3_600, 3_960_000],
  ])('of %i s and silence for %i ms: the device is lost', async (duration, ms) => {
    const bench = await asleep()
    await bench.send(disconnect(duration))
    await bench.advance(ms - 1)
    expect(bench.status('pump').state).toBe('asleep')
    await bench.advance(1)
    expect(bench.status('pump').state).toBe('lost')
  })
})

describe('messages for a device that sleeps', () => {
  it('are kept, and delivered one after the other after its PINGREQ; PINGRESP is the last', async () => {
    const bench = await asleep()
    await bench.deliver('pump', message('1'))
    await bench.deliver('pump', message('2', 0))
    await bench.deliver('pump', message('3', 2))
    expect(bench.heard()).toEqual([])
    expect(told(await bench.send(ping('pump')))).toEqual(['publish q1 short #1 1'])
    expect(bench.status('pump').state).toBe('awake')
    expect(told(await bench.send(puback(1)))).toEqual(['publish q0 short 2', 'publish q2 short #2 3'])
    expect(told(await bench.send({ type: Type.pubrec, messageId: 2 }))).toEqual(['pubrel #2'])
    expect(told(await bench.send({ type: Type.pubcomp, messageId: 2 }))).toEqual(['pingResponse'])
    expect(bench.status('pump')).toMatchObject({ state: 'asleep', delivered: 3, queue: 0 })
    expect(bench.uplink.stored.get('pump')!.queue).toEqual([])
  })

  it('that are none: PINGREQ is answered at once', async () => {
    const bench = await asleep()
    expect(told(await bench.send(ping('pump')))).toEqual(['pingResponse'])
    expect(bench.status('pump').state).toBe('asleep')
  })

  it('are delivered after a CONNECT, too', async () => {
    const bench = await asleep()
    await bench.deliver('pump', message('1'))
    await bench.deliver('pump', message('2', 0))
    expect(told(await bench.send(connect({ isClean: false })))).toEqual([
      'connack accepted',
      'publish q1 short #1 1',
    ])
    expect(told(await bench.send(puback(1)))).toEqual(['publish q0 short 2'])
    expect(bench.status('pump').state).toBe('active')
  })

  it('are delivered after a CONNECT whose first connection was a clean one', async () => {
    const bench = await Bench.with({ config: { awakeMs: 0 } }, 'pump')
    await bench.send(disconnect(100))
    bench.heard()
    await bench.deliver('pump', message('1'))
    expect(told(await bench.send(connect({ isClean: false })))).toEqual([
      'connack accepted',
      'publish q1 short #1 1',
    ])
    expect(bench.uplink.connects).toHaveLength(1)
  })

  it('of QoS 0 beyond sleepingMessagesMax take the place of the oldest; those of QoS 1 stay', async () => {
    const bench = await asleep({ config: { sleepingMessagesMax: 3 } })
    await bench.deliver('pump', message('kept'))
    for (const text of ['1', '2', '3', '4']) await bench.deliver('pump', message(text, 0))
    expect(bench.status('pump')).toMatchObject({ queue: 3, undelivered: { overflow: 2 } })
    await bench.send(ping('pump'))
    expect(told(await bench.send(puback(1)))).toEqual([
      'publish q0 short 3',
      'publish q0 short 4',
      'pingResponse',
    ])
  })

  it('that come while it is awake are delivered before it sleeps again', async () => {
    const bench = await asleep()
    await bench.deliver('pump', message('1'))
    await bench.send(ping('pump'))
    await bench.deliver('pump', message('2'))
    expect(told(await bench.send(puback(1)))).toEqual(['publish q1 short #2 2'])
    expect(told(await bench.send(puback(2)))).toEqual(['pingResponse'])
  })

  it('that the broker still has are waited for, awakeMs', async () => {
    const bench = await asleep({ config: { awakeMs: 250 } })
    bench.uplink.receiveMax = 1
    await bench.deliver('pump', message('1'))
    await bench.send(ping('pump'))
    expect(told(await bench.send(puback(1)))).toEqual([])
    expect(told(await bench.advance(100))).toEqual([])
    expect(told(await bench.deliver('pump', message('2')))).toEqual(['publish q1 short #2 2'])
    expect(told(await bench.send(puback(2)))).toEqual([])
    expect(told(await bench.advance(249))).toEqual([])
    expect(told(await bench.advance(1))).toEqual(['pingResponse'])
    expect(bench.status('pump').state).toBe('asleep')
  })

  it('are as many as sleepingMessagesMax at a time: a stream of them does not keep it awake', async () => {
    const bench = await asleep({ config: { sleepingMessagesMax: 3 } })
    for (let at = 1; at <= 5; at++) bench.uplink.deliver('pump', message(String(at)))
    await bench.send(ping('pump'))
    await bench.send(puback(1))
    await bench.send(puback(2))
    expect(told(await bench.send(puback(3)))).toEqual(['pingResponse'])
    expect(told(await bench.send(ping('pump')))).toEqual(['publish q1 short #4 4'])
  })

  it('that are not answered are kept for the next time; the device sleeps without PINGRESP', async () => {
    const bench = await asleep({ config: { retries: 1 } })
    await bench.deliver('pump', message('1'))
    await bench.send(ping('pump'))
    expect(told(await bench.advance(10_000))).toEqual(['publish q1 dup short #1 1'])
    expect(bench.status('pump').state).toBe('asleep')
    expect(told(await bench.send(ping('pump')))).toEqual(['publish q1 dup short #1 1'])
    expect(told(await bench.send(puback(1)))).toEqual(['pingResponse'])
  })

  it('are repeated at once when PINGREQ comes again', async () => {
    const bench = await asleep()
    await bench.deliver('pump', message('1'))
    await bench.send(ping('pump'))
    expect(told(await bench.send(ping('pump')))).toEqual(['publish q1 dup short #1 1'])
    expect(told(await bench.send(puback(1)))).toEqual(['pingResponse'])
  })

  it('are the broker’s again when it is lost, and come when it connects', async () => {
    const bench = await asleep()
    await bench.deliver('pump', message('1'))
    await bench.advance(110_000)
    expect(bench.status('pump')).toMatchObject({ state: 'lost', queue: 0 })
    expect(told(await bench.send(ping('pump')))).toEqual(['disconnect'])
    const packets = await bench.send(connect({ isClean: false }))
    expect(told(packets).toSorted()).toEqual(['connack accepted', 'publish q1 short #1 1'])
  })

  it('whose topic it does not know are told of it when it wakes', async () => {
    const bench = await asleep()
    await bench.deliver('pump', { topic: 'plant/new' })
    const [packet] = await bench.send(ping('pump'))
    expect(told([packet!])).toEqual(['register #1 plant/new'])
    expect(told(await bench.send(regack(packet!)))).toEqual(['publish q1 normal #2 x'])
  })
})

describe('a device that sleeps', () => {
  it('may wake at another address: it is known by its client id', async () => {
    const bench = await asleep()
    await bench.deliver('pump', message('1'))
    expect(told(await bench.send(ping('pump'), 'p9'))).toEqual(['publish q1 short #1 1'])
    expect(told(await bench.send(puback(1), 'p9'))).toEqual(['pingResponse'])
    expect(bench.status('pump')).toMatchObject({ peer: 'p9', moves: 1, state: 'asleep' })
    // Where it was before nobody is connected.
    expect(told(await bench.send(publish(), 'p1'))).toEqual(['disconnect'])
  })

  it('wakes with a PINGREQ without its client id, too, where it is known by its address', async () => {
    const bench = await asleep()
    await bench.deliver('pump', message('1'))
    expect(told(await bench.send(ping()))).toEqual(['publish q1 short #1 1'])
    expect(told(await bench.send(puback(1)))).toEqual(['pingResponse'])
    expect(told(await bench.send(ping(), 'p9'))).toEqual(['disconnect'])
  })

  it('may publish without a CONNECT', async () => {
    const bench = await asleep()
    expect(told(await bench.send(publish()))).toEqual(['puback #1 accepted'])
    expect(bench.status('pump').state).toBe('asleep')
  })

  it('may begin anew: with CleanSession nothing of before is delivered', async () => {
    const bench = await asleep()
    await bench.deliver('pump', message('1'))
    expect(told(await bench.send(connect({ isClean: true })))).toEqual(['connack accepted'])
    await settled()
    expect(bench.heard()).toEqual([])
    expect(bench.status('pump').queue).toBe(0)
  })

  it('is not reached by PINGREQ of an active device', async () => {
    const bench = await Bench.with({}, 'pump')
    bench.heard()
    expect(told(await bench.send(ping('pump')))).toEqual(['pingResponse'])
    expect(told(await bench.send(ping('pump'), 'p2'))).toEqual(['disconnect'])
    expect(bench.status('pump')).toMatchObject({ state: 'active', peer: 'p1' })
  })
})
