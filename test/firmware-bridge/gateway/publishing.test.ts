/** MQTT-SN 1.2, sections 6.6 to 6.8 and 6.13: from a device to the broker. */
import { describe, expect, it } from 'vitest'
import { type Packet, Type } from '../../../firmware-bridge/packets/packet.ts'
import { MemoryLink, settled } from './fakes.ts'
import { Bench, connect, publish, register, told } from './support.ts'

const pubrel = (messageId: number): Packet => ({ type: Type.pubrel, messageId })

async function connected(options: Parameters<(typeof Bench)['with']>[0] = {}): Promise<Bench> {
  const bench = await Bench.with(options, 'pump')
  bench.heard()
  return bench
}

function gated(bench: Bench): () => Promise<void> {
  let open = () => {}
  bench.uplink.gate = new Promise((resolve) => {
    open = resolve
  })
  return async () => {
    open()
    await settled()
  }
}

describe('REGISTER', () => {
  it('gives an id, the same for the same name, and messages go to the name', async () => {
    const bench = await connected()
    const [one] = await bench.send(register('plant/1/t'))
    const [again] = await bench.send(register('plant/1/t', 2))
    const [other] = await bench.send(register('plant/2/t', 3))
    expect(told([one!, again!, other!])).toEqual([
      'regack #1 accepted',
      'regack #2 accepted',
      'regack #3 accepted',
    ])
    const { topicId } = one as { topicId: number }
    expect(again).toMatchObject({ topicId })
    expect((other as { topicId: number }).topicId).not.toBe(topicId)
    await bench.send(publish({ topicIdType: 'normal', topicId, data: '21.5' }))
    expect(bench.published).toEqual(['plant/1/t 21.5'])
  })

  it('gives a name the id that another gateway gave it: one that was started again does not mix topics up', async () => {
    const ids = []
    for (const names of [
      ['a/1', 'a/2', 'a/3'],
      ['a/3', 'a/1', 'a/2'],
    ]) {
      const bench = await connected()
      const answers: { topicId: number }[] = []
      for (const name of names) answers.push((await bench.send(register(name)))[0] as { topicId: number })
      ids.push(new Map(names.map((name, at) => [name, answers[at]!.topicId])))
    }
    for (const [name, topicId] of ids[0]!) expect(ids[1]!.get(name)).toBe(topicId)
  })

  it.each(['a/+', '#', 'a\tb'])('of %j is not supported', async (name) => {
    const bench = await connected()
    expect(told(await bench.send(register(name)))).toEqual(['regack #1 unsupported'])
  })

  it('beyond topicsPerDeviceMax is to come later; what is registered stays', async () => {
    const bench = await connected({ config: { topicsPerDeviceMax: 3 } })
    for (const name of ['a1', 'a2', 'a3']) {
      expect(told(await bench.send(register(name)))).toEqual(['regack #1 accepted'])
    }
    expect(told(await bench.send(register('a4')))).toEqual(['regack #1 congestion'])
    expect(told(await bench.send(register('a2')))).toEqual(['regack #1 accepted'])
    expect(bench.status('pump').topics).toBe(3)
  })
})

