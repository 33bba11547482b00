import { expect, test } from 'vitest'
import { ServedTime, type ThreadTime } from './served-time.ts'

function process() {
  let at = 0
  let threads = new Map<string, ThreadTime>()
  const time = new ServedTime(
    () => threads,
    () => at,
  )
  return {
    time,
    after(ms: number, next: Record<string, readonly [number, number]>) {
      at += ms
      threads = new Map(Object.entries(next).map(([id, [ran, waited]]) => [id, { ran, waited }]))
      time.look()
    },
  }
}

test('a process that had all it wanted was served all the time', () => {
  const { time, after } = process()
  after(1000, { a: [700, 0], b: [200, 0] })
  expect(time.passedMs).toBe(1000)
  expect(time.servedMs).toBe(1000)
})

test('one that waited for a processor as long as it ran was served half of it', () => {
  const { time, after } = process()
  after(1000, { a: [200, 200], b: [300, 300] })
  expect(time.servedMs).toBe(500)
})

test('one that wants nothing is not kept from anything', () => {
  const { time, after } = process()
  after(1000, { a: [1, 9] })
  expect(time.servedMs).toBe(1000)
})

test('each look counts what came since the one before, of threads that are there', () => {
  const { time, after } = process()
  after(1000, { a: [500, 500] })
  after(1000, { a: [1500, 500], b: [500, 0] })
  after(1000, { b: [600, 900] })
  expect(time.passedMs).toBe(3000)
  expect(time.servedMs).toBe(500 + 1000 + 100)
})

test('it reads the threads of a process that runs', () => {
  const time = ServedTime.of(globalThis.process.pid)
  for (const until = performance.now() + 50; performance.now() < until; );
  time.look()
  expect(time.servedMs).toBeGreaterThan(0)
  expect(time.servedMs).toBeLessThanOrEqual(time.passedMs)
})
