import { describe, expect, it } from 'vitest'
import { LatencyHistogram } from '../../../../broker/log/commit-latency.ts'
import { HISTORY_SAMPLES_MAX, History, type Look } from '../../../../broker/operations/history/history.ts'

const START = 1_700_000_000_000

function look(seconds: number, more: Partial<Look> = {}): Look {
  return {
    at: START + seconds * 1000,
    monotonic: seconds * 1000,
    messages: 0,
    messageBytes: 0,
    records: 0,
    latency: { upToMs: [], counts: [], sumMs: 0 },
    lagRecords: 0,
    lagBytes: 0,
    connections: 0,
    residentBytes: 0,
    ...more,
  }
}

describe('the history', () => {
  it('is what came between two looks, by the second', () => {
    const latency = new LatencyHistogram()
    latency.record(1000)
    const history = new History()
    history.add(look(0, { messages: 100, messageBytes: 1000, records: 90, latency: latency.counts() }))
    for (const ms of [1, 1, 4]) latency.record(ms)
    const states = { lagRecords: 7, lagBytes: 70, connections: 3, residentBytes: 6e7 }
    const now = { messages: 150, messageBytes: 2000, records: 140, latency: latency.counts(), ...states }
    history.add(look(5, now))
    expect(history.report(null)).toEqual({
      intervalSeconds: 5,
      samples: [
        {
          at: START + 5000,
          messagesPerSecond: 10,
          bytesPerSecond: 200,
          recordsPerSecond: 10,
          commitMsP50: 1,
          commitMsP99: 4,
          ...states,
        },
      ],
    })
    history.add(look(10, now))
    expect(history.report(START + 5000).samples).toMatchObject([
      { messagesPerSecond: 0, commitMsP50: null, commitMsP99: null, lagRecords: 7 },
    ])
  })

  it('takes time from a clock that nobody sets', () => {
    const history = new History()
    history.add(look(0))
    history.add({ ...look(5, { messages: 50 }), at: START - 3_600_000 })
    expect(history.report(null).samples).toMatchObject([{ at: START - 3_600_000, messagesPerSecond: 10 }])
  })

  it('forgets what is older than a quarter of an hour', () => {
    const history = new History()
    for (let i = 0; i <= HISTORY_SAMPLES_MAX + 10; i++) history.add(look(i * 5))
    const { samples } = history.report(null)
    expect(samples).toHaveLength(HISTORY_SAMPLES_MAX)
    expect(samples[0]!.at).toBe(START + 11 * 5000)
  })
})
