import { expect, it } from 'vitest'
import { LimitedLog } from '../../broker/limited-log.ts'
import { RecordingSink } from './log/support.ts'

it('a line that clients cause is logged at once, then once in ten seconds of its kind, with the number left out', () => {
  const sink = new RecordingSink()
  let now = 5
  const log = new LimitedLog(sink, () => now)
  log.warn('a', 'first', { n: 1 })
  log.warn('a', 'left out', { n: 2 })
  log.warn('b', 'another kind', { n: 3 })
  now += 9_999
  log.warn('a', 'left out', { n: 4 })
  now += 1
  log.warn('a', 'again', { n: 5 })
  now += 10_000
  log.warn('a', 'alone', { n: 6 })
  expect(sink.lines.map(({ message, fields }) => [message, fields])).toEqual([
    ['first', { n: 1 }],
    ['another kind', { n: 3 }],
    ['again', { n: 5, leftOut: 2 }],
    ['alone', { n: 6 }],
  ])
})

it('kinds beyond a thousand are forgotten, the oldest first', () => {
  const sink = new RecordingSink()
  const log = new LimitedLog(sink, () => 0)
  for (let i = 0; i <= 1000; i++) log.warn(`kind ${i}`, 'x', {})
  log.warn('kind 1', 'x', {})
  expect(sink.lines).toHaveLength(1001)
  log.warn('kind 0', 'x', {})
  expect(sink.lines).toHaveLength(1002)
})
