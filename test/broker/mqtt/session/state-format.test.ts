/** Keys and values of the stored state: each comes back as it was, and a changed byte is seen. */
import { describe, expect, it } from 'vitest'
import type { Message } from '../../../../broker/mqtt/hub/message.ts'
import { filterText } from '../../../../broker/mqtt/hub/subscription.ts'
import {
  decodeAway,
  decodeMessage,
  decodeOffset,
  decodeQos2,
  decodeRetained,
  decodeSession,
  decodeSubscription,
  decodeTime,
  decodeWill,
  encodeAway,
  encodeMessage,
  encodeOffset,
  encodeQos2,
  encodeRetained,
  encodeSession,
  encodeSubscription,
  encodeTime,
  encodeWill,
  KIND,
  placeOf,
  qos2Key,
  sealed,
  sessionKey,
  sessionOf,
  textOf,
  unsealed,
} from '../../../../broker/mqtt/session/state-format.ts'

const MESSAGE: Message = {
  topic: 'größe/1',
  payload: Buffer.from([0, 255, 1]),
  qos: 2,
  isRetained: true,
  timestamp: 1_800_000_000_123,
  clientId: null,
  place: null,
  properties: {
    payloadFormat: true,
    messageExpiry: 7,
    contentType: 'text/plain',
    responseTopic: 'answer',
    correlationData: Buffer.from([1, 2]),
    userProperties: [
      ['a', '1'],
      ['a', '2'],
    ],
  },
}

describe('the stored state', () => {
  it('has its grammar’s bytes', () => {
    const key = sessionKey(KIND.session, 7)
    expect(key.toString('hex')).toBe('0100000007')
    expect(
      sealed(key, encodeSession('a', 60, null))
        .toString('hex')
        .slice(8),
    ).toBe('836161183cf6')
    expect(qos2Key(7, 2, 2 ** 32 + 1).toString('hex')).toBe('0400000007000000020000000100000001')
    expect(encodeQos2({ seq: 5, packetId: 3, isRetained: true, isReleased: true, identifiers: [9] })).toEqual(
      Buffer.from([10, 6, 3, 18]),
    )
    expect(encodeAway({ endsAt: null, willAt: 3 })).toEqual(Buffer.from([1, 6]))
  })

  it('comes back as it was', () => {
    expect(decodeSession(encodeSession('ü', 0xffffffff, 'ann'))).toEqual(['ü', 0xffffffff, 'ann'])
    expect(decodeMessage(encodeMessage(MESSAGE))).toEqual(MESSAGE)
    const place = { partition: { id: 70_000 } as never, offset: 2 ** 45 }
    expect(decodeRetained(encodeRetained({ ...MESSAGE, place }, 12_345_678_901))).toEqual({
      expiresAt: 12_345_678_901,
      message: { ...MESSAGE, place: { partition: 70_000, offset: 2 ** 45 } },
    })
    expect(decodeRetained(encodeRetained(MESSAGE, null)).expiresAt).toBeNull()
    const { topic, payload, qos, isRetained, properties } = MESSAGE
    const will = { topic, payload, qos, isRetained, properties, delaySeconds: 9 }
    for (const user of ['ann', null]) {
      expect(decodeWill(encodeWill('client', will, user))).toEqual({ clientId: 'client', will, user })
    }
    for (const away of [
      { endsAt: 0, willAt: null },
      { endsAt: 2 ** 50, willAt: 2 ** 49 },
    ]) {
      expect(decodeAway(encodeAway(away))).toEqual(away)
    }
    for (const offset of [0, 1, 2 ** 31, 2 ** 50]) expect(decodeOffset(encodeOffset(offset))).toBe(offset)
    const time = { time: 2 ** 42, anchorTime: 17, anchorWall: null }
    expect(decodeTime(encodeTime(time))).toEqual(time)
    const key = qos2Key(0xfffffffe, 0xffffffff, 2 ** 50)
    expect([sessionOf(key), placeOf(key)]).toEqual([0xfffffffe, { partition: 0xffffffff, offset: 2 ** 50 }])
    const qos2 = {
      seq: 2 ** 48,
      packetId: 65_535,
      isRetained: false,
      isReleased: true,
      identifiers: [1, 268_435_455],
    }
    expect(decodeQos2(encodeQos2(qos2))).toEqual(qos2)
  })

  it('keeps what a subscription says, under the text of the client', () => {
    for (const shareName of [null, 'group']) {
      for (const identifier of [null, 1, 268_435_455]) {
        const subscription = {
          filter: 'a/+/#',
          shareName,
          qos: 2 as const,
          isNoLocal: true,
          isRetainAsPublished: false,
          identifier,
        }
        const key = sessionKey(KIND.subscription, 1, filterText(subscription))
        expect(decodeSubscription(textOf(key, 5), encodeSubscription(subscription))).toEqual(subscription)
      }
    }
  })

  it('shows each changed bit, in the value and in the key', () => {
    const key = qos2Key(1, 2, 3)
    const value = sealed(
      key,
      encodeQos2({ seq: 5, packetId: 3, isRetained: false, isReleased: false, identifiers: [] }),
    )
    expect(unsealed(key, value)).toBeDefined()
    for (const bytes of [key, value]) {
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        bytes[bit >> 3]! ^= 1 << (bit & 7)
        expect(unsealed(key, value)).toBeUndefined()
        bytes[bit >> 3]! ^= 1 << (bit & 7)
      }
    }
    expect(unsealed(key, value.subarray(0, 3))).toBeUndefined()
  })
})
