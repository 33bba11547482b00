/** What a connection that publishes waits for, unread: room in the log and in subscribers' queues, a commit, the disk. */
import type { Chain } from '../../log/chain.ts'
import type { Backlog, HeldPublisher } from '../hub/backlog.ts'
import type { Ingress } from '../ingress.ts'
import type { Frame } from '../packets/frame-scanner.ts'
import type { Session } from '../session/session.ts'
import { Block, type FrameReader } from './frame-reader.ts'
import type { Incoming, IncomingPressure } from './incoming.ts'
import type { PendingCommit } from './pending-commits.ts'

export class PublisherWaits implements HeldPublisher, IncomingPressure {
  readonly #session: Session
  #own: Backlog | null = null
  readonly #reader: FrameReader
  readonly #drop: (error: Error) => void
  /** The subscriber that it waits for. */
  #heldBy: Backlog | null = null
  #isClosed = false

  /** @param drop the connection has to end */
  constructor(session: Session, reader: FrameReader, drop: (error: Error) => void) {
    this.#session = session
    this.#reader = reader
    this.#drop = drop
  }

  /** What waits for the client itself; the same after its session has gone on. */
  get own(): Backlog | null {
    this.#own ??= this.#session.backlog
    return this.#own
  }

  /** The frame stays where it is; nothing more is read until the log has room. */
  forLog(chain: Chain, frame: Frame, ingress: Ingress, incoming: Incoming): void {
    const reader = this.#reader
    reader.hold(frame, Block.log)
    ingress.wait(
      chain,
      frame.to - frame.from,
      () => reader.unblock(Block.log),
      (error) => {
        if (this.#isClosed) return
        reader.letGo()
        try {
          incoming.refuseFull(frame, chain, error)
        } catch (thrown) {
          this.#drop(thrown as Error)
        }
        reader.unblock(Block.log)
      },
    )
  }

  /** The same until a subscriber's queue has room. */
  forSubscriber(backlog: Backlog, frame: Frame): void {
    this.#reader.hold(frame, Block.backlog)
    this.#heldBy = backlog
    backlog.wait(this)
  }

  /** Of a subscriber's queue. */
  resume(): void {
    this.#heldBy = null
    this.#reader.unblock(Block.backlog)
  }

  crowded(commit: PendingCommit): void {
    this.#reader.block(Block.crowd)
    commit.waiting.push(() => this.#reader.unblock(Block.crowd))
  }

  storing(isFull: boolean): void {
    if (isFull) this.#reader.block(Block.storing)
    else this.#reader.unblock(Block.storing)
  }

  /** The connection ends. */
  close(): void {
    this.#isClosed = true
    this.#heldBy?.leave(this)
  }
}
