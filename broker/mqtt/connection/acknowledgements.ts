/**
 * The acknowledgements that a client has to get, in the order of its packets (MQTT-4.6.0-2, MQTT-4.6.0-3): those of one commit are a run and leave as
 * one piece once it is on disk. A later run that is ready first, of another chain of the log or without a record, waits for the earlier ones.
 *
 * One number an acknowledgement: packet id (bits 0 to 15), type (16 to 19), reason code (20 to 27).
 */
import type { ProtocolVersion } from '../packets/packet.ts'
import { writeAcknowledgement } from '../packets/answers.ts'
import type { Outbox } from './outbox.ts'
import type { PendingCommit } from './pending-commits.ts'

export const Answer = { puback: 4, pubrec: 5, pubcomp: 7 } as const
type Answer = (typeof Answer)[keyof typeof Answer]

const REFUSED = 0x80
const BYTES_MAX = 5

export interface AcknowledgementOwner {
  /** The run's commit is not on disk. */
  commitFailed(error: Error, count: number): void
}

export class AcknowledgementRun {
  readonly codes: number[] = []
  /** null: nothing is to be waited for but the runs before. */
  readonly commit: PendingCommit | null
  isReady: boolean
  readonly #queue: Acknowledgements

  constructor(queue: Acknowledgements, commit: PendingCommit | null) {
    this.#queue = queue
    this.commit = commit
    this.isReady = commit === null
  }

  settle(error: Error | null): void {
    this.isReady = true
    this.#queue.settled(error, this.codes.length)
  }
}

export class Acknowledgements {
  readonly #version: ProtocolVersion
  readonly #outbox: Outbox
  readonly #owner: AcknowledgementOwner
  #runs: AcknowledgementRun[] = []
  #isClosed = false
  /** Messages whose acknowledgement ended their flow was not sent yet: what the receive maximum counts. */
  inFlight = 0

  constructor(version: ProtocolVersion, outbox: Outbox, owner: AcknowledgementOwner) {
    this.#version = version
    this.#outbox = outbox
    this.#owner = owner
  }

  /** @param commit what it waits for; null: nothing */
  add(type: Answer, packetId: number, reasonCode: number, commit: PendingCommit | null): void {
    const runs = this.#runs
    const last = runs.length === 0 ? undefined : runs[runs.length - 1]!
    const code = packetId | (type << 16) | (reasonCode << 20)
    if (last !== undefined && last.commit === commit) {
      last.codes.push(code)
      return
    }
    const run = new AcknowledgementRun(this, commit)
    run.codes.push(code)
    runs.push(run)
    if (commit !== null) commit.runs.push(run)
    else if (runs.length === 1) this.#flush()
  }

  /** The connection ends: nothing more is sent. */
  close(): void {
    this.#isClosed = true
    this.#runs = []
  }

  settled(error: Error | null, count: number): void {
    if (error !== null) this.#owner.commitFailed(error, count)
    else this.#flush()
  }

  #flush(): void {
    if (this.#isClosed) return
    const runs = this.#runs
    let done = 0
    while (done < runs.length && runs[done]!.isReady) this.#write(runs[done++]!.codes)
    if (done === runs.length) runs.length = 0
    else runs.splice(0, done)
  }

  #write(codes: readonly number[]): void {
    const outbox = this.#outbox
    const version = this.#version
    for (let i = 0; i < codes.length; i++) {
      const code = codes[i]!
      const type = (code >> 16) & 0x0f
      const reasonCode = code >> 20
      const bytes = outbox.reserve(BYTES_MAX)
      outbox.at = writeAcknowledgement(bytes, outbox.at, type << 4, version, code & 0xffff, reasonCode)
      if (type !== Answer.pubrec || reasonCode >= REFUSED) this.inFlight--
    }
    outbox.wrote()
  }
}
