/**
 * Follows a stream. From now on it keeps up with the stream: where more comes than a page can show it goes on from the present and says
 * so. From the past it fills the rows once and waits to be asked for more. It begins again by itself where it ended when the broker
 * comes back.
 */
import { type Api, segment } from '../api/api.ts'
import { ApiError, errorText } from '../api/faults.ts'
import type { GapJson, RecordJson } from '../api/types.ts'
import { Store } from './store.ts'
import { matcherOf, type TailFilter } from './tail-filter.ts'
import { gapText, ROWS_MAX, TailRows } from './tail-rows.ts'

export interface TailRequest extends TailFilter {
  readonly stream: string
  /** null is all. */
  readonly partition: number | null
  /** `latest`, `earliest` or a time as ISO 8601 */
  readonly from: string
}

export type TailState =
  | { readonly kind: 'connecting' | 'following' | 'held' | 'paused' | 'reconnecting' }
  | { readonly kind: 'failed'; readonly reason: string }

export interface TailView {
  readonly state: TailState
  /** Changes with the rows. */
  readonly version: number
  /** Records that came; the broker leaves out most of what the filter does not let through. */
  readonly read: number
  /** Those that were shown. */
  readonly matched: number
}

/** What it needs of the world. */
export interface TailParts {
  readonly api: Pick<Api, 'lines'>
  /** Resolves when the page is to be drawn next, also while it is hidden. */
  readonly frame: () => Promise<void>
  /** Resolves after it, or when the signal is aborted. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
}

/** More than this without ever reaching the present, and the tail goes there. */
export const BEHIND_RECORDS_MAX = 5_000
/** Records of different partitions come about in the order of their times, not quite. */
const OVERLAP_MS = 5_000
const RETRY_MS_MIN = 1_000
const RETRY_MS_MAX = 15_000

export class Tail {
  readonly rows = new TailRows()
  readonly view = new Store<TailView>({ state: { kind: 'connecting' }, version: 0, read: 0, matched: 0 })
  readonly #parts: TailParts
  readonly #request: TailRequest
  readonly #matches: (record: RecordJson) => boolean
  readonly #isLive: boolean
  readonly #leave = new AbortController()
  /** Next offsets by partition: what is below has been seen. */
  readonly #next = new Map<number, number>()
  #newest: string | null = null
  /** The time of the first record of a tail from now: what is older is of before it. */
  #first: string | null = null
  /** After an interruption: from when on it reads what it may have seen. */
  #overlapFrom: string | null = null
  #go: (() => void) | null = null
  /** What is shown of it where it is not halted. */
  #link: 'connecting' | 'following' | 'reconnecting' = 'connecting'
  #isPaused = false
  #shown = 0

  constructor(request: TailRequest, parts: TailParts) {
    this.#request = request
    this.#parts = parts
    this.#matches = matcherOf(request)
    this.#isLive = request.from === 'latest'
  }

