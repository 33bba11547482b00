import { describe, expect, it } from 'vitest'
import { TopicTemplate, templateFault, topicFault } from '../../../sync/downlink/topic-template.ts'
import { record } from './setup.ts'

const CONTEXT = { edge: 'pi-7', partition: 3, rest: 'valve/1' }
const fill = (template: string, changes: Parameters<typeof record>[1] = {}) =>
  new TopicTemplate(template).fill(record(0, changes), CONTEXT)

describe('a topic template', () => {
  it('puts key, rest, headers, edge and partition in their places', () => {
    const headers = [
      { key: 'unit', value: Buffer.from('old') },
      { key: 'unit', value: Buffer.from('u9') },
    ]
    const template = '{edge}/c/{key}/{partition}/{header:unit}/{rest}'
    expect(fill(template, { key: Buffer.from('k/ä'), headers })).toEqual({
      topic: 'pi-7/c/k/ä/3/u9/valve/1',
    })
  })

  it.each([
    ['no key', null, 'the record has no key that is text'],
    ['a key that is no UTF-8', Buffer.from([0xc3, 0x28]), 'the record has no key that is text'],
    ['half a surrogate pair', Buffer.from([0xed, 0xa0, 0x80]), 'the record has no key that is text'],
    ['a + in it', Buffer.from('a+b'), 'it has a wildcard'],
    ['a # in it', Buffer.from('#'), 'it has a wildcard'],
    ['a NUL in it', Buffer.from('a\0b'), 'it has a U+0000'],
    ['an empty key', Buffer.alloc(0), 'it is empty'],
    ['a $ at the front', Buffer.from('$SYS/x'), 'topics that begin with "$" are the broker\'s own'],
    ['too many bytes', Buffer.alloc(65_536, 'x'), 'it is longer than 65535 bytes'],
    ['too many levels', Buffer.alloc(100, '/'), 'it has more than 100 levels'],
  ])('refuses %s', (_what, key, fault) => {
    expect(fill('{key}', { key })).toEqual({ fault })
  })

  it('takes the longest topic and the most levels that there may be', () => {
    expect(fill('{key}', { key: Buffer.alloc(65_535, 'x') })).toHaveProperty('topic')
    expect(fill('{key}', { key: Buffer.alloc(99, '/') })).toHaveProperty('topic')
    expect(topicFault('a')).toBeNull()
  })

  it('refuses a header that the record does not have, or has without a value', () => {
    expect(fill('{header:unit}')).toEqual({ fault: 'the record has no header:unit that is text' })
    expect(fill('{header:unit}', { headers: [{ key: 'unit', value: null }] })).toHaveProperty('fault')
  })
})

describe('the check of a template', () => {
  it.each([
    ['commands/{key', 'a "{" has no "}" behind it'],
    ['commands/key}', 'a "}" has no "{" before it'],
    ['a{key}}', 'a "}" has no "{" before it'],
    ['commands/{kye}', '{kye} stands for nothing'],
    ['commands/{header:}', '{header:} stands for nothing'],
    ['commands/{rest}', '{rest} is the key behind a prefix, and filter.keyPrefixes has none'],
    ['commands/+/{key}', 'it gives no topic: it has a wildcard'],
    ['$SYS/{key}', 'it gives no topic: topics that begin with "$" are the broker\'s own'],
  ])('refuses %s', (template, fault) => {
    expect(templateFault(template, false)).toBe(fault)
  })

  it('takes the rest where there are prefixes', () => {
    expect(templateFault('commands/{rest}', true)).toBeNull()
    expect(templateFault('commands/{key}/{header:a:b}', false)).toBeNull()
  })
})
