/** `headwater start` under a systemd that only writes down what it is told. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Supervision } from '../../../../broker/operations/supervise/supervision.ts'
import { BrokerProcess } from '../../../support/broker-process.ts'
import { FakeSystemd } from '../../../support/fake-systemd.ts'
import { Lines } from '../../../support/lines.ts'
import { ManualClock } from '../../../sync/replicator-setup.ts'
import { FakeLog, fakeOperations } from '../fake-log.ts'

let directory: string
let systemd: FakeSystemd
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'headwater-supervision-'))
  systemd = new FakeSystemd()
})
afterEach(() => {
  systemd.remove()
  rmSync(directory, { recursive: true, force: true })
})

const WAIT = { timeout: 60_000, interval: 50 }

test('start says ready, is alive, tells of a reload, and stops', async () => {
  const file = join(directory, 'headwater.yaml')
  const text = `data: ${join(directory, 'data')}\nmqtt:\n  listeners: [{ address: "127.0.0.1:0" }]\n`
  writeFileSync(file, text)
  const broker = new BrokerProcess(['--config', file], { environment: systemd.environment(300) })
  await broker.start()
  try {
    await vi.waitFor(() => expect(systemd.count('WATCHDOG=1')).toBeGreaterThan(2), WAIT)
    expect(systemd.told[0]).toEqual(['READY=1', expect.stringMatching(/^STATUS=0 conn/)])
    expect(systemd.count('READY=1')).toBe(1)
    process.kill(broker.pid!, 'SIGHUP')
    await vi.waitFor(() => expect(systemd.count('STATUS=the configuration was read again')).toBe(1), WAIT)
    writeFileSync(file, `${text}nonsense: 1\n`)
    process.kill(broker.pid!, 'SIGHUP')
    await vi.waitFor(
      () => expect(systemd.count('STATUS=the configuration was refused; the one before stays')).toBe(1),
      WAIT,
    )
    const reloads = systemd.told.filter(([first]) => first === 'RELOADING=1' || first === 'READY=1')
    expect(reloads.map(([first]) => first)).toEqual([
      'READY=1',
      'RELOADING=1',
      'READY=1',
      'RELOADING=1',
      'READY=1',
    ])
  } finally {
    await broker.end('SIGTERM')
  }
  expect(systemd.count('STOPPING=1')).toBe(1)
}, 180_000)

test('a broker whose commits do not come to their end is not fed', async () => {
  const told: string[] = []
  const clock = new ManualClock()
  const supervision = new Supervision({
    env: { NOTIFY_SOCKET: '/run/fake', WATCHDOG_USEC: '90000000' },
    log: new Lines(),
    clock,
    send: async (assignments) => void told.push(assignments[0]!),
  })
  const operations = fakeOperations(new FakeLog({ events: 1 }))
  let waitingMs = 0
  supervision.ready({
    ...operations,
    status: () => {
      const status = operations.status()
      return { ...status, log: { ...status.log, waitingMs } }
    },
  })
  clock.advance(30_000)
  waitingMs = 61_000
  clock.advance(30_000)
  supervision.stopping()
  await vi.waitFor(() => expect(told).toHaveLength(4))
  expect(told.map((assignment) => assignment.split(' ')[0])).toEqual([
    'READY=1',
    'WATCHDOG=1',
    'STATUS=halted:',
    'STOPPING=1',
  ])
})

test('without systemd nothing is told, and a reload is only a reload', async () => {
  const supervision = new Supervision({ env: {}, log: new Lines() })
  supervision.ready(fakeOperations(new FakeLog({ events: 1 })))
  expect(await supervision.reloading(async () => 7)).toBe(7)
  supervision.stopping()
})
