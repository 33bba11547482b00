import { describe, expect, it } from 'vitest'
import { decode, decodeOf, packet, properties, refusalOf, text } from './support.ts'

const VERSIONS = [3, 4, 5] as const
const OLD = [3, 4] as const
const subscribe5 = (options: number, filter = 'a') => packet(0x82, '0001', '00', text(filter), options)
const subscribe4 = (options: number, filter = 'a') => packet(0x82, '0001', text(filter), options)

describe('a SUBSCRIBE', () => {
  it('asks for filters, each with its QoS', () => {
    for (const version of OLD) {
      const whole = packet(0x82, 'ffff', text('a/+'), 0, text('#'), 1, text('é'), 2)
      const rest = { isNoLocal: false, isRetainAsPublished: false, retainHandling: 0 }
      expect(decode(version, whole)).toEqual({
        type: 'subscribe',
        packetId: 0xffff,
        identifier: null,
        subscriptions: [
          { filter: 'a/+', qos: 0, ...rest },
          { filter: '#', qos: 1, ...rest },
          { filter: 'é', qos: 2, ...rest },
        ],
      })
    }
  })

  it('has options and an identifier in MQTT 5', () => {
    const all = properties('0b ff ff ff 7f', '26', text('a'), text('b'))
    const whole = packet(0x82, '0001', all, text('a'), 0x2c, text('$share/s/a'), 0x19, text('b'), 0x02)
    expect(decode(5, whole)).toEqual({
      type: 'subscribe',
      packetId: 1,
      identifier: 268_435_455,
      subscriptions: [
        { filter: 'a', qos: 0, isNoLocal: true, isRetainAsPublished: true, retainHandling: 2 },
        { filter: '$share/s/a', qos: 1, isNoLocal: false, isRetainAsPublished: true, retainHandling: 1 },
        { filter: 'b', qos: 2, isNoLocal: false, isRetainAsPublished: false, retainHandling: 0 },
      ],
    })
    expect(decodeOf('subscribe', 5, subscribe5(0)).identifier).toBeNull()
  })

  it('does not have the identifier of the one before it', () => {
    decode(5, packet(0x82, '0001', properties('0b 05'), text('a'), 0))
    expect(decodeOf('subscribe', 5, subscribe5(0)).identifier).toBeNull()
    decode(5, packet(0x82, '0001', properties('0b 05'), text('a'), 0))
    expect(decodeOf('subscribe', 4, subscribe4(0)).identifier).toBeNull()
  })

  it('has the flags 0010 [MQTT-3.8.1-1]; MQTT 3.1 may say there that it is sent again', () => {
    for (let flags = 0; flags < 16; flags++) {
      if (flags === 2) continue
      expect(refusalOf(5, packet(0x80 | flags, '0001', '00', text('a'), 0))).toBe('0x81 MQTT-3.8.1-1')
      expect(refusalOf(4, packet(0x80 | flags, '0001', text('a'), 0))).toBe('0x81 MQTT-3.8.1-1')
    }
    expect(decodeOf('subscribe', 3, packet(0x8a, '0001', text('a'), 1)).subscriptions).toHaveLength(1)
  })

  it('has a packet identifier that is not 0 [MQTT-2.2.1-3]', () => {
    expect(refusalOf(5, packet(0x82, '0000', '00', text('a'), 0))).toBe('0x81 MQTT-2.2.1-3')
    for (const version of OLD) {
      expect(refusalOf(version, packet(0x82, '0000', text('a'), 0))).toBe('0x81 MQTT-2.2.1-3')
    }
    for (const version of VERSIONS) {
      expect(refusalOf(version, packet(0x82))).toBe('0x81 section 2.2.1')
      expect(refusalOf(version, packet(0x82, '00'))).toBe('0x81 section 2.2.1')
    }
  })

  it('has at least one filter, with its options [MQTT-3.8.3-2]', () => {
    expect(refusalOf(5, packet(0x82, '0001', '00'))).toBe('0x82 MQTT-3.8.3-2')
    expect(refusalOf(5, packet(0x82, '0001', '00', text('a')))).toBe('0x81 MQTT-3.8.3-2')
    for (const version of OLD) {
      expect(refusalOf(version, packet(0x82, '0001'))).toBe('0x82 MQTT-3.8.3-2')
      expect(refusalOf(version, packet(0x82, '0001', text('a'), 0, text('b')))).toBe('0x81 MQTT-3.8.3-2')
    }
  })

  it('has filters in UTF-8, none cut short [MQTT-3.8.3-1]', () => {
    expect(refusalOf(5, packet(0x82, '0001', '00', '0003 6162'))).toBe('0x81 MQTT-3.8.3-1')
    expect(refusalOf(4, packet(0x82, '0001', '00'))).toBe('0x81 MQTT-3.8.3-1')
    expect(refusalOf(4, packet(0x82, '0001', text(Buffer.from('eda080', 'hex')), 0))).toBe(
      '0x81 MQTT-1.5.4-1',
    )
    expect(refusalOf(5, subscribe5(0, ''))).toBe('0x81 MQTT-4.7.3-1')
    expect(refusalOf(5, subscribe5(0, 'a/#/b'))).toBe('0x81 MQTT-4.7.1-1')
    expect(refusalOf(5, subscribe5(0, 'a+'))).toBe('0x81 MQTT-4.7.1-2')
    expect(refusalOf(5, subscribe5(0, '$share//a'))).toBe('0x81 MQTT-4.8.2-1')
    expect(refusalOf(5, subscribe5(0, '$share/a'))).toBe('0x81 MQTT-4.8.2-2')
    expect(refusalOf(4, packet(0x82, '0001', text('a'), 0, text('b#'), 0))).toBe('0x81 MQTT-4.7.1-1')
  })

  it('does not ask for no local of a shared subscription [MQTT-3.8.3-4]', () => {
    expect(refusalOf(5, subscribe5(0x04, '$share/s/a'))).toBe('0x82 MQTT-3.8.3-4')
    expect(decodeOf('subscribe', 5, subscribe5(0x04, '$shares/a')).subscriptions[0]?.isNoLocal).toBe(true)
  })

  it('has reserved bits of 0 [MQTT-3.8.3-5] [3.1.1: MQTT-3-8.3-4]; MQTT 3.1 does not say what they must be', () => {
    expect(refusalOf(5, subscribe5(0x40))).toBe('0x81 MQTT-3.8.3-5')
    expect(refusalOf(5, subscribe5(0x80))).toBe('0x81 MQTT-3.8.3-5')
    for (const options of [3, 4, 8, 0x10, 0x20, 0x40, 0x80, 0xff]) {
      expect(refusalOf(4, subscribe4(options))).toBe('0x81 3.1.1: MQTT-3-8.3-4')
    }
    expect(decodeOf('subscribe', 3, subscribe4(0xfd)).subscriptions[0]?.qos).toBe(1)
    expect(refusalOf(3, subscribe4(0x03))).toBe('0x81 section 3.8.3.1')
  })

  it('asks neither for QoS 3 nor for retain handling 3 [section 3.8.3.1]', () => {
    expect(refusalOf(5, subscribe5(0x03))).toBe('0x82 section 3.8.3.1')
    expect(refusalOf(5, subscribe5(0x30))).toBe('0x82 section 3.8.3.1')
  })

  it('is bounded in its filters', () => {
    const many = (count: number) =>
      packet(
        0x82,
        '0001',
        ...Array.from({ length: count }, () => Buffer.concat([text('a'), Buffer.from([0])])),
      )
    expect(decode(4, many(5), { filtersMax: 5 }).type).toBe('subscribe')
    expect(refusalOf(4, many(6), { filtersMax: 5 })).toBe('0x97 limit: filtersMax')
    expect(refusalOf(4, packet(0x82, '0001', text('a/b/c'), 0), { topicLevelsMax: 2 })).toBe(
      '0x8f limit: topicLevelsMax',
    )
  })
})

