import { describe, expect, it } from 'vitest'
import { decodeConnect } from '../../../../broker/mqtt/packets/connect-decoder.ts'
import { bytes, connectBytes, connectOf, frameOf, hex, limits, properties, refusal, text } from './support.ts'

const refusalOf = (whole: Buffer) => refusal(() => connectOf(whole))

const VERSIONS = [3, 4, 5] as const
const WILL = [text('p'), text('w/t'), text('gone')]
const WILL5 = [text('p'), properties(), text('w/t'), text('gone')]

describe('a CONNECT', () => {
  it('of MQTT 3.1 and 3.1.1 says little', () => {
    for (const version of [3, 4] as const) {
      expect(connectOf(connectBytes({ version }))).toEqual({
        type: 'connect',
        version,
        clientId: 'p',
        cleanStart: true,
        keepAliveSeconds: 10,
        username: null,
        password: null,
        will: null,
        sessionExpirySeconds: 0,
        receiveMaximum: 65_535,
        maximumPacketBytes: null,
        topicAliasMaximum: 0,
        requestsProblemInformation: true,
        requestsResponseInformation: false,
        authenticationMethod: null,
      })
      expect(connectOf(connectBytes({ version, flags: 0 })).sessionExpirySeconds).toBe(0xffffffff)
    }
  })

  it('of MQTT 5 says more', () => {
    const all = bytes(
      '11 0000003c',
      '21 0010',
      '27 00001000',
      '22 0007',
      '19 01',
      '17 00',
      '15',
      text('m'),
      '16',
      text('d'),
      '26',
      text('a'),
      text('b'),
    )
    expect(connectOf(connectBytes({ flags: 0, keepAlive: 0xffff, properties: all }))).toEqual({
      type: 'connect',
      version: 5,
      clientId: 'p',
      cleanStart: false,
      keepAliveSeconds: 0xffff,
      username: null,
      password: null,
      will: null,
      sessionExpirySeconds: 60,
      receiveMaximum: 16,
      maximumPacketBytes: 4096,
      topicAliasMaximum: 7,
      requestsProblemInformation: false,
      requestsResponseInformation: true,
      authenticationMethod: 'm',
    })
    const plain = connectOf(connectBytes())
    expect(plain).toMatchObject({ sessionExpirySeconds: 0, receiveMaximum: 65_535, maximumPacketBytes: null })
    expect(plain).toMatchObject({
      topicAliasMaximum: 0,
      requestsProblemInformation: true,
      requestsResponseInformation: false,
    })
    expect(connectOf(connectBytes({ properties: hex('11 ffffffff') })).sessionExpirySeconds).toBe(0xffffffff)
  })

  it('has its fields in one order [MQTT-3.1.3-1]', () => {
    for (const version of VERSIONS) {
      const will = version === 5 ? WILL5 : WILL
      const whole = connectBytes({ version, flags: 0xee, payload: [...will, text('me'), text(hex('00ff'))] })
      expect(connectOf(whole)).toMatchObject({
        clientId: 'p',
        username: 'me',
        password: hex('00ff'),
        will: {
          topic: 'w/t',
          payload: Buffer.from('gone'),
          qos: 1,
          isRetained: true,
          delaySeconds: 0,
          properties: null,
        },
      })
    }
  })

  it('may have a will with properties of its own', () => {
    const all = properties(
      '18 00000005',
      '01 01',
      '02 0000003c',
      '03',
      text('c'),
      '08',
      text('r'),
      '09',
      text('d'),
      '26',
      text('a'),
      text('b'),
    )
    const whole = connectBytes({
      flags: 0x16,
      properties: hex('11 00000064'),
      payload: [text('p'), all, text('w'), text('')],
    })
    expect(connectOf(whole)).toMatchObject({
      sessionExpirySeconds: 100,
      will: {
        topic: 'w',
        payload: Buffer.alloc(0),
        qos: 2,
        isRetained: false,
        delaySeconds: 5,
        properties: {
          payloadFormat: true,
          messageExpiry: 60,
          contentType: 'c',
          responseTopic: 'r',
          correlationData: Buffer.from('d'),
          userProperties: [['a', 'b']],
        },
      },
    })
  })

  it('is kept without the bytes it came in', () => {
    const all = properties('09', text('d'))
    const whole = connectBytes({
      flags: 0xc6,
      payload: [text('p'), all, text('w'), text('x'), text('me'), text('pw')],
    })
    const frame = frameOf(whole)
    const found = decodeConnect(frame, limits)
    frame.bytes.fill(0xff)
    expect(found.will?.payload.toString()).toBe('x')
    expect(found.will?.properties?.correlationData?.toString()).toBe('d')
    expect(found.password?.toString()).toBe('pw')
    expect([found.clientId, found.username, found.will?.topic]).toEqual(['p', 'me', 'w'])
  })

  it('may have any password and an empty user name', () => {
    for (const version of VERSIONS) {
      const whole = connectBytes({
        version,
        flags: 0xc2,
        payload: [text('p'), text(''), text(hex('0000ff'))],
      })
      expect(connectOf(whole)).toMatchObject({ username: '', password: hex('0000ff') })
    }
  })

  it('of MQTT 5 may have a password without a user name', () => {
    const whole = connectBytes({ flags: 0x42, payload: [text('p'), text('token')] })
    expect(connectOf(whole)).toMatchObject({ username: null, password: Buffer.from('token') })
  })

  it('of MQTT 3.1 may set flags that it does not use, and have less than its flags say', () => {
    expect(connectOf(connectBytes({ version: 3, first: 0x1f, flags: 0x01 })).cleanStart).toBe(false)
    expect(connectOf(connectBytes({ version: 3, flags: 0xc2 }))).toMatchObject({
      username: null,
      password: null,
    })
    expect(
      connectOf(connectBytes({ version: 3, flags: 0xc2, payload: [text('p'), text('me')] })),
    ).toMatchObject({
      username: 'me',
      password: null,
    })
    expect(connectOf(connectBytes({ version: 3, flags: 0x2a }))).toMatchObject({ will: null })
  })
})

