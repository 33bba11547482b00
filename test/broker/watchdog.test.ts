import { beforeEach, expect, test } from 'vitest'
import { Watchdog } from '../../broker/watchdog.ts'
import { Lines } from '../support/lines.ts'
import { ManualClock } from '../sync/replicator-setup.ts'

let clock: ManualClock
let lines: Lines
let told: string[]
let halted: string | null
beforeEach(() => {
  clock = new ManualClock()
  lines = new Lines()
  told = []
  halted = null
})

function watchdog(watchdogMs: number | null): Watchdog {
  const manager = {
    watchdogMs,
    alive: async (status: string) => void told.push(`alive ${status}`),
    status: async (status: string) => void told.push(`status ${status}`),
  }
  const made = new Watchdog({ manager, clock, log: lines, status: () => 'well', halted: () => halted })
  made.start()
  return made
}

test('it is fed three times in the time that systemd waits', () => {
  watchdog(90_000)
  clock.advance(29_999)
  expect(told).toEqual([])
  for (let i = 0; i < 3; i++) clock.advance(30_000)
  expect(told).toEqual(['alive well', 'alive well', 'alive well'])
})

test('where something has come to a halt it is not fed, and says why, once', () => {
  watchdog(90_000)
  halted = 'no commit for 61 s while appends wait'
  clock.advance(30_000)
  clock.advance(30_000)
  expect(told).toEqual([`status halted: ${halted}`, `status halted: ${halted}`])
  expect(lines.errors).toHaveLength(1)
  expect(lines.errors[0]).toContain(halted)
  expect(lines.errors[0]).toContain('restarts this process')
})

test('what goes on again is fed again', () => {
  watchdog(90_000)
  halted = 'x'
  clock.advance(30_000)
  halted = null
  clock.advance(30_000)
  expect(told).toEqual(['status halted: x', 'alive well'])
  expect(lines.infos).toHaveLength(1)
})

test('without a watchdog it tells the status alone, once a minute', () => {
  watchdog(null)
  clock.advance(60_000)
  expect(told).toEqual(['status well'])
})

test('after its end it tells nothing', () => {
  const made = watchdog(90_000)
  clock.advance(30_000)
  made.stop()
  clock.advance(90_000)
  expect(told).toHaveLength(1)
})
