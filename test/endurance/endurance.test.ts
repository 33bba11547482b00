/** The harness itself, and a short run of each trial: what `npm run test:hostile` and `npm run test:soak` do for longer. `npm test` compiles it. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { seededRandom, testSeed } from '../support/random.ts'
import { ATTACKS, attacksOf, nextAttack } from './attacks/attacks.ts'
import { anyPacket, connectOf, mutated, VERSIONS } from './attacks/packets.ts'
import { growthOf, logProblems } from './judge.ts'
import type { StoredMessage } from './target.ts'

const RUN_MS_MAX = 180_000

describe('the judge', () => {
  const topic = 'honest/writer-0/t'
  const books = new Map([[topic, { sent: 4, acknowledged: new Set([0, 1, 2]) }]])
  const problems = async (...values: string[]) => {
    const stored: StoredMessage[] = values.map((value) => ({ topic, value }))
    const eachStored = async (take: (message: StoredMessage) => void) => {
      for (const message of stored) take(message)
    }
    return (await logProblems(books, eachStored)).problems
  }

  it('finds nothing where each acknowledged message is there once, and one more that was not', async () => {
    expect(await problems('0', '1', '2')).toEqual([])
    expect(await problems('0', '1', '2', '3')).toEqual([])
  })

  it('finds what is missing, twice, out of order, or was never sent', async () => {
    expect(await problems('0', '2')).toEqual([expect.stringContaining('1 acknowledged are not in the log')])
    expect(await problems('0', '1', '1', '2')).toEqual([expect.stringContaining('1 is in the log twice')])
    expect(await problems('1', '0', '2')).toEqual([expect.stringContaining('0 is in the log out of order')])
    expect(await problems('0', '1', '2', '4')).toEqual([expect.stringContaining('no honest client sent it')])
    expect(await problems('0', '1', '2', 'x')).toEqual([expect.stringContaining('no honest client sent it')])
  })

  it('finds growth after the warm-up, and none in what comes and goes', () => {
    const samples = (bytes: (seconds: number) => number) =>
      Array.from({ length: 600 }, (_, seconds) => ({ seconds, bytes: bytes(seconds) }))
    const leak = growthOf(
      samples((seconds) => 100e6 + seconds * 1e5 + (seconds % 7) * 3e6),
      100,
    )
    expect(leak.bytes / 50e6).toBeCloseTo(1, 1)
    expect(leak.bytesPerHour / 360e6).toBeCloseTo(1, 1)
    const sawtooth = growthOf(
      samples((seconds) => (seconds < 100 ? seconds * 1e6 : 100e6 + (seconds % 13) * 3e6)),
      100,
    )
    expect(Math.abs(sawtooth.bytes)).toBeLessThan(2e6)
  })
})

describe('attacks', () => {
  it('are the same for a seed, and all kinds come', () => {
    const drawn = () => {
      const random = seededRandom(7)
      const names = Array.from({ length: 400 }, () => nextAttack(ATTACKS, random).name)
      const bytes = VERSIONS.map((version) => [
        connectOf(random, version),
        mutated(random, anyPacket(random, version)),
      ])
      return { names, bytes }
    }
    expect(drawn()).toEqual(drawn())
    expect(new Set(drawn().names).size).toBe(ATTACKS.length)
  })

  it('are picked by a part of their name', () => {
    expect(attacksOf('topic').map(({ name }) => name)).toEqual(['topic aliases'])
    expect(() => attacksOf('none of this')).toThrow('no attack is called "none of this"')
  })
})

async function ran(program: string, ...args: string[]) {
  const main = fileURLToPath(new URL(`../../dist/test/endurance/${program}.js`, import.meta.url))
  const seed = testSeed()
  const all = [main, '--seed', String(seed), '--json', ...args]
  const { stdout } = await promisify(execFile)(process.execPath, all).catch((error) => {
    throw new Error(`HEADWATER_TEST_SEED=${seed}: ${error.stdout}\n${error.stderr}`)
  })
  return JSON.parse(stdout.trim().split('\n').at(-1)!)
}

// Their own clocks decide how long they take, and nothing is asserted of how late messages were.
describe('a broker', () => {
  it(
    'loses nothing of its honest clients beside hostile ones, and stands',
    async () => {
      const { problems, acknowledged, stored, attacks } = await ran('hostile', '--minutes', '0.33')
      expect(problems).toEqual([])
      expect(acknowledged).toBeGreaterThan(100)
      expect(stored).toBeGreaterThanOrEqual(acknowledged)
      expect(Object.keys(attacks).length).toBeGreaterThan(3)
    },
    RUN_MS_MAX,
  )

  it(
    'takes a mixed load in which sessions come and go',
    async () => {
      // memory needs longer than this to say anything
      const { problems, counts } = await ran('soak', '--minutes', '0.2', '--growth-max', '1000')
      expect(problems).toEqual([])
      expect(counts.visits).toBeGreaterThan(0)
      expect(counts.replayed).toBeGreaterThan(0)
    },
    RUN_MS_MAX,
  )
})
