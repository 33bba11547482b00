/**
 * PUBRELs that nobody waits for. Those of a session leave with its next PUBLISH, in one write: one packet on the network, one read, one commit
 * and one answer of the broker in place of two. That is for sessions that publish often; of others a PUBREL leaves at once, because a broker may pass
 * messages on at PUBREL. Where no PUBLISH comes after all they leave by themselves, up to three times `WAIT_MS_MIN` later.
 */
import { PUBREL_BYTES, writePubrel } from './packet-writer.ts'

/** A session that publishes again within this does so often. */
const WAIT_MS_MIN = 125
/** Of one session; past it all leave at once. */
const PUBRELS_MAX = 8
const LOOK_MS = 20

/** The sessions that have some, in the order in which they are looked at: one timer for all. */
export class PubrelTimes {
  #listed: WaitingPubrels[] = []
  #timer: NodeJS.Timeout | null = null
  #isClosed = false
  readonly now: () => number

  /** @param now monotonic ms */
  constructor(now: () => number) {
    this.now = now
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  list(one: WaitingPubrels, now: number): void {
    one.lookAt = now + WAIT_MS_MIN
    one.isListed = true
    this.#listed.push(one)
    this.#timer ??= setTimeout(() => this.#look(), LOOK_MS)
  }

  #look(): void {
    this.#timer = null
    const now = this.now()
    let due = 0
    while (due < this.#listed.length && this.#listed[due]!.lookAt <= now) due++
    for (const one of this.#listed.splice(0, due)) {
      if (one.since <= now - WAIT_MS_MIN) one.flush()
      if (one.count > 0) this.list(one, now)
      else one.isListed = false
    }
    if (this.#listed.length > 0) this.#timer ??= setTimeout(() => this.#look(), LOOK_MS)
  }

  /** The bridge stops: those that wait leave now, and none waits from now on. */
  close(): void {
    this.#isClosed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    for (const one of this.#listed.splice(0)) one.flush()
  }
}

/** Of one session's present connection. */
export class WaitingPubrels {
  readonly #times: PubrelTimes
  readonly #write: (bytes: Buffer) => void
  #writtenAt = Number.NEGATIVE_INFINITY
  /** Its session publishes often: what it has sent can wait. */
  isOften = false
  /** In the order of their PUBRECs (MQTT-4.6.0-4). */
  readonly #packetIds = new Array<number>(PUBRELS_MAX).fill(0)
  #count = 0
  /** Since when the first one waits. */
  since = 0
  lookAt = 0
  isListed = false

  constructor(times: PubrelTimes, write: (bytes: Buffer) => void) {
    this.#times = times
    this.#write = write
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#count * PUBREL_BYTES
  }

  /** @param isHurried somebody waits for it: it leaves now, and those before it */
  add(packetId: number, isHurried: boolean): void {
    const now = this.#times.now()
    if (this.#count === 0) this.since = now
    this.#packetIds[this.#count++] = packetId
    if (isHurried || !this.isOften || this.#times.isClosed || this.#count === PUBRELS_MAX) this.flush()
    else if (!this.isListed) this.#times.list(this, now)
  }

  flush(): void {
    if (this.#count === 0) return
    const bytes = Buffer.allocUnsafe(this.bytes)
    this.#moveTo(bytes)
    this.#write(bytes)
  }

  /** They leave with the PUBLISH that is written behind them. */
  takeTo(bytes: Buffer): void {
    const now = this.#times.now()
    this.isOften = now - this.#writtenAt <= WAIT_MS_MIN
    this.#writtenAt = now
    this.#moveTo(bytes)
  }

  #moveTo(bytes: Buffer): void {
    for (let at = 0; at < this.#count; at++) writePubrel(bytes, at * PUBREL_BYTES, this.#packetIds[at]!)
    this.#count = 0
  }

  /** The connection is gone: the next one begins with them. */
  clear(): void {
    this.#count = 0
  }
}
