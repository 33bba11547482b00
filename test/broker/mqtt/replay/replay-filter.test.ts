import { describe, expect, it } from 'vitest'
import { isReplayFilter, parseReplayFilter } from '../../../../broker/mqtt/replay/replay-filter.ts'

describe('a filter below $replay', () => {
  it.each([
    ['$replay/events/earliest', { kind: 'earliest' }],
    ['$replay/events/latest', { kind: 'latest' }],
    ['$replay/events/3/1200', { kind: 'offset', partition: 3, offset: 1200 }],
    ['$replay/events/@2026-03-01', { kind: 'time', timestamp: Date.UTC(2026, 2, 1) }],
    ['$replay/events/@2026-03-01T12:00', { kind: 'time', timestamp: Date.UTC(2026, 2, 1, 12) }],
    [
      '$replay/events/@2026-03-01T12:00:01.5Z',
      { kind: 'time', timestamp: Date.UTC(2026, 2, 1, 12, 0, 1, 500) },
    ],
    ['$replay/events/@2026-03-01T12:00:00+01:00', { kind: 'time', timestamp: Date.UTC(2026, 2, 1, 11) }],
  ])('%s asks for a place in a stream', (filter, start) => {
    expect(isReplayFilter(filter)).toBe(true)
    expect(parseReplayFilter(filter)).toEqual({ stream: 'events', start })
  })

  it.each([
    '$replay',
    '$replay/',
    '$replay/#',
    '$replay//earliest',
    '$replay/events',
    '$replay/events/',
    '$replay/events/#',
    '$replay/events/Earliest',
    '$replay/events/earliest/',
    '$replay/events/earliest/a/#',
    '$replay/events/+/0',
    '$replay/events/0/-1',
    '$replay/events/0/1e3',
    '$replay/events/0/0x10',
    '$replay/events/0/9999999999999999',
    '$replay/events/0/1/2',
    '$replay/events/@',
    '$replay/events/@yesterday',
    '$replay/events/@2026-13-01',
    '$replay/events/@2026-03-01T25:00Z',
    '$replay/events/@March 1, 2026',
  ])('%s asks for none, and the reason is said', (filter) => {
    expect(isReplayFilter(filter)).toBe(true)
    expect(parseReplayFilter(filter)).toEqual(expect.any(String))
  })

  it('is none where the name goes on', () => {
    expect(['$replays/a', 'a/$replay', '$REPLAY/a', '$SYS/replay'].filter(isReplayFilter)).toEqual([])
  })
})
