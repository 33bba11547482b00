import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { Property, type PropertyId, PropertyPlace } from '../../../../broker/mqtt/packets/properties.ts'
import { PropertyView } from '../../../../broker/mqtt/packets/property-view.ts'
import { bytes, hex, type Part, properties, refusal, text, u16, u32, variable } from './support.ts'

/** Another's table of the properties: by name their type. */
const { properties: IDS, propertiesTypes: TYPES } = createRequire(import.meta.url)(
  'mqtt-packet/constants.js',
) as {
  properties: Record<string, number>
  propertiesTypes: Record<string, 'byte' | 'int8' | 'int16' | 'int32' | 'var' | 'string' | 'binary' | 'pair'>
}

type Place = keyof typeof PropertyPlace
const PLACES = Object.keys(PropertyPlace) as Place[]

/** MQTT 5, table 2-4, without what only a server sends. */
const ALLOWED: Record<string, readonly Place[]> = {
  payloadFormatIndicator: ['publish', 'will'],
  messageExpiryInterval: ['publish', 'will'],
  contentType: ['publish', 'will'],
  responseTopic: ['publish', 'will'],
  correlationData: ['publish', 'will'],
  subscriptionIdentifier: ['subscribe'],
  sessionExpiryInterval: ['connect', 'disconnect'],
  assignedClientIdentifier: [],
  serverKeepAlive: [],
  authenticationMethod: ['connect', 'auth'],
  authenticationData: ['connect', 'auth'],
  requestProblemInformation: ['connect'],
  willDelayInterval: ['will'],
  requestResponseInformation: ['connect'],
  responseInformation: [],
  serverReference: ['disconnect'],
  reasonString: ['acknowledgement', 'disconnect', 'auth'],
  receiveMaximum: ['connect'],
  topicAliasMaximum: ['connect'],
  topicAlias: ['publish'],
  maximumQoS: [],
  retainAvailable: [],
  userProperties: PLACES,
  maximumPacketSize: ['connect'],
  wildcardSubscriptionAvailable: [],
  subscriptionIdentifiersAvailable: [],
  sharedSubscriptionAvailable: [],
}
const NAMES = Object.keys(ALLOWED)

function sampleOf(name: string): Buffer {
  switch (TYPES[name]) {
    case 'byte':
    case 'int8':
      return hex('01')
    case 'int16':
      return u16(0x0102)
    case 'int32':
      return u32(0x01020304)
    case 'var':
      return variable(300)
    case 'string':
      return text('é')
    case 'binary':
      return text(hex('00ff'))
    default:
      return bytes(text('name'), text('value'))
  }
}

const one = (name: string) => bytes(IDS[name]!, sampleOf(name))

function view(place: Place, ...parts: readonly Part[]): PropertyView {
  const found = new PropertyView()
  const all = properties(...parts)
  const end = found.read(
    Buffer.concat([hex('aa'), all, hex('bb')]),
    1,
    1 + all.length,
    PropertyPlace[place],
    10,
  )
  expect(end).toBe(1 + all.length)
  return found
}

const refusedIn = (place: Place, ...parts: readonly Part[]) => refusal(() => view(place, ...parts))

