/**
 * How far a downlink has read, among the broker's facts: one a partition, each put fsynced.
 *
 *   fact  := "downlink/" name "/" partition -> JSON StoredPlace (start.ts)
 *
 * Facts are kept when a backup is restored under another incarnation: what was delivered stays delivered.
 */
import type { FactStore } from '../../broker/index.ts'
import type { SourceTopic } from './source.ts'
import { decideStart, type Start, type StartPlace, type StartPolicy, type StoredPlace } from './start.ts'

export type DownlinkFacts = Pick<FactStore, 'get' | 'putAll'>

export class DownlinkPositions {
  readonly #facts: DownlinkFacts
  readonly #name: string
  #topic: SourceTopic | null = null
  #places = new Map<number, StartPlace>()
  #changed = new Set<number>()

  constructor(facts: DownlinkFacts, name: string) {
    this.#facts = facts
    this.#name = name
  }

  /** Where to go on, remembered at once: what `latest` was the first time stays so. @throws DownlinkRangeError */
  async begin(topic: SourceTopic, policy: StartPolicy): Promise<Start> {
    const stored = new Map<number, StoredPlace>()
    for (const { partition } of topic.partitions) {
      const place = await this.#load(partition)
      if (place !== null) stored.set(partition, place)
    }
    const start = decideStart(topic, stored, policy)
    this.#topic = topic
    this.#places = start.places
    this.#changed = new Set(
      [...start.places]
        .filter(([partition, { next, epoch }]) => {
          const place = stored.get(partition)
          return place?.topicId !== topic.topicId || place.next !== next || place.epoch !== epoch
        })
        .map(([partition]) => partition),
    )
    await this.save()
    return start
  }

  /** The next offset of each partition. */
  next(): Map<number, number> {
    return new Map([...this.#places].map(([partition, { next }]) => [partition, next]))
  }

  /** Under which the places of a partition are comparable. */
  epoch(partition: number): string {
    return `${this.#topic!.topicId}/${this.#places.get(partition)!.epoch}`
  }

  advance(partition: number, next: number): void {
    const place = this.#places.get(partition)!
    if (next <= place.next) return
    this.#places.set(partition, { ...place, next })
    this.#changed.add(partition)
  }

  async save(): Promise<void> {
    if (this.#changed.size === 0) return
    const { cluster, topic, topicId } = this.#topic!
    const changed = [...this.#changed]
    this.#changed = new Set()
    await this.#facts.putAll(
      changed.map((partition) => {
        const place: StoredPlace = { cluster, topic, topicId, ...this.#places.get(partition)! }
        return [this.#key(partition), Buffer.from(JSON.stringify(place))] as const
      }),
    )
  }

  #key(partition: number): string {
    return `downlink/${this.#name}/${partition}`
  }

  async #load(partition: number): Promise<StoredPlace | null> {
    const bytes = await this.#facts.get(this.#key(partition))
    if (bytes === undefined) return null
    const value = JSON.parse(bytes.toString('utf8')) as StoredPlace
    const isWhole = typeof value.topicId === 'string' && Number.isSafeInteger(value.next)
    return isWhole && Number.isSafeInteger(value.epoch) ? value : null
  }
}
