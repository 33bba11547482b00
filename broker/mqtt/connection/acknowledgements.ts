/**
 * The acknowledgements that a client has to get, in the order of its packets (MQTT-4.6.0-2, MQTT-4.6.0-3): those of one commit are a run and leave as
 * one piece once it is on disk. A later run that is ready first, of another chain of the log or without a record, waits for the earlier ones.
 *
 * One number an acknowledgement: packet id (bits 0 to 15), type (16 to 19), reason code (20 to 27), whether it ends a flow (28).
 */
import { AcknowledgementByte, writeAcknowledgement } from '../packets/answers.ts'
import type { ProtocolVersion } from '../packets/packet.ts'
import type { Outbox } from './outbox.ts'

export const Answer = { puback: 4, pubrec: 5, pubcomp: 7 } as const
type Answer = (typeof Answer)[keyof typeof Answer]

const ENDS_FLOW = 1 << 28
const BYTES_MAX = 5
const FIRST_BYTES = [
  0,
  0,
  0,
  0,
  AcknowledgementByte.puback,
  AcknowledgementByte.pubrec,
  0,
  AcknowledgementByte.pubcomp,
]

/** What acknowledgements wait for, a commit for example: it settles the runs. */
export interface Awaited {
  readonly runs: AcknowledgementRun[]
}

export interface AcknowledgementOwner {
  /** The run's commit is not on disk. */
  commitFailed(error: Error, count: number): void
}

export class AcknowledgementRun {
  readonly codes: number[] = []
  /** null: nothing is to be waited for but the runs before. */
  readonly awaited: Awaited | null
  /** Whole packets in the place of a code of 0: those that say why. */
  packets: Buffer[] | null = null
  isReady: boolean
  readonly #queue: Acknowledgements

  constructor(queue: Acknowledgements, awaited: Awaited | null) {
    this.#queue = queue
    this.awaited = awaited
    this.isReady = awaited === null
  }

  /** It begins with a PUBACK. */
  get isLate(): boolean {
    return ((this.codes[0] >> 16) & 0x0f) === Answer.puback
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

  /**
   * @param endsFlow the message counts no more against the receive maximum
   * @param awaited null: nothing but the ones before
   */
  add(type: Answer, packetId: number, reasonCode: number, endsFlow: boolean, awaited: Awaited | null): void {
    const code = packetId | (type << 16) | (reasonCode << 20) | (endsFlow ? ENDS_FLOW : 0)
    const runs = this.#runs
    if (runs.length > 0 && runs[runs.length - 1].awaited === awaited) runs[runs.length - 1].codes.push(code)
    else this.#begin(awaited).codes.push(code)
    if (awaited === null) this.#flush()
  }

  /** A refusal that says why, as a whole packet. It ends the message's flow. */
  addPacket(packet: Buffer): void {
    const last = this.#runs.at(-1)
    const run = last?.awaited === null ? last : this.#begin(null)
    run.packets ??= []
    run.packets.push(packet)
    run.codes.push(ENDS_FLOW)
    this.#flush()
  }

  #begin(awaited: Awaited | null): AcknowledgementRun {
    const run = new AcknowledgementRun(this, awaited)
    this.#runs.push(run)
    awaited?.runs.push(run)
    return run
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
    while (done < runs.length && runs[done].isReady) this.#write(runs[done++])
    if (done === runs.length) runs.length = 0
    else runs.splice(0, done)
  }

  #write({ codes, packets }: AcknowledgementRun): void {
    const outbox = this.#outbox
    const version = this.#version
    let next = 0
    for (let i = 0; i < codes.length; i++) {
      const code = codes[i]
      if ((code & ENDS_FLOW) !== 0) this.inFlight--
      if (packets !== null && code === ENDS_FLOW) {
        outbox.write(packets[next++])
        continue
      }
      const bytes = outbox.reserve(BYTES_MAX)
      const first = FIRST_BYTES[(code >> 16) & 0x0f]
      outbox.at = writeAcknowledgement(bytes, outbox.at, first, version, code & 0xffff, (code >> 20) & 0xff)
    }
    outbox.wrote(codes.length - next)
  }
}