describe('a client identifier', () => {
  it('of 1 to 23 letters and digits is taken [MQTT-3.1.3-5], and others too', () => {
    const all = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
    for (const version of VERSIONS) {
      for (const id of ['a', all.slice(0, 23), all.slice(39), all, 'é/#+ $', 'x'.repeat(256)]) {
        expect(connectOf(connectBytes({ version, payload: [text(id)] })).clientId).toBe(id)
      }
    }
  })

  it('may be empty [MQTT-3.1.3-6]; in MQTT 3.1.1 with a clean session alone [3.1.1: MQTT-3.1.3-8], in 3.1 never', () => {
    const empty = (version: 3 | 4 | 5, flags: number) => connectBytes({ version, flags, payload: [text('')] })
    expect(connectOf(empty(5, 0x02)).clientId).toBe('')
    expect(connectOf(empty(5, 0x00)).clientId).toBe('')
    expect(connectOf(empty(4, 0x02)).clientId).toBe('')
    expect(refusalOf(empty(4, 0x00))).toBe('0x85 3.1.1: MQTT-3.1.3-8')
    expect(refusalOf(empty(3, 0x02))).toBe('0x85 3.1: section 3.1')
  })

  it('must be there [MQTT-3.1.3-3]', () => {
    for (const version of VERSIONS) {
      expect(refusalOf(connectBytes({ version, payload: [] }))).toBe('0x81 MQTT-3.1.3-3')
      expect(refusalOf(connectBytes({ version, payload: ['0002 61'] }))).toBe('0x81 MQTT-3.1.3-3')
    }
  })

  it('must be a name in UTF-8 [MQTT-3.1.3-4]', () => {
    for (const bad of ['eda080', 'c0af', '6100', '611f', '617f', 'c29f', 'efbfbf']) {
      expect(refusalOf(connectBytes({ version: 4, payload: [text(hex(bad))] })), bad).toBe(
        '0x85 MQTT-3.1.3-4',
      )
      expect(refusalOf(connectBytes({ payload: [text(hex(bad))] })), bad).toBe('0x85 MQTT-3.1.3-4')
    }
  })

  it('is bounded in bytes [MQTT-3.1.3-8]', () => {
    const whole = connectBytes({ payload: [text('é'.repeat(5))] })
    expect(connectOf(whole, { clientIdBytesMax: 10 }).clientId).toBe('ééééé')
    expect(refusal(() => connectOf(whole, { clientIdBytesMax: 9 }))).toBe('0x85 MQTT-3.1.3-8')
  })
})
