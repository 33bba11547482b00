/** The harness itself, short: what `npm run test:firmware` does for longer. `npm test` compiles it. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { isSkipped } from '../firmware-bridge/device/compilers.ts'
import { seededRandom, testSeed } from '../support/random.ts'
import { BOARDS } from './firmware.ts'
import { planBlows } from './plan.ts'

const MAIN = fileURLToPath(new URL('../../dist/test/firmware/main.js', import.meta.url))
const MESSAGES = 300
const KILLS = 2
/** To each device; both ways at once, so with fewer messages the other way. */
const COMMANDS = 60
const MESSAGES_BESIDE = 120
const RUN_MS_MAX = 240_000
const LEFT_MS_MAX = 20_000
const FIRST_BOOT = `${BOARDS.at(-1)!.name}-1.elf`

const skipped = isSkipped('firmware in the loop', ...BOARDS.flatMap(({ tools }) => tools))

/** Of all processes; one that ends meanwhile has none. */
function commandLines(): string[] {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return processes.map((id) => {
    try {
      return readFileSync(`/proc/${id}/cmdline`, 'utf8')
    } catch {
      return ''
    }
  })
}

it('a seed gives the same plan of kills, and all kinds come', () => {
  const plan = (seed: number) => planBlows(seededRandom(seed), 10_000, 40, 3)
  expect(plan(7)).toEqual(plan(7))
  expect(plan(7)).not.toEqual(plan(8))
  expect(new Set(plan(7).map(({ victim }) => victim)).size).toBe(4)
  expect(plan(7).filter(({ victim }) => victim !== 'device')).toHaveLength(40)
  expect(planBlows(seededRandom(7), 1, 1, 1).every(({ at }) => at === 1)).toBe(true)
})

describe.skipIf(skipped)('firmware on a bad wire, with kills of bridge and broker', () => {
  it(
    'has each message that a device was told is acknowledged in the log once, in order',
    async () => {
      if (!existsSync(MAIN)) throw new Error('run `npm run build` first: the harness is compiled')
      const seed = testSeed()
      const args = [MAIN, '--messages', `${MESSAGES}`, '--kills', `${KILLS}`, '--seed', `${seed}`, '--json']
      const { stdout } = await promisify(execFile)(process.execPath, args).catch((error) => {
        throw new Error(`HEADWATER_TEST_SEED=${seed}: ${error.stdout}\n${error.stderr}`)
      })
      const result = JSON.parse(stdout)
      expect(result.problems).toEqual([])
      expect(result.devices).toHaveLength(BOARDS.length)
      for (const device of result.devices) {
        expect(device.acknowledged).toBeGreaterThan(0)
        expect(device.clockErrorMs).not.toBeNull()
        expect(device.lost).toBeGreaterThan(0)
        expect(device.flipped).toBeGreaterThan(0)
      }
    },
    RUN_MS_MAX,
  )

  it(
    'has each command that the broker acknowledged to its publisher come to its device, in order',
    async () => {
      const seed = testSeed()
      const options = { messages: MESSAGES_BESIDE, commands: COMMANDS, kills: KILLS, seed }
      const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`])
      const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args, '--json']).catch(
        (error) => {
          throw new Error(`HEADWATER_TEST_SEED=${seed}: ${error.stdout}\n${error.stderr}`)
        },
      )
      const result = JSON.parse(stdout)
      expect(result.problems).toEqual([])
      for (const device of result.devices) expect(device.commands).toBe(COMMANDS)
    },
    RUN_MS_MAX,
  )

  it(
    'that is broken off leaves no process and no directory',
    async () => {
      const directory = await mkdtemp(join(tmpdir(), 'headwater-broken-off-'))
      try {
        const env = { ...process.env, TMPDIR: directory }
        const child = spawn(process.execPath, [MAIN, '--messages', '100000', '--json'], { env })
        let [stdout, stderr, isOver] = ['', '', false]
        child.stdout.on('data', (text) => {
          stdout += text
        })
        child.stderr.on('data', (text) => {
          stderr += text
        })
        const closed = once(child, 'close').then(([code]) => {
          isOver = true
          return code
        })
        const hasDevices = () =>
          readdirSync(directory).some((run) => existsSync(join(directory, run, FIRST_BOOT)))
        while (!isOver && !hasDevices()) await delay(50)
        child.kill('SIGTERM')
        expect({ code: await closed, stdout, stderr }).toEqual({
          code: 130,
          stdout: '',
          stderr: 'broken off; cleaning up\n',
        })
        expect(readdirSync(directory)).toEqual([])
        // what a killed bridge had begun ends by itself
        const left = () => commandLines().filter((line) => line.includes(directory))
        for (const end = Date.now() + LEFT_MS_MAX; left().length > 0 && Date.now() < end; ) await delay(50)
        expect(left()).toEqual([])
      } finally {
        await rm(directory, { recursive: true, force: true })
      }
    },
    RUN_MS_MAX,
  )
})
