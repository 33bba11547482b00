/**
 * Which topic filters match a topic. aedes does it: its emitter keeps the filters in a trie (qlobber), one listener for each distinct filter
 * here, however many sessions hold it, and calls those that match.
 *
 * Of aedes no more is used: its clients speak no MQTT 5 and acknowledge before they store, its queues are in memory, and its fan-out runs
 * for each message whether somebody takes it or not. Nor is more of it loaded: its emitter is a package of its own, mqemitter, which is taken
 * from where aedes has it; the rest is 60 files and 1.4 MB. With `concurrency: 0` it has no queue of its own; with the default of 100 it falls
 * to a tenth where many publish and one subscribes, because it empties an array from its front.
 */
import { createRequire } from 'node:module'
import { assert } from '../../assert.ts'

/** What aedes' emitter hands to a listener; a listener says at once that it is done. */
interface Probe {
  readonly topic: string
  readonly found: unknown[]
}

/** aedes' emitter, which its types leave open. */
interface Emitter {
  on(filter: string, listener: Listener): void
  removeListener(filter: string, listener: Listener): void
  emit(probe: Probe, done: () => void): void
}

type CreateEmitter = (options: { concurrency: number; matchEmptyLevels: boolean }) => Emitter
const requireOfAedes = createRequire(createRequire(import.meta.url).resolve('aedes'))
const createEmitter = requireOfAedes('mqemitter') as CreateEmitter
/** As aedes has it: an empty level is a level (MQTT-4.7.1-3). */
const EMITTER = { concurrency: 0, matchEmptyLevels: true } as const

/** aedes' trie takes no more levels than these, in a filter or a topic. */
const LEVELS_MAX = 100

type Listener = (probe: Probe, done: () => void) => void

export class Filters<T> {
  readonly #emitter = createEmitter({ ...EMITTER })
  readonly #byFilter = new Map<string, { readonly value: T; readonly listener: Listener }>()

  get(filter: string): T | undefined {
    return this.#byFilter.get(filter)?.value
  }

  /** @param filter valid, without `$share/NAME/`, and not here yet */
  add(filter: string, value: T): void {
    assert(!this.#byFilter.has(filter), 'a filter is added once')
    assert(levelsOf(filter) <= LEVELS_MAX, 'the packet decoder refuses filters of more levels')
    const entry = {
      value,
      listener: (probe: Probe, done: () => void) => {
        // the emitter takes a listener away a moment later
        if (this.#byFilter.get(filter) === entry) probe.found.push(value)
        done()
      },
    }
    this.#byFilter.set(filter, entry)
    this.#emitter.on(filter, entry.listener)
  }

  remove(filter: string): void {
    const entry = this.#byFilter.get(filter)
    if (entry === undefined) return
    this.#byFilter.delete(filter)
    this.#emitter.removeListener(filter, entry.listener)
  }

  /** The values of all filters that match; of a topic that begins with "$" also those that begin with a wildcard. */
  matching(topic: string): T[] {
    const found: T[] = []
    if (levelsOf(topic) > LEVELS_MAX) return found
    this.#emitter.emit({ topic, found }, () => {})
    return found
  }
}

function levelsOf(topic: string): number {
  let levels = 1
  for (let at = topic.indexOf('/'); at >= 0; at = topic.indexOf('/', at + 1)) levels++
  return levels
}
