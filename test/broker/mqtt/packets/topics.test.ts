import { describe, expect, it } from 'vitest'
import {
  isSharedFilter,
  splitFilter,
  validateTopicFilter,
  validateTopicName,
} from '../../../../broker/mqtt/packets/topics.ts'
import { hex, limits, refusal } from './support.ts'

const name = (topic: string | Buffer, of = limits) => {
  const bytes = Buffer.from(topic as string)
  return () => validateTopicName(bytes, 0, bytes.length, of)
}
const filter = (text: string | Buffer, of = limits) => {
  const bytes = Buffer.from(text as string)
  return () => validateTopicFilter(bytes, 0, bytes.length, of)
}

describe('a topic name', () => {
  it('is any text without wildcards', () => {
    for (const topic of [
      'a',
      '/',
      '//',
      'a/b',
      '/a',
      'a/',
      ' ',
      'a b',
      '$SYS/x',
      '$share/a/b',
      'ÄÖ/€/𪛔',
      '\u{feff}',
    ]) {
      expect(name(topic), topic).not.toThrow()
    }
  })

  it('has no wildcard in it [MQTT-3.3.2-2]', () => {
    for (const topic of ['#', '+', 'a/#', 'a/+/b', 'a+', 'a#b', '+a']) {
      expect(refusal(name(topic)), topic).toBe('0x81 MQTT-3.3.2-2')
    }
  })

  it('is at least one character long [MQTT-4.7.3-1]', () => {
    expect(refusal(name(''))).toBe('0x81 MQTT-4.7.3-1')
  })

  it('has no U+0000 in it [MQTT-4.7.3-2]', () => {
    expect(refusal(name('a\0b'))).toBe('0x81 MQTT-1.5.4-2')
    expect(refusal(filter('a\0b'))).toBe('0x81 MQTT-1.5.4-2')
  })

  it('is well-formed UTF-8 [MQTT-3.3.2-1]', () => {
    expect(refusal(name(hex('61eda080')))).toBe('0x81 MQTT-1.5.4-1')
    expect(refusal(name(hex('61c0af')))).toBe('0x81 MQTT-1.5.4-1')
  })

  it('is bounded in bytes and levels', () => {
    const of = { ...limits, topicBytesMax: 6, topicLevelsMax: 3 }
    expect(name('a/b/cd', of)).not.toThrow()
    expect(refusal(name('a/b/cde', of))).toBe('0x90 limit: topicBytesMax')
    expect(refusal(name('äöüä', of))).toBe('0x90 limit: topicBytesMax')
    expect(refusal(name('a/b/c/', of))).toBe('0x90 limit: topicLevelsMax')
  })
})

describe('a topic filter', () => {
  it('may have + as any whole level, and # as the last', () => {
    for (const text of [
      '#',
      '+',
      '/#',
      '/+',
      '+/',
      '+/+',
      '+/#',
      'a/+/b',
      'a/#',
      'a',
      '//',
      '$SYS/#',
      'a/+/#',
    ]) {
      expect(filter(text), text).not.toThrow()
    }
  })

  it('has # alone in the last level and nowhere else [MQTT-4.7.1-1]', () => {
    for (const text of ['a#', '#/', '#/a', 'a/#/b', 'a/b#', '##', '/#/', 'a/#b', '#+']) {
      expect(refusal(filter(text)), text).toBe('0x81 MQTT-4.7.1-1')
    }
  })

  it('has + alone in a level [MQTT-4.7.1-2]', () => {
    for (const text of ['a+', '+a', 'a/b+/c', '++', 'a/+b', '+#']) {
      expect(refusal(filter(text)), text).toBe('0x81 MQTT-4.7.1-2')
    }
  })

  it('is at least one character long [MQTT-4.7.3-1]', () => {
    expect(refusal(filter(''))).toBe('0x81 MQTT-4.7.3-1')
  })

  it('is bounded in bytes and levels', () => {
    const of = { ...limits, topicBytesMax: 16, topicLevelsMax: 3 }
    expect(filter('+/b/#', of)).not.toThrow()
    expect(refusal(filter('+/b/c/#', of))).toBe('0x8f limit: topicLevelsMax')
    expect(refusal(filter('a'.repeat(17), of))).toBe('0x8f limit: topicBytesMax')
  })
})

describe('a shared subscription', () => {
  it('has a share name and a filter', () => {
    for (const text of [
      '$share/a/b',
      '$share/a/#',
      '$share/a/+/b',
      '$share/a//',
      '$share/group one/$SYS/#',
    ]) {
      expect(filter(text), text).not.toThrow()
      expect(isSharedFilter(text)).toBe(true)
    }
    expect(splitFilter('$share/a/b/c')).toEqual({ shareName: 'a', filter: 'b/c' })
    expect(splitFilter('$share/a//')).toEqual({ shareName: 'a', filter: '/' })
  })

  it('has a share name of at least one character [MQTT-4.8.2-1]', () => {
    expect(refusal(filter('$share//a'))).toBe('0x81 MQTT-4.8.2-1')
    expect(refusal(filter('$share/'))).toBe('0x81 MQTT-4.8.2-1')
  })

  it('has no wildcard in its share name, and a filter after it [MQTT-4.8.2-2]', () => {
    for (const text of ['$share/+/a', '$share/a#/b', '$share/#', '$share/a', '$share/a/']) {
      expect(refusal(filter(text)), text).toBe('0x81 MQTT-4.8.2-2')
    }
    expect(refusal(filter('$share/a/b#'))).toBe('0x81 MQTT-4.7.1-1')
    expect(refusal(filter('$share/a/b+'))).toBe('0x81 MQTT-4.7.1-2')
  })

  it('is not what begins otherwise', () => {
    for (const text of ['$share', '$shared/a/b', '$Share/a/b', 'a/$share/b/c', '$SYS/#']) {
      expect(filter(text), text).not.toThrow()
      expect(splitFilter(text)).toEqual({ shareName: null, filter: text })
      expect(isSharedFilter(text)).toBe(false)
    }
  })
})
