import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { PubrelTimes, WaitingPubrels } from '../../../firmware-bridge/uplink/waiting-pubrels.ts'

let times: PubrelTimes
let written: string[]
let waiting: WaitingPubrels

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  times = new PubrelTimes(() => performance.now())
  written = []
  waiting = session()
  publishOften(waiting)
})

afterEach(() => vi.useRealTimers())

function session(): WaitingPubrels {
  return new WaitingPubrels(times, (bytes) => written.push(bytes.toString('hex')))
}

const publish = () => waiting.takeTo(Buffer.alloc(waiting.bytes))

function publishOften(one: WaitingPubrels): void {
  for (let times = 0; times < 2; times++) one.takeTo(Buffer.alloc(one.bytes))
}

describe('PUBRELs that nobody waits for', () => {
  test('leave with what is written next, in the order of their PUBRECs, and not again', () => {
    waiting.add(7, false)
    waiting.add(0x1234, false)
    const bytes = Buffer.alloc(waiting.bytes + 1, 0xff)
    waiting.takeTo(bytes)
    expect(bytes.toString('hex')).toBe('62020007' + '62021234' + 'ff')
    expect(waiting.count).toBe(0)
    vi.advanceTimersByTime(1000)
    expect(written).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('leave by themselves where nothing is written, an eighth to three eighths of a second later', () => {
    waiting.add(1, false)
    vi.advanceTimersByTime(124)
    expect(written).toEqual([])
    vi.advanceTimersByTime(251)
    expect(written).toEqual(['62020001'])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('of a session that goes on publishing wait for its next message, and the last one leaves by itself', () => {
    for (let id = 1; id <= 20; id++) {
      waiting.add(id, false)
      vi.advanceTimersByTime(100)
      if (id < 20) publish()
    }
    expect(written).toEqual([])
    vi.advanceTimersByTime(275)
    expect(written).toEqual(['62020014'])
  })

  test('leave at once when somebody waits for one of them, those before it first', () => {
    waiting.add(1, false)
    waiting.add(2, true)
    expect(written).toEqual(['6202000162020002'])
  })

  test('of a session that seldom publishes leave at once', () => {
    vi.advanceTimersByTime(126)
    publish()
    waiting.add(1, false)
    expect(written).toEqual(['62020001'])
    vi.advanceTimersByTime(125)
    publish()
    waiting.add(2, false)
    expect(written).toHaveLength(1)
  })

  test('leave at once when there are eight', () => {
    for (let id = 1; id <= 8; id++) waiting.add(id, false)
    expect(written).toHaveLength(1)
    expect(waiting.count).toBe(0)
  })

  test('of a connection that is gone are nothing: the next one begins with them', () => {
    waiting.add(1, false)
    waiting.clear()
    vi.advanceTimersByTime(1000)
    expect(written).toEqual([])
  })

  test('of all sessions leave when the bridge stops, and none waits from then on', () => {
    const other = session()
    publishOften(other)
    waiting.add(1, false)
    other.add(2, false)
    times.close()
    expect(written).toEqual(['62020001', '62020002'])
    waiting.add(3, false)
    expect(written).toHaveLength(3)
    expect(vi.getTimerCount()).toBe(0)
  })
})
