/** For whom publishers wait, and for how long. */
import { expect, it } from 'vitest'
import { LimitedLog } from '../../../../broker/limited-log.ts'
import type { ClientSession } from '../../../../broker/mqtt/session/client-session.ts'
import { SESSION_LIMITS } from '../../../../broker/mqtt/session/limits.ts'
import { LET_GO_MS, Patience } from '../../../../broker/mqtt/session/patience.ts'
import { RecordingSink } from '../../log/support.ts'

const LIMITS = { ...SESSION_LIMITS, subscriberRateMin: 10, subscriberStallSecondsMax: 5 }

function setUp() {
  const time = { now: 1_000 }
  const sink = new RecordingSink()
  const patience = new Patience(LIMITS, new LimitedLog(sink), () => time.now)
  const released: string[] = []
  const sessions = new Map<string, ClientSession>()
  const session = (clientId: string) => {
    const release = () => void released.push(clientId)
    const made = { clientId, queued: 0, backlog: { completed: 0, isLow: false, release } }
    sessions.set(clientId, made as unknown as ClientSession)
    return made as typeof made & ClientSession
  }
  /** A second passes in which it takes so many. */
  const second = (taking: { backlog: { completed: number } }, count: number) => {
    time.now += 1_000
    taking.backlog.completed += count
    patience.look((clientId) => sessions.get(clientId))
  }
  return { patience, session, second, time, released, sink, sessions }
}

it('a client that takes enough is waited for without an end', () => {
  const { patience, session, second, released } = setUp()
  const enough = session('enough')
  patience.awaited(enough, true)
  for (let n = 0; n < 60; n++) second(enough, 10)
  expect(released).toEqual([])
  expect(patience).toMatchObject({ waitedFor: 1, letGo: 0 })
})

it('a client that takes less is let go when its time is over, one that takes nothing too: with a log line each', () => {
  for (const perSecond of [0, 9]) {
    const { patience, session, second, released, sink } = setUp()
    const slow = session('slow')
    patience.awaited(slow, true)
    for (let n = 0; n < 4; n++) second(slow, perSecond)
    expect(released).toEqual([])
    second(slow, perSecond)
    expect(released).toEqual(['slow'])
    expect(patience.isLetGo(slow)).toBe(true)
    expect(patience).toMatchObject({ waitedFor: 0, letGo: 1 })
    expect(sink.lines.filter((line) => line.message.includes('too slow'))).toHaveLength(1)
  }
})

it('time in which nobody waits does not count, nor what is taken then', () => {
  const { patience, session, second, released } = setUp()
  const burst = session('burst')
  for (let n = 0; n < 20; n++) {
    patience.awaited(burst, true)
    second(burst, 12)
    patience.awaited(burst, false)
    second(burst, 0)
  }
  expect(released).toEqual([])
  for (let n = 0; n < 5; n++) {
    patience.awaited(burst, true)
    second(burst, 3)
    patience.awaited(burst, false)
    second(burst, 1_000)
  }
  expect(released).toEqual(['burst'])
})

it('who was let go is waited for again after a minute, once its queue has sunk; a new connection does not change that', () => {
  const { patience, session, second, time } = setUp()
  const slow = session('slow')
  patience.awaited(slow, true)
  for (let n = 0; n < 5; n++) second(slow, 0)
  patience.ended(slow)
  const again = session('slow')
  time.now += LET_GO_MS - 2_000
  again.backlog.isLow = true
  second(again, 0)
  expect(patience.isLetGo(again)).toBe(true)
  again.backlog.isLow = false
  second(again, 0)
  expect(patience.isLetGo(again)).toBe(true)
  again.backlog.isLow = true
  second(again, 0)
  expect(patience.isLetGo(again)).toBe(false)
})

it('a client that is gone is forgotten after a minute', () => {
  const { patience, session, second, time, sessions } = setUp()
  const slow = session('slow')
  patience.awaited(slow, true)
  for (let n = 0; n < 5; n++) second(slow, 0)
  patience.ended(slow)
  sessions.clear()
  time.now += LET_GO_MS
  second(slow, 0)
  expect(patience.isLetGo(slow)).toBe(false)
})