describe('the topic of a PUBLISH', () => {
  const options = { topics: { predefined: { 1: 'plant/%c/temperature', 2: 'plant/all' } } }

  it.each([
    ['short', publish({ topicIdType: 'short', topicId: 0x6162 }), 'ab hi'],
    ['predefined', publish({ topicIdType: 'predefined', topicId: 2 }), 'plant/all hi'],
    [
      'predefined with the client id',
      publish({ topicIdType: 'predefined', topicId: 1 }),
      'plant/pump/temperature hi',
    ],
  ])('is %s', async (_, packet, expected) => {
    const bench = await connected(options)
    expect(told(await bench.send(packet))).toEqual(['puback #1 accepted'])
    expect(bench.published).toEqual([expected])
  })

  it.each([
    ['normal and not registered', publish({ topicIdType: 'normal', topicId: 5 })],
    ['normal and 0', publish({ topicIdType: 'normal', topicId: 0 })],
    ['normal and reserved', publish({ topicIdType: 'normal', topicId: 0xffff })],
    ['predefined and not configured', publish({ topicIdType: 'predefined', topicId: 3 })],
    ['short with a wildcard', publish({ topicIdType: 'short', topicId: 0x612b })],
    ['short and no text', publish({ topicIdType: 'short', topicId: 0x0000 })],
    ['not known, at QoS 2', publish({ topicIdType: 'normal', topicId: 5, qos: 2 })],
  ])('is an invalid topic id where it is %s', async (_, packet) => {
    const bench = await connected(options)
    expect(told(await bench.send(packet))).toEqual(['puback #1 invalid'])
    expect(bench.published).toEqual([])
    expect(bench.status('pump').dropped).toEqual({ 'unknown-topic': 1 })
  })

  it('that is not known is told at QoS 0, too', async () => {
    const bench = await connected()
    const [answer] = await bench.send(publish({ topicIdType: 'normal', topicId: 5, qos: 0 }))
    expect(answer).toMatchObject({ type: Type.puback, topicId: 5, messageId: 0, returnCode: 2 })
  })
})

describe('QoS', () => {
  it('0 goes to the broker and is not answered', async () => {
    const bench = await connected()
    expect(told(await bench.send(publish({ qos: 0, isRetained: true })))).toEqual([])
    expect(bench.uplink.published[0]!.message).toMatchObject({ qos: 0, isRetained: true, messageId: 0 })
  })

  it('1 is answered when the broker has the message, not before', async () => {
    const bench = await connected()
    const open = gated(bench)
    expect(told(await bench.send(publish({ messageId: 9 })))).toEqual([])
    await open()
    expect(bench.heard()).toEqual([{ type: Type.puback, topicId: 0x6162, messageId: 9, returnCode: 0 }])
    expect(bench.uplink.published[0]!.message).toMatchObject({ qos: 1, messageId: 9, isDup: false })
  })

  it('2 is PUBREC when the broker has it, PUBCOMP when the id is released', async () => {
    const bench = await connected()
    expect(told(await bench.send(publish({ qos: 2, messageId: 7 })))).toEqual(['pubrec #7'])
    expect(told(await bench.send(publish({ qos: 2, messageId: 7, isDup: true })))).toEqual(['pubrec #7'])
    const open = gated(bench)
    expect(told(await bench.send(pubrel(7)))).toEqual([])
    expect(told(await bench.send(pubrel(7)))).toEqual([])
    await open()
    expect(told(bench.heard())).toEqual(['pubcomp #7'])
    expect(bench.uplink.sessions.get('pump')!.released).toEqual([7])
    // PUBCOMP was lost.
    expect(told(await bench.send(pubrel(7)))).toEqual(['pubcomp #7'])
    expect(bench.published).toEqual(['ab hi'])
  })

  it('-1 of a connected device is a message of QoS 0 of its own', async () => {
    const bench = await connected()
    expect(told(await bench.send(publish({ qos: -1 })))).toEqual([])
    expect(bench.published).toEqual(['ab hi'])
    expect(bench.uplink.unconnected).toEqual([])
  })
})

describe('QoS -1 of a device that never connects', () => {
  const topics = { predefined: { 2: 'plant/all', 3: 'plant/%c' } }

  it('goes to short and predefined topics', async () => {
    const bench = await Bench.with({ topics })
    expect(told(await bench.send(publish({ qos: -1 })))).toEqual([])
    await bench.send(publish({ qos: -1, topicIdType: 'predefined', topicId: 2 }))
    expect(bench.uplink.unconnected.map(({ topic }) => topic)).toEqual(['ab', 'plant/all'])
    expect(bench.uplink.unconnected[0]).toMatchObject({ qos: 0, properties: { 'bridge.link': 'udp test' } })
    expect(bench.gateway.counters.unconnectedAccepted).toBe(2)
  })

  it.each([
    ['a normal topic id', publish({ qos: -1, topicIdType: 'normal', topicId: 5 })],
    ['a topic that has a client id in it', publish({ qos: -1, topicIdType: 'predefined', topicId: 3 })],
    ['a topic id that is not configured', publish({ qos: -1, topicIdType: 'predefined', topicId: 9 })],
  ])('is dropped with %s', async (_, packet) => {
    const bench = await Bench.with({ topics })
    expect(told(await bench.send(packet))).toEqual([])
    expect(bench.uplink.unconnected).toEqual([])
    expect(bench.gateway.counters.unconnectedDropped).toBe(1)
  })

  it.each([
    [undefined, ['*'], 1],
    [undefined, ['pump'], 0],
    [true, ['pump'], 1],
    [false, ['*'], 0],
  ])('with unconnectedPublish %s and devices %j is taken %i times', async (flag, allow, times) => {
    const config = flag === undefined ? {} : { unconnectedPublish: flag }
    const bench = await Bench.with({ config, allow })
    await bench.send(publish({ qos: -1 }))
    expect(bench.uplink.unconnected).toHaveLength(times)
  })
})

