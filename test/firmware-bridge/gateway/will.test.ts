/** MQTT-SN 1.2, sections 6.2 to 6.4: the will. */
import { describe, expect, it } from 'vitest'
import { Type } from '../../../firmware-bridge/packets/packet.ts'
import { Bench, connect, disconnect, told, willMessage, willTopic } from './support.ts'

describe('the will', () => {
  it('is asked for before the session is made', async () => {
    const bench = await Bench.with()
    expect(told(await bench.send(connect({ hasWill: true })))).toEqual(['willTopicRequest'])
    expect(told(await bench.send(willTopic('plant/gone')))).toEqual(['willMessageRequest'])
    expect(bench.uplink.connects).toEqual([])
    expect(told(await bench.send(willMessage('bye')))).toEqual(['connack accepted'])
    expect(bench.uplink.connects[0]!.will).toEqual({
      topic: 'plant/gone',
      payload: Buffer.from('bye'),
      qos: 1,
      isRetained: true,
    })
  })

  it('is none after an empty WILLTOPIC', async () => {
    const bench = await Bench.with()
    await bench.send(connect({ hasWill: true }))
    expect(told(await bench.send(willTopic(null)))).toEqual(['connack accepted'])
    expect(bench.uplink.connects[0]!.will).toBeNull()
  })

  it('is asked for again, in the end the device is given up', async () => {
    const bench = await Bench.with({ config: { retries: 2 } })
    await bench.send(connect({ hasWill: true }))
    expect(told(await bench.advance(1_000))).toEqual(['willTopicRequest'])
    await bench.send(willTopic('gone'))
    expect(told(await bench.advance(5_000))).toEqual(['willMessageRequest', 'willMessageRequest'])
    expect(bench.status('pump').state).toBe('lost')
    expect(bench.uplink.connects).toEqual([])
    expect(bench.gateway.counters.refused.get('will')).toBe(1)
  })

  it('on a topic with a wildcard is not supported', async () => {
    const bench = await Bench.with()
    await bench.send(connect({ hasWill: true }))
    expect(told(await bench.send(willTopic('plant/#')))).toEqual(['connack unsupported'])
    expect(bench.status('pump').state).toBe('disconnected')
  })

  it('is asked for from its start when the device connects again in the middle of it', async () => {
    const bench = await Bench.with()
    await bench.send(connect({ hasWill: true }))
    await bench.send(willTopic('one'))
    expect(told(await bench.send(connect({ hasWill: true })))).toEqual(['willTopicRequest'])
    await bench.send(willTopic('two'))
    expect(told(await bench.send(willMessage('bye')))).toEqual(['connack accepted'])
    expect(bench.uplink.connects.map(({ will }) => will?.topic)).toEqual(['two'])
  })

  it('is published when the device is silent for one and a half of its keep alive, not when it disconnects', async () => {
    const bench = await Bench.with()
    await bench.send(connect({ hasWill: true, duration: 10, isClean: false }))
    await bench.send(willTopic('gone'))
    await bench.send(willMessage('bye'))
    await bench.advance(14_999)
    expect(bench.uplink.wills).toEqual([])
    await bench.advance(1)
    expect(bench.uplink.wills).toMatchObject([{ topic: 'gone' }])
    expect(bench.status('pump').state).toBe('lost')
    await bench.send(connect({ duration: 10, isClean: false }))
    await bench.send(disconnect())
    await bench.advance(60_000)
    expect(bench.uplink.wills).toHaveLength(1)
  })

  it('is changed by WILLTOPICUPD and WILLMSGUPD, and deleted by an empty WILLTOPICUPD', async () => {
    const bench = await Bench.with({}, 'pump')
    bench.heard()
    const session = bench.uplink.sessions.get('pump')!
    const update = (topic: string | null) => ({ ...willTopic(topic), type: Type.willTopicUpdate })
    const message = { ...willMessage('late'), type: Type.willMessageUpdate }
    expect(told(await bench.send(message))).toEqual(['willMessageResponse unsupported'])
    expect(told(await bench.send(update('gone/+')))).toEqual(['willTopicResponse unsupported'])
    expect(told(await bench.send(update('gone')))).toEqual(['willTopicResponse accepted'])
    expect(told(await bench.send(message))).toEqual(['willMessageResponse accepted'])
    expect(session.will).toMatchObject({ topic: 'gone', payload: Buffer.from('late') })
    expect(told(await bench.send(update(null)))).toEqual(['willTopicResponse accepted'])
    expect(session.will).toBeNull()
    bench.uplink.isUp = false
    expect(told(await bench.send(update('gone')))).toEqual(['willTopicResponse congestion'])
  })
})

it('a will is changed once at a time: the next change is put off while the broker is told of the first', async () => {
  const bench = await Bench.with({}, 'pump')
  bench.heard()
  const session = bench.uplink.sessions.get('pump')!
  let release = () => {}
  const setWill = session.setWill.bind(session)
  session.setWill = async (will) => {
    await new Promise<void>((resolve) => {
      release = resolve
    })
    return setWill(will)
  }
  const update = (topic: string) => ({ ...willTopic(topic), type: Type.willTopicUpdate })
  expect(told(await bench.send(update('first')))).toEqual([])
  expect(told(await bench.send(update('second')))).toEqual(['willTopicResponse congestion'])
  release()
  expect(told(await bench.advance(0))).toEqual(['willTopicResponse accepted'])
  expect(session.will).toMatchObject({ topic: 'first' })
})
