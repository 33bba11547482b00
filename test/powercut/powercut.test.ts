/** The harness itself, short: what `npm run test:powercut` does for longer. `npm test` compiles it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { seededRandom, testSeed } from '../support/random.ts'
import { planCycle } from './plan.ts'
import { SCENARIOS } from './scenarios.ts'
import { whatIsMissing } from './system.ts'

const APART = fileURLToPath(new URL('apart.sh', import.meta.url))
const MAIN = fileURLToPath(new URL('../../dist/test/powercut/main.js', import.meta.url))
const RUN_MS_MAX = 180_000
const CLEAN_MS_MAX = 20_000

const missing = whatIsMissing()
if (missing !== null) console.log(`power cuts are not tried here: ${missing}`)

describe.skipIf(missing !== null)('power cuts', () => {
  const seed = testSeed()
  let directory: string
  const children: ChildProcess[] = []

  beforeAll(() => {
    if (!existsSync(MAIN)) throw new Error('run `npm run build` first: the harness is compiled')
    directory = mkdtempSync(join(tmpdir(), 'headwater-powercut-test-'))
  })
  afterAll(() => {
    for (const child of children) child.kill('SIGTERM')
    rmSync(directory, { recursive: true, force: true })
  })

  function start(...args: string[]): ChildProcess {
    const all = [MAIN, '--seed', String(seed), '--dir', directory, '--json', ...args]
    const child = spawn(APART, all, { stdio: ['ignore', 'pipe', 'pipe'] })
    children.push(child)
    return child
  }

  async function finished(child: ChildProcess) {
    let [stdout, stderr] = ['', '']
    child.stdout!.on('data', (text: Buffer) => {
      stdout += text.toString()
    })
    child.stderr!.on('data', (text: Buffer) => {
      stderr += text.toString()
    })
    const [code] = (await once(child, 'close')) as [number | null]
    const lines = stdout.trim().split('\n')
    return { code, stderr, summary: JSON.parse(lines.at(-1)!).summary, cycles: lines.length - 1 }
  }

  it(
    'lose no acknowledged record, and no start needs help',
    async () => {
      const { code, stderr, summary, cycles } = await finished(start('--cycles', '5', '--history', '3'))
      expect(summary.problems, `seed ${seed}\n${stderr}`).toEqual([])
      expect(code).toBe(0)
      expect(cycles).toBe(5)
      expect(summary).toMatchObject({ seed, cycles: 5 })
      expect(summary.acknowledged).toBeGreaterThan(0)
      expect(readdirSync(directory)).toEqual([])
    },
    RUN_MS_MAX,
  )

  it(
    'on a disk that ignores flushes are found to lose records, and the disk’s image is kept',
    async () => {
      const { code, stderr, summary } = await finished(start('--cycles', '10', '--lying-disk'))
      expect(code).toBe(1)
      expect(summary.problems.join('\n')).toMatch(
        /acknowledged records are lost|did not start|broker ended|no broker/,
      )
      const image = /^the disk as the last cut left it: (.+)$/m.exec(stderr)![1]!
      expect(existsSync(image)).toBe(true)
      const mounts = readFileSync('/proc/self/mounts', 'utf8')
      expect(mounts).not.toContain(directory)
      rmSync(join(image, '..'), { recursive: true })
    },
    RUN_MS_MAX,
  )

  it(
    'leave no mount and no directory when the harness is killed in the middle',
    async () => {
      const child = start('--cycles', '50')
      const lines = createInterface({ input: child.stdout! })
      await once(lines, 'line')
      child.kill('SIGKILL')
      const deadline = Date.now() + CLEAN_MS_MAX
      const isClean = () =>
        readdirSync(directory).length === 0 && !readFileSync('/proc/self/mounts', 'utf8').includes(directory)
      while (!isClean()) {
        if (Date.now() > deadline) throw new Error(`left behind: ${readdirSync(directory)}`)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    },
    RUN_MS_MAX,
  )
})

describe('a plan', () => {
  it('is the same for the same seed, and has every moment and loss of its scenario in time', () => {
    for (const scenario of SCENARIOS) {
      const plans = (seed: number) => {
        const random = seededRandom(seed)
        return Array.from({ length: 200 }, () => planCycle(random, scenario))
      }
      expect(plans(3)).toEqual(plans(3))
      expect(plans(3)).not.toEqual(plans(4))
      expect(new Set(plans(3).map(({ moment }) => moment))).toEqual(new Set(Object.keys(scenario.moments)))
      expect(new Set(plans(3).map(({ loss }) => loss)).size).toBe(4)
      const later = plans(3).flatMap((plan) => plan.later)
      expect(new Set(later.map(({ during }) => during))).toEqual(new Set(['mount', 'start']))
    }
  })
})