describe('what comes again', () => {
  it('while the first is under way has one answer, and is one message', async () => {
    const bench = await connected()
    const open = gated(bench)
    await bench.send(publish())
    await bench.send(publish({ isDup: true }))
    await bench.send(publish())
    await open()
    expect(told(bench.heard())).toEqual(['puback #1 accepted'])
    expect(bench.published).toEqual(['ab hi'])
    expect(bench.status('pump').retransmissionsSeen).toBe(2)
  })

  it('with DUP afterwards is for the uplink to know, and is acknowledged', async () => {
    const bench = await connected()
    await bench.send(publish())
    expect(told(await bench.send(publish({ isDup: true })))).toEqual(['puback #1 accepted'])
    expect(bench.published).toEqual(['ab hi'])
  })

  it('with DUP and other content is another message', async () => {
    const bench = await connected()
    await bench.send(publish())
    await bench.send(publish({ isDup: true, data: 'ho' }))
    expect(bench.published).toEqual(['ab hi', 'ab ho'])
  })

  it('without DUP is a copy of the network’s within duplicateMs on UDP', async () => {
    const bench = await connected({ config: { duplicateMs: 200 } })
    await bench.send(publish())
    bench.heard()
    expect(told(await bench.send(publish()))).toEqual(['puback #1 accepted'])
    expect(bench.published).toEqual(['ab hi'])
    await bench.advance(201)
    expect(told(await bench.send(publish()))).toEqual(['puback #1 accepted'])
    expect(bench.published).toEqual(['ab hi', 'ab hi'])
  })

  it.each([
    ['on a serial port', { link: new MemoryLink('serial') }, {}],
    ['with duplicateMs 0', { config: { duplicateMs: 0 } }, {}],
    ['with other content', {}, { data: 'ho' }],
    ['under another id', {}, { messageId: 2 }],
    ['retained', {}, { isRetained: true }],
  ])('without DUP is another message %s', async (_, options, fields) => {
    const bench = await connected(options)
    await bench.send(publish())
    await bench.clock.advance(1)
    await bench.send(publish(fields))
    expect(bench.published).toHaveLength(2)
  })

  it('after congestion is a repetition, with DUP or without: the broker may have it all the same', async () => {
    const bench = await connected({ link: new MemoryLink('serial') })
    bench.uplink.decide = () => 'losing'
    expect(told(await bench.send(publish()))).toEqual(['puback #1 congestion'])
    bench.uplink.decide = () => null
    await bench.clock.advance(10_000)
    expect(told(await bench.send(publish()))).toEqual(['puback #1 accepted'])
    expect(bench.published).toEqual(['ab hi'])
  })

  it('under an id in use with other content is to come later', async () => {
    const bench = await connected()
    const open = gated(bench)
    await bench.send(publish({ data: 'one' }))
    expect(told(await bench.send(publish({ data: 'two' })))).toEqual(['puback #1 congestion'])
    await open()
    expect(bench.published).toEqual(['ab one'])
  })

  it('after a new connection is not answered for the old one', async () => {
    const bench = await connected()
    const open = gated(bench)
    await bench.send(publish({ data: 'one' }))
    bench.post(connect({ isClean: false }))
    await open()
    expect(told(bench.heard())).toEqual(['connack accepted'])
  })
})

