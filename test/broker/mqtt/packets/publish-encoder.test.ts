import type { IPublishPacket } from 'mqtt-packet'
import { describe, expect, it } from 'vitest'
import type { MessageProperties, ProtocolVersion } from '../../../../broker/mqtt/packets/packet.ts'
import {
  COPIED_PAYLOAD_BYTES_MAX,
  type EncodedMessage,
  expiryLeft,
  PublishEncoder,
  type PublishForm,
} from '../../../../broker/mqtt/packets/publish-encoder.ts'
import { decodeOf, hex, parsed } from './support.ts'

const parsedPublish = (whole: Buffer, version: ProtocolVersion) => parsed(whole, version) as IPublishPacket

function message(of: Partial<EncodedMessage> = {}): EncodedMessage {
  return { topic: 'a/é', payload: Buffer.from('payload'), properties: null, ...of }
}

const whole = (form: PublishForm, packetId = 7, isDup = false, expiry = Number.POSITIVE_INFINITY) =>
  Buffer.concat(form.chunks(packetId, isDup, expiry))

const PROPERTIES: MessageProperties = {
  payloadFormat: true,
  messageExpiry: 60,
  contentType: 'text/plain',
  responseTopic: 'r',
  correlationData: hex('00ff'),
  userProperties: [
    ['b', '1'],
    ['a', '2'],
    ['b', '3'],
  ],
}

