/** `headwater reload` and SIGHUP, on a broker as an operator runs it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { BrokerProcess } from '../../support/broker-process.ts'
import { until } from '../log/support.ts'

let root: string
let broker: BrokerProcess
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-reload-'))
})
afterEach(async () => {
  await broker.end('SIGTERM')
  rmSync(root, { recursive: true, force: true })
})

function configure(mqtt: string, limits = ''): string {
  const file = join(root, 'headwater.yaml')
  const listeners = '  listeners: [{ address: "127.0.0.1:0" }]'
  writeFileSync(file, `data: ./data\nupstreams: []\nmqtt:\n${listeners}\n${mqtt}\nlimits:\n${limits}\n`)
  return file
}

test('a running broker takes up what it can, says what needs a restart, and refuses what is broken', async () => {
  const file = configure('  anonymous: false')
  broker = new BrokerProcess(['--config', file])
  await broker.start()
  expect(await broker.ask(['reload', '--json'])).toEqual({ applied: [], needsRestart: [] })

  configure('  anonymous: true', '  sessionsMax: 50\n  connectionsMax: 40')
  expect(await broker.ask(['reload', '--json'])).toEqual({
    applied: ['mqtt.anonymous: false -> true', 'limits.connectionsMax: 1000 -> 40'],
    needsRestart: ['limits.sessionsMax'],
  })
  expect(await broker.ask(['status', '--json'])).toMatchObject({ broker: { mqtt: { connectionsMax: 40 } } })

  configure('  anonymous: maybe')
  process.kill(broker.pid!, 'SIGHUP')
  await until(() => broker.output.includes('HW_RELOAD_REFUSED'), 'the fault is told')
  expect(broker.output).toContain('headwater.yaml:5:14: mqtt.anonymous is "maybe"')

  configure('  anonymous: false')
  process.kill(broker.pid!, 'SIGHUP')
  await until(() => broker.output.includes('mqtt.anonymous: true -> false'), 'it is read again')
})
