import { describe, expect, it } from 'vitest'
import { PredefinedTopics, predefinedFault } from '../../../firmware-bridge/gateway/predefined-topics.ts'
import { isTopicFilter, isTopicName, Priorities } from '../../../firmware-bridge/gateway/topic-names.ts'

describe('a topic name', () => {
  it.each(['a', 'a/b', '/', ' ', 'plant/température', '$x', '😀'])('is %j', (name) => {
    expect(isTopicName(name)).toBe(true)
  })

  it.each([
    '',
    'a/+',
    '#',
    'a\u0000',
    'a\n',
    'a\u007f',
    'a\u009f',
    '\ufffe',
    '\ufdd0',
    '\u{1fffe}',
    '\u{10ffff}',
    '\ud800',
    'x'.repeat(65_536),
  ])('is not %j', (name) => {
    expect(isTopicName(name)).toBe(false)
  })
})

describe('a topic filter', () => {
  it.each(['#', '+/a', 'a/#', '$share/g/a', 'a'])('is %j', (filter) => {
    expect(isTopicFilter(filter)).toBe(true)
  })

  it.each(['', 'a#', '#/a', 'a+/b', '$share/g', 'a\u0001', 'a/\u{2ffff}'])('is not %j', (filter) => {
    expect(isTopicFilter(filter)).toBe(false)
  })
})

describe('the urgency of a topic', () => {
  const priorities = new Priorities(['+/stop', 'alarm/#', '#'])

  it.each([
    ['pump/stop', 0],
    ['alarm', 1],
    ['alarm/a/b', 1],
    ['pump/stop/now', 2],
    ['stop', 2],
    ['$sys/stop', 3],
  ])('%s: %i', (topic, urgency) => {
    expect(priorities.of(topic)).toBe(urgency)
  })

  it('is one and the same without filters', () => {
    expect(new Priorities([]).of('a')).toBe(0)
  })
})

describe('predefined topics', () => {
  it('have the client id in them, where they ask for it', () => {
    const topics = new PredefinedTopics({ 1: 'plant/%c/t', 2: 'all' })
    expect(topics.topic(1, 'pump')).toBe('plant/pump/t')
    expect(topics.topic(2, 'pump')).toBe('all')
    expect(topics.topic(1, null)).toBeUndefined()
    expect(topics.topic(3, 'pump')).toBeUndefined()
  })

  it.each([
    ['0', 'a', '0 is no topic id: 1 to 65279'],
    ['65280', 'a', '65280 is no topic id: 1 to 65279'],
    ['1', 'a/#', '"a/#" is no topic name'],
    ['1', '', '"" is no topic name'],
    ['65279', 'a/%c', null],
  ])('%s: %j', (key, template, fault) => {
    expect(predefinedFault(key, template)).toBe(fault)
  })
})
