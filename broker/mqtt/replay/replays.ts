/** All replays of the broker: what they share, how many there may be, and who wakes them. */
import type { LimitedLog } from '../../limited-log.ts'
import type { EventLog } from '../../log/event-log.ts'
import type { Subscription } from '../hub/subscription.ts'
import { Reason, type ReasonCode } from '../packets/protocol-error.ts'
import { ANONYMOUS, type Who } from '../who.ts'
import { Replay } from './replay.ts'
import { parseReplayFilter, type ReplayRequest } from './replay-filter.ts'
import type { ReplayPosition } from './replay-position.ts'

/** Reads of all that clients may ask for: some at a time, or they would have the next commit wait behind them (session/read-turns.ts). */
export interface Reads {
  take<T>(read: () => Promise<T>): Promise<T>
}

export interface ReplayContext {
  readonly log: EventLog
  readonly limited: LimitedLog
  readonly reads: Reads
  /** At the log's end: woken by the next commit. */
  readonly waiting: Set<Replay>
  /** A replay's client is connected, and it would read. @returns false where all that may are reading: it is woken */
  begins(replay: Replay): boolean
  /** Its client is gone, or it is over. */
  rests(replay: Replay): void
}

export interface ReplayLimits {
  /** Of one session. */
  readonly replaysMax: number
  /** Of all sessions that are connected. */
  readonly replaysTotalMax: number
}

/** One user has at most this part of all, where clients are told apart by their users. */
const USERS_SHARE = 2

export class Replays {
  readonly #context: ReplayContext
  readonly #limits: ReplayLimits
  readonly #stop: () => void
  #count = 0
  #isWaking = false
  /** Those that hold what was read. */
  readonly #running = new Set<Replay>()
  readonly #users = new WeakMap<Replay, string>()
  readonly #rules: { readonly hasUsers: boolean }
  /** Those that would. */
  readonly #held = new Set<Replay>()

  constructor(
    log: EventLog,
    limited: LimitedLog,
    limits: ReplayLimits,
    reads: Reads,
    rules: { readonly hasUsers: boolean } = { hasUsers: false },
  ) {
    this.#rules = rules
    this.#context = {
      log,
      limited,
      reads,
      waiting: new Set(),
      begins: (replay) => this.#begins(replay),
      rests: (replay) => this.#rests(replay),
    }
    this.#limits = limits
    this.#stop = log.onDurable(() => this.#wakeSoon())
  }

  get count(): number {
    return this.#count
  }

  /** What a client has asked for. @param own replays that it has; @returns the reason code of the refusal, said in one line */
  open(who: Who, subscription: Subscription, own: number): Replay | ReasonCode {
    const request = this.#request(subscription)
    if (typeof request === 'string') return this.#refuse(who, subscription, Reason.invalidFilter, request)
    const limit = this.#limitOf(who, own)
    if (limit !== null) {
      const text = `${limit} replays, and it would be one more`
      return this.#refuse(who, subscription, Reason.quotaExceeded, text)
    }
    const replay = this.#create(request, subscription)
    this.#users.set(replay, who.user)
    // its client is connected
    this.#running.add(replay)
    return replay
  }

  /** @returns the limit that is reached */
  #limitOf({ user }: Who, own: number): string | null {
    const { replaysMax, replaysTotalMax } = this.#limits
    if (own >= replaysMax) return `a client may have ${replaysMax}`
    if (this.#running.size >= replaysTotalMax) return `there may be ${replaysTotalMax}`
    const isApart = user !== ANONYMOUS || this.#rules.hasUsers
    const share = Math.ceil(replaysTotalMax / USERS_SHARE)
    // below it nobody has more
    if (!isApart || this.#running.size < share) return null
    let ofUser = 0
    for (const replay of this.#running) if (this.#users.get(replay) === user) ofUser++
    return ofUser < share ? null : `one user may have ${share}`
  }

  /** One of a stored session. @returns null, said in one line, where its stream is not there any more */
  restore(who: Who, subscription: Subscription, position: ReplayPosition | undefined): Replay | null {
    const request = this.#request(subscription)
    if (typeof request !== 'string') {
      const replay = this.#create(request, subscription, position)
      this.#users.set(replay, who.user)
      return replay
    }
    this.#refuse(who, subscription, Reason.invalidFilter, request)
    return null
  }

  closed(replay: Replay): void {
    replay.rest()
    this.#count--
  }

  #create(request: ReplayRequest, subscription: Subscription, position?: ReplayPosition): Replay {
    const { partitions } = this.#context.log.stream(request.stream)
    const { start } = request
    const wanted = start.kind === 'offset' ? [partitions[start.partition]!] : partitions
    this.#count++
    return new Replay(subscription, wanted, start, this.#context, position)
  }

  #begins(replay: Replay): boolean {
    if (this.#running.has(replay)) return true
    const { replaysTotalMax } = this.#limits
    if (this.#running.size >= replaysTotalMax) {
      const { filter } = replay
      this.#context.limited.warn('replays', 'a replay waits for another one to end', {
        filter,
        replaysTotalMax,
      })
      this.#held.add(replay)
      return false
    }
    this.#held.delete(replay)
    this.#running.add(replay)
    return true
  }

  #rests(replay: Replay): void {
    this.#held.delete(replay)
    if (!this.#running.delete(replay)) return
    // not at once: who ends may be about to end others
    for (const held of this.#held) setImmediate(() => held.onMore())
  }

  #request({ filter, shareName }: Subscription): ReplayRequest | string {
    if (shareName !== null) return 'a replay cannot be shared: its position is the client’s own'
    const request = parseReplayFilter(filter)
    if (typeof request === 'string') return request
    const known = this.#context.log.streams().find(({ stream }) => stream === request.stream)
    if (known === undefined) return `there is no stream "${request.stream}"`
    const { start } = request
    if (start.kind === 'offset' && start.partition >= known.partitions) {
      return `stream "${request.stream}" has the partitions 0 to ${known.partitions - 1}`
    }
    return request
  }

  #refuse(who: Who, { filter }: Subscription, code: ReasonCode, reason: string): ReasonCode {
    this.#context.limited.warn(`replay ${code}`, 'refused a replay', { ...who, filter, reason })
    return code
  }

  /** Of many commits in one turn once. */
  #wakeSoon(): void {
    if (this.#isWaking || this.#context.waiting.size === 0) return
    this.#isWaking = true
    setImmediate(() => {
      this.#isWaking = false
      const { waiting } = this.#context
      const woken = [...waiting]
      waiting.clear()
      for (const replay of woken) replay.onMore()
    })
  }

  close(): void {
    this.#stop()
    this.#context.waiting.clear()
  }
}
