import { describe, expect, it } from 'vitest'
import { TopicPattern } from '../../../firmware-bridge/outlet/topic-pattern.ts'

const fill = (pattern: string, letters: Record<string, string>, fields: Record<string, string> = {}) =>
  new TopicPattern(pattern).fill({ letters, field: (name) => fields[name] })

describe('a topic pattern', () => {
  it('puts in letters and fields', () => {
    expect(fill('plant/%p/%{id}/%k', { p: 'usb', k: 'temperature' }, { id: '7' })).toBe(
      'plant/usb/7/temperature',
    )
    expect(fill('100%%/%p', { p: 'usb' })).toBe('100%/usb')
    expect(fill('plain', {})).toBe('plain')
  })

  it('lets a device neither add levels nor wildcards nor break a line', () => {
    expect(fill('a/%{id}', {}, { id: 'x/y+#\n\0z' })).toBe('a/x_y____z')
    expect(fill('a/%{id}', {}, { id: '\ud800' })).toBe('a/_')
    expect(fill('a/%{id}', {}, { id: '\uffff\ufdd0\u{1fffe}x' })).toBe('a/___x')
    expect(fill('a/%{id}', {}, { id: 'x'.repeat(10_000) })).toBe(`a/${'x'.repeat(200)}`)
  })

  it('gives no topic without what it is made of', () => {
    expect(fill('a/%{id}', {}, {})).toBeNull()
    expect(fill('a/%{id}', {}, { id: '' })).toBeNull()
    expect(fill('%{id}', {}, { id: '$SYS' })).toBeNull()
    expect(fill('%{id}/'.repeat(6), {}, { id: 'x'.repeat(200) })).toBeNull()
  })

  it.each([
    ['a/%x', '%x stands for nothing here'],
    ['a/%', 'a "%" stands alone; write "%%" for one'],
    ['a/%{}', '%{} names nothing'],
    ['a/+', 'it has a wildcard or a control character'],
    ['$SYS/%p', 'topics that begin with "$" are the broker\'s own'],
    ['', 'it is empty'],
  ])('%s has a fault: %s', (pattern, fault) => {
    expect(TopicPattern.fault(pattern, 'pk')).toBe(fault)
  })

  it('without a fault has none', () => {
    expect(TopicPattern.fault('a/%p/%{x}/%k', 'pk')).toBeNull()
  })
})
