/**
 * How full the disk is, against the budget: full is a state that the log enters and leaves by itself. While it is full
 * nothing new is taken, so that what is left of the disk stays for what keeps the log whole: commits of what was admitted, rolls,
 * manifests, recovery after a power cut.
 */
import type { LogSink } from '../log-sink.ts'
import type { Disk } from '../storage/store.ts'
import type { DiskBudget } from './stream-policy.ts'

export interface SpaceStatus {
  readonly isFull: boolean
  /** Since when it is full, ms since 1970. */
  readonly fullSince: number | null
  /** Bytes of the log's files. */
  readonly usedBytes: number
  readonly bytesMax: number | null
  /** null where the file system does not say. */
  readonly freeBytes: number | null
  readonly reserveBytes: number
}

/** What makes room by writing leaves so much of it, or a quarter of the reserve: rolls, manifests and commits of what was admitted take it. */
const LEFT_BYTES_MAX = 8 * 1024 * 1024
/** Room is made this much before the limit, and ingest goes on once there is this much again: not at every byte. */
const MARGIN_BYTES_MIN = 1024 * 1024

export class DiskSpace {
  readonly #disk: Disk
  readonly #path: string
  #budget!: DiskBudget
  readonly #segmentBytes: number
  #marginBytes = 0
  readonly #log: LogSink
  #usedBytes = 0
  #freeBytes: number | null = null
  #fullSince: number | null = null

  /** @param segmentBytes a segment is what is freed at a time */
  constructor(disk: Disk, path: string, budget: DiskBudget, segmentBytes: number, log: LogSink) {
    this.#disk = disk
    this.#path = path
    this.#segmentBytes = segmentBytes
    this.budget = budget
    this.#log = log
  }

  get budget(): DiskBudget {
    return this.#budget
  }

  /** Counts from the next measurement on. */
  set budget(budget: DiskBudget) {
    this.#budget = budget
    const small = (budget.bytesMax ?? Number.POSITIVE_INFINITY) / 16
    this.#marginBytes = Math.min(Math.max(this.#segmentBytes, MARGIN_BYTES_MIN), small)
  }

  get isFull(): boolean {
    return this.#fullSince !== null
  }

  /** Bytes that have to go so that ingest need not stop. */
  get bytesToFree(): number {
    return Math.max(0, this.#excessBytes(this.#marginBytes))
  }

  /** Whether so many bytes more would leave the reserve and its margin as they are. */
  hasRoomFor(bytes: number): boolean {
    if (this.#freeBytes === null) return false
    return this.#freeBytes - bytes >= this.#budget.reserveBytes + this.#marginBytes
  }

  /** Bytes that may be written now to make room, which takes of the reserve; Infinity where the file system does not say what is free. */
  async writableBytes(): Promise<number> {
    const space = await this.#disk.space(this.#path)
    if (space === null) return Number.POSITIVE_INFINITY
    return Math.max(0, space.freeBytes - Math.min(LEFT_BYTES_MAX, this.#budget.reserveBytes / 4))
  }

  /** @param usedBytes of the log's files, as they are now */
  async measure(usedBytes: number): Promise<void> {
    this.#usedBytes = usedBytes
    this.#freeBytes = (await this.#disk.space(this.#path))?.freeBytes ?? null
  }

  /** Decides whether the log is full: after the janitor has made what room it can. @returns true when that changed */
  decide(): boolean {
    const isFull = this.#excessBytes(this.isFull ? this.#marginBytes / 2 : 0) > 0
    if (isFull === this.isFull) return false
    this.#fullSince = isFull ? Date.now() : null
    const fields = { usedBytes: this.#usedBytes, freeBytes: this.#freeBytes, ...this.#budget }
    if (isFull) {
      const message = 'the disk is full: nothing new is taken until there is room'
      this.#log.error(message, {
        ...fields,
        hint: 'let upstream catch up, raise log.disk, or let a stream drop-oldest',
      })
    } else this.#log.info('there is room on the disk again', fields)
    return true
  }

  status(): SpaceStatus {
    return {
      isFull: this.isFull,
      fullSince: this.#fullSince,
      usedBytes: this.#usedBytes,
      bytesMax: this.#budget.bytesMax,
      freeBytes: this.#freeBytes,
      reserveBytes: this.#budget.reserveBytes,
    }
  }

  #excessBytes(marginBytes: number): number {
    const { bytesMax, reserveBytes } = this.#budget
    const overBudget = bytesMax === null ? Number.NEGATIVE_INFINITY : this.#usedBytes + marginBytes - bytesMax
    const underReserve =
      this.#freeBytes === null ? Number.NEGATIVE_INFINITY : reserveBytes + marginBytes - this.#freeBytes
    return Math.max(overBudget, underReserve)
  }
}