describe('the properties of a packet', () => {
  it('are those of table 2-4, each of its type', () => {
    expect(NAMES.map((name) => IDS[name]).sort()).toEqual(Object.values(Property).sort())
    expect(Object.keys(IDS).sort()).toEqual(NAMES.toSorted())
  })

  it('may stand where table 2-4 has them, and nowhere else', () => {
    for (const name of NAMES) {
      for (const place of PLACES) {
        if (ALLOWED[name]!.includes(place)) {
          expect(view(place, one(name)).isEmpty).toBe(false)
          continue
        }
        const isMalformed = place === 'subscribe' || place === 'unsubscribe'
        const clause =
          name === 'subscriptionIdentifier' && place === 'publish' ? 'MQTT-3.3.4-6' : 'section 2.2.2.2'
        expect(refusedIn(place, one(name)), `${name} ${place}`).toBe(
          `${isMalformed ? '0x81' : '0x82'} ${clause}`,
        )
      }
    }
  })

  it('may stand there once, but for user properties', () => {
    for (const name of NAMES) {
      for (const place of ALLOWED[name]!) {
        if (name === 'userProperties') expect(view(place, one(name), one(name)).userCount).toBe(2)
        else expect(refusedIn(place, one(name), one(name)), `${name} ${place}`).toMatch(/^0x82 section 3/)
      }
    }
  })

  it('that are cut short anywhere make a malformed packet [section 2.2.2.2]', () => {
    for (const name of NAMES) {
      for (const place of PLACES) {
        const whole = one(name)
        for (let length = 1; length < whole.length; length++) {
          expect(refusedIn(place, whole.subarray(0, length)), `${name} ${place} ${length}`).toMatch(
            /^0x81 section/,
          )
        }
      }
    }
  })

  it('that no table has make a malformed packet [section 2.2.2.2]', () => {
    const known = new Set(Object.values(Property) as number[])
    for (let id = 0; id < 256; id++) {
      if (known.has(id)) continue
      for (const place of PLACES) expect(refusedIn(place, id, '01'), `${id}`).toBe('0x81 section 2.2.2.2')
    }
  })

  it('are no longer than their packet [section 2.2.2.1]', () => {
    const read = (all: string) => () =>
      new PropertyView().read(hex(all), 0, hex(all).length, PropertyPlace.publish, 10)
    expect(refusal(read('01'))).toBe('0x81 section 2.2.2.1')
    expect(refusal(read('03 01 01'))).toBe('0x81 section 2.2.2.1')
    expect(refusal(read('ff ff ff 7f 01 01'))).toBe('0x81 section 2.2.2.1')
    expect(read('02 01 01')).not.toThrow()
  })

  it('have a length in its shortest form [MQTT-1.5.5-1], which is there even where it is 0 [MQTT-2.2.2-1]', () => {
    const read = (all: string) => () =>
      new PropertyView().read(hex(all), 0, hex(all).length, PropertyPlace.publish, 10)
    expect(refusal(read('80 00'))).toBe('0x81 MQTT-1.5.5-1')
    expect(refusal(read('82 00 01 01'))).toBe('0x81 MQTT-1.5.5-1')
    expect(refusal(read('80 80 80 80 01'))).toBe('0x81 section 1.5.5')
    expect(refusal(read(''))).toBe('0x81 section 1.5.5')
    expect(read('00')).not.toThrow()
  })
})

