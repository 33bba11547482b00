import { describe, expect, it } from 'vitest'
import { bytes, connectBytes, connectOf, hex, packet, properties, refusal, refused, text } from './support.ts'

const refusalOf = (whole: Buffer) => refusal(() => connectOf(whole))
/** In which version the refusal is answered. */
const answerTo = (whole: Buffer) => refused(() => connectOf(whole)).answerVersion

const VERSIONS = [3, 4, 5] as const
const WILL = [text('p'), text('w/t'), text('gone')]
const WILL5 = [text('p'), properties(), text('w/t'), text('gone')]

describe('a CONNECT is refused', () => {
  it('with another protocol name, and without an answer [MQTT-3.1.2-1]', () => {
    for (const name of ['MQT', 'MQTTT', 'MQTU', 'mqtt', '', 'MQIsdq', 'HTTP']) {
      const whole = connectBytes({ version: 4, name })
      expect(refusalOf(whole), name).toBe('0x81 MQTT-3.1.2-1')
      expect(answerTo(whole), name).toBeNull()
    }
    for (const body of ['', '00', '0004', '0004 4d5154']) {
      expect(refusalOf(packet(0x10, body)), body).toBe('0x81 MQTT-3.1.2-1')
      expect(answerTo(packet(0x10, body)), body).toBeNull()
    }
  })

  it('with a protocol version unknown here, answered in the nearest one [MQTT-3.1.2-2]', () => {
    const answers: readonly (readonly [name: string, level: number, answer: number])[] = [
      ['MQTT', 0, 5],
      ['MQTT', 2, 5],
      ['MQTT', 3, 3],
      ['MQTT', 6, 5],
      ['MQTT', 0xff, 5],
      ['MQIsdp', 2, 5],
      ['MQIsdp', 4, 4],
      ['MQIsdp', 5, 5],
    ]
    for (const [name, level, answer] of answers) {
      const whole = connectBytes({ version: 4, name, level })
      expect(refusalOf(whole), `${name} ${level}`).toBe('0x84 MQTT-3.1.2-2')
      expect(answerTo(whole), `${name} ${level}`).toBe(answer)
    }
    expect(refusalOf(packet(0x10, text('MQTT')))).toBe('0x81 MQTT-3.1.2-2')
  })

  it('of mosquitto’s bridges, with 0x80 in the version, in the version they come again in', () => {
    expect(answerTo(connectBytes({ version: 4, level: 0x84 }))).toBe(4)
    expect(answerTo(connectBytes({ version: 3, level: 0x83 }))).toBe(3)
  })

  it('and answered in its own version once that is known', () => {
    for (const version of VERSIONS) expect(answerTo(connectBytes({ version, flags: 0x1e }))).toBe(version)
  })

  it('with reserved flags in the fixed header [MQTT-2.1.3-1]', () => {
    for (let flags = 1; flags < 16; flags++) {
      expect(refusalOf(connectBytes({ version: 4, first: 0x10 | flags }))).toBe('0x81 MQTT-2.1.3-1')
      expect(refusalOf(connectBytes({ first: 0x10 | flags }))).toBe('0x81 MQTT-2.1.3-1')
    }
  })

  it('with its reserved connect flag [MQTT-3.1.2-3]', () => {
    expect(refusalOf(connectBytes({ version: 4, flags: 0x03 }))).toBe('0x81 MQTT-3.1.2-3')
    expect(refusalOf(connectBytes({ flags: 0x03 }))).toBe('0x81 MQTT-3.1.2-3')
  })

  it('with a will flag and without a whole will [MQTT-3.1.2-9]', () => {
    for (const version of [3, 4] as const) {
      for (const payload of [[text('p')], [text('p'), text('w')], [text('p'), text('w'), '0003 6162']]) {
        expect(refusalOf(connectBytes({ version, flags: 0x06, payload }))).toBe('0x81 MQTT-3.1.2-9')
      }
    }
    for (const payload of [
      [text('p'), '00'],
      [text('p'), '00', text('w')],
    ]) {
      expect(refusalOf(connectBytes({ flags: 0x06, payload }))).toBe('0x81 MQTT-3.1.2-9')
    }
    expect(refusalOf(connectBytes({ flags: 0x06 }))).toBe('0x81 section 1.5.5')
  })

  it('with a will QoS [MQTT-3.1.2-13] or will retain [MQTT-3.1.2-15] and no will [MQTT-3.1.2-11]', () => {
    for (const version of [4, 5] as const) {
      expect(refusalOf(connectBytes({ version, flags: 0x0a }))).toBe('0x81 MQTT-3.1.2-13')
      expect(refusalOf(connectBytes({ version, flags: 0x12 }))).toBe('0x81 MQTT-3.1.2-13')
      expect(refusalOf(connectBytes({ version, flags: 0x22 }))).toBe('0x81 MQTT-3.1.2-15')
    }
  })

  it('with a will of QoS 3 [MQTT-3.1.2-14]', () => {
    for (const version of VERSIONS) {
      const payload = version === 5 ? WILL5 : WILL
      expect(refusalOf(connectBytes({ version, flags: 0x1e, payload }))).toBe('0x81 MQTT-3.1.2-14')
    }
  })

  it('with a will to what is no topic name [MQTT-3.1.3-9] [MQTT-4.7.0-1]', () => {
    const will = (topic: Buffer) =>
      connectBytes({ version: 4, flags: 0x06, payload: [text('p'), topic, text('x')] })
    expect(refusalOf(will(text(hex('eda080'))))).toBe('0x81 MQTT-1.5.4-1')
    expect(refusalOf(will(text('a\0b')))).toBe('0x81 MQTT-1.5.4-2')
    expect(refusalOf(will(text('a\x1fb')))).toBe('0x81 section 1.5.4')
    expect(refusalOf(will(text('a/#')))).toBe('0x81 MQTT-4.7.0-1')
    expect(refusalOf(will(text('')))).toBe('0x81 MQTT-4.7.3-1')
    expect(refusal(() => connectOf(will(text('a/b/c')), { topicLevelsMax: 2 }))).toBe(
      '0x90 limit: topicLevelsMax',
    )
  })

  it('with wildcards in the response topic of its will [MQTT-3.3.2-14]', () => {
    const payload = [text('p'), properties('08', text('a/+')), text('w'), text('x')]
    expect(refusalOf(connectBytes({ flags: 0x06, payload }))).toBe('0x82 MQTT-3.3.2-14')
  })

  it('with a user name that no flag says [MQTT-3.1.2-18]', () => {
    for (const version of VERSIONS) {
      expect(refusalOf(connectBytes({ version, payload: [text('p'), text('me')] }))).toBe(
        '0x81 MQTT-3.1.2-18',
      )
    }
  })

  it('without the user name that its flag says [MQTT-3.1.2-19]', () => {
    for (const version of [4, 5] as const) {
      expect(refusalOf(connectBytes({ version, flags: 0x82 }))).toBe('0x81 MQTT-3.1.2-19')
      expect(refusalOf(connectBytes({ version, flags: 0x82, payload: [text('p'), '0002 61'] }))).toBe(
        '0x81 MQTT-3.1.2-19',
      )
    }
  })

  it('with a password that no flag says [MQTT-3.1.2-20]', () => {
    for (const version of VERSIONS) {
      const whole = connectBytes({ version, flags: 0x82, payload: [text('p'), text('me'), text('pw')] })
      expect(refusalOf(whole)).toBe('0x81 MQTT-3.1.2-20')
    }
  })

  it('without the password that its flag says [MQTT-3.1.2-21]', () => {
    for (const version of [4, 5] as const) {
      const whole = connectBytes({ version, flags: 0xc2, payload: [text('p'), text('me')] })
      expect(refusalOf(whole)).toBe('0x81 MQTT-3.1.2-21')
    }
    expect(refusalOf(connectBytes({ version: 3, flags: 0xc2, payload: [text('p'), text('me'), '00'] }))).toBe(
      '0x81 MQTT-3.1.2-21',
    )
  })

  it('of MQTT 3.1.1 with a password and no user name [3.1.1: MQTT-3.1.2-22]', () => {
    const whole = connectBytes({ version: 4, flags: 0x42, payload: [text('p'), text('pw')] })
    expect(refusalOf(whole)).toBe('0x81 3.1.1: MQTT-3.1.2-22')
  })

  it('with a user name that is not a name in UTF-8 [MQTT-3.1.3-10]', () => {
    const named = (bad: string) =>
      refusalOf(connectBytes({ version: 4, flags: 0x82, payload: [text('p'), text(hex(bad))] }))
    expect(named('eda080')).toBe('0x81 MQTT-1.5.4-1')
    expect(named('6100')).toBe('0x81 MQTT-1.5.4-2')
    expect(named('c29f')).toBe('0x81 section 1.5.4')
  })

  it('with bytes after all that its flags say [MQTT-3.1.4-1]', () => {
    const whole = connectBytes({ flags: 0xc2, payload: [text('p'), text('me'), text('pw'), '00'] })
    expect(refusalOf(whole)).toBe('0x81 MQTT-3.1.4-1')
  })

  it('that ends before its keep alive [MQTT-3.1.4-1]', () => {
    for (const rest of ['', '02', '02 00']) {
      expect(refusalOf(packet(0x10, text('MQTT'), 4, rest))).toBe('0x81 MQTT-3.1.4-1')
    }
  })

  it('with authentication data and no method [section 3.1.2.11.10]', () => {
    expect(refusalOf(connectBytes({ properties: bytes('16', text('d')) }))).toBe('0x82 section 3.1.2.11.10')
  })

  it('of MQTT 5 with a remaining length longer than it need be [MQTT-1.5.5-1]', () => {
    const padded = (version: 4 | 5) => {
      const [first, length, ...body] = connectBytes({ version })
      return Buffer.from([first!, length! | 0x80, 0x00, ...body])
    }
    expect(refusalOf(padded(5))).toBe('0x81 MQTT-1.5.5-1')
    expect(connectOf(padded(4)).clientId).toBe('p')
  })

  it('wherever it is cut', () => {
    const all = properties('18 00000005', '03', text('c'))
    const whole = connectBytes({
      flags: 0xc6,
      properties: hex('21 0010'),
      payload: [text('p'), all, text('w'), text('x'), text('me'), text('pw')],
    })
    expect(connectOf(whole).username).toBe('me')
    for (let length = 2; length < whole.length; length++) {
      const cut = packet(0x10, whole.subarray(2, length))
      expect(refusalOf(cut), `${length}`).toMatch(/^0x81 /)
    }
  })
})
