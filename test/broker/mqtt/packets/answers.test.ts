import { describe, expect, it } from 'vitest'
import {
  ACKNOWLEDGEMENT_BYTES_MAX,
  AcknowledgementByte,
  encodeDisconnect,
  encodePingresp,
  encodePuback,
  encodePubcomp,
  encodePubrec,
  encodePubrel,
  encodeSuback,
  encodeUnsuback,
  writeAcknowledgement,
} from '../../../../broker/mqtt/packets/answers.ts'
import { type ConnackProperties, encodeConnack } from '../../../../broker/mqtt/packets/connack.ts'
import { Reason } from '../../../../broker/mqtt/packets/protocol-error.ts'
import { bytes, hex, parsed, text } from './support.ts'

const USER = [
  ['a', '1'],
  ['b', '2'],
] as const

describe('PUBACK, PUBREC, PUBREL and PUBCOMP', () => {
  const kinds = [
    ['puback', encodePuback, 0x40, 0x97],
    ['pubrec', encodePubrec, 0x50, 0x97],
    ['pubrel', encodePubrel, 0x62, 0x92],
    ['pubcomp', encodePubcomp, 0x70, 0x92],
  ] as const

  it('are a packet identifier, whatever the reason, in MQTT 3', () => {
    for (const [, encode, first] of kinds) {
      for (const version of [3, 4] as const) {
        expect(encode(version, 0x1234)).toEqual(bytes(first, '02 1234'))
        expect(encode(version, 0xffff, 0x97, { reasonString: 'full' })).toEqual(bytes(first, '02 ffff'))
      }
    }
  })

  it('leave a reason code of 0 out, and say any other, in MQTT 5', () => {
    for (const [, encode, first] of kinds) {
      expect(encode(5, 7)).toEqual(bytes(first, '02 0007'))
      expect(encode(5, 7, 0x92)).toEqual(bytes(first, '03 0007 92'))
    }
  })

  it('explain themselves where they are told to, and where it fits [MQTT-3.4.2-2] [MQTT-3.4.2-3]', () => {
    for (const [cmd, encode, first, reason] of kinds) {
      const whole = encode(5, 7, reason, { reasonString: 'why', userProperties: USER })
      expect(parsed(whole)).toMatchObject({
        cmd,
        messageId: 7,
        reasonCode: reason,
        properties: { reasonString: 'why', userProperties: { a: '1', b: '2' } },
      })
      const why = { reasonString: 'why', userProperties: USER }
      expect(encode(5, 7, reason, { ...why, packetBytesMax: whole.length })).toEqual(whole)
      expect(encode(5, 7, reason, { ...why, packetBytesMax: whole.length - 1 })).toEqual(
        bytes(first, '03 0007', reason),
      )
      expect(encode(5, 7, reason, { packetBytesMax: null })).toEqual(bytes(first, '03 0007', reason))
      expect(parsed(encode(5, 7, 0, { reasonString: 'é' }))).toMatchObject({
        reasonCode: 0,
        properties: { reasonString: 'é' },
      })
    }
  })

  it('are written in place on the hot path, one after the other', () => {
    const target = Buffer.alloc(4 * ACKNOWLEDGEMENT_BYTES_MAX)
    let at = writeAcknowledgement(target, 0, AcknowledgementByte.puback, 4, 1, 0x97)
    at = writeAcknowledgement(target, at, AcknowledgementByte.puback, 5, 0xabcd, 0)
    at = writeAcknowledgement(target, at, AcknowledgementByte.pubrec, 5, 2, 0x97)
    at = writeAcknowledgement(target, at, AcknowledgementByte.pubrel, 5, 3, 0)
    expect(target.subarray(0, at)).toEqual(hex('4002 0001 4002 abcd 5003 0002 97 6202 0003'))
  })
})

describe('SUBACK', () => {
  it('has a code for each filter, in order [MQTT-3.8.4-6] [MQTT-3.9.3-1]', () => {
    expect(encodeSuback(4, 1, [0, 1, 2])).toEqual(hex('90 05 0001 00 01 02'))
    expect(encodeSuback(5, 1, [0, 1, 2, 0x87])).toEqual(hex('90 07 0001 00 00 01 02 87'))
    const many = Array.from({ length: 200 }, (_, index) => index % 3)
    expect(parsed(encodeSuback(5, 9, many))).toMatchObject({ cmd: 'suback', messageId: 9, granted: many })
  })

  it('says every failure with 0x80 in MQTT 3 [3.1.1: MQTT-3.9.3-2]', () => {
    expect(encodeSuback(4, 1, [0x87, 0x02, 0x8f])).toEqual(hex('90 05 0001 80 02 80'))
  })

  it('explains itself where it fits [MQTT-3.9.2-1]', () => {
    const why = { reasonString: 'no', userProperties: USER }
    const whole = encodeSuback(5, 1, [0x87], why)
    expect(parsed(whole)).toMatchObject({
      granted: [0x87],
      properties: { reasonString: 'no', userProperties: { a: '1' } },
    })
    expect(encodeSuback(5, 1, [0x87], { ...why, packetBytesMax: whole.length - 1 })).toEqual(
      hex('90 04 0001 00 87'),
    )
  })
})

describe('UNSUBACK', () => {
  it('has a code for each filter in MQTT 5 [MQTT-3.11.3-1], none in MQTT 3', () => {
    expect(encodeUnsuback(3, 7, [0, 0x11])).toEqual(hex('b0 02 0007'))
    expect(encodeUnsuback(4, 7, [0, 0x11])).toEqual(hex('b0 02 0007'))
    expect(encodeUnsuback(5, 7, [0, 0x11])).toEqual(hex('b0 05 0007 00 00 11'))
    expect(parsed(encodeUnsuback(5, 7, [0, 0x11], { reasonString: 'x' }))).toMatchObject({
      granted: [0, 0x11],
      properties: { reasonString: 'x' },
    })
  })
})

