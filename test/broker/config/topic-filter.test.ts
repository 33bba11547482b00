import { expect, test } from 'vitest'
import { filterCovers, streamFilterFault, topicFilterFault } from '../../../broker/config/topic-filter.ts'

test.each(['#', '+', '/', 'a', 'a/b', '+/+', 'a/+/b/#', '/#', 'a//b', 'a b/ü', '$SYS/#', '$share/g/a/#'])(
  '%j is valid for a subscription',
  (filter) => {
    expect(topicFilterFault(filter)).toBeNull()
  },
)

test.each([
  ['', 'at least one character'],
  ['a/#/b', 'only at the end'],
  ['#/a', 'only at the end'],
  ['a#', 'whole level'],
  ['a/+b', 'whole level'],
  ['a\0', 'U+0000'],
  ['\ud800', 'surrogate'],
  [`${'a'.repeat(65_536)}`, '65536 bytes'],
  ['$share', 'group name'],
  ['$share/', 'group name'],
  ['$share/g+/a', 'group name'],
  ['$share/g', 'followed by a topic filter'],
  ['$share/g/', 'at least one character'],
  ['$share/g/a#', 'whole level'],
])('%j is refused', (filter, reason) => {
  expect(topicFilterFault(filter)).toContain(reason)
})

test('a stream takes no shared subscription and no topic of the broker', () => {
  expect(streamFilterFault('$share/g/a')).toContain('no shared subscriptions')
  expect(streamFilterFault('$SYS/#')).toContain('never recorded')
  expect(streamFilterFault('a/$b')).toBeNull()
})

test.each([
  ['#', 'a', true],
  ['#', '#', true],
  ['#', '+/b', true],
  ['+', '#', false],
  ['+', 'a/b', false],
  ['+/+', 'a/b', true],
  ['a/#', 'a', true],
  ['a/#', 'a/+', true],
  ['a/#', 'a/b/#', true],
  ['a/#', '+', false],
  ['a/+', 'a/#', false],
  ['a/+', 'a', false],
  ['a/b', 'a/+', false],
  ['a/b', 'a/b', true],
  ['+/#', 'a', true],
  ['/#', 'a', false],
] as const)('%s covers %s: %s', (outer, inner, covers) => {
  expect(filterCovers(outer, inner)).toBe(covers)
})
