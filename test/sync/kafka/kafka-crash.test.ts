/** Processes killed in the middle of rounds: what a reader sees under read_committed is the log, once and in order. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { describeWithKafka, uniqueName } from '../../support/kafka/index.ts'
import { testSeed } from '../../support/random.ts'
import { testIdentity } from '../memory-log.ts'
import { seededRandom } from '../stored-batches.ts'
import { readBack, settled } from './kafka-place.ts'

const RECORDS = 2400
/** Few enough that all of them end in the middle of the backlog. */
const LIVES = 20
/** A request takes about as long on loopback. */
const IN_FLIGHT_US_MAX = 4000
const CHILD = join(import.meta.dirname, '../../../dist/test/support/sync-child.js')

/**
 * The requests of a start and of a round, in their order: killed after each is killed between every two steps. A start asks for
 * the offsets twice: whether this log may be here at all, and, as the producer that it is then, where it stands.
 */
const METHODS = [
  'metadata',
  'findCoordinator',
  'offsetFetch',
  'initProducerId',
  'addPartitionsToTxn',
  'addOffsetsToTxn',
  'produce',
  'txnOffsetCommit',
  'endTxn',
]

/** Of those that belong to the start. */
const TIMES_A_LIFE = new Map([
  ['metadata', 1],
  ['findCoordinator', 2],
  ['offsetFetch', 2],
  ['initProducerId', 1],
])

function live(args: string[]): Promise<{ code: number | null; signal: string | null; errors: string }> {
  const child = spawn(process.execPath, [CHILD, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  return new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, errors })))
}

describeWithKafka('sync to Kafka, killed', ({ bootstrap }) => {
  it('has each record upstream once and in order after SIGKILL between every two steps', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const name = uniqueName('killed')
    for (let lives = 0; lives < LIVES; lives++) {
      // Each step once, then steps by chance, some rounds in.
      const method = METHODS[lives] ?? METHODS[Math.floor(random() * METHODS.length)]!
      const timesMax = TIMES_A_LIFE.get(method) ?? 3
      const count = lives < METHODS.length ? 1 : 1 + Math.floor(random() * timesMax)
      // Later lives end while the request is on its way, answered or not.
      const inFlight = lives < METHODS.length + 3 ? [] : [String(Math.floor(random() * IN_FLIGHT_US_MAX))]
      const end = await live([bootstrap, name, String(RECORDS), method, String(count), ...inFlight])
      expect(end, `seed ${seed}, life ${lives}, ${method} ${count}`).toMatchObject({
        signal: 'SIGKILL',
        errors: '',
      })
    }
    const last = await live([bootstrap, name, String(RECORDS), '', '0'])
    expect(last, `seed ${seed}`).toMatchObject({ code: 0, errors: '' })
    await settled(bootstrap, `${name}.${testIdentity().edge}`)
    const records = await readBack(bootstrap, name, 'events')
    for (const partition of [0, 1, 2]) {
      const values = records.filter((record) => record.partition === partition).map(({ value }) => value)
      const expected = Array.from({ length: RECORDS / 3 }, (_, i) => `events/${partition}/${i}`)
      expect(values, `seed ${seed}`).toEqual(expected)
    }
  }, 120_000)
})
