/**
 * Exactly once from the device's view, for one device: what it publishes with QoS 1 or 2 is in the window, on its way, or new. The broker
 * gets it as QoS 2. Before PUBREL leaves, the message is in the window on disk; before the device is told, it is there, or its id is
 * reserved. The table of crashes: DESIGN.md.
 */
import { SessionEndedError } from '../errors.ts'
import { FewEntries } from '../few-entries.ts'
import type { BrokerSession } from './broker-session.ts'
import { type ClientWindow, digestOf, type WindowEntry } from './client-window.ts'
import { ACCEPTED, answer, CONGESTED, type Flight, GivenUp, REPEATED, refusal, waitFor } from './flight.ts'
import { GIVEN_UP } from './reason-codes.ts'
import type { PublishResult, UplinkMessage } from './uplink.ts'
import { EntryState } from './window-format.ts'
import type { WindowStore } from './window-store.ts'

/** Ids that an earlier process reserved and left, let go with each message once the device cannot be repeating them. */
const LET_GO_AT_ONCE = 4

export class Publishing {
  readonly #session: BrokerSession
  readonly #window: ClientWindow
  readonly #store: WindowStore
  readonly #slots: number
  /** The session began with the device's epoch: what it has not sent itself, nobody has. */
  readonly #isWholeEpoch: boolean
  readonly #flights = new FewEntries<number, Flight>()
  /** Of messages that the device has released before the broker did. */
  readonly #completions = new FewEntries<number, () => void>()
  /** The device knows that they are accepted, the window's disk does not yet; their ids are reserved. */
  readonly #told = new FewEntries<number, WindowEntry>()
  readonly #givenUp = new GivenUp()
  #acceptedHere = 0

  constructor(parts: {
    session: BrokerSession
    window: ClientWindow
    store: WindowStore
    slots: number
    isWholeEpoch: boolean
  }) {
    this.#session = parts.session
    this.#window = parts.window
    this.#store = parts.store
    this.#slots = parts.slots
    this.#isWholeEpoch = parts.isWholeEpoch
  }

  /** Before the first connection: an earlier process may have ended between the window and PUBREL. */
  owePubrels(): void {
    for (const { isCompleted, packetId } of this.#window.entries()) {
      if (!isCompleted) this.#session.packets.owePubrel(packetId)
    }
  }