describe('PINGRESP and DISCONNECT', () => {
  it('are short', () => {
    expect(encodePingresp()).toEqual(hex('d0 00'))
    expect(encodeDisconnect(5, Reason.sessionTakenOver)).toEqual(hex('e0 01 8e'))
  })

  it('explain themselves where it fits [MQTT-3.14.2-3]', () => {
    const why = { reasonString: 'moved', serverReference: 'other:1883', userProperties: USER }
    const whole = encodeDisconnect(5, 0x9d, why)
    expect(parsed(whole)).toMatchObject({
      cmd: 'disconnect',
      reasonCode: 0x9d,
      properties: { reasonString: 'moved', serverReference: 'other:1883', userProperties: { b: '2' } },
    })
    expect(encodeDisconnect(5, 0x9d, { ...why, packetBytesMax: whole!.length - 1 })).toEqual(hex('e0 01 9d'))
  })

  it('of a server is not there in MQTT 3', () => {
    expect(encodeDisconnect(3, Reason.serverBusy)).toBeNull()
    expect(encodeDisconnect(4, Reason.serverBusy)).toBeNull()
  })
})

describe('CONNACK', () => {
  it('accepts, with or without a session [MQTT-3.2.2-2] [MQTT-3.2.2-3]', () => {
    expect(encodeConnack(4, false, 0)).toEqual(hex('20 02 00 00'))
    expect(encodeConnack(4, true, 0)).toEqual(hex('20 02 01 00'))
    expect(encodeConnack(5, false, 0)).toEqual(hex('20 03 00 00 00'))
    expect(encodeConnack(5, true, 0)).toEqual(hex('20 03 01 00 00'))
  })

  it('says nothing of a session in MQTT 3.1, which has no flag for it', () => {
    expect(encodeConnack(3, true, 0)).toEqual(hex('20 02 00 00'))
  })

  it('refuses without a session [MQTT-3.2.2-6]', () => {
    expect(encodeConnack(4, true, Reason.notAuthorized)).toEqual(hex('20 02 00 05'))
    expect(encodeConnack(5, true, Reason.notAuthorized)).toEqual(hex('20 03 00 87 00'))
  })

  it('has MQTT 3.1.1’s return code, or is not sent where there is none [3.1.1: MQTT-3.2.2-6]', () => {
    const codes: Record<string, number> = {
      unsupportedVersion: 1,
      invalidClientId: 2,
      serverUnavailable: 3,
      serverBusy: 3,
      serverShuttingDown: 3,
      quotaExceeded: 3,
      connectionRateExceeded: 3,
      badCredentials: 4,
      notAuthorized: 5,
      banned: 5,
      success: 0,
    }
    for (const [name, reasonCode] of Object.entries(Reason)) {
      if (name === 'grantedQos1' || name === 'grantedQos2') continue
      const found = encodeConnack(4, false, reasonCode)
      if (codes[name] === undefined) expect(found, name).toBeNull()
      else expect(found, name).toEqual(bytes('20 02 00', codes[name]))
    }
  })

  it('says all that a server can say in MQTT 5', () => {
    const all: ConnackProperties = {
      sessionExpirySeconds: 3600,
      receiveMaximum: 100,
      maximumQos: 1,
      isRetainAvailable: true,
      maximumPacketBytes: 1_000_000,
      assignedClientId: 'auto-1',
      topicAliasMaximum: 10,
      isWildcardAvailable: true,
      isIdentifierAvailable: false,
      isSharedAvailable: true,
      serverKeepAliveSeconds: 60,
      responseInformation: 'r/',
      serverReference: 'other',
      authenticationMethod: 'm',
      authenticationData: Buffer.from('d'),
      reasonString: 'welcome',
      userProperties: USER,
    }
    const whole = encodeConnack(5, true, 0, all)
    expect(parsed(whole)).toMatchObject({
      cmd: 'connack',
      reasonCode: 0,
      sessionPresent: true,
      properties: {
        sessionExpiryInterval: 3600,
        receiveMaximum: 100,
        maximumQoS: 1,
        retainAvailable: true,
        maximumPacketSize: 1_000_000,
        assignedClientIdentifier: 'auto-1',
        topicAliasMaximum: 10,
        wildcardSubscriptionAvailable: true,
        subscriptionIdentifiersAvailable: false,
        sharedSubscriptionAvailable: true,
        serverKeepAlive: 60,
        responseInformation: 'r/',
        serverReference: 'other',
        authenticationMethod: 'm',
        authenticationData: Buffer.from('d'),
        reasonString: 'welcome',
        userProperties: { a: '1', b: '2' },
      },
    })
    expect(encodeConnack(5, true, 0, all, whole!.length)).toEqual(whole)
  })

  it('leaves its explanation out where the client takes no packet so large [MQTT-3.2.2-19] [MQTT-3.2.2-20]', () => {
    const properties = { assignedClientId: 'auto-1', reasonString: 'welcome', userProperties: USER }
    const whole = encodeConnack(5, false, 0, properties)
    const short = parsed(encodeConnack(5, false, 0, properties, whole!.length - 1))
    expect(short).toHaveProperty('properties', { assignedClientIdentifier: 'auto-1' })
  })

  it('refuses to write a text of more than 65,535 bytes: the broker’s own mistake', () => {
    expect(() => encodeConnack(5, false, 0, { reasonString: 'x'.repeat(65_536) })).toThrow(RangeError)
    expect(
      encodeConnack(5, false, 0, { reasonString: 'x'.repeat(65_535) })?.includes(text('x'.repeat(65_535))),
    ).toBe(true)
  })
})
