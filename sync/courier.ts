/** Brings rounds to one upstream: of a size that the link bears, counted, and each call with an end in any case. */
import type { LogIdentity, PartitionState } from '../broker/index.ts'
import { nextRoundBytes, type RoundSizeOptions } from './backoff.ts'
import type { Clock } from './clock.ts'
import type { Health } from './health.ts'
import type { Link } from './link/link.ts'
import { Watchdog } from './link/watchdog.ts'
import type { PlannedRound, RoundBuilder } from './round-builder.ts'
import type { Standing } from './standing.ts'
import type { Recovered, Upstream } from './upstream.ts'

/** The first round after a start is this large: what the link bears is not known yet. */
const FIRST_ROUND_BYTES = 256 * 1024
/** Positions of partitions that have nothing to send move upstream at most this often. */
const MOVES_MS = 10_000

export interface CourierParts {
  readonly round: RoundSizeOptions
  readonly upstream: Upstream
  readonly link: Link
  readonly standing: Standing
  readonly health: Health
  readonly clock: Clock
}

export class Courier {
  readonly #parts: CourierParts
  readonly #watchdog: Watchdog
  #roundBytes: number
  #movedAt = Number.NEGATIVE_INFINITY

  constructor(parts: CourierParts) {
    this.#parts = parts
    this.#watchdog = new Watchdog(parts.clock, () => parts.upstream.disconnect())
    this.#roundBytes = Math.min(FIRST_ROUND_BYTES, parts.round.bytesMax)
  }

  /** How large the next round is to be, as upstream bears it. */
  get roundBytes(): number {
    return this.#roundBytes
  }

  /** Calls that were ended, since the start. */
  get stalls(): number {
    return this.#watchdog.stalls
  }

  /** A call that was ended and goes on all the same: nothing may be asked before it is over. */
  get leftBehind(): Promise<void> | null {
    return this.#watchdog.leftBehind
  }

  /** When positions may move by themselves again, ms of the monotonic clock. */
  get movesAt(): number {
    return this.#movedAt + MOVES_MS
  }

  get isMoveDue(): boolean {
    return this.#parts.clock.monotonic() >= this.movesAt
  }

  /** The upstream's own calls, each with an end in any case. */
  get watched(): Pick<Upstream, 'name' | 'recover' | 'send'> {
    const { upstream } = this.#parts
    return {
      name: upstream.name,
      recover: (...asked) => this.recover(...asked),
      send: (round) => this.#watched('a round', () => upstream.send(round), 0),
    }
  }

  recover(identity: LogIdentity, partitions: readonly PartitionState[]): Promise<Recovered> {
    return this.#watched('recover', () => this.#parts.upstream.recover(identity, partitions), 0)
  }

  /** @param readAheadBytes of the round after it @returns how long it took, ms */
  async send(
    builder: RoundBuilder,
    round: PlannedRound,
    readAheadBytes: number,
    priorityMin: number,
  ): Promise<number> {
    const { clock, link, upstream, standing } = this.#parts
    await link.reserve(round.bytes)
    const startedAt = clock.monotonic()
    // The next round is read while this one is on its way; an error of reading is raised when it is its turn.
    const readAhead = builder.fill(readAheadBytes, priorityMin).catch(() => {})
    try {
      const positions = await this.#watched('a round', () => upstream.send(round), round.bytes)
      builder.acknowledge(round, positions)
    } finally {
      await readAhead
    }
    const tookMs = clock.monotonic() - startedAt
    standing.at(builder.positions)
    this.#acknowledged(round, readAheadBytes, tookMs)
    await standing.remember(false)
    return tookMs
  }

  /**
   * Moves the positions of partitions that have nothing to send, not more often than `MOVES_MS` unless it is the last chance.
   * @returns whether upstream was asked
   */
  async move(builder: RoundBuilder, priorityMin: number, isLast: boolean): Promise<boolean> {
    if (!builder.hasMoves || !(isLast || this.isMoveDue)) return false
    const round = builder.takeMoves()
    if (round !== null) await this.send(builder, round, 1, priorityMin)
    return round !== null
  }

  /** A round took too long to be answered. */
  timedOut(): void {
    this.#roundBytes = nextRoundBytes(this.#parts.round, this.#roundBytes, Number.POSITIVE_INFINITY)
  }

  #acknowledged(round: PlannedRound, roundBytes: number, tookMs: number): void {
    const { health, clock, round: options } = this.#parts
    health.acknowledged(round)
    if (round.parts.some(({ batches }) => batches.length === 0)) this.#movedAt = clock.monotonic()
    // Only a round that was full says that a larger one would be as quick.
    const wasFull = round.bytes >= this.#roundBytes && round.bytes >= roundBytes
    if (wasFull || tookMs > options.msTarget) {
      this.#roundBytes = nextRoundBytes(options, this.#roundBytes, tookMs)
    }
  }

  async #watched<T>(what: string, call: () => Promise<T>, bytes: number): Promise<T> {
    const { upstream, link } = this.#parts
    try {
      return await this.#watchdog.watch(`${what} at ${upstream.address}`, call)
    } finally {
      link.spend(upstream.wireBytes, bytes)
    }
  }
}