describe('what the broker does not take', () => {
  it.each([1, 2] as const)('is to come later while it is away, at QoS %i', async (qos) => {
    const bench = await connected()
    bench.uplink.isUp = false
    expect(told(await bench.send(publish({ qos })))).toEqual(['puback #1 congestion'])
    bench.uplink.isUp = true
    expect(told(await bench.send(publish({ qos, isDup: true })))).toEqual([
      qos === 1 ? 'puback #1 accepted' : 'pubrec #1',
    ])
    expect(bench.status('pump')).toMatchObject({ congested: 1, published: 1 })
  })

  it('is dropped and counted at QoS 0', async () => {
    const bench = await connected()
    bench.uplink.isUp = false
    await bench.send(publish({ qos: 0 }))
    expect(bench.status('pump').dropped).toEqual({ congested: 1 })
  })

  it('for good is not supported, and logged', async () => {
    const bench = await connected()
    bench.uplink.decide = () => ({ kind: 'refused', reason: 'not authorized' })
    expect(told(await bench.send(publish()))).toEqual(['puback #1 unsupported'])
    expect(bench.log).toContain('a message of device pump is refused')
  })

  it('is to come later when there are publishesInFlightMax before it', async () => {
    const bench = await connected({ config: { publishesInFlightMax: 2 } })
    const open = gated(bench)
    for (const messageId of [1, 2, 3]) await bench.send(publish({ messageId }))
    expect(told(bench.heard())).toEqual([])
    await open()
    expect(told(bench.heard())).toEqual(['puback #1 accepted', 'puback #2 accepted'])
  })
})

it('what a device sends goes to the broker in its order', async () => {
  const bench = await connected()
  const open = gated(bench)
  for (const messageId of [3, 1, 2]) bench.post(publish({ messageId, data: String(messageId) }))
  await open()
  expect(bench.published).toEqual(['ab 3', 'ab 1', 'ab 2'])
})

it('a message carries when and how it came', async () => {
  const bench = await connected({ isClockTrusted: false })
  await bench.send(publish())
  expect(bench.uplink.published[0]!.message.properties).toEqual({
    'bridge.arrival-time': String(bench.clock.now()),
    'bridge.clock': 'untrusted',
    'bridge.link': 'udp test',
    'bridge.device': 'pump',
  })
})

it('the bytes of a message are its own: a link uses its buffer again', async () => {
  const bench = await connected()
  const open = gated(bench)
  const bytes = Buffer.from('090c22616200016869', 'hex')
  bench.post(bytes)
  bytes.fill(0)
  await open()
  expect(bench.published).toEqual(['ab hi'])
})

describe('bodies', () => {
  it('are mapped, with the time that the device says', async () => {
    const bodies = {
      fromDevice: (clientId: string | null, topic: string, body: Uint8Array) => ({
        kind: 'mapped' as const,
        payload: Buffer.from(`${clientId} ${topic} ${Buffer.from(body)}`),
        deviceTimeMs: 42,
      }),
    }
    const bench = await connected({ bodies })
    await bench.send(publish())
    expect(bench.published).toEqual(['ab pump ab hi'])
    expect(bench.uplink.published[0]!.message.properties['bridge.device-time']).toBe('42')
  })

  it('may go to another topic, with the reason', async () => {
    const bodies = {
      fromDevice: () => ({
        kind: 'mapped' as const,
        payload: Buffer.from('raw'),
        deviceTimeMs: null,
        topic: 'dead',
        fault: 'no CBOR',
      }),
    }
    const bench = await connected({ bodies })
    expect(told(await bench.send(publish()))).toEqual(['puback #1 accepted'])
    await bench.send(publish({ qos: -1 }))
    expect(bench.published).toEqual(['dead raw', 'dead raw'])
    expect(bench.uplink.published[0]!.message.properties['bridge.body-fault']).toBe('no CBOR')
  })

  it('that are not what was configured are not supported', async () => {
    const bodies = { fromDevice: () => ({ kind: 'refused' as const, reason: 'no CBOR' }) }
    const bench = await connected({ bodies })
    expect(told(await bench.send(publish()))).toEqual(['puback #1 unsupported'])
    expect(bench.status('pump').dropped).toEqual({ body: 1 })
  })
})
