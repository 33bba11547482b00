/** `headwater-bridge start` under a systemd that only writes down what it is told. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { BridgeProcess } from '../../support/bridge-process.ts'
import { FakeSystemd } from '../../support/fake-systemd.ts'
import { freePort } from '../../support/kafka/ports.ts'

test('start says ready though the broker is away, is alive, and stops', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'headwater-bridge-supervision-'))
  const systemd = new FakeSystemd()
  const file = join(directory, 'bridge.yaml')
  const lines = [
    `data: ${join(directory, 'data')}`,
    `broker: { url: "mqtt://127.0.0.1:${await freePort()}" }`,
    `status: { address: "127.0.0.1:${await freePort()}" }`,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const bridge = new BridgeProcess(['--config', file], systemd.environment(300))
  try {
    await bridge.start()
    await vi.waitFor(() => expect(systemd.count('WATCHDOG=1')).toBeGreaterThan(1), { timeout: 60_000 })
    expect(systemd.told[0]).toEqual(['READY=1', 'STATUS=broker away · 0 devices · 0 messages'])
    await bridge.end('SIGTERM')
    expect(systemd.count('STOPPING=1')).toBe(1)
    expect(systemd.count('READY=1')).toBe(1)
  } finally {
    await bridge.end('SIGKILL')
    systemd.remove()
    rmSync(directory, { recursive: true, force: true })
  }
}, 120_000)