describe('a PUBLISH to a client', () => {
  it('is as the specification has it', () => {
    const encoder = new PublishEncoder(message({ topic: 'a', payload: Buffer.from('hi!') }))
    expect(whole(encoder.form(4, 0, false))).toEqual(hex('30 06 0001 61 686921'))
    expect(whole(encoder.form(4, 1, true), 7)).toEqual(hex('33 08 0001 61 0007 686921'))
    expect(whole(encoder.form(5, 2, false), 0xffff, true)).toEqual(hex('3c 09 0001 61 ffff 00 686921'))
    expect(whole(encoder.form(5, 1, false, [1, 300]), 7)).toEqual(
      hex('32 0e 0001 61 0007 05 0b01 0bac02 686921'),
    )
  })

  it('is the same for another reader, and for our own', () => {
    for (const version of [3, 4, 5] as const) {
      for (const qos of [0, 1, 2] as const) {
        for (const isRetained of [false, true]) {
          const encoder = new PublishEncoder(message({ properties: PROPERTIES }))
          const bytes = whole(encoder.form(version, qos, isRetained), 513, qos > 0, 60)
          const found = parsedPublish(bytes, version)
          expect(found).toMatchObject({ topic: 'a/é', qos, retain: isRetained, dup: qos > 0 })
          expect(found.payload.toString()).toBe('payload')
          expect(found.messageId).toBe(qos === 0 ? undefined : 513)
          expect(decodeOf('publish', version, bytes)).toEqual({
            type: 'publish',
            topic: 'a/é',
            payload: Buffer.from('payload'),
            qos,
            isRetained,
            isDup: qos > 0,
            packetId: qos === 0 ? 0 : 513,
            topicAlias: null,
            properties: version === 5 ? PROPERTIES : null,
          })
        }
      }
    }
  })

  it('has the identifiers of all its subscriptions [MQTT-3.3.4-4]', () => {
    const form = new PublishEncoder(message()).form(5, 0, false, [1, 128, 268_435_455])
    expect(parsedPublish(whole(form), 5).properties?.subscriptionIdentifier).toEqual([1, 128, 268_435_455])
  })

  it('has nothing of MQTT 5 for a client of MQTT 3', () => {
    const encoder = new PublishEncoder(
      message({ topic: 'a', payload: Buffer.alloc(0), properties: PROPERTIES }),
    )
    expect(whole(encoder.form(3, 0, false, [5]))).toEqual(hex('30 03 0001 61'))
    expect(encoder.form(3, 0, false, [5])).toBe(encoder.form(4, 0, false))
  })

  it('has what is left of its expiry, and nothing else changes [MQTT-3.3.2-6]', () => {
    for (const properties of [
      PROPERTIES,
      { messageExpiry: 60 },
      { messageExpiry: 60, contentType: 'x'.repeat(200) },
    ]) {
      const form = new PublishEncoder(message({ properties })).form(5, 1, false)
      expect(decodeOf('publish', 5, whole(form, 7, false, 59)).properties).toEqual({
        ...properties,
        messageExpiry: 59,
      })
      expect(parsedPublish(whole(form, 7, false, 0xfffffffe), 5).properties?.messageExpiryInterval).toBe(
        0xfffffffe,
      )
    }
  })

  it('is patched in a copy: what was written before stays', () => {
    const form = new PublishEncoder(message({ properties: { messageExpiry: 60 } })).form(5, 1, false)
    const first = form.chunks(1, false, 50)[0]!
    const second = form.chunks(2, true, 40)[0]!
    expect(decodeOf('publish', 5, first)).toMatchObject({
      packetId: 1,
      isDup: false,
      properties: { messageExpiry: 50 },
    })
    expect(decodeOf('publish', 5, second)).toMatchObject({
      packetId: 2,
      isDup: true,
      properties: { messageExpiry: 40 },
    })
  })

  it('is one and the same for all that take it with QoS 0', () => {
    const encoder = new PublishEncoder(message({ properties: { contentType: 'x' } }))
    const form = encoder.form(5, 0, false)
    expect(form.isConstant).toBe(true)
    expect(form.chunks(0, false, 0)[0]).toBe(encoder.form(5, 0, false).chunks(9, true, 5)[0])
    expect(decodeOf('publish', 5, whole(form, 9, true)).isDup).toBe(false)
    expect(new PublishEncoder(message({ properties: PROPERTIES })).form(5, 0, false).isConstant).toBe(false)
    expect(encoder.form(5, 1, false).isConstant).toBe(false)
  })

  it('is encoded once for each form in which it is taken', () => {
    const encoder = new PublishEncoder(message())
    const form = encoder.form(5, 1, false, [1, 2])
    expect(encoder.form(5, 1, false, [1, 2])).toBe(form)
    const others = [
      encoder.form(5, 1, false),
      encoder.form(5, 1, true, [1, 2]),
      encoder.form(5, 2, false, [1, 2]),
    ]
    others.push(
      encoder.form(5, 1, false, [2, 1]),
      encoder.form(5, 1, false, [1, 2, 3]),
      encoder.form(4, 1, false),
    )
    expect(new Set([form, ...others]).size).toBe(7)
  })

  it('keeps a bounded number of forms, and encodes anew beyond', () => {
    const encoder = new PublishEncoder(message())
    const first = encoder.form(5, 0, false, [1])
    for (let identifier = 2; identifier <= 50; identifier++) {
      const form = encoder.form(5, 0, false, [identifier])
      expect(parsedPublish(whole(form), 5).properties?.subscriptionIdentifier).toBe(identifier)
    }
    expect(encoder.form(5, 0, false, [1])).toBe(first)
    expect(encoder.form(5, 0, false, [50])).not.toBe(encoder.form(5, 0, false, [50]))
  })

  it('has a large payload beside its head, and a small one behind it', () => {
    const large = Buffer.alloc(COPIED_PAYLOAD_BYTES_MAX + 1, 1)
    const form = new PublishEncoder(message({ payload: large })).form(4, 1, false)
    const chunks = form.chunks(3, false, 0)
    expect(chunks[1]).toBe(large)
    expect(chunks[0]).toHaveLength(form.headBytes)
    expect(decodeOf('publish', 4, Buffer.concat(chunks))).toMatchObject({ packetId: 3, payload: large })
    const small = new PublishEncoder(message({ payload: Buffer.alloc(COPIED_PAYLOAD_BYTES_MAX, 1) })).form(
      4,
      1,
      false,
    )
    expect(small.chunks(3, false, 0)).toHaveLength(1)
  })

  it('is written where the writer says, and is as long as it says', () => {
    const target = Buffer.alloc(100, 0xee)
    for (const bytes of [0, 1, 60]) {
      const form = new PublishEncoder(message({ payload: Buffer.alloc(bytes, 1) })).form(5, 1, false, [2])
      const end = form.write(target, 5, 9, true, 0)
      expect(end - 5).toBe(form.byteLength)
      expect(target.subarray(5, end)).toEqual(whole(form, 9, true))
      expect([target[4], target[end]]).toEqual([0xee, 0xee])
      target.fill(0xee)
    }
  })

  it('of any size has the right length', () => {
    for (const bytes of [118, 119, 120, 121, 122, 16_374, 16_375, 16_376, 16_377, 16_378, 2_097_150]) {
      const form = new PublishEncoder(message({ topic: 'abc', payload: Buffer.alloc(bytes, 1) })).form(
        4,
        1,
        false,
      )
      expect(form.byteLength).toBe(whole(form).length)
      expect(parsedPublish(whole(form), 4).payload).toHaveLength(bytes)
    }
  })
})

describe('what is left of a message’s expiry', () => {
  it('is what the publisher gave, less the whole seconds it waited [MQTT-3.3.2-5] [MQTT-3.3.2-6]', () => {
    expect(expiryLeft({ messageExpiry: 10 }, 1000, 1000)).toBe(10)
    expect(expiryLeft({ messageExpiry: 10 }, 1000, 1999)).toBe(10)
    expect(expiryLeft({ messageExpiry: 10 }, 1000, 2000)).toBe(9)
    expect(expiryLeft({ messageExpiry: 10 }, 1000, 11_000)).toBe(0)
    expect(expiryLeft({ messageExpiry: 10 }, 1000, 99_000)).toBe(0)
    expect(expiryLeft({ messageExpiry: 0 }, 1000, 1000)).toBe(0)
  })

  it('is not more where the clock went back', () => {
    expect(expiryLeft({ messageExpiry: 10 }, 5000, 1000)).toBe(10)
  })

  it('is without end where the publisher gave none', () => {
    expect(expiryLeft(null, 0, 1e15)).toBe(Number.POSITIVE_INFINITY)
    expect(expiryLeft({ contentType: 'x' }, 0, 1e15)).toBe(Number.POSITIVE_INFINITY)
  })
})