describe('an UNSUBSCRIBE', () => {
  it('names filters', () => {
    const wanted = { type: 'unsubscribe', packetId: 7, filters: ['a/#', '$share/s/b', 'é'] }
    const filters = [text('a/#'), text('$share/s/b'), text('é')]
    for (const version of OLD) expect(decode(version, packet(0xa2, '0007', ...filters))).toEqual(wanted)
    const all = properties('26', text('a'), text('b'))
    expect(decode(5, packet(0xa2, '0007', all, ...filters))).toEqual(wanted)
  })

  it('has the flags 0010 [MQTT-3.10.1-1]', () => {
    for (let flags = 0; flags < 16; flags++) {
      if (flags === 2) continue
      expect(refusalOf(5, packet(0xa0 | flags, '0001', '00', text('a')))).toBe('0x81 MQTT-3.10.1-1')
      expect(refusalOf(4, packet(0xa0 | flags, '0001', text('a')))).toBe('0x81 MQTT-3.10.1-1')
    }
    expect(decode(3, packet(0xaa, '0001', text('a'))).type).toBe('unsubscribe')
  })

  it('has at least one filter [MQTT-3.10.3-2]', () => {
    expect(refusalOf(5, packet(0xa2, '0001', '00'))).toBe('0x82 MQTT-3.10.3-2')
    for (const version of OLD) expect(refusalOf(version, packet(0xa2, '0001'))).toBe('0x82 MQTT-3.10.3-2')
  })

  it('has a packet identifier that is not 0 [MQTT-2.2.1-3]', () => {
    expect(refusalOf(5, packet(0xa2, '0000', '00', text('a')))).toBe('0x81 MQTT-2.2.1-3')
    for (const version of OLD) {
      expect(refusalOf(version, packet(0xa2, '0000', text('a')))).toBe('0x81 MQTT-2.2.1-3')
    }
  })

  it('has filters in UTF-8, none cut short [MQTT-3.10.3-1]', () => {
    expect(refusalOf(4, packet(0xa2, '0001', '0003 6162'))).toBe('0x81 MQTT-3.10.3-1')
    expect(refusalOf(4, packet(0xa2, '0001', text('a'), '00'))).toBe('0x81 MQTT-3.10.3-1')
    expect(refusalOf(4, packet(0xa2, '0001', text('a'), text('')))).toBe('0x81 MQTT-4.7.3-1')
    expect(refusalOf(5, packet(0xa2, '0001', '00', text('a\0b')))).toBe('0x81 MQTT-1.5.4-2')
    expect(refusalOf(5, packet(0xa2, '0001', '00', text('a/+b')))).toBe('0x81 MQTT-4.7.1-2')
  })

  it('is bounded in its filters', () => {
    const many = packet(0xa2, '0001', ...Array.from({ length: 6 }, () => text('a')))
    expect(refusalOf(4, many, { filtersMax: 5 })).toBe('0x97 limit: filtersMax')
  })
})

