/**
 * One connection to each broker, opened when it is first needed, and an error for each way in which that can fail.
 *
 * A connection is replaced by a new one when the cluster's limit on its login is near (KIP-368), and when a certificate, key or
 * password has changed since it was opened. The new one is opened beside it: when that fails, the old one goes on as long as the
 * cluster lets it. Requests change over at once, when none is under way, so that never two connections carry requests:
 *
 *   open -> due (its login ends soon, or a file changed) -> the new one stands -> requests wait, those under way end -> replaced
 */
import type { Connection, ConnectionOptions } from '@platformatic/kafka'
import type { Clock } from '../clock.ts'
import type { RenewalListener } from '../renewal-log.ts'
import { RenewalLooks } from '../renewal-looks.ts'
import { explainFault, faultOf } from './connection-faults.ts'
import type { Credentials, Loaded } from './credentials.ts'
import { Frames } from './frames.ts'
import type { LinkMeter } from './link-meter.ts'
import { WireConnectionError } from './wire.ts'

type ConnectionClass = typeof Connection

/** A connection, and the way to send large requests on it. */
export interface Link {
  readonly connection: Connection
  readonly frames: Frames
}

export interface ConnectionsOptions extends RenewalListener {
  readonly clientId: string
  readonly connection: ConnectionOptions & { readonly requestTimeout: number }
  /** Addresses that the configuration names; all others were told by the cluster. */
  readonly configured: ReadonlySet<string>
  readonly credentials: Credentials
  readonly clock: Clock
  readonly meter: LinkMeter
}

const QUIET_POLL_MS = 2

const API_VERSIONS = 18
const API_VERSIONS_VERSION = 3
/** request := software:compact_string version:compact_string tags=0, a compact string being its bytes' number + 1 and its bytes */
const VERSIONS_REQUEST = Buffer.from('\x0aheadwater\x021\x00', 'latin1')

/** One connection and what is known of it. */
class Slot {
  readonly host: string
  readonly port: number
  link: Link | null = null
  connection: Connection | null = null
  loaded: Loaded | null = null
  ready: Promise<Link> | null = null
  /** Requests wait here while those under way on the old connection end. */
  changing: Promise<Link> | null = null
  /** What the socket said last: a refusal by TLS 1.3 comes after the handshake, and no request hears it. */
  socketError: Error | null = null
  answered = false
  inFlight = 0
  /** It is to be replaced whether a file changed or not. */
  due = false
  isRenewing = false
  readonly looks: RenewalLooks

  constructor(host: string, port: number, now: number) {
    this.host = host
    this.port = port
    this.looks = new RenewalLooks(now)
  }

  get isQuiet(): boolean {
    return this.inFlight === 0 && (this.link?.frames.inFlight ?? 0) === 0
  }

  destroy(): void {
    this.ready?.catch(() => {})
    if (this.connection === null) return
    // also ends the library's timers
    Promise.resolve(this.connection.close()).catch(() => {})
    this.connection.socket?.destroy()
  }
}

export class Connections {
  readonly #ConnectionClass: ConnectionClass
  readonly #options: ConnectionsOptions
  readonly #open = new Map<string, Slot>()
  readonly #next = new Set<Slot>()
  /** The last connection to an address that broke: why. */
  readonly #broken = new Map<string, Slot>()
  #closed = false
  /** Connections that went away by themselves. */
  lost = 0

  constructor(ConnectionClass: ConnectionClass, options: ConnectionsOptions) {
    this.#ConnectionClass = ConnectionClass
    this.#options = options
  }

