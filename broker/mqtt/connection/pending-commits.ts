/**
 * Who waits for a commit: the acknowledgements of each connection and the messages that subscribers take. One listener a commit of a chain, not one a
 * message.
 */
import type { Chain } from '../../log/chain.ts'
import type { LogPartition } from '../../log/partition.ts'
import type { Pressure } from '../hub/backlog.ts'
import type { Message, Place } from '../hub/message.ts'
import type { MessageProperties, QoS } from '../packets/packet.ts'
import type { AcknowledgementRun, Awaited } from './acknowledgements.ts'

/** A message whose place is known once its commit is on disk. */
export class CommittedMessage implements Message {
  readonly topic: string
  payload: Buffer
  readonly qos: QoS
  readonly isRetained: boolean
  properties: MessageProperties | null = null
  timestamp = 0
  clientId: string | null = null
  place: Place | null = null
  /** null: no stream takes it. */
  partition: LogPartition | null = null
  /** Its place in the commit's batch. */
  delta = 0
  /** Who was told to expect it. */
  pressures: readonly Pressure[] = []

  constructor(topic: string, payload: Buffer, qos: QoS, isRetained: boolean) {
    this.topic = topic
    this.payload = payload
    this.qos = qos
    this.isRetained = isRetained
  }

  own(): void {
    const { payload } = this
    if (payload.buffer.byteLength <= payload.length) return
    this.payload = Buffer.allocUnsafeSlow(payload.length)
    this.payload.set(payload)
  }

  /** Subscribers expect it. */
  expected(pressures: readonly Pressure[]): void {
    this.pressures = pressures
    for (let i = 0; i < pressures.length; i++) pressures[i]!.expect()
  }

  /** Its commit is on disk or has failed. */
  settled(): void {
    const { pressures } = this
    for (let i = 0; i < pressures.length; i++) pressures[i]!.arrived()
  }

  /** Its commit is on disk, and the next one is not. */
  committed(): void {
    const { partition, delta } = this
    if (partition !== null) this.place = { partition, offset: partition.commitOffset + delta }
  }
}

/** Messages for subscribers that wait for one commit; whoever brings more waits for it. A message here takes more memory than in the log. */
const MESSAGES_MAX = 4_096

export class PendingCommit implements Awaited {
  readonly chain: Chain
  readonly number: number
  readonly runs: AcknowledgementRun[] = []
  readonly messages: CommittedMessage[] = []
  /** Called once it has settled. */
  readonly waiting: (() => void)[] = []

  constructor(chain: Chain) {
    this.chain = chain
    this.number = chain.openCommit
  }

  get isCrowded(): boolean {
    return this.messages.length >= MESSAGES_MAX
  }

  /** What is appended to the chain now goes with it. */
  get isOpen(): boolean {
    return this.number === this.chain.openCommit
  }
}

export class PendingCommits {
  readonly #open = new Map<Chain, PendingCommit>()
  #last: PendingCommit | null = null
  readonly #deliver: (message: CommittedMessage) => void

  constructor(deliver: (message: CommittedMessage) => void) {
    this.#deliver = deliver
  }

  /** The commit with which goes what was appended to the chain last. @throws LogUnavailableError */
  of(chain: Chain): PendingCommit {
    const last = this.#last
    if (last !== null && last.chain === chain && last.isOpen) return last
    const known = this.#open.get(chain)
    const commit = known?.isOpen ? known : this.#begin(chain)
    this.#last = commit
    return commit
  }

  #begin(chain: Chain): PendingCommit {
    const commit = new PendingCommit(chain)
    chain.onCommit((error) => this.#settle(commit, error))
    this.#open.set(chain, commit)
    return commit
  }

  #settle(commit: PendingCommit, error: Error | null): void {
    if (this.#open.get(commit.chain) === commit) this.#open.delete(commit.chain)
    if (this.#last === commit) this.#last = null
    // a publisher that takes its own topic gets the message before PUBACK and after PUBREC: clients know it so from other brokers
    for (const run of commit.runs) if (!run.isLate) run.settle(error)
    for (const message of commit.messages) {
      message.settled()
      if (error !== null) continue
      message.committed()
      this.#deliver(message)
    }
    for (const run of commit.runs) if (run.isLate) run.settle(error)
    for (const resume of commit.waiting) resume()
  }
}