  /** A message with QoS 1 or 2. */
  async publish(message: UplinkMessage): Promise<PublishResult> {
    const { messageId, isDup } = message
    const digest = digestOf(message.topic, message.payload)
    const flight = this.#flights.get(messageId)
    // an id is one message's until it is answered
    if (flight !== undefined) return waitFor(flight, digest)
    if (isDup && this.#givenUp.has(messageId, digest)) return refusal(GIVEN_UP)
    const known = this.#window.find(messageId)
    if (known !== undefined && isDup && known.digest === digest) {
      if (this.#told.has(messageId)) return REPEATED
      return known.written.then(
        () => REPEATED,
        () => CONGESTED,
      )
    }
    // until PUBCOMP the packet id is the message's before
    if (known !== undefined && !known.isCompleted && !(await this.#isFreed(known))) return CONGESTED
    if (this.#flights.size + this.#window.uncompleted >= this.#slots) return CONGESTED
    const sent: Flight = { messageId, digest, waiters: [] }
    if (!isDup && this.#window.reserved.isSuspect(messageId)) return this.#sendOnceFree(sent, message)
    return this.#send(sent, message)
  }

  /** A device may use an id again as soon as it is told, and that is before the broker has released it. */
  async #isFreed(known: WindowEntry): Promise<boolean> {
    const { messageId } = known
    if (!this.#session.isReady) return false
    await this.#completed(known)
    return known.isCompleted && this.#window.find(messageId) === known && !this.#flights.has(messageId)
  }

  /** Resolves with PUBCOMP, or when the connection is lost. */
  #completed({ messageId }: WindowEntry): Promise<void> {
    // PUBREL waits for it
    if (this.#told.has(messageId)) void this.#store.write([])
    else this.#session.hurry()
    return new Promise((resolve) => {
      const before = this.#completions.get(messageId)
      this.#completions.set(messageId, () => {
        before?.()
        resolve()
      })
    })
  }

  #send(sent: Flight, message: UplinkMessage): Promise<PublishResult> | PublishResult {
    const { messageId, digest } = sent
    // what a device repeats may have been sent by an earlier process, except in an epoch that began in this session
    if (!this.#session.publish(messageId, message, message.isDup && !this.#isWholeEpoch)) return CONGESTED
    this.#flights.set(messageId, sent)
    this.#reserve(messageId)
    return waitFor(sent, digest)
  }

  /** The broker may hold the id for a message before, and would take this one for its repetition. */
  async #sendOnceFree(sent: Flight, message: UplinkMessage): Promise<PublishResult> {
    const { messageId } = sent
    try {
      await this.#session.letGo(messageId)
    } catch {
      return CONGESTED
    }
    this.#window.reserved.clear(messageId)
    return this.#flights.has(messageId) ? CONGESTED : this.#send(sent, message)
  }

  #reserve(messageId: number): void {
    const { reserved } = this.#window
    const range = reserved.rangeFor(messageId, this.#told.keys())
    if (range === null) return
    this.#store.writeSoon([this.#window.reservation(range)]).then(
      () => reserved.written(true),
      () => reserved.written(false),
    )
  }

  /** PUBREC. Resolves when the window has it on disk. */
  async onReceived(packetId: number): Promise<void> {
    const flight = this.#flights.get(packetId)
    // PUBREC came twice, or answers what was sent again
    if (flight === undefined) {
      const entry = this.#told.get(packetId)
      return entry === undefined
        ? this.#window.find(packetId)?.written
        : entry.written.catch(() => this.#mark(entry))
    }
    if (this.#window.reserved.covers(packetId)) await this.#tell(flight)
    else await this.#accept(flight)
  }

  /** An id that is reserved: whatever is killed now, the broker knows the repetition, and nothing else goes under the id. */
  #tell(flight: Flight): Promise<void> {
    const entry = this.#place(flight)
    this.#told.set(flight.messageId, entry)
    this.#settle(flight)
    return this.#mark(entry)
  }

  #mark(entry: WindowEntry): Promise<void> {
    const change = [this.#window.change(entry)]
    if (this.isHurried(entry.packetId)) entry.written = this.#store.write(change)
    else if (this.#session.publishesOften) entry.written = this.#store.writeLater(change)
    else entry.written = this.#store.writeSoon(change)
    return entry.written.then(() => {
      this.#told.delete(entry.messageId)
    })
  }

  /** Somebody waits for PUBCOMP, or slots run out. */
  isHurried(packetId: number): boolean {
    return 2 * this.inFlight >= this.#slots || this.#completions.has(packetId)
  }

  async #accept(flight: Flight): Promise<WindowEntry> {
    const placed = this.#window.find(flight.messageId)
    // PUBREC of the next connection, before the disk has what that of the one before asked for
    if (placed?.isCompleted === false) {
      await placed.written
      return placed
    }
    const entry = this.#place(flight)
    entry.written = this.#store.write([this.#window.change(entry)])
    entry.written.catch(() => this.#window.remove(entry))
    await entry.written
    this.#settle(flight)
    return entry
  }

  #place({ messageId, digest }: Flight): WindowEntry {
    const entry = this.#window.place({ messageId, packetId: messageId, digest, state: EntryState.received })
    if (entry === null) throw new Error('the window is full')
    return entry
  }

  #settle(flight: Flight): void {
    const { messageId } = flight
    this.#flights.delete(messageId)
    this.#window.reserved.clear(messageId)
    answer(flight, ACCEPTED)
    // a device repeats none of so long ago: the window would not know it either
    if (++this.#acceptedHere > this.#slots) this.#letSuspectsGo()
  }

  #letSuspectsGo(): void {
    const { reserved } = this.#window
    for (const id of reserved.suspects(LET_GO_AT_ONCE)) {
      if (this.#flights.has(id)) continue
      this.#session.letGo(id).then(
        () => reserved.clear(id),
        () => {},
      )
    }
  }

  /** @param wasReleased PUBREL had left: this is PUBCOMP, whatever it says. Else PUBACK, or the broker refuses the message */
  onFinished(packetId: number, wasReleased: boolean, reasonCode: number): void {
    const flight = this.#flights.get(packetId)
    if (wasReleased || flight === undefined) {
      const entry = this.#window.find(packetId)
      if (entry !== undefined) entry.isCompleted = true
      const goOn = this.#completions.get(packetId)
      this.#completions.delete(packetId)
      goOn?.()
      return
    }
    if (reasonCode < 0x80) {
      // a broker without QoS 2: what it acknowledged is remembered all the same
      this.#accept(flight).then(
        (entry) => {
          entry.isCompleted = true
        },
        () => this.#giveUp(flight, CONGESTED),
      )
      return
    }
    this.#givenUp.add(flight, reasonCode)
    this.#giveUp(flight, refusal(reasonCode))
  }

  #giveUp(flight: Flight, result: PublishResult): void {
    this.#flights.delete(flight.messageId)
    answer(flight, result)
  }

  /** The device repeats; what is on its way is sent again by itself and may be in the window by then. */
  onDown(): void {
    for (const flight of this.#flights.values()) answer(flight, CONGESTED)
    const waiting = this.#completions.values()
    this.#completions.clear()
    for (const goOn of waiting) goOn()
  }

  /** PUBREL of the device: the next message of this id is another one. Resolves when that is on disk. */
  async release(messageId: number): Promise<void> {
    if (this.#window.reserved.isSuspect(messageId) && !this.#flights.has(messageId)) {
      await this.#session.letGo(messageId)
      this.#window.reserved.clear(messageId)
    }
    const entry = this.#window.find(messageId)
    if (entry === undefined) return
    // released here and not there, another message of this id and these bytes would be a repetition to the broker after a crash
    if (!entry.isCompleted) await this.#completed(entry)
    if (!entry.isCompleted) throw new SessionEndedError(this.#window.clientId, 'the broker is away')
    await this.#store.write([this.#window.remove(entry)])
  }

  /** Messages on their way, and in the window without PUBCOMP. */
  get inFlight(): number {
    return this.#flights.size + this.#window.uncompleted
  }

  /** The session has ended. Resolves once nobody writes. @returns the broker holds nothing that is not in the window */
  async isSettled(): Promise<boolean> {
    await Promise.allSettled(this.#told.values().map(({ written }) => written))
    return this.#flights.size === 0 && this.#told.size === 0 && this.#window.reserved.suspects(1).length === 0
  }
}
