/** What is taken of aedes without the rest of it matches as a whole aedes does. */
import { Aedes } from 'aedes'
import { afterAll, expect, it } from 'vitest'
import { Filters } from '../../../../broker/mqtt/hub/filters.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'

interface Probe {
  readonly topic: string
  readonly found: string[]
}
interface Emitter {
  on(filter: string, listener: (probe: Probe, done: () => void) => void): void
  emit(probe: Probe, done: () => void): void
}

const FILTERS = 300
const TOPICS = 500
const WORDS = ['a', 'b', 'c', '', '$d']

const aedes = new Aedes({ concurrency: 0 })
const whole = (aedes as unknown as { mq: Emitter }).mq
afterAll(() => new Promise<void>((resolve) => aedes.close(() => resolve())))

it('finds the filters that aedes finds, empty levels and "$" included', () => {
  const seed = testSeed()
  const random = seededRandom(seed)
  const words = (choice: readonly string[]) =>
    Array.from({ length: random.between(1, 4) }, () => choice[random.between(0, choice.length - 1)]!)
  const filters = new Filters<string>()
  for (let made = 0; made < FILTERS; made++) {
    const filter = [...words([...WORDS, '+']), ...(random.next() < 0.3 ? ['#'] : [])].join('/')
    if (filter === '' || filters.get(filter) !== undefined) continue
    filters.add(filter, filter)
    whole.on(filter, (probe, done) => {
      probe.found.push(filter)
      done()
    })
  }
  let found = 0
  for (let asked = 0; asked < TOPICS; asked++) {
    const topic = words(WORDS).join('/') || 'a'
    const probe = { topic, found: [] }
    whole.emit(probe, () => {})
    const ours = filters.matching(topic)
    expect(ours.toSorted(), `${topic}, seed ${seed}`).toEqual(probe.found.toSorted())
    found += ours.length
  }
  expect(found).toBeGreaterThan(TOPICS)
})