describe('a DISCONNECT', () => {
  it('has nothing to say in MQTT 3', () => {
    for (const version of VERSIONS) {
      expect(decode(version, packet(0xe0))).toEqual({
        type: 'disconnect',
        reasonCode: 0,
        sessionExpirySeconds: null,
      })
    }
    for (const version of OLD) expect(refusalOf(version, packet(0xe0, '00'))).toBe('0x81 3.1.1: section 3.14')
  })

  it('has a reason code and a session expiry in MQTT 5', () => {
    expect(decode(5, packet(0xe0, '04'))).toEqual({
      type: 'disconnect',
      reasonCode: 4,
      sessionExpirySeconds: null,
    })
    expect(decode(5, packet(0xe0, '00', '00'))).toMatchObject({ reasonCode: 0 })
    const all = properties('11 00000000', '1f', text('bye'), '26', text('a'), text('b'))
    expect(decode(5, packet(0xe0, '00', all))).toMatchObject({ sessionExpirySeconds: 0 })
    expect(decode(5, packet(0xe0, '00'))).toMatchObject({ sessionExpirySeconds: null })
  })

  it('has one of the reason codes that a client may send [MQTT-3.14.2-1]', () => {
    const allowed = [0, 4, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]
    for (let code = 0; code < 256; code++) {
      if (allowed.includes(code)) expect(decode(5, packet(0xe0, code))).toMatchObject({ reasonCode: code })
      else expect(refusalOf(5, packet(0xe0, code)), `${code}`).toBe('0x82 MQTT-3.14.2-1')
    }
  })

  it('has no flags [MQTT-3.14.1-1]', () => {
    for (let flags = 1; flags < 16; flags++) {
      expect(refusalOf(4, packet(0xe0 | flags))).toBe('0x81 MQTT-3.14.1-1')
      expect(refusalOf(5, packet(0xe0 | flags))).toBe('0x81 MQTT-3.14.1-1')
      expect(decode(3, packet(0xe0 | flags)).type).toBe('disconnect')
    }
  })

  it('has nothing after its properties [section 2.1.4]', () => {
    expect(refusalOf(5, packet(0xe0, '00', '00', '00'))).toBe('0x81 section 2.1.4')
  })
})

