/**
 * One subscription to a stream's history. It reads the log, and goes on reading it: "live" is the log's end, so there is nothing to be handed
 * over between history and present, and nothing that could be missed or come twice in between.
 *
 * Per partition `#next` is the position: all below it was sent. What was sent and not acknowledged stands in `#unacked`. A connection that
 * begins reads from the first of those again; of what lies below `#next` only they are sent, under their packet ids [MQTT-4.4.0-1].
 */
import { type Lane, MergedReader } from '../../log/merged-reader.ts'
import type { LogPartition } from '../../log/partition.ts'
import type { Message } from '../hub/message.ts'
import type { Subscription } from '../hub/subscription.ts'
import type { ReplayStart } from './replay-filter.ts'
import { replayedMessage } from './replay-message.ts'
import type { ReplayPosition, Unacked } from './replay-position.ts'
import type { ReplayContext } from './replays.ts'

/** Read ahead by a replay, all partitions together, apart from one batch of each. */
const AHEAD_BYTES_MAX = 64 * 1024
const LANE_BYTES_MIN = 4 * 1024
/** Told with one message; what is more is told with the next. */
const GAPS_MAX = 8

/** What is to be sent next. */
export interface Replayed {
  readonly message: Message
  /** The packet id under which it was sent on an earlier connection. */
  readonly again: Unacked | null
}

export class Replay {
  /** As the client wrote it. */
  readonly filter: string
  /** The last SUBSCRIBE's: QoS and identifier can change. */
  subscription: Subscription
  readonly partitions: readonly LogPartition[]
  readonly #start: ReplayStart
  readonly #context: ReplayContext
  #next: Map<number, number> | null
  #unacked: Unacked[]
  /** Of those, what was not sent on this connection yet. */
  #again: Unacked[] = []
  #reader: MergedReader | null = null
  /** A lane ran dry: what comes next in it may be older than the others' heads. */
  #isDry = true
  isLoading = false
  /** Reads since the client took a message. */
  readsInVain = 0
  /** Changes when a connection ends: what was read for it is of no use. */
  #epoch = 0
  #replayed: Replayed | null = null
  #told = 0
  #freed: number[] = []
  /** The log has more, or the disk may be well again. */
  onMore: () => void = () => {}
  /** Its position has changed since it was last taken for the store. */
  isChanged = true

  constructor(
    subscription: Subscription,
    partitions: readonly LogPartition[],
    start: ReplayStart,
    context: ReplayContext,
    position: ReplayPosition = { next: null, unacked: [] },
  ) {
    this.filter = subscription.filter
    this.subscription = subscription
    this.partitions = partitions
    this.#start = start
    this.#context = context
    this.#next = position.next === null ? this.#begin() : new Map(position.next)
    this.#unacked = [...position.unacked]
    this.#again = [...position.unacked]
  }

  get position(): ReplayPosition {
    return { next: this.#next, unacked: this.#unacked }
  }

  /** Where it begins; a time is looked for when it is read first. */
  #begin(): Map<number, number> | null {
    const start = this.#start
    const from = (of: (partition: LogPartition) => number) =>
      new Map(this.partitions.map((own) => [own.partition, of(own)]))
    switch (start.kind) {
      case 'earliest':
        return from(({ logStartOffset }) => logStartOffset)
      case 'latest':
        return from(({ durableOffset }) => durableOffset)
      case 'offset':
        return from(() => start.offset)
      case 'time':
        return null
    }
  }

  // -- reading ------------------------------------------------------------------------------------------------------

