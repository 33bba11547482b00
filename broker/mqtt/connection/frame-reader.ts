/** From a stream's chunks to packets that are handled one after the other, as long as nothing has to be waited for. */
import type { Duplex } from 'node:stream'
import { countedAddress } from '../door/counted-address.ts'
import { type Frame, FrameScanner } from '../packets/frame-scanner.ts'
import { type Reading, type ReadShares, Share } from './read-shares.ts'
import type { Holder } from './takeovers.ts'
import type { UnfinishedPacket, UnfinishedPackets } from './unfinished-packets.ts'

/** Why nothing is read: bits. */
export const Block = {
  admitting: 1,
  /** The log has admitted its limit. */
  log: 2,
  /** SUBSCRIBEs wait for the disk. */
  subscribing: 4,
  /** The client does not read what it is sent. */
  outbox: 8,
  quota: 16,
  /** Enough messages wait for a commit to go to subscribers. */
  crowd: 32,
  /** Enough messages that no stream takes wait for the disk. */
  storing: 64,
  /** The queue of a subscriber is half full. */
  backlog: 128,
  /** Others come first, in this turn of the event loop. */
  turn: 256,
} as const

/** Bytes of a packet that is not whole yet count as a sign of life. */
const PROGRESS_BYTES = 1024
/** Where less of a packet has come it is not counted: nearly every chunk ends in the middle of one. */
const COUNTED_BYTES_MIN = 8 * 1024

/** Of a stream that puts messages of its own together before it hands over their bytes: what they take until then (`WebSocketStream`). */
export const HELD_EVENT = 'held'

export interface FrameHandler {
  /** May throw: then it is `failed`. */
  handle(frame: Frame): void
  failed(error: Error): void
  /** So much of what there was is handled. @param weight packets, as quotas count them */
  handled(packets: number, bytes: number, weight: number): void
  /** A good part of a packet has come. */
  progressed(): void
  readonly holder: Holder
}

/** Of all connections. */
export interface ReaderCommons {
  readonly unfinished: UnfinishedPackets
  readonly shares: ReadShares
}

export class FrameReader implements UnfinishedPacket, Reading {
  readonly #stream: Duplex
  readonly #scanner: FrameScanner
  readonly #handler: FrameHandler
  #blocks = 0
  #isRunning = false
  #isStopped = false
  /** It is handed over again when its block is gone. */
  #held: Frame | null = null
  #progressBytes = 0
  readonly share = new Share()
  #ofOwner: Share
  /** What its packets count for more, of those that are being handled. */
  #extraWeight = 0
  readonly #common: ReaderCommons
  #countedBytes = 0
  /** By the stream. */
  #heldBytes = 0

  constructor(stream: Duplex, packetBytesMax: number, common: ReaderCommons, handler: FrameHandler) {
    this.#stream = stream
    this.#scanner = new FrameScanner(packetBytesMax)
    this.#common = common
    this.#handler = handler
    this.#ofOwner = common.shares.ofOwner(this.owner)
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
    stream.on(HELD_EVENT, (bytes: number) => this.#holds(bytes))
    stream.on('close', () => this.#holds(0))
  }

  get ofOwner(): Share {
    return this.#ofOwner
  }

  get owner(): string {
    const { user, address } = this.#handler.holder
    return user === null ? `address ${countedAddress(address)}` : `user ${user}`
  }

  /** Who it belongs to is known now. */
  belongs(): void {
    this.#ofOwner = this.#common.shares.ofOwner(this.owner)
  }

  /** The packet that is being handled counts for so many more. */
  weigh(packets: number): void {
    this.#extraWeight += packets
  }

  giveUp(error: Error): void {
    const isCollecting = this.#heldBytes > 0
    this.#countedBytes = 0
    this.#heldBytes = 0
    this.#handler.failed(error)
    // what the stream has collected goes with it, and a goodbye would wait for the rest
    if (isCollecting) this.#stream.destroy()
  }

  /** Something other than the client keeps its packets from being read. */
  get isHeldUp(): boolean {
    return (this.#blocks & ~Block.outbox) !== 0
  }

  block(reason: number): void {
    this.#blocks |= reason
    this.#stream.pause()
  }

  unblock(reason: number): void {
    if ((this.#blocks & reason) === 0) return
    this.#blocks &= ~reason
    if (this.#blocks !== 0) return
    this.run()
    if (this.#blocks === 0) this.#stream.resume()
  }

  /** Nothing is read for so long: a quota is used up. */
  rest(ms: number): void {
    if (ms === 0) return
    this.block(Block.quota)
    setTimeout(() => this.unblock(Block.quota), ms).unref()
  }

  /** Its turn has come. */
  goOn(): void {
    this.unblock(Block.turn)
  }

  /** The frame that is being handled waits where it lies. */
  hold(frame: Frame, reason: number): void {
    this.#held = frame
    this.block(reason)
  }

  /** It was answered otherwise. */
  letGo(): void {
    this.#held = null
  }

  /** Nothing more is handled. What still comes is taken all the same: unread bytes would turn the stream's end into a reset. */
  stop(): void {
    this.#isStopped = true
    this.#held = null
    this.#scanner.drop()
    this.#count()
    this.#stream.resume()
  }

  #read(chunk: Buffer): void {
    if (this.#isStopped) return
    this.#scanner.push(chunk)
    if (this.#blocks === 0 && !this.#common.shares.read(this, chunk.length)) this.block(Block.turn)
    if (this.#scanner.isEmpty) return
    this.#progressBytes += chunk.length
    if (this.#progressBytes < PROGRESS_BYTES) return
    this.#progressBytes = 0
    this.#handler.progressed()
  }

  #holds(bytes: number): void {
    this.#heldBytes = bytes
    this.#count()
  }

  /** After a stop, too: the stream goes on collecting until it is closed. */
  #count(): void {
    const bytes = this.#scanner.collectedBytes + this.#heldBytes
    if (bytes < COUNTED_BYTES_MIN && this.#countedBytes === 0) return
    this.#countedBytes = bytes < COUNTED_BYTES_MIN ? 0 : bytes
    this.#common.unfinished.hold(this, this.#countedBytes)
  }

  /** A packet is whole: what is there of the next one begins now. */
  #finished(): void {
    if (this.#countedBytes === 0) return
    this.#countedBytes = 0
    this.#common.unfinished.hold(this, 0)
  }

  run(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    let packets = 0
    let bytes = 0
    try {
      while (this.#blocks === 0 && !this.#isStopped) {
        const frame = this.#held ?? this.#scanner.next()
        if (frame === null) break
        this.#held = null
        this.#handler.handle(frame)
        if (this.#held !== null) break
        packets++
        bytes += frame.to - frame.from
      }
    } catch (error) {
      this.#handler.failed(error as Error)
    }
    this.#isRunning = false
    if (packets > 0) {
      const weight = packets + this.#extraWeight
      this.#extraWeight = 0
      this.#common.shares.charge(this, bytes, weight)
      this.#finished()
      this.#handler.handled(packets, bytes, weight)
    }
    this.#count()
  }
}
