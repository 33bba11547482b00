import { Encoder } from 'cbor-x'
import { describe, expect, it } from 'vitest'
import { BodyMapper } from '../../../firmware-bridge/bodies/body-mapper.ts'
import type { BodyConfig } from '../../../firmware-bridge/bodies/config.ts'

const encoder = new Encoder({ useRecords: false, mapsAsObjects: false })
const cbor = (...pairs: [unknown, unknown][]) => encoder.encode(new Map(pairs))
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

function entry(more: Partial<BodyConfig> = {}): BodyConfig {
  return {
    clients: '*',
    topic: '#',
    format: 'cbor',
    time: 'none',
    timeKey: 0,
    schema: {
      1: { name: 'temperature', scale: 0.01, unit: 'C', type: 'number' },
      2: { name: 'door', type: 'boolean' },
      3: { name: 'samples', scale: 2, type: 'integer' },
      '-1': { name: 'serial', type: 'text' },
      4: { name: 'raw', type: 'bytes' },
    },
    unknownKeys: 'keep',
    withUnits: false,
    malformed: 'dead-letter',
    deadLetterTopic: 'dead/%c',
    ...more,
  }
}

function json(body: Uint8Array, more: Partial<BodyConfig> = {}): string {
  const mapped = new BodyMapper([entry(more)]).fromDevice('s1', 't', body)
  expect(mapped).toMatchObject({ kind: 'mapped' })
  expect(mapped).not.toHaveProperty('fault')
  return mapped?.kind === 'mapped' ? Buffer.from(mapped.payload).toString() : ''
}

function faultOf(body: Uint8Array, more: Partial<BodyConfig> = {}): string | undefined {
  const mapped = new BodyMapper([entry(more)]).fromDevice('s1', 't', body)
  return mapped?.kind === 'mapped' ? mapped.fault : mapped?.reason
}