  /** The next message; `later` where it has to be read first (`load`), `none` where the log has no more now: `onMore` is called then. */
  peek(client: string, hasProperties: boolean): Replayed | 'later' | 'none' {
    if (this.#replayed !== null) return this.#replayed
    if (!this.#context.begins(this)) return 'none'
    const reader = this.#reader
    if (reader === null) return 'later'
    while (!this.#isDry) {
      const lane = reader.oldest()
      if (lane === null) break
      const replayed = this.#replayedOf(lane, client, hasProperties)
      if (replayed !== null) {
        this.#replayed = replayed
        return replayed
      }
      this.#advance(lane)
    }
    if (this.#isDry) return 'later'
    for (const lane of reader.lanes) {
      if (Math.max(lane.next, lane.emptyTo) < this.#partition(lane.partition).durableOffset) return 'later'
    }
    this.#context.waiting.add(this)
    return 'none'
  }

  /** @returns null where it is not to be sent: it was, or it cannot be */
  #replayedOf(lane: Lane, client: string, hasProperties: boolean): Replayed | null {
    const head = lane.head!
    const { offset } = head.record
    const next = this.#next!.get(lane.partition)!
    const again =
      offset < next
        ? this.#again.find((sent) => sent.partition === lane.partition && sent.offset === offset)
        : null
    if (again === undefined) return null
    const place = { partition: this.#partition(lane.partition), offset }
    const gaps = lane.gaps.slice(0, GAPS_MAX)
    const message = replayedMessage(head, place, gaps, hasProperties)
    if (message === null) {
      lane.addGap({ from: offset, to: offset + 1, reason: 'not an MQTT topic' })
      this.#passed(lane, offset)
      return null
    }
    for (const { from, to, reason } of gaps) {
      this.#context.limited.warn('replay gap', 'a replay passed over offsets that are not there any more', {
        client,
        replay: this.filter,
        partition: lane.partition,
        from,
        to: to - 1,
        reason,
      })
    }
    this.#told = gaps.length
    return { message, again }
  }

  #partition(partition: number): LogPartition {
    return this.partitions.find((own) => own.partition === partition)!
  }

  /** @returns false where the disk is at fault */
  async load(): Promise<boolean> {
    this.isLoading = true
    this.readsInVain++
    const epoch = this.#epoch
    try {
      this.#next ??= await this.#findTime()
      if (epoch !== this.#epoch) return true
      this.#reader ??= this.#open(this.#next)
      const reader = this.#reader
      const { reads } = this.#context
      // while it waited for its turn its client may have gone
      await reads.take(async () => (reader === this.#reader ? reader.refill() : undefined))
      if (reader === this.#reader) {
        this.#isDry = false
        this.#dropGone(reader)
      }
      return true
    } catch {
      return false
    } finally {
      this.isLoading = false
    }
  }

  async #findTime(): Promise<Map<number, number>> {
    const { log } = this.#context
    const { timestamp } = this.#start as ReplayStart & { kind: 'time' }
    const found = this.partitions.map(
      async ({ stream, partition }) =>
        [partition, await log.offsetForTime(stream, partition, timestamp)] as const,
    )
    this.isChanged = true
    return new Map(await Promise.all(found))
  }

  #open(next: ReadonlyMap<number, number>): MergedReader {
    const ranges = [...next].map(([partition, offset]) => {
      const unacked = this.#unacked.filter((sent) => sent.partition === partition)
      return { partition, from: Math.min(offset, ...unacked.map((sent) => sent.offset)), end: null }
    })
    const bytesMax = Math.max(LANE_BYTES_MIN, AHEAD_BYTES_MAX / ranges.length)
    return new MergedReader(this.#context.log, this.partitions[0]!.stream, ranges, bytesMax)
  }

  #advance(lane: Lane): void {
    if (!lane.advance()) this.#isDry = true
    else if (this.#again.length > 0) this.#dropGone(this.#reader!)
  }

  /** What was to be sent again and is not in the log any more counts as delivered. */
  #dropGone({ lanes }: MergedReader): void {
    for (const { partition, head, next } of lanes) {
      const at = head === null ? next : head.record.offset
      for (const sent of this.#again) {
        if (sent.partition === partition && sent.offset < at) this.#freed.push(sent.packetId)
      }
    }
    for (const packetId of this.#freed) this.acknowledged(packetId)
  }

  /** Packet ids that nobody will acknowledge. */
  takeFreed(): number[] {
    return this.#freed.length === 0 ? this.#freed : this.#freed.splice(0)
  }

  // -- sending ------------------------------------------------------------------------------------------------------

  /** What `peek` gave was sent. @param packetId 0 with QoS 0: nothing comes back */
  sent({ message, again }: Replayed, packetId: number): void {
    const { partition, offset } = message.place!
    this.readsInVain = 0
    if (again === null) {
      if (packetId !== 0) this.#unacked.push({ partition: partition.partition, offset, packetId })
    } else if (packetId === 0) this.#remove(again)
    else this.#again = this.#again.filter((sent) => sent !== again)
    const lane = this.#reader!.lanes.find((own) => own.partition === partition.partition)!
    lane.told(this.#told)
    this.#passed(lane, offset)
    this.#replayed = null
    this.#advance(lane)
  }

  /** What `peek` gave is more than the client takes: it is told so with the next. */
  tooLarge({ message, again }: Replayed): void {
    const { partition, offset } = message.place!
    const lane = this.#reader!.lanes.find((own) => own.partition === partition.partition)!
    lane.addGap({ from: offset, to: offset + 1, reason: 'larger than the client takes' })
    if (again !== null) {
      this.#remove(again)
      this.#freed.push(again.packetId)
    }
    this.#passed(lane, offset)
    this.#replayed = null
    this.#advance(lane)
  }

  #passed(lane: Lane, offset: number): void {
    if (offset < this.#next!.get(lane.partition)!) return
    this.#next!.set(lane.partition, offset + 1)
    this.isChanged = true
  }

  /** @returns whether it is one of this replay */
  acknowledged(packetId: number): boolean {
    const sent = this.#unacked.find((unacked) => unacked.packetId === packetId)
    if (sent === undefined) return false
    this.#remove(sent)
    return true
  }

  #remove(sent: Unacked): void {
    this.#unacked = this.#unacked.filter((unacked) => unacked !== sent)
    this.#again = this.#again.filter((unacked) => unacked !== sent)
    this.isChanged = true
  }

  /** The connection has ended, or the subscription: nothing is held but the position. */
  rest(): void {
    this.#epoch++
    this.#reader = null
    this.#replayed = null
    this.#isDry = true
    this.#again = [...this.#unacked]
    this.#context.waiting.delete(this)
    this.#context.rests(this)
  }
}
