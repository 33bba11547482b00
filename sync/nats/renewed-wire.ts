/**
 * A wire whose connection is replaced when a certificate, key, password, token or credentials file has changed since it was
 * opened. The new one is opened beside it, and takes over once it has shown the same streams; when that fails, the old one goes
 * on as long as the server lets it. Requests that are under way end on the connection that they were sent on: a subject has one
 * at a time, so that its order stays.
 *
 *   open -> the files are looked at -> one changed -> the new one stands -> new requests go there -> the old one is quiet: closed
 */
import type { Clock } from '../clock.ts'
import type { RenewalListener } from '../renewal-log.ts'
import { RenewalLooks } from '../renewal-looks.ts'
import type { Loaded } from './credentials.ts'
import {
  type NatsWire,
  NatsWireError,
  type NewStream,
  type Publication,
  type StoredMessage,
  type StreamFacts,
} from './wire.ts'

export interface RenewalDeps extends RenewalListener {
  readonly load: () => Promise<Loaded>
  readonly open: (loaded: Loaded) => Promise<NatsWire>
  readonly clock: Clock
}

interface Slot {
  readonly wire: NatsWire
  readonly fingerprint: string
  inFlight: number
}

export class RenewedWire implements NatsWire {
  readonly #deps: RenewalDeps
  /** When each stream that was asked about was created: a new login must not lead to another one of the same name. */
  readonly #created = new Map<string, string>()
  #slot: Slot
  /** Replaced, with requests under way. */
  readonly #ending = new Set<Slot>()
  readonly #looks: RenewalLooks
  #isRenewing = false
  #isClosed = false

  private constructor(deps: RenewalDeps, slot: Slot) {
    this.#deps = deps
    this.#slot = slot
    this.#looks = new RenewalLooks(deps.clock.monotonic())
  }

  /** @throws NatsWireError, UpstreamError */
  static async open(deps: RenewalDeps): Promise<RenewedWire> {
    return new RenewedWire(deps, await openSlot(deps, await deps.load()))
  }

  get messageBytesMax(): number {
    return this.#slot.wire.messageBytesMax
  }

  async stream(name: string): Promise<StreamFacts | null> {
    const facts = await this.#ask((wire) => wire.stream(name))
    if (facts !== null) this.#created.set(name, facts.created)
    return facts
  }

  async createStream(stream: NewStream): Promise<StreamFacts> {
    const facts = await this.#ask((wire) => wire.createStream(stream))
    this.#created.set(facts.name, facts.created)
    return facts
  }

  lastMessage(stream: string, subject: string): Promise<StoredMessage | null> {
    return this.#ask((wire) => wire.lastMessage(stream, subject))
  }

  messageAt(stream: string, seq: number): Promise<StoredMessage | null> {
    return this.#ask((wire) => wire.messageAt(stream, seq))
  }

  async *messages(stream: string, subject: string, fromSeq: number): AsyncIterable<StoredMessage> {
    const slot = this.#take()
    try {
      yield* slot.wire.messages(stream, subject, fromSeq)
    } finally {
      this.#release(slot)
    }
  }

  publish(publication: Publication): Promise<number> {
    return this.#ask((wire) => wire.publish(publication))
  }

  close(): void {
    this.#isClosed = true
    for (const { wire } of [this.#slot, ...this.#ending]) wire.close()
  }

  async #ask<T>(request: (wire: NatsWire) => Promise<T>): Promise<T> {
    const slot = this.#take()
    try {
      return await request(slot.wire)
    } finally {
      this.#release(slot)
    }
  }

  #take(): Slot {
    this.#look()
    this.#slot.inFlight++
    return this.#slot
  }

  #release(slot: Slot): void {
    slot.inFlight--
    if (this.#ending.has(slot)) this.#end(slot)
  }

  #end(slot: Slot): void {
    if (slot.inFlight > 0) {
      this.#ending.add(slot)
      return
    }
    this.#ending.delete(slot)
    slot.wire.close()
  }

  // -- replacing ----------------------------------------------------------------------------------------------------------

  #look(): void {
    const { clock, onRenewFailed } = this.#deps
    if (this.#isRenewing || this.#isClosed || !this.#looks.isDue(clock.monotonic())) return
    this.#isRenewing = true
    this.#looks.begun(clock.monotonic())
    this.#renew()
      .catch((error) => {
        if (this.#looks.failed() && !this.#isClosed) onRenewFailed(error)
      })
      .finally(() => {
        this.#isRenewing = false
      })
  }

  async #renew(): Promise<void> {
    const loaded = await this.#deps.load()
    if (this.#isClosed) return
    if (loaded.fingerprint === this.#slot.fingerprint) {
      this.#looks.over()
      return
    }
    const slot = await openSlot(this.#deps, loaded)
    try {
      await this.#prove(slot.wire)
      if (this.#isClosed) throw new NatsWireError('broken', 'disconnected', null)
    } catch (error) {
      slot.wire.close()
      throw error
    }
    const old = this.#slot
    this.#slot = slot
    this.#end(old)
    if (this.#looks.over()) this.#deps.onRenewed()
  }

  /** Another login may be one of another account, with streams of its own. */
  async #prove(wire: NatsWire): Promise<void> {
    for (const [name, created] of this.#created) {
      const facts = await wire.stream(name)
      if (facts?.created === created) continue
      const what = facts === null ? 'does not see stream' : 'sees another stream'
      throw new NatsWireError(
        'permission',
        `the new login ${what} ${name}; it may be of another account`,
        null,
      )
    }
  }
}

async function openSlot({ open }: RenewalDeps, loaded: Loaded): Promise<Slot> {
  return { wire: await open(loaded), fingerprint: loaded.fingerprint, inFlight: 0 }
}