describe('a body of CBOR', () => {
  it('becomes an object with names, scales and types', () => {
    const body = cbor([1, 2150], [2, true], [3, [1, 2, 3]], [-1, 'A-7'], [4, Buffer.from([1, 2, 255])])
    expect(json(body)).toBe('{"temperature":21.5,"door":true,"samples":[2,4,6],"serial":"A-7","raw":"AQL/"}')
  })

  it('keeps keys that the schema does not have under their number, or drops them', () => {
    const body = cbor([1, 100], [7, 5], ['name', 'x'], [9, new Map([[1, [true]]])])
    expect(json(body)).toBe('{"7":5,"9":{"1":[true]},"temperature":1,"name":"x"}')
    expect(json(body, { unknownKeys: 'drop' })).toBe('{"temperature":1}')
  })

  it('has units where they are wanted', () => {
    expect(json(cbor([1, 2150], [2, false]), { withUnits: true })).toBe(
      '{"temperature":{"value":21.5,"unit":"C"},"door":false}',
    )
  })

  it('has what JSON cannot say in a form that it can', () => {
    const unscaled = { schema: {} }
    expect(json(hex('a1 01 1bffffffffffffffff'), unscaled)).toBe('{"1":"18446744073709551615"}')
    expect(json(hex('a1 01 3bffffffffffffffff'), unscaled)).toBe('{"1":"-18446744073709551616"}')
    expect(json(hex('a3 01 f97e00 02 f97c00 03 f7'), unscaled)).toBe('{"1":null,"2":null,"3":null}')
    expect(json(hex('a2 01 f93e00 02 fa40490fdb'), unscaled)).toMatch(/^\{"1":1\.5,"2":3\.14159/)
    expect(json(hex('bf 03 9f 01 ff ff'), unscaled)).toBe('{"3":[1]}')
  })

  it('does not care in how many bytes a whole number came', () => {
    const expected = '{"temperature":21.5,"9":7,"samples":[2]}'
    const parsed = (body: string) => JSON.parse(json(hex(body)))
    expect(parsed('a3 01 190866 09 07 03 81 01')).toEqual(JSON.parse(expected))
    expect(
      parsed('a3 1b0000000000000001 1b0000000000000866 18 09 1b0000000000000007 03 81 1b0000000000000001'),
    ).toEqual(JSON.parse(expected))
  })

  it('always gives the same bytes', () => {
    const body = cbor([1, 2153], [3, [7]])
    expect(json(body)).toBe(json(Buffer.from(body)))
  })

  it.each([
    ['no map', hex('01'), 'it is no CBOR map: not a map'],
    ['a key twice', hex('a2 01 01 01 02'), 'a key is there twice'],
    ['a key twice in a map within', hex('a1 01 a2 0101 0102'), 'a key is there twice'],
    ['a key twice deep within', hex('a1 01 81 a1 05 a2 0101 0102'), 'a key is there twice'],
    ['two keys of one name in a map within', hex('a1 09 a2 0101 613102'), 'two keys are called "1"'],
    ['a key twice in two widths', hex('a2 01 01 1801 02'), 'a key is there twice'],
    [
      'a key twice, once in 8 bytes',
      hex('a2 01 01 1b0000000000000001 02'),
      'two keys are called "temperature"',
    ],
    ['two keys of one name', cbor([1, 1], ['temperature', 2]), 'two keys are called "temperature"'],
    ['another type', cbor([1, 'warm']), 'key 1 (temperature) is not number'],
    ['another type in an array', cbor([3, [1, 1.5]]), 'key 3 (samples) is not integer'],
    ['an array in an array', cbor([3, [[1]]]), 'key 3 (samples) is not integer'],
    ['text for bytes', cbor([4, 'x']), 'key 4 (raw) is not bytes'],
    ['a map as a key', hex('a1 a0 01'), 'a key is neither a number nor text'],
  ])('is malformed with %s', (_, body, reason) => {
    expect(faultOf(body)).toBe(reason)
  })

  it('may have null for any value', () => {
    expect(json(cbor([1, null], [2, null], [4, undefined]))).toBe(
      '{"temperature":null,"door":null,"raw":null}',
    )
  })

  it('cannot reach a prototype', () => {
    const body = cbor(['__proto__', new Map([['polluted', 1]])], ['constructor', 2])
    expect(json(body)).toBe('{"__proto__":{"polluted":1},"constructor":2}')
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})

describe("the device's time", () => {
  const AT = 1_700_000_000_000

  it('comes from a key of the map, which is not in the object', () => {
    const mapper = new BodyMapper([entry({ time: 'key', timeKey: 0 })])
    expect(mapper.fromDevice('s1', 't', cbor([0, AT], [1, 100]))).toMatchObject({
      deviceTimeMs: AT,
      payload: Buffer.from('{"temperature":1}'),
    })
    expect(mapper.fromDevice('s1', 't', cbor([1, 100]))).toMatchObject({ kind: 'mapped', deviceTimeMs: null })
    // as devices write it, and with a key in 8 bytes
    for (const key of ['00', '1b0000000000000000']) {
      const body = hex(`a1 ${key} 1b0000018bcfe56800`)
      expect(mapper.fromDevice('s1', 't', body)).toMatchObject({ deviceTimeMs: AT })
    }
    expect(faultOf(cbor([0, -1]), { time: 'key' })).toBe('key 0 is no Unix time in ms')
    expect(faultOf(cbor([0, 1.5]), { time: 'key' })).toBe('key 0 is no Unix time in ms')
    expect(faultOf(hex('a1 00 1bffffffffffffffff'), { time: 'key' })).toBe('key 0 is no Unix time in ms')
  })

  it('comes from 9 bytes before the body, as its grammar shows', () => {
    const known = hex('01 0000018bcfe56800')
    const mapper = new BodyMapper([entry({ time: 'prefix', format: 'opaque' })])
    expect(mapper.fromDevice('s1', 't', Buffer.concat([known, hex('beef')]))).toEqual({
      kind: 'mapped',
      payload: hex('beef'),
      deviceTimeMs: AT,
    })
    expect(mapper.fromDevice('s1', 't', hex('00 ffffffffffffffff'))).toEqual({
      kind: 'mapped',
      payload: hex(''),
      deviceTimeMs: null,
    })
    expect(json(Buffer.concat([known, cbor([1, 100])]), { time: 'prefix' })).toBe('{"temperature":1}')
  })

  it.each([hex(''), hex('01 00000000000000'), hex('02 0000000000000000 01'), hex('01 ffffffffffffffff 01')])(
    'is missed where it should be (%#)',
    (body) => {
      expect(faultOf(body, { time: 'prefix', format: 'opaque' })).toBe('it has no time before it')
    },
  )
})

describe('a body', () => {
  it('is opaque without an entry, or with one that says so', () => {
    expect(new BodyMapper([]).fromDevice('s1', 't', hex('01'))).toBeNull()
    expect(new BodyMapper([entry({ format: 'opaque' })]).fromDevice('s1', 't', hex('01'))).toBeNull()
  })

  it('belongs to the first entry that fits device and topic', () => {
    const schemaOf = (name: string) => ({ schema: { 1: { name, type: 'any' as const } } })
    const mapper = new BodyMapper([
      entry({ clients: 'pump-*', topic: 'plant/+/state', ...schemaOf('a') }),
      entry({ clients: 'pump-*', ...schemaOf('b') }),
      entry({ clients: 'x.y', ...schemaOf('c') }),
    ])
    const text = (client: string | null, topic: string) => {
      const mapped = mapper.fromDevice(client, topic, cbor([1, 1]))
      return mapped?.kind === 'mapped' ? Buffer.from(mapped.payload).toString() : null
    }
    expect(text('pump-1', 'plant/7/state')).toBe('{"a":1}')
    expect(text('pump-1', 'plant/7/other')).toBe('{"b":1}')
    expect(text('x.y', 't')).toBe('{"c":1}')
    expect(text('xzy', 't')).toBeNull()
    expect(text('a-pump-1', 't')).toBeNull()
    expect(text(null, 't')).toBeNull()
  })

  it('that is malformed goes where the entry says, with its bytes, and is counted', () => {
    const body = hex('ff')
    const outcome = (malformed: BodyConfig['malformed'], client: string | null = 's1') => {
      const mapper = new BodyMapper([entry({ malformed })])
      const mapped = mapper.fromDevice(client, 't', body)
      expect(mapper.counters).toEqual({ mapped: 0, malformed: 1 })
      return mapped
    }
    const fault = 'it is no CBOR map: not a map'
    expect(outcome('dead-letter')).toEqual({
      kind: 'mapped',
      payload: body,
      deviceTimeMs: null,
      fault,
      topic: 'dead/s1',
    })
    expect(outcome('dead-letter', null)).toMatchObject({ topic: 'dead/unconnected' })
    expect(outcome('pass')).toEqual({ kind: 'mapped', payload: body, deviceTimeMs: null, fault })
    expect(outcome('refuse')).toEqual({ kind: 'refused', reason: fault })
  })

  it('is the mapper’s own copy', () => {
    const body = Buffer.concat([Buffer.alloc(9), hex('beef')])
    const mapped = new BodyMapper([entry({ format: 'opaque', time: 'prefix' })]).fromDevice('s1', 't', body)
    body.fill(0)
    expect(mapped).toMatchObject({ payload: hex('beef') })
  })
})
