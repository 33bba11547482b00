/**
 * From an MQTT topic to a stream, a partition and a key. The first stream in the configuration that has a matching filter
 * takes the message: a message is one event in one stream. What depends on the topic alone is computed once a topic.
 */
import type { StreamConfig, StreamKey } from '../config/schema.ts'
import type { LogStream } from '../log/log-stream.ts'
import { partitionOf } from '../log/murmur2.ts'
import { encodeHeaders, NO_HEADERS } from '../log/record-batch.ts'

/** The header that names the MQTT topic. A record without it was published to the topic that is its key. */
export const TOPIC_HEADER = 'topic'
/** Those that a dead letter has besides. */
export const STREAM_HEADER = 'stream'
export const REASON_HEADER = 'reason'
export const DEAD_LETTER_HEADERS: readonly string[] = [STREAM_HEADER, REASON_HEADER]

/** What the topic decides. `key` and `partition` are null where the payload or the turn decides. */
export interface Route {
  readonly stream: LogStream
  readonly keyOf: StreamKey
  readonly key: Buffer | null
  readonly partition: number | null
  /** The encoded headers section. */
  readonly headers: Buffer
}

/** Topics whose route is remembered; the oldest is forgotten first. */
const CACHED_TOPICS_MAX = 10_000

export class Router {
  #routes: readonly { filter: string[]; config: StreamConfig; stream: LogStream }[] = []
  readonly #cache = new Map<string, Route | null>()
  /** Another number means that a topic may go elsewhere. */
  generation = 0

  constructor(streams: readonly StreamConfig[], streamOf: (name: string) => LogStream) {
    this.update(streams, streamOf)
  }

  /** Other routes, for each message that is asked about from now on. @throws what `streamOf` does: nothing has changed then */
  update(streams: readonly StreamConfig[], streamOf: (name: string) => LogStream): void {
    this.#routes = streams.flatMap((config) => {
      const stream = streamOf(config.name)
      return config.topics.map((filter) => ({ filter: filter.split('/'), config, stream }))
    })
    this.#cache.clear()
    this.generation++
  }

  /** @returns null for a topic that no stream takes. */
  match(topic: string): Route | null {
    const cached = this.#cache.get(topic)
    if (cached !== undefined) return cached
    const route = this.#find(topic)
    if (this.#cache.size >= CACHED_TOPICS_MAX) {
      const oldest = this.#cache.keys().next().value
      if (oldest !== undefined) this.#cache.delete(oldest)
    }
    this.#cache.set(topic, route)
    return route
  }

  #find(topic: string): Route | null {
    // topics for the broker itself are never events
    if (topic.startsWith('$')) return null
    const levels = topic.split('/')
    const found = this.#routes.find(({ filter }) => topicMatches(filter, levels))
    return found === undefined ? null : routeOf(found.stream, found.config.key, topic, levels)
  }
}

function routeOf(stream: LogStream, keyOf: StreamKey, topic: string, levels: string[]): Route {
  const key = topicKey(keyOf, topic, levels)
  return {
    stream,
    keyOf,
    key,
    partition: key === null ? null : partitionOf(key, stream.partitions.length),
    headers:
      keyOf === 'topic' ? NO_HEADERS : encodeHeaders([{ key: TOPIC_HEADER, value: Buffer.from(topic) }]),
  }
}

function topicKey(keyOf: StreamKey, topic: string, levels: string[]): Buffer | null {
  if (keyOf === 'topic') return Buffer.from(topic)
  if (keyOf === 'none' || 'pointer' in keyOf) return null
  // a level that the topic lacks is empty, so that every topic of the filter has a key
  return Buffer.from(keyOf.levels.map((level) => levels[level] ?? '').join('/'))
}

/** MQTT 3.1.1, section 4.7: `+` is one level, `#` all levels below and the one above it ("a/#" matches "a"). */
export function topicMatches(filter: readonly string[], levels: readonly string[]): boolean {
  for (const [i, part] of filter.entries()) {
    if (part === '#') return true
    if (i >= levels.length || (part !== '+' && part !== levels[i])) return false
    if (i === levels.length - 1 && filter[i + 1] === '#') return true
  }
  return filter.length === levels.length
}
