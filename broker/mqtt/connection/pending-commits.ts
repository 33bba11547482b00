/**
 * Who waits for a commit: the acknowledgements of each connection and the messages that subscribers take. One listener a commit of a chain, not one a
 * message.
 */
import type { Chain } from '../../log/chain.ts'
import type { LogPartition } from '../../log/partition.ts'
import type { Message, Place } from '../hub/message.ts'
import type { AcknowledgementRun, Awaited } from './acknowledgements.ts'

/** A message whose place is known once its commit is on disk. */
export class CommittedMessage implements Message {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: Message['qos']
  readonly isRetained: boolean
  readonly properties: Message['properties']
  readonly timestamp: number
  readonly clientId: string | null
  place: Place | null = null
  readonly #partition: LogPartition | null
  readonly #delta: number

  constructor(fields: Omit<Message, 'place'>, partition: LogPartition | null, delta: number) {
    this.topic = fields.topic
    this.payload = fields.payload
    this.qos = fields.qos
    this.isRetained = fields.isRetained
    this.properties = fields.properties
    this.timestamp = fields.timestamp
    this.clientId = fields.clientId
    this.#partition = partition
    this.#delta = delta
  }

  /** Its commit is on disk, and the next one is not. */
  committed(): void {
    if (this.#partition === null) return
    this.place = { partition: this.#partition, offset: this.#partition.commitOffset + this.#delta }
  }
}

export class PendingCommit implements Awaited {
  readonly chain: Chain
  readonly number: number
  readonly runs: AcknowledgementRun[] = []
  readonly messages: CommittedMessage[] = []

  constructor(chain: Chain) {
    this.chain = chain
    this.number = chain.openCommit
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
    if (error === null) {
      for (const message of commit.messages) {
        message.committed()
        this.#deliver(message)
      }
    }
    for (const run of commit.runs) if (run.isLate) run.settle(error)
  }
}
