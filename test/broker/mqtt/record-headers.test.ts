/** What MQTT says about a message, in the headers of its record and back. */
import { describe, expect, it } from 'vitest'
import { LogPartition } from '../../../broker/log/partition.ts'
import {
  BatchBuilder,
  encodeHeaders,
  joinHeaders,
  NO_HEADERS,
  readRecords,
} from '../../../broker/log/record-batch.ts'
import type { MessageProperties } from '../../../broker/mqtt/packets/packet.ts'
import { messageHeaders, messageOf, propertiesOf } from '../../../broker/mqtt/record-headers.ts'
import { TOPIC_HEADER } from '../../../broker/mqtt/router.ts'

const place = { partition: new LogPartition('events', 0, 1), offset: 7 }

function stored(headers: Buffer, value: Buffer | null = Buffer.from('v')) {
  const builder = new BatchBuilder()
  builder.append(5000, Buffer.from('a/b'), value, headers)
  const [record] = readRecords(builder.seal(7))
  return record!
}

const FULL: MessageProperties = {
  payloadFormat: false,
  messageExpiry: 0xffffffff,
  contentType: '',
  responseTopic: 'a/°',
  correlationData: Buffer.from([0, 255]),
  userProperties: [
    ['traceparent', '00-1'],
    ['k', ''],
    ['k', 'again'],
    ['', 'no name'],
    ['topic', 'reserved'],
    ['reason', 'reserved'],
    ['mqtt.content-type', 'reserved'],
    ['hw.hops', 'reserved'],
    ['mqtt.user.x', 'reserved'],
  ],
}

describe('a message', () => {
  it('that is not retained and has no properties takes no byte more', () => {
    for (const qos of [0, 1, 2] as const) expect(messageHeaders(false, qos, null)).toBe(NO_HEADERS)
  })

  it.each([
    ['all properties', FULL],
    ['one', { messageExpiry: 0 }],
    ['user properties alone', { userProperties: [['a', 'b']] }],
  ] as [string, MessageProperties][])('with %s comes out of its record as it was', (_, properties) => {
    for (const isRetained of [true, false]) {
      const message = messageOf(stored(messageHeaders(isRetained, 1, properties)), place)
      expect(message).toEqual({
        topic: 'a/b',
        payload: Buffer.from('v'),
        qos: isRetained ? 1 : 2,
        isRetained,
        properties,
        timestamp: 5000,
        clientId: null,
        place,
      })
    }
  })

  it('that is retained keeps its QoS', () => {
    for (const qos of [0, 1, 2] as const) {
      expect(messageOf(stored(messageHeaders(true, qos, null)), place)).toMatchObject({
        qos,
        isRetained: true,
        properties: null,
      })
    }
  })

  it('whose topic is not its key has it from the header', () => {
    const route = encodeHeaders([{ key: TOPIC_HEADER, value: Buffer.from('the/topic') }])
    const headers = joinHeaders(route, messageHeaders(true, 1, { contentType: 'x' }))
    expect(messageOf(stored(headers), place)).toMatchObject({
      topic: 'the/topic',
      properties: { contentType: 'x' },
    })
  })

  it('of a tombstone is empty', () => {
    expect(messageOf(stored(NO_HEADERS, null), place).payload).toEqual(Buffer.alloc(0))
  })
})

describe('names on disk and upstream', () => {
  it('do not change', () => {
    const { headers } = stored(messageHeaders(true, 2, FULL))
    expect(headers.map(({ key, value }) => `${key}=${value?.toString('latin1')}`)).toEqual([
      'mqtt.retain=2',
      'mqtt.payload-format=0',
      'mqtt.message-expiry=4294967295',
      'mqtt.content-type=',
      'mqtt.response-topic=a/\u00c2\u00b0',
      'mqtt.correlation-data=\u0000\u00ff',
      'traceparent=00-1',
      'k=',
      'k=again',
      '=no name',
      'mqtt.user.topic=reserved',
      'mqtt.user.reason=reserved',
      'mqtt.user.mqtt.content-type=reserved',
      'mqtt.user.hw.hops=reserved',
      'mqtt.user.mqtt.user.x=reserved',
    ])
  })
})

describe('headers that others have written', () => {
  it('are user properties where MQTT can carry them', () => {
    const text = Buffer.from('v')
    const headers = [
      { key: 'source', value: text },
      { key: 'empty', value: null },
      { key: 'binary', value: Buffer.from([0xff, 0xfe]) },
      { key: 'zero', value: Buffer.from([0]) },
      { key: 'long', value: Buffer.alloc(65_536, 0x61) },
      { key: 'hw.hops', value: text },
      { key: 'stream', value: text },
      { key: 'mqtt.unknown', value: text },
    ]
    expect(propertiesOf(headers)).toEqual({ userProperties: [['source', 'v']] })
    expect(propertiesOf(headers.slice(1))).toBeNull()
  })

  it('with an expiry that is no number have none', () => {
    for (const value of ['', 'x', '-1', '1.5', '4294967296']) {
      expect(propertiesOf([{ key: 'mqtt.message-expiry', value: Buffer.from(value) }]), value).toEqual(
        value === '' ? { messageExpiry: 0 } : null,
      )
    }
  })
})
