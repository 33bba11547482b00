/**
 * The retained messages of a new subscription, on their way to the client at its pace: the queue's limit does not count for them. Each is
 * the topic's last one when it is sent.
 */
import type { Message } from '../hub/message.ts'
import type { Subscription } from '../hub/subscription.ts'
import type { Retained, RetainedMessages } from './retained.ts'

/** Read ahead. */
const AHEAD_MESSAGES_MAX = 32
const AHEAD_BYTES_MAX = 64 * 1024

export class RetainedFeed {
  /** As the client wrote it. */
  readonly filter: string
  readonly subscription: Subscription
  readonly #retained: RetainedMessages
  #topics: string[]
  #at = 0
  #ahead: (Retained & { readonly at: number })[] = []
  isLoading = false

  constructor(filter: string, subscription: Subscription, topics: string[], retained: RetainedMessages) {
    this.filter = filter
    this.subscription = subscription
    this.#topics = topics
    this.#retained = retained
  }

  /** The next message; `later` where it has to be loaded first, `none` at the end. */
  peek(): Message | 'later' | 'none' {
    const next = this.#ahead[0]
    if (next !== undefined) {
      if (this.#retained.isLast(next.entry)) return next.message
      // it was set or removed since it was read, and what came of that may be with the client already
      this.#at = next.at
      this.#ahead = []
    }
    return this.isLoading || this.#at < this.#topics.length ? 'later' : 'none'
  }

  shift(): void {
    this.#ahead.shift()
  }

  /** @returns false where the disk is at fault */
  async load(): Promise<boolean> {
    this.isLoading = true
    const from = this.#at
    let bytes = 0
    for (; this.#at < this.#topics.length && bytes < AHEAD_BYTES_MAX; this.#at++) {
      if (this.#at - from >= AHEAD_MESSAGES_MAX) break
      bytes += this.#retained.bytesOf(this.#topics[this.#at]!)
    }
    try {
      const topics = this.#topics.slice(from, this.#at)
      const found = await this.#retained.getMany(topics)
      for (const [i, one] of found.entries()) {
        if (one !== null) this.#ahead.push({ ...one, at: from + i })
      }
      return true
    } catch {
      this.#at = from
      return false
    } finally {
      this.isLoading = false
    }
  }

  /** No connection: what was read ahead is read again. */
  rest(): void {
    if (this.isLoading) return
    this.#topics = this.#topics.slice(this.#ahead[0]?.at ?? this.#at)
    this.#ahead = []
    this.#at = 0
  }
}

/** A session's feeds, the oldest first. */
export class RetainedFeeds {
  #feeds: RetainedFeed[] | null = null
  /** By filter: the one that was asked for last. It may be still to be added. */
  #latest: Map<string, RetainedFeed> | null = null

  get first(): RetainedFeed | null {
    return this.#feeds?.[0] ?? null
  }

  /** It is added once its SUBACK is sent; one of the same subscription goes on until then. */
  expect(feed: RetainedFeed): void {
    this.#latest ??= new Map()
    this.#latest.set(feed.filter, feed)
  }

  /** @returns whether no later one of the same subscription is expected */
  end(feed: RetainedFeed): boolean {
    const latest = this.#latest?.get(feed.filter) ?? feed
    this.#drop(feed.filter)
    if (latest !== feed) return false
    this.#latest?.delete(feed.filter)
    return true
  }

  /** In the place of one of the same subscription. */
  add(feed: RetainedFeed): void {
    this.#drop(feed.filter)
    this.#feeds ??= []
    this.#feeds.push(feed)
  }

  /** Its subscription has ended. */
  remove(filter: string): void {
    this.#latest?.delete(filter)
    this.#drop(filter)
  }

  #drop(filter: string): void {
    const left = this.#feeds?.filter((feed) => feed.filter !== filter) ?? []
    this.#feeds = left.length === 0 ? null : left
  }

  rest(): void {
    for (const feed of this.#feeds ?? []) feed.rest()
    if (this.#latest?.size === 0) this.#latest = null
  }

  clear(): void {
    this.#feeds = null
    this.#latest = null
  }
}
