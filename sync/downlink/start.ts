/**
 * Where a partition is read from, decided from what is remembered and what the topic has:
 *
 *   nothing remembered of this partition
 *     another partition of this very topic is remembered  -> the oldest record: the partition is new
 *     a topic of this name on this cluster, of another id -> the oldest record, told: the topic was made anew
 *     else                                                -> what `start` says
 *   remembered, of this topic's id
 *     the topic still has it, or ends there               -> on from there
 *     below the oldest record, or above the newest        -> what `outOfRange` says, told; a new epoch
 *   remembered, of another topic or cluster               -> as if nothing were remembered
 *
 * The epoch makes places before and after it incomparable, so that a record which took the offset of another one is not mistaken for it.
 */
import { DownlinkRangeError } from '../errors.ts'
import type { SourcePartition, SourceTopic } from './source.ts'

export interface StoredPlace {
  readonly cluster: string
  readonly topic: string
  readonly topicId: string
  /** The next offset. */
  readonly next: number
  readonly epoch: number
}

export interface StartPolicy {
  readonly start: 'earliest' | 'latest'
  readonly outOfRange: 'earliest' | 'latest' | 'stop'
}

export interface StartPlace {
  readonly next: number
  readonly epoch: number
}

export interface Start {
  readonly places: Map<number, StartPlace>
  readonly warnings: readonly string[]
  /** Records that went before they were read, as far as it is known. */
  readonly lost: number
}

/** @throws DownlinkRangeError */
export function decideStart(
  topic: SourceTopic,
  stored: ReadonlyMap<number, StoredPlace>,
  policy: StartPolicy,
): Start {
  const places = new Map<number, StartPlace>()
  const warnings = new Set<string>()
  let lost = 0
  const isKnown = [...stored.values()].some((place) => isOf(place, topic))
  const isAnew = [...stored.values()].some(
    (place) =>
      place.cluster === topic.cluster && place.topic === topic.topic && place.topicId !== topic.topicId,
  )
  const isElsewhere = [...stored.values()].some((place) => place.cluster !== topic.cluster)
  for (const state of topic.partitions) {
    const place = stored.get(state.partition)
    if (place !== undefined && isOf(place, topic)) {
      const { start, warning, gone } = goOn(topic, state, place, policy)
      places.set(state.partition, start)
      if (warning !== null) warnings.add(warning)
      lost += gone
      continue
    }
    const fromOldest = isKnown || isAnew || policy.start === 'earliest'
    places.set(state.partition, { next: fromOldest ? state.startOffset : state.endOffset, epoch: 0 })
    if (!isKnown && isAnew) {
      warnings.add(
        `topic ${topic.topic} was made anew: the old positions do not count, it is read from its beginning`,
      )
    } else if (!isKnown && isElsewhere) {
      warnings.add(
        `topic ${topic.topic} is on another cluster than before (${topic.cluster}): the old positions do not count, it is read from the ${policy.start}`,
      )
    }
  }
  return { places, warnings: [...warnings], lost }
}

function isOf(place: StoredPlace, topic: SourceTopic): boolean {
  return place.topicId === topic.topicId && place.cluster === topic.cluster
}

function goOn(topic: SourceTopic, state: SourcePartition, place: StoredPlace, { outOfRange }: StartPolicy) {
  const { next, epoch } = place
  const { partition, startOffset, endOffset } = state
  if (next >= startOffset && next <= endOffset) return { start: { next, epoch }, warning: null, gone: 0 }
  if (outOfRange === 'stop')
    throw new DownlinkRangeError(topic.topic, partition, next, startOffset, endOffset)
  const start = { next: outOfRange === 'earliest' ? startOffset : endOffset, epoch: epoch + 1 }
  const gone = Math.max(0, startOffset - next)
  const what =
    next < startOffset
      ? `the records from offset ${next} to ${startOffset} are gone before they were read`
      : `the topic ends at offset ${endOffset}, before ${next} where it was read to`
  return { start, warning: `${topic.topic}/${partition}: ${what}; it goes on at offset ${start.next}`, gone }
}
