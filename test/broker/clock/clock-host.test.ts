import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { NodeClockHost } from '../../../broker/clock/clock-host.ts'
import { systemClock } from '../../../broker/clock/system-clock.ts'
import { readBootId, systemTime } from '../../../broker/clock/system-time.ts'
import { Machine } from './machine.ts'

const directory = mkdtempSync(join(tmpdir(), 'headwater-clock-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))
const host = new NodeClockHost()

describe('the machine', () => {
  it('tells what files hold and when they were touched, and nothing of those that are not there', () => {
    const file = join(directory, 'file')
    writeFileSync(file, 'text\n')
    utimesSync(file, 1_700_000_000, 1_700_000_000)
    expect(host.readText(file)).toBe('text\n')
    expect(host.modifiedAt(file)).toBe(1_700_000_000_000)
    expect(host.list(directory)).toEqual(['file'])
    for (const missing of [join(directory, 'none'), join(file, 'below')]) {
      expect([host.readText(missing), host.modifiedAt(missing), host.list(missing)]).toEqual([
        undefined,
        undefined,
        [],
      ])
    }
    expect(host.readText(directory)).toBeUndefined()
  })

  it('tells what a program printed, and null where it failed, hangs or is not installed', async () => {
    expect(host.isInstalled('node')).toBe(true)
    expect(host.isInstalled('no-such-program')).toBe(false)
    const node = (code: string) => host.run('node', ['-e', code])
    expect(await node('console.log("yes")')).toBe('yes\n')
    expect(await node('process.exit(1)')).toBeNull()
    expect(await host.run('no-such-program', [])).toBeNull()
    expect((await node('console.log("x".repeat(1e6))'))?.length).toBe(4096)
    expect(await node('setTimeout(() => {}, 1e6)')).toBeNull()
  })

  it('asks timedatectl without a word to the terminal, whether there is a bus or not', async () => {
    const answer = await host.run('timedatectl', ['show', '-p', 'NTPSynchronized', '--value'])
    expect([null, 'yes\n', 'no\n']).toContain(answer)
  })

  it('does not run on for what it asks', async () => {
    const dist = fileURLToPath(new URL('../../../dist/broker/clock/', import.meta.url))
    const code = `
      import { NodeClockHost } from '${dist}clock-host.js'
      import { systemClock } from '${dist}system-clock.js'
      const held = () => process.getActiveResourcesInfo().sort().join()
      const before = held()
      systemClock().after(10_000, () => {})
      const host = new NodeClockHost()
      void host.run('node', ['-e', 'setTimeout(() => {}, 8_000)'])
      console.log(held() === before ? 'nothing' : held())
      process.on('exit', () => host.close())`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code])
    expect(stdout).toBe('nothing\n')
  })

  it('ends what runs when it is closed', async () => {
    // its own limit does not come
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    const own = new NodeClockHost()
    const running = own.run('node', ['-e', 'setTimeout(() => {}, 1e6)'])
    own.close()
    expect(await running).toBeNull()
    vi.useRealTimers()
  })
})

describe('the clocks of the system', () => {
  it('go on together', async () => {
    const difference = systemTime.wall() - systemTime.monotonic()
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(Math.abs(systemTime.wall() - systemTime.monotonic() - difference)).toBeLessThan(500)
    expect(systemTime.suspended()).toBeGreaterThanOrEqual(0)
  })

  it('name the boot, the same for each process of it', () => {
    expect(readBootId(host)).toMatch(/^[0-9a-f-]{36}$/)
    if (process.platform === 'linux') expect(systemClock().bootId).toBe(readBootId(host))
    const elsewhere = new Machine()
    expect(readBootId(elsewhere)).not.toBe(readBootId(elsewhere))
    elsewhere.touch('/proc/sys/kernel/random/boot_id', 'not one\n')
    expect(readBootId(elsewhere)).toMatch(/^[0-9a-f-]{36}$/)
  })
})