  /** Runs until it is closed. */
  async run(): Promise<void> {
    let failures = 0
    while (!this.#leave.signal.aborted) {
      const seen = this.view.value.read
      try {
        if ((await this.#follow()) === 'skipped') continue
      } catch (error) {
        if (error instanceof ApiError) {
          this.#set({ state: { kind: 'failed', reason: errorText(error) } })
          return
        }
      }
      if (this.#leave.signal.aborted) return
      failures = this.view.value.read > seen ? 0 : failures + 1
      this.#setLink('reconnecting')
      const ms = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.max(0, failures - 1))
      await this.#parts.wait(ms, this.#leave.signal)
    }
  }

  pause(): void {
    this.#isPaused = true
    this.#set({ state: { kind: 'paused' } })
  }

  /** Goes on after a pause, or with more of the past. */
  resume(): void {
    this.#isPaused = false
    this.#shown = 0
    if (this.#go === null) this.#set({ state: { kind: this.#link } })
    else this.#go()
  }

  clear(): void {
    this.rows.clear()
    this.#set({ read: 0, matched: 0 })
  }

  close(): void {
    this.#leave.abort()
    this.#go?.()
  }

  async #follow(): Promise<'ended' | 'skipped'> {
    const { stream, partition, key, text } = this.#request
    const connection = new AbortController()
    const signal = AbortSignal.any([connection.signal, this.#leave.signal])
    // Whatever has the key's part in its topic or key has it in what the broker looks through: it sends less, and the page decides.
    const grep = text.trim() || key.trim()
    const query = { from: this.#from(), follow: true, partition, grep }
    let behind = 0
    const pieces = this.#parts.api.lines<RecordJson | GapJson>(
      'GET',
      `api/v1/streams/${segment(stream)}/records`,
      query,
      signal,
      () => this.#setLink('following'),
    )
    try {
      for (;;) {
        const next = pieces.next()
        const isWaiting = await Promise.race([next.then(() => false), this.#parts.frame().then(() => true)])
        if (isWaiting) behind = 0
        const piece = await next
        if (piece.done) return 'ended'
        behind += piece.value.length
        await this.#show(piece.value)
        if (signal.aborted) return 'ended'
        if (this.#isLive && behind > BEHIND_RECORDS_MAX) return this.#skip()
        // A piece a frame: the device has more to do than to fill a page.
        if (!isWaiting) await this.#parts.frame()
      }
    } finally {
      connection.abort()
    }
  }

  /** After an interruption: from a little before the newest record seen. What was seen is left out by its offset. */
  #from(): string {
    if (this.#newest === null) return this.#request.from
    this.#overlapFrom = new Date(Date.parse(this.#newest) - OVERLAP_MS).toISOString()
    return this.#overlapFrom
  }

  #skip(): 'skipped' {
    this.rows.note('The stream is faster than this page shows; it goes on from now.')
    this.#newest = null
    this.#first = null
    this.#overlapFrom = null
    this.#next.clear()
    return 'skipped'
  }

  async #show(lines: readonly (RecordJson | GapJson)[]): Promise<void> {
    await this.#hold()
    for (let from = 0; from < lines.length && !this.#leave.signal.aborted; ) {
      from = this.#take(lines, from)
      await this.#hold()
    }
  }

  /** @returns where it stopped: at the end, or where the rows are full of what was asked for */
  #take(lines: readonly (RecordJson | GapJson)[], from: number): number {
    let { read, matched } = this.view.value
    let at = from
    for (; at < lines.length && !this.#isFull; at++) {
      const line = lines[at]!
      if ('gap' in line) {
        this.rows.note(gapText(line))
        continue
      }
      if (this.#isKnown(line)) continue
      this.#first ??= line.timestamp
      this.#next.set(line.partition, line.offset + 1)
      this.#newest = line.timestamp
      read++
      if (!this.#matches(line)) continue
      matched++
      this.#shown++
      this.rows.add(line)
    }
    this.#set({ read, matched })
    return at
  }

  /** Shown before, or, of a partition that none was shown of, from before this tail began. */
  #isKnown({ partition, offset, timestamp }: RecordJson): boolean {
    const next = this.#next.get(partition)
    if (next !== undefined) return offset < next
    if (!this.#isLive || this.#first === null || this.#overlapFrom === null) return false
    return timestamp >= this.#overlapFrom && timestamp < this.#first
  }

  get #isFull(): boolean {
    return !this.#isLive && this.#shown >= ROWS_MAX
  }

  /** Nothing is read meanwhile: the connection's own buffers hold the broker back. */
  async #hold(): Promise<void> {
    if (!this.#isPaused && !this.#isFull) return
    if (!this.#isPaused) this.#set({ state: { kind: 'held' } })
    await new Promise<void>((resolve) => {
      this.#go = resolve
    })
    this.#go = null
    this.#set({ state: { kind: this.#link } })
  }

  #setLink(kind: 'following' | 'reconnecting'): void {
    this.#link = kind
    if (!this.#isPaused) this.#set({ state: { kind } })
  }

  #set(change: Partial<TailView>): void {
    const { value } = this.view
    this.view.set({ ...value, ...change, version: value.version + 1 })
  }
}