describe('the values of properties', () => {
  it('are read as they are', () => {
    const found = view(
      'publish',
      '01 01',
      '02 ffffffff',
      '03',
      text('a/é'),
      '08',
      text('r'),
      '09',
      text(hex('00ff')),
      '23 ffff',
    )
    expect(found.number(Property.payloadFormat, 9)).toBe(1)
    expect(found.number(Property.messageExpiry, 9)).toBe(0xffffffff)
    expect(found.number(Property.topicAlias, 9)).toBe(0xffff)
    expect(found.text(Property.contentType)).toBe('a/é')
    expect(found.binary(Property.correlationData)).toEqual(hex('00ff'))
    expect(found.number(Property.sessionExpiry, 9)).toBe(9)
    expect(found.text(Property.reasonString)).toBeNull()
    expect(found.binary(Property.authenticationData)).toBeNull()
    expect(view('subscribe', '0b ff ff ff 7f').number(Property.subscriptionIdentifier, 0)).toBe(268_435_455)
  })

  it('of one packet do not stay for the next', () => {
    const found = new PropertyView()
    const all = properties('01 01', '26', text('a'), text('b'))
    found.read(all, 0, all.length, PropertyPlace.publish, 10)
    found.read(hex('00'), 0, 1, PropertyPlace.publish, 10)
    expect([found.isEmpty, found.has(Property.payloadFormat), found.userCount]).toEqual([true, false, 0])
    found.read(all, 0, all.length, PropertyPlace.publish, 10)
    found.clear()
    expect([found.isEmpty, found.has(Property.payloadFormat), found.userCount]).toEqual([true, false, 0])
  })

  it('of user properties keep their order, and their doubles [MQTT-3.3.2-18]', () => {
    const pairs = [
      ['b', '1'],
      ['a', ''],
      ['', 'é'],
      ['b', '1'],
    ] as const
    const parts = pairs.map(([name, value]) => bytes('26', text(name), text(value)))
    const found = view(
      'publish',
      parts[0]!,
      '01 01',
      parts[1]!,
      '09',
      text(hex('2600012600')),
      parts[2]!,
      parts[3]!,
      '02 00000001',
    )
    expect(found.userProperties()).toEqual(pairs)
  })

  it('of user properties are bounded in number', () => {
    const parts = (count: number) => Array.from({ length: count }, () => bytes('26', text('a'), text('b')))
    expect(view('connect', ...parts(10)).userCount).toBe(10)
    expect(refusedIn('connect', ...parts(11))).toBe('0x97 limit: userPropertiesMax')
  })

  it('that are texts are well-formed UTF-8 without U+0000 [MQTT-1.5.4-1] [MQTT-3.3.2-13] [MQTT-3.3.2-19]', () => {
    for (const [id, place] of [
      ['03', 'publish'],
      ['08', 'will'],
      ['15', 'connect'],
      ['1f', 'disconnect'],
    ] as const) {
      expect(refusedIn(place, id, text(hex('eda080')))).toBe('0x81 MQTT-1.5.4-1')
      expect(refusedIn(place, id, text(hex('610061')))).toBe('0x81 MQTT-1.5.4-2')
    }
    expect(view('publish', '09', text(hex('eda08000'))).binary(Property.correlationData)).toEqual(
      hex('eda08000'),
    )
  })

  it('of user properties are texts, both of them [MQTT-1.5.7-1]', () => {
    expect(refusedIn('subscribe', '26', text(hex('ff')), text('b'))).toBe('0x81 MQTT-1.5.4-1')
    expect(refusedIn('subscribe', '26', text('a'), text(hex('c0af')))).toBe('0x81 MQTT-1.5.4-1')
    expect(view('subscribe', '26', text('a'), text('line\nline')).userProperties()).toEqual([
      ['a', 'line\nline'],
    ])
  })

  it('are in their ranges', () => {
    expect(refusedIn('publish', '01 02')).toBe('0x82 section 3.3.2.3.2')
    expect(refusedIn('connect', '17 02')).toBe('0x82 section 3.1.2.11.7')
    expect(refusedIn('connect', '19 02')).toBe('0x82 section 3.1.2.11.6')
    expect(refusedIn('connect', '21 0000')).toBe('0x82 section 3.1.2.11.3')
    expect(refusedIn('connect', '27 00000000')).toBe('0x82 section 3.1.2.11.4')
    expect(refusedIn('subscribe', '0b 00')).toBe('0x82 section 3.8.2.1.2')
    expect(refusedIn('subscribe', '0b 80 00')).toBe('0x81 MQTT-1.5.5-1')
    for (const [place, zero] of [
      ['connect', '22 0000'],
      ['connect', '11 00000000'],
      ['publish', '02 00000000'],
    ] as const) {
      expect(view(place, zero).number(hex(zero)[0] as PropertyId, 9)).toBe(0)
    }
  })

  it('that are response topics are topic names [MQTT-3.3.2-14]', () => {
    const check = (topic: string) => () => view('publish', '08', text(topic)).checkResponseTopic()
    expect(check('a/b')).not.toThrow()
    expect(refusal(check('a/+'))).toBe('0x82 MQTT-3.3.2-14')
    expect(refusal(check('#'))).toBe('0x82 MQTT-3.3.2-14')
    expect(refusal(check(''))).toBe('0x82 MQTT-4.7.3-1')
    expect(() => view('publish').checkResponseTopic()).not.toThrow()
  })
})
