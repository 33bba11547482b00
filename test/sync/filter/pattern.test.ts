import { expect, it } from 'vitest'
import { Pattern, textMatcher } from '../../../sync/filter/pattern.ts'

const matches = (pattern: string, text: string) => {
  const bytes = Buffer.from(`##${text}##`, 'utf8')
  return new Pattern(pattern).matches(bytes, 2, bytes.length - 4)
}

it('a text without a star is that text alone', () => {
  expect(matches('alarms', 'alarms')).toBe(true)
  expect(matches('alarms', 'alarms2')).toBe(false)
  expect(matches('alarms', 'alarm')).toBe(false)
  expect(matches('', '')).toBe(true)
  expect(matches('', 'a')).toBe(false)
})

it('a star stands for any run of characters, also none and also slashes, anywhere', () => {
  expect(matches('site/1/*', 'site/1/')).toBe(true)
  expect(matches('site/1/*', 'site/1/dev/7')).toBe(true)
  expect(matches('site/1/*', 'site/12/dev')).toBe(false)
  expect(matches('*/temp', 'a/b/temp')).toBe(true)
  expect(matches('*/temp', 'a/b/temp2')).toBe(false)
  expect(matches('a*b*c', 'a__b__c')).toBe(true)
  expect(matches('a*b*c', 'a__c__b')).toBe(false)
  expect(matches('*b*b*', 'abxb')).toBe(true)
  expect(matches('*b*b*', 'ab')).toBe(false)
  expect(matches('**', 'x')).toBe(true)
  expect(matches('ü*ß', 'über-Maß')).toBe(true)
})

it('pieces do not overlap, and nothing outside the text is looked at', () => {
  expect(matches('ab*ba', 'aba')).toBe(false)
  expect(matches('ab*ba', 'abba')).toBe(true)
  expect(matches('a*#*', 'abc')).toBe(false)
  expect(matches('a*##', 'abc')).toBe(false)
})

it('a pattern of many stars takes no longer than the text is long', () => {
  const text = 'a'.repeat(20_000)
  expect(matches(`${'*a'.repeat(500)}*b`, text)).toBe(false)
  expect(matches(`${'*a'.repeat(500)}*`, text)).toBe(true)
})

it('a list matches where one of its patterns does', () => {
  const isNamed = textMatcher(['alarms', 'telemetry-*'])
  expect(['alarms', 'telemetry-1', 'events'].map(isNamed)).toEqual([true, true, false])
  expect(textMatcher([])('x')).toBe(false)
})
