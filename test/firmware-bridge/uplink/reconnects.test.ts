import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { type AttemptOutcome, Reconnects } from '../../../firmware-bridge/uplink/reconnects.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const OPTIONS = { pauseMsMin: 100, pauseMsMax: 1000, attemptsMax: 3, random: () => 0.5 }

/** Sessions that try until they are connected. @param reaches what an attempt finds */
function sessions(reconnects: Reconnects, count: number, reaches: () => AttemptOutcome) {
  const seen = { running: 0, most: 0, attempts: 0, connected: 0 }
  const attempt = async (): Promise<AttemptOutcome> => {
    seen.attempts++
    seen.most = Math.max(seen.most, ++seen.running)
    await new Promise((resolve) => setTimeout(resolve, 10))
    seen.running--
    const outcome = reaches()
    if (outcome === 'reached') seen.connected++
    else reconnects.add(attempt)
    return outcome
  }
  for (let one = 0; one < count; one++) reconnects.add(attempt)
  return seen
}

it('while the broker answers, so many try at once and no more', async () => {
  const seen = sessions(new Reconnects(OPTIONS), 20, () => 'reached')
  await vi.advanceTimersByTimeAsync(1000)
  expect(seen).toMatchObject({ most: 3, connected: 20, attempts: 20 })
})

it('while it is away one tries for all, with pauses that double to a cap', async () => {
  const changes: [boolean, number][] = []
  const reconnects = new Reconnects({ ...OPTIONS, onChange: (...change) => changes.push(change) })
  let isThere = false
  const seen = sessions(reconnects, 200, () => (isThere ? 'reached' : 'unreachable'))
  await vi.advanceTimersByTimeAsync(20)
  expect(seen.attempts).toBe(3)
  expect(reconnects.isAway).toBe(true)
  await vi.advanceTimersByTimeAsync(10_000)
  // 100, 200, 400, 800, then 1000 ms each
  expect(seen.attempts).toBeGreaterThan(10)
  expect(seen.attempts).toBeLessThan(20)
  isThere = true
  await vi.advanceTimersByTimeAsync(5000)
  expect(seen.connected).toBe(200)
  expect(changes[0]).toEqual([true, 1])
  expect(changes.at(-1)![0]).toBe(false)
  expect(changes).toHaveLength(2)
})

it('pauses are spread by half, to either side', () => {
  const pauses = [0, 0.999].map((value) => new Reconnects({ ...OPTIONS, random: () => value }).pauseMs(2))
  expect(pauses[0]).toBe(100)
  expect(pauses[1]).toBeCloseTo(300, 0)
})

it('nothing is tried after the end', async () => {
  const reconnects = new Reconnects(OPTIONS)
  const seen = sessions(reconnects, 5, () => 'unreachable')
  await vi.advanceTimersByTimeAsync(15)
  reconnects.close()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(seen.attempts).toBe(3)
})