  /** @throws WireConnectionError, UpstreamSecretError, UpstreamTokenError */
  get(host: string, port: number): Promise<Link> {
    const address = `${host}:${port}`
    const existing = this.#open.get(address)
    if (existing !== undefined) {
      this.#look(address, existing)
      return existing.changing ?? existing.ready!
    }
    if (this.#closed) return Promise.reject(this.#fault(address, new Error('disconnected')))
    const slot = this.#newSlot(host, port)
    this.#open.set(address, slot)
    slot.ready = this.#connect(address, slot)
    return slot.ready
  }

  /** Breaks all connections; does not wait for what is still to be written, which a dead link never takes. */
  close(): void {
    this.#closed = true
    for (const slot of [...this.#open.values(), ...this.#next]) slot.destroy()
    this.#open.clear()
    this.#next.clear()
  }

  /** What a failed request means, without asking anybody. */
  #fault(address: string, error: unknown): WireConnectionError {
    if (error instanceof WireConnectionError) return error
    const { fault, reason } = faultOf(error)
    return new WireConnectionError(fault, address, !this.#options.configured.has(address), reason, error)
  }

  /** What a failed connection or request means; where a word is missing, the listener is asked what it is. */
  async explain(address: string, error: unknown): Promise<WireConnectionError> {
    if (error instanceof WireConnectionError) return error
    const slot = this.#broken.get(address) ?? this.#open.get(address)
    if (this.#closed || slot === undefined || slot.loaded === null) return this.#fault(address, error)
    return this.#explain(address, slot, error)
  }

  async #explain(address: string, slot: Slot, error: unknown): Promise<WireConnectionError> {
    const { credentials, configured } = this.#options
    const situation = credentials.situation(slot.host, slot.port, slot.loaded?.material ?? {})
    const errors = slot.socketError === null ? [error] : [error, slot.socketError]
    const { fault, reason, explained } = await explainFault(errors, credentials, situation, !slot.answered)
    // a token that was about to end is refused without a word, too
    if (fault === 'auth' || !slot.answered) credentials.refused()
    return new WireConnectionError(fault, address, !configured.has(address), reason, error, explained)
  }

  #newSlot(host: string, port: number): Slot {
    return new Slot(host, port, this.#options.clock.monotonic())
  }

  async #connect(address: string, slot: Slot): Promise<Link> {
    const { credentials, clientId, connection: base } = this.#options
    try {
      const { loaded, options } = await credentials.options(slot.host)
      slot.loaded = loaded
      if (this.#closed) throw new Error('disconnected')
      const connection = new this.#ConnectionClass(clientId, { ...base, ...options })
      slot.connection = connection
      this.#listen(address, slot, connection)
      const connected = connection.connect(slot.host, slot.port)
      if (connection.socket !== undefined) this.#options.meter.add(connection.socket)
      await connected
      slot.link = { connection, frames: new Frames(connection.socket, clientId, base.requestTimeout) }
      this.#broken.delete(address)
      return slot.link
    } catch (error) {
      this.#forget(address, slot)
      slot.destroy()
      if (slot.connection === null && !this.#closed) throw error
      throw this.#closed ? this.#fault(address, error) : await this.#explain(address, slot, error)
    }
  }

  #listen(address: string, slot: Slot, connection: Connection): void {
    // An 'error' event that nobody hears would end the process.
    connection.on('error', (error) => {
      slot.socketError ??= error
    })
    connection.once('close', () => {
      this.#forget(address, slot)
      slot.destroy()
    })
    // The library would log in anew among requests that are under way, which ends the connection: Kafka takes none then.
    connection.reauthenticate = () => {
      slot.due = true
    }
    countRequests(connection, slot)
  }

  #forget(address: string, slot: Slot): void {
    this.#next.delete(slot)
    if (this.#open.get(address) !== slot) return
    this.#open.delete(address)
    this.#broken.set(address, slot)
    this.lost++
  }

  // -- replacing ----------------------------------------------------------------------------------------------------------

  #look(address: string, slot: Slot): void {
    if (slot.isRenewing || slot.link === null) return
    const { clock } = this.#options
    const { looks } = slot
    if (!looks.isDue(clock.monotonic()) && (!slot.due || looks.hasFailed)) return
    slot.isRenewing = true
    looks.begun(clock.monotonic())
    this.#renew(address, slot)
      .catch((error) => {
        if (looks.failed() && !this.#closed) this.#options.onRenewFailed(error)
      })
      .finally(() => {
        slot.isRenewing = false
      })
  }

  async #renew(address: string, old: Slot): Promise<void> {
    if (!old.due) {
      const { fingerprint } = await this.#options.credentials.load()
      if (fingerprint === old.loaded?.fingerprint) {
        old.looks.over()
        return
      }
    }
    const slot = this.#newSlot(old.host, old.port)
    this.#next.add(slot)
    slot.ready = this.#connect(address, slot)
    const link = await slot.ready
    await this.#prove(address, slot, link)
    if (this.#open.get(address) !== old || this.#closed) {
      // The old one broke meanwhile, and with it what was under way: whoever comes next opens its own.
      this.#next.delete(slot)
      slot.destroy()
      return
    }
    let changed: (link: Link | Promise<Link>) => void = () => {}
    old.changing = new Promise((resolve) => {
      changed = resolve
    })
    await this.#quiet(old)
    this.#next.delete(slot)
    const now = this.#open.get(address)
    // The old one broke while its requests were waited for, and somebody has opened another meanwhile: that one stays.
    const isTaken = now !== undefined && now !== old
    if (this.#closed || isTaken) slot.destroy()
    else this.#open.set(address, slot)
    changed(isTaken ? now.ready! : link)
    old.destroy()
    if (old.looks.over() && !this.#closed) this.#options.onRenewed()
  }

  /** With TLS 1.3 a client's certificate is refused after the handshake: a connection stands once it has answered something. */
  async #prove(address: string, slot: Slot, { frames }: Link): Promise<void> {
    try {
      await frames.request(API_VERSIONS, API_VERSIONS_VERSION, [VERSIONS_REQUEST])
      slot.answered = true
    } catch (error) {
      this.#next.delete(slot)
      slot.destroy()
      throw await this.#explain(address, slot, error)
    }
  }

  /** Waits until nothing is under way; a request ends with its time limit at the latest. */
  async #quiet(slot: Slot): Promise<void> {
    const { clock, connection } = this.#options
    const until = clock.monotonic() + connection.requestTimeout * 2
    do {
      // Whoever was just given the connection sends on it before this comes back.
      await new Promise<void>((resolve) => setTimeout(resolve, QUIET_POLL_MS))
    } while (!slot.isQuiet && clock.monotonic() < until)
  }
}

type Send = (...args: unknown[]) => void

/** Counts the library's requests that are under way on a connection, which it keeps to itself. */
function countRequests(connection: Connection, slot: Slot): void {
  const send = connection.send.bind(connection) as Send
  const counted: Send = (...args) => {
    const done = args.pop() as (error: unknown, answer: unknown) => void
    slot.inFlight++
    let isOver = false
    send(...args, (error: unknown, answer: unknown) => {
      if (!isOver) slot.inFlight--
      isOver = true
      if (error === null || error === undefined || (error as { response?: unknown }).response !== undefined)
        slot.answered = true
      done(error, answer)
    })
  }
  connection.send = counted as unknown as Connection['send']
}
