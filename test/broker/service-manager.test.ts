import { expect, test } from 'vitest'
import { ServiceManager } from '../../broker/service-manager.ts'
import { FakeSystemd } from '../support/fake-systemd.ts'
import { Lines } from '../support/lines.ts'

const SOCKET = { NOTIFY_SOCKET: '/run/systemd/notify' }

test('without a socket there is nobody to tell', () => {
  expect(ServiceManager.of({ env: {}, log: new Lines() })).toBeNull()
  expect(ServiceManager.of({ env: { NOTIFY_SOCKET: '' }, log: new Lines() })).toBeNull()
})

test('a watchdog is known by its time, unless it is another process’s', () => {
  const of = (env: Record<string, string>) =>
    ServiceManager.of({ env: { ...SOCKET, ...env }, log: new Lines() })!.watchdogMs
  expect(of({})).toBeNull()
  expect(of({ WATCHDOG_USEC: '90000000' })).toBe(90_000)
  expect(of({ WATCHDOG_USEC: '90000000', WATCHDOG_PID: String(process.pid) })).toBe(90_000)
  expect(of({ WATCHDOG_USEC: '90000000', WATCHDOG_PID: '1' })).toBeNull()
  expect(of({ WATCHDOG_USEC: 'soon' })).toBeNull()
})

test('systemd-notify is given assignments, one call after the other, in order', async () => {
  const systemd = new FakeSystemd()
  try {
    const manager = ServiceManager.of({ env: systemd.environment(), log: new Lines() })!
    void manager.ready('2 conn')
    void manager.reloading()
    void manager.ready('read\nagain')
    void manager.alive('well')
    await manager.stopping()
    const [first, second, ...rest] = systemd.told
    expect(first).toEqual(['READY=1', 'STATUS=2 conn'])
    expect(second).toEqual(['RELOADING=1', expect.stringMatching(/^MONOTONIC_USEC=[0-9]+$/)])
    expect(rest).toEqual([
      ['READY=1', 'STATUS=read again'],
      ['WATCHDOG=1', 'STATUS=well'],
      ['STOPPING=1', 'STATUS=stopping'],
    ])
  } finally {
    systemd.remove()
  }
})

test('MONOTONIC_USEC is by the clock that /proc/uptime counts', async () => {
  const told: string[] = []
  const send = async (assignments: readonly string[]) => void told.push(...assignments)
  await ServiceManager.of({ env: SOCKET, log: new Lines(), send })!.reloading()
  const { readFileSync } = await import('node:fs')
  const uptimeSeconds = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
  const toldSeconds = Number(told[1]!.replace('MONOTONIC_USEC=', '')) / 1e6
  // uptime counts the time that the machine slept, which the monotonic clock does not
  expect(toldSeconds).toBeGreaterThan(0)
  expect(toldSeconds).toBeLessThan(uptimeSeconds + 60)
})

test('systemd that cannot be told is complained about once, and again after it could', async () => {
  const lines = new Lines()
  let fails = true
  const send = () => (fails ? Promise.reject(new Error('not there')) : Promise.resolve())
  const manager = ServiceManager.of({ env: SOCKET, log: lines, send })!
  await manager.alive('a')
  await manager.alive('b')
  expect(lines.errors).toHaveLength(1)
  expect(lines.errors[0]).toContain('not there')
  fails = false
  await manager.alive('c')
  fails = true
  await manager.alive('d')
  expect(lines.errors).toHaveLength(2)
})

test('a READY that did not arrive goes along with the next signs of life, until one of them arrives', async () => {
  const { manager, told, fail } = fallible()
  fail(2)
  await manager.ready('up')
  await manager.alive('a')
  await manager.status('b')
  await manager.alive('c')
  expect(told).toEqual([
    ['READY=1', 'STATUS=up'],
    ['READY=1', 'WATCHDOG=1', 'STATUS=a'],
    ['READY=1', 'STATUS=b'],
    ['WATCHDOG=1', 'STATUS=c'],
  ])
})

test('a READY that did not arrive is not told while a reload is under way, nor after the end began', async () => {
  const { manager, told, fail } = fallible()
  fail(1)
  await manager.ready('up')
  await manager.reloading()
  await manager.alive('a')
  fail(1)
  await manager.ready('read again')
  await manager.stopping()
  await manager.alive('b')
  expect(told.map(([first]) => first!.split('=')[0])).toEqual([
    'READY',
    'RELOADING',
    'WATCHDOG',
    'READY',
    'STOPPING',
    'WATCHDOG',
  ])
})

function fallible() {
  const told: (readonly string[])[] = []
  let failures = 0
  const send = async (assignments: readonly string[]) => {
    told.push(assignments)
    if (failures-- > 0) throw new Error('ended: it took too long')
  }
  const manager = ServiceManager.of({ env: SOCKET, log: new Lines(), send })!
  const fail = (times: number) => {
    failures = times
  }
  return { manager, told, fail }
}

test('what waits to be told has an end', async () => {
  let calls = 0
  const release: (() => void)[] = []
  const send = () => {
    calls++
    return new Promise<void>((resolve) => release.push(resolve))
  }
  const manager = ServiceManager.of({ env: SOCKET, log: new Lines(), send })!
  const told = Array.from({ length: 100 }, (_, i) => manager.status(String(i)))
  while (calls < 16) {
    await Promise.resolve()
    release.shift()?.()
  }
  release.shift()?.()
  await Promise.all(told)
  expect(calls).toBe(16)
})
