import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { hostSensors } from '../../../../broker/operations/demo/host.ts'
import { Publisher } from '../../../../broker/operations/demo/publisher.ts'
import { seededRandom } from '../../../../broker/operations/demo/random.ts'
import { simulatedSensors } from '../../../../broker/operations/demo/simulated.ts'

const NOON = Date.UTC(2026, 5, 1, 14)
const NIGHT = Date.UTC(2026, 5, 1, 3)

/** What a sensor says over some readings. */
function run(seed: number, index: number, readings: number, from = NOON): Record<string, unknown>[] {
  const sensor = simulatedSensors(seed)[index]!
  const said: Record<string, unknown>[] = []
  for (let now = from, left = readings; left > 0; left--) {
    const { payload, afterMs } = sensor.tick(now)
    expect(afterMs).toBeGreaterThanOrEqual(50)
    now += afterMs
    if (payload !== null) said.push(payload as Record<string, unknown>)
  }
  return said
}

const indexOf = (what: string) => simulatedSensors(1).findIndex(({ topic }) => topic.endsWith(`/${what}`))

test('there are twenty, each with its own topic that a publisher may use', () => {
  const topics = simulatedSensors(1).map(({ topic }) => topic)
  expect(new Set(topics).size).toBe(20)
  for (const topic of topics) expect(topic).toMatch(/^demo\/sensors\/[0-9]{2}\/[a-z]+$/)
})

test('one seed gives one history, another seed another', () => {
  for (let index = 0; index < 20; index++) expect(run(7, index, 20)).toEqual(run(7, index, 20))
  expect(run(7, 0, 20)).not.toEqual(run(8, 0, 20))
})

test('it is warmer in the afternoon than at night', () => {
  const mean = (from: number) => {
    const said = run(1, indexOf('temperature'), 100, from)
    return said.reduce((sum, { celsius }) => sum + (celsius as number), 0) / said.length
  }
  expect(mean(NOON)).toBeGreaterThan(mean(NIGHT) + 1)
})

test('doors alternate, meters only grow, vibration comes in bursts, the vehicle stays near', () => {
  const states = run(1, indexOf('door'), 20).map(({ state }) => state)
  expect(states.every((state, at) => at === 0 || state !== states[at - 1])).toBe(true)
  const litres = run(1, indexOf('water'), 500).map((said) => said.litres as number)
  expect(litres.every((value, at) => at === 0 || value >= litres[at - 1]!)).toBe(true)
  const rms = run(1, indexOf('vibration'), 3000).map((said) => said.rmsMmPerS as number)
  expect(rms.filter((value) => value > 2).length).toBeGreaterThan(20)
  expect(rms.filter((value) => value < 0.2).length).toBeGreaterThan(1000)
  for (const { latitude, longitude } of run(1, indexOf('position'), 5000)) {
    expect(Math.hypot((latitude as number) - 48.137, (longitude as number) - 11.575)).toBeLessThan(0.03)
  }
})

test('every value that a simulated sensor tells is finite', () => {
  for (let index = 0; index < 20; index++) {
    for (const said of run(3, index, 200)) {
      for (const value of Object.values(said))
        if (typeof value === 'number') expect(Number.isFinite(value)).toBe(true)
    }
  }
})

test('the generator is even and repeatable', () => {
  const random = seededRandom(1)
  const values = Array.from({ length: 10_000 }, () => random.next())
  expect(Math.min(...values)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...values)).toBeLessThan(1)
  expect(values.reduce((sum, value) => sum + value, 0) / values.length).toBeCloseTo(0.5, 1)
})

let files: { proc: string; sys: string; disk: string }
beforeEach(() => {
  const root = mkdtempSync(join(tmpdir(), 'headwater-host-'))
  files = { proc: join(root, 'proc'), sys: join(root, 'sys'), disk: root }
  mkdirSync(join(files.proc, 'net'), { recursive: true })
})
afterEach(() => {
  rmSync(files.disk, { recursive: true, force: true })
  vi.useRealTimers()
})

test("this machine's sensors read /proc and /sys", () => {
  writeFileSync(join(files.proc, 'stat'), 'cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2\n')
  writeFileSync(join(files.proc, 'loadavg'), '0.50 0.25 0.10 1/100 1234\n')
  writeFileSync(join(files.proc, 'meminfo'), 'MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  250 kB\n')
  const device = (received: number, sent: number) =>
    `h\nh\n    lo: 9 0 0 0 0 0 0 0 9 0\n  eth0: ${received} 0 0 0 0 0 0 0 ${sent} 0\n`
  writeFileSync(join(files.proc, 'net/dev'), device(1000, 500))
  mkdirSync(join(files.sys, 'class/thermal/thermal_zone0'), { recursive: true })
  writeFileSync(join(files.sys, 'class/thermal/thermal_zone0/type'), 'cpu-thermal\n')
  writeFileSync(join(files.sys, 'class/thermal/thermal_zone0/temp'), '48312\n')
  const sensors = hostSensors('pi/7', files)
  expect(sensors.map(({ topic }) => topic)).toEqual(
    ['cpu', 'memory', 'temperature', 'disk', 'network'].map((what) => `demo/host/pi-7/${what}`),
  )
  const say = (what: string, now: number) =>
    sensors.find(({ topic }) => topic.endsWith(what))!.tick(now).payload as Record<string, unknown>
  writeFileSync(join(files.proc, 'stat'), 'cpu  175 0 100 825 0 0 0 0 0 0\n')
  expect(say('cpu', 0)).toEqual({ percent: 75, load1: 0.5, load5: 0.25, load15: 0.1 })
  expect(say('memory', 0)).toEqual({ totalBytes: 1_024_000, availableBytes: 256_000, usedPercent: 75 })
  expect(say('temperature', 0)).toEqual({ celsius: { 'cpu-thermal': 48.312 } })
  const now = Date.now()
  say('network', now)
  writeFileSync(join(files.proc, 'net/dev'), device(3000, 500))
  expect(say('network', now + 2000)).toEqual({ interfaces: { eth0: { receivedPerS: 1000, sentPerS: 0 } } })
})

test('what a machine does not have is left out', () => {
  const topics = hostSensors('vm', files).map(({ topic }) => topic)
  expect(topics).toEqual(['demo/host/vm/disk'])
})

test('the publisher keeps a limit on what is not acknowledged', async () => {
  vi.useFakeTimers()
  let published = 0
  const client = {
    publishAsync: () => {
      published++
      return new Promise(() => {})
    },
  }
  const publisher = new Publisher(client)
  publisher.start([{ topic: 't', tick: () => ({ payload: { a: 1 }, afterMs: 1 }) }], 0)
  await vi.advanceTimersByTimeAsync(1500)
  publisher.stop()
  expect(published).toBe(1000)
  expect(publisher.leftOut).toBeGreaterThan(400)
  const leftOut = publisher.leftOut
  await vi.advanceTimersByTimeAsync(100)
  expect(publisher.leftOut).toBe(leftOut)
})