describe('a PINGREQ', () => {
  it('is empty [section 3.12.1] and has no flags [MQTT-2.1.3-1]', () => {
    for (const version of VERSIONS) {
      expect(decode(version, packet(0xc0))).toEqual({ type: 'pingreq' })
      expect(refusalOf(version, packet(0xc0, '00'))).toBe('0x81 section 3.12.1')
    }
    for (let flags = 1; flags < 16; flags++) {
      expect(refusalOf(4, packet(0xc0 | flags))).toBe('0x81 MQTT-2.1.3-1')
      expect(refusalOf(5, packet(0xc0 | flags))).toBe('0x81 MQTT-2.1.3-1')
    }
  })
})

describe('an AUTH', () => {
  const method = properties('15', text('m'), '16', text('d'))

  it('goes on with or begins an authentication', () => {
    expect(decode(5, packet(0xf0, '18', method))).toEqual({ type: 'auth', reasonCode: 0x18, method: 'm' })
    expect(decode(5, packet(0xf0, '19', method))).toEqual({ type: 'auth', reasonCode: 0x19, method: 'm' })
  })

  it('has one of the reason codes that a client may send [MQTT-3.15.2-1]', () => {
    for (const code of [0x00, 0x01, 0x17, 0x1a, 0x80, 0xff]) {
      expect(refusalOf(5, packet(0xf0, code, method))).toBe('0x82 MQTT-3.15.2-1')
    }
    expect(refusalOf(5, packet(0xf0))).toBe('0x82 MQTT-3.15.2-1')
  })

  it('has a method [section 3.15.2.2.2] and nothing after it', () => {
    expect(refusalOf(5, packet(0xf0, '18'))).toBe('0x82 section 3.15.2.2.2')
    expect(refusalOf(5, packet(0xf0, '18', '00'))).toBe('0x82 section 3.15.2.2.2')
    expect(refusalOf(5, packet(0xf0, '18', method, '00'))).toBe('0x81 section 2.1.4')
  })

  it('has no flags [MQTT-3.15.1-1]', () => {
    for (let flags = 1; flags < 16; flags++) {
      expect(refusalOf(5, packet(0xf0 | flags, '18', method))).toBe('0x81 MQTT-3.15.1-1')
    }
  })

  it('is reserved in MQTT 3 [3.1.1: section 2.2.1]', () => {
    for (const version of OLD) expect(refusalOf(version, packet(0xf0))).toBe('0x82 3.1.1: section 2.2.1')
  })
})

describe('any other packet of a client', () => {
  it('is a second CONNECT [MQTT-3.1.0-2]', () => {
    expect(refusalOf(4, packet(0x10, text('MQTT'), 4, '02 000a', text('p')))).toBe('0x82 MQTT-3.1.0-2')
    expect(refusalOf(5, packet(0x10))).toBe('0x82 MQTT-3.1.0-2')
  })

  it('is one that only a server sends [section 2.1.2]', () => {
    for (const version of VERSIONS) {
      for (const whole of [
        packet(0x20, '0000'),
        packet(0x90, '000100'),
        packet(0xb0, '0001'),
        packet(0xd0),
      ]) {
        expect(refusalOf(version, whole)).toBe('0x82 section 2.1.2')
      }
    }
  })

  it('has a remaining length in its shortest form, in MQTT 5 [MQTT-1.5.5-1]', () => {
    const padded = (first: number, body: Buffer) =>
      Buffer.concat([Buffer.from([first, body.length | 0x80, 0]), body])
    for (const [first, body] of [
      [0x82, Buffer.concat([Buffer.from([0, 1, 0]), text('a'), Buffer.from([0])])],
      [0xa2, Buffer.concat([Buffer.from([0, 1, 0]), text('a')])],
      [0xc0, Buffer.alloc(0)],
      [0xe0, Buffer.from([0])],
    ] as const) {
      expect(decode(5, packet(first, body)).type).toBeTypeOf('string')
      expect(refusalOf(5, padded(first, body))).toBe('0x81 MQTT-1.5.5-1')
    }
    expect(decode(4, padded(0xc0, Buffer.alloc(0)))).toEqual({ type: 'pingreq' })
  })
})
