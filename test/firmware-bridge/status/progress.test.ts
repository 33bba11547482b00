import { describe, expect, test } from 'vitest'
import { FLIGHT_MS_MAX, judgeProgress, WRITE_MS_MAX } from '../../../firmware-bridge/status/progress.ts'
import type { BridgeReport } from '../../../firmware-bridge/status/report.ts'

type Uplink = BridgeReport['uplink']

function report(more: Partial<Uplink> = {}): Pick<BridgeReport, 'uplink'> {
  return {
    uplink: {
      isUp: true,
      trouble: null,
      broker: 'mqtt://127.0.0.1:1883',
      protocol: '5',
      sessions: 1,
      inFlight: 2,
      counters: { accepted: 8, repeated: 0, congested: 0, refused: 0, handedOver: 0, dropped: 0, givenUp: 0 },
      windowCommits: 6,
      windowFailedCommits: 0,
      windowWaitingMs: 0,
      brokerLosses: 0,
      ...more,
    },
  }
}

/** What is said of two looks, the second one after `ms`. */
function after(ms: number, first: Partial<Uplink>, second: Partial<Uplink>): string | null {
  const { seen, halted } = judgeProgress(null, report(first), 0)
  expect(halted).toBeNull()
  return judgeProgress(seen, report(second), ms).halted
}

describe('the bridge', () => {
  test('has come to a halt when a write does not come to its end', () => {
    expect(judgeProgress(null, report({ windowWaitingMs: WRITE_MS_MAX }), 0).halted).toBeNull()
    const { halted } = judgeProgress(null, report({ windowWaitingMs: WRITE_MS_MAX + 1000 }), 0)
    expect(halted).toBe('no write came to its end for 61 s')
  })

  test('has come to a halt when messages are under way to a broker that is up, and nothing changes', () => {
    expect(after(FLIGHT_MS_MAX, {}, {})).toBeNull()
    expect(after(FLIGHT_MS_MAX + 1, {}, {})).toMatch(/^2 messages are under way for [0-9]+ s without a sign$/)
  })

  test('gets on when messages are accepted, or the broker was lost and came back', () => {
    const counters = { ...report().uplink.counters, accepted: 9 }
    expect(after(FLIGHT_MS_MAX + 1, {}, { counters })).toBeNull()
    expect(after(FLIGHT_MS_MAX + 1, {}, { brokerLosses: 1 })).toBeNull()
  })

  test('with a broker that is away, or nothing under way, waits', () => {
    expect(after(FLIGHT_MS_MAX + 1, { isUp: false }, { isUp: false })).toBeNull()
    expect(after(FLIGHT_MS_MAX + 1, { inFlight: 0 }, { inFlight: 0 })).toBeNull()
  })
})
