import { describe, expect, it } from 'vitest'
import { Mapping } from '../../../sync/downlink/mapping.ts'
import { headersDown, hopsOf } from '../../../sync/downlink/provenance.ts'
import { NOW, OPTIONS, record } from './setup.ts'

type Options = Partial<ConstructorParameters<typeof Mapping>[0]>
const map = (options: Options, changes: Parameters<typeof record>[1], now: number | null = NOW) =>
  new Mapping({ ...OPTIONS, ...options }, 'pi-7').map(record(5, changes), 2, now)
const header = (key: string, value: string) => ({ key, value: Buffer.from(value) })

describe('a record for this edge', () => {
  it('becomes a message with its value, or an empty one for a tombstone', () => {
    expect(map({}, {})).toEqual({ topic: 'commands/k', payload: Buffer.from('v5'), isRetained: false })
    expect(map({}, { value: null })).toMatchObject({ payload: Buffer.alloc(0) })
  })

  it('is told by one of the prefixes of its key, and what is behind that is the rest', () => {
    const options = { filter: { keyPrefixes: ['{edge}/', 'all/'], headers: {} }, mqttTopic: 'c/{rest}' }
    expect(map(options, { key: Buffer.from('pi-7/valve/1') })).toMatchObject({ topic: 'c/valve/1' })
    expect(map(options, { key: Buffer.from('all/valve/1') })).toMatchObject({ topic: 'c/valve/1' })
    for (const key of [Buffer.from('pi-70/valve'), Buffer.from('pi-7'), null]) {
      expect(map(options, { key })).toMatchObject({ passedOver: 'elsewhere' })
    }
  })

  it('is told by all of the headers', () => {
    const options = { filter: { keyPrefixes: [], headers: { target: '{edge}', kind: 'command' } } }
    const kind = header('kind', 'command')
    expect(map(options, { headers: [header('target', 'pi-7'), kind] })).toHaveProperty('topic')
    expect(map(options, { headers: [kind] })).toMatchObject({ passedOver: 'elsewhere' })
    expect(map(options, { headers: [header('target', 'pi-8'), kind] })).toMatchObject({
      passedOver: 'elsewhere',
    })
  })

  it('is retained where the option or its header says so', () => {
    expect(map({ retain: true }, {})).toMatchObject({ isRetained: true })
    const retain = { header: 'keep' }
    expect(map({ retain }, {})).toMatchObject({ isRetained: false })
    expect(map({ retain }, { headers: [header('keep', '1')] })).toMatchObject({ isRetained: true })
    expect(map({ retain }, { headers: [header('keep', 'true')] })).toMatchObject({ isRetained: true })
    expect(map({ retain }, { headers: [header('keep', 'false')] })).toMatchObject({ isRetained: false })
  })
})

describe('a record is passed over', () => {
  it('once it is older than it may be, unless nobody knows the time', () => {
    const options = { maxAgeSeconds: 60 }
    expect(map(options, { timestamp: NOW - 60_000 })).toHaveProperty('topic')
    expect(map(options, { timestamp: NOW - 60_001 })).toMatchObject({ passedOver: 'expired' })
    expect(map(options, { timestamp: NOW - 60_001 }, null)).toHaveProperty('topic')
    expect(map({}, { timestamp: 0 })).toHaveProperty('topic')
  })

  it('when its value is larger than it may be, or it gives no topic', () => {
    expect(map({}, { value: Buffer.alloc(1000) })).toHaveProperty('topic')
    expect(map({}, { value: Buffer.alloc(1001) })).toMatchObject({ passedOver: 'large' })
    expect(map({}, { key: Buffer.from('a/#') })).toMatchObject({ passedOver: 'topic' })
    expect(map({}, { key: null })).toMatchObject({ passedOver: 'topic' })
  })

  it('where it has been: in any incarnation of this edge, as any of its origins', () => {
    for (const value of ['pi-7/0a1b2c3d/events/2/41', 'pi-7/ffffffff/x/0/0']) {
      const headers = [header('hw.origin', value), header('hw.origin', 'pi-8/00000000/events/0/3')]
      expect(map({}, { headers })).toMatchObject({ passedOver: 'own' })
      expect(map({ ownRecords: 'deliver' }, { headers })).toHaveProperty('topic')
    }
    const headers = [header('hw.origin', 'pi-70/0a1b2c3d/events/2/41')]
    expect(map({}, { headers })).toHaveProperty('topic')
  })

  it('when it came through as many downlinks as it may', () => {
    expect(map({}, { headers: [header('hw.hops', '1')] })).toMatchObject({ passedOver: 'hops' })
    expect(map({ hopsMax: 2 }, { headers: [header('hw.hops', '1')] })).toHaveProperty('topic')
    expect(map({ hopsMax: 2 }, { headers: [header('hw.hops', '12')] })).toMatchObject({ passedOver: 'hops' })
    expect(map({}, { headers: [header('hw.hops', 'many')] })).toHaveProperty('topic')
  })
})

it('a record that comes down says where it came from, how often it did, and keeps its other headers', () => {
  const topic = { cluster: 'c1', topic: 'commands', topicId: 't1', partitions: [] }
  const origin = header('hw.origin', 'pi-8/0a1b2c3d/events/2/41')
  const other = [origin, header('trace', 'x'), { key: 'n', value: null }]
  const replaced = [header('hw.hops', '1'), header('hw.from', 'old'), header('topic', 'elsewhere')]
  const down = headersDown(record(5, { headers: [...replaced, ...other] }), topic, 2)
  expect(down).toEqual([...other, header('hw.hops', '2'), header('hw.from', 'c1/commands/2/5')])
  expect(hopsOf(record(0, { headers: down }))).toBe(2)
})
