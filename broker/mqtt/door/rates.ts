/**
 * How fast clients may connect and publish. Each has a bucket that fills at its rate and holds `BURST_SECONDS` of it, or a fleet; a client that has emptied
 * its bucket is not read from until there is something in it again: it waits, nothing is lost, and the others have the broker's time.
 */
import type { PeerInfo, Principal, Quota, Quotas } from '../connection/access.ts'
import { countedAddress, isLocal } from './counted-address.ts'

export interface RateLimits {
  /** Of one client; null: no limit. */
  readonly messagesPerSecond: number | null
  readonly bytesPerSecond: number | null
  /** Connections at one time from one address; null: no limit. */
  readonly connectionsPerAddress: number | null
  /** New connections, from all addresses together and from one; null: no limit. */
  readonly connectsPerSecond: number | null
  readonly connectsPerSecondOfAddress: number | null
  /** Of one address, at once, after a while without. */
  readonly connectsAtOnceOfAddress: number
}

export const NO_RATE_LIMITS: RateLimits = {
  messagesPerSecond: null,
  bytesPerSecond: null,
  connectionsPerAddress: null,
  connectsPerSecond: null,
  connectsPerSecondOfAddress: null,
  connectsAtOnceOfAddress: 1,
}

const BURST_SECONDS = 2
/** Addresses whose connects are counted; those that were silent longest are forgotten. */
const ADDRESSES_MAX = 10_000

/** Clients whose budgets are kept; past it that of the client is forgotten that came longest ago and has no connection. */
const CLIENTS_MAX = 10_000

/** Fills at a rate, and holds two seconds of it, at least one, or what it is told to. */
export class Bucket {
  readonly #perSecond: number
  readonly #size: number
  #level: number
  #at: number

  /** @param now monotonic, ms */
  constructor(perSecond: number, now: number, sizeMin = 1) {
    this.#perSecond = perSecond
    this.#size = Math.max(sizeMin, perSecond * BURST_SECONDS)
    this.#level = this.#size
    this.#at = now
  }

  /** Takes what was used, also more than there is. @returns ms until there is something again */
  charge(count: number, now: number): number {
    this.#fill(now)
    this.#level -= count
    return this.#level >= 0 ? 0 : Math.ceil((-this.#level / this.#perSecond) * 1000)
  }

  isFull(now: number): boolean {
    this.#fill(now)
    return this.#level === this.#size
  }

  /** Takes one, where there is one. */
  take(now: number): boolean {
    this.#fill(now)
    if (this.#level < 1) return false
    this.#level--
    return true
  }

  #fill(now: number): void {
    this.#level = Math.min(this.#size, this.#level + ((now - this.#at) / 1000) * this.#perSecond)
    this.#at = now
  }
}

/** What one client may still send. */
class Budget {
  connections = 0
  readonly #messages: Bucket | null
  readonly #bytes: Bucket | null

  constructor({ messagesPerSecond, bytesPerSecond }: RateLimits, now: number) {
    this.#messages = messagesPerSecond === null ? null : new Bucket(messagesPerSecond, now)
    this.#bytes = bytesPerSecond === null ? null : new Bucket(bytesPerSecond, now)
  }

  charge(messages: number, bytes: number, now: number): number {
    return Math.max(this.#messages?.charge(messages, now) ?? 0, this.#bytes?.charge(bytes, now) ?? 0)
  }

  isFull(now: number): boolean {
    return (this.#messages?.isFull(now) ?? true) && (this.#bytes?.isFull(now) ?? true)
  }
}

interface Address {
  connections: number
  readonly connects: Bucket | null
}

const NOT_COUNTED: Address = { connections: 0, connects: null }

export class Rates implements Quotas {
  readonly #now: () => number
  #limits: RateLimits
  #connects: Bucket | null = null
  /** By user and client id, ordered by their last connection. */
  readonly #budgets = new Map<string, Budget>()
  /** By what their addresses count as; ordered by last use. */
  readonly #addresses = new Map<string, Address>()

  /** @param now monotonic, ms */
  constructor(limits: RateLimits, now: () => number = () => performance.now()) {
    this.#now = now
    this.#limits = limits
    this.update(limits)
  }

  /** For connections from now on. */
  update(limits: RateLimits): void {
    const { connectsPerSecond } = limits
    this.#limits = limits
    this.#budgets.clear()
    this.#connects = connectsPerSecond === null ? null : new Bucket(connectsPerSecond, this.#now())
    for (const [name, { connections }] of this.#addresses) {
      if (connections === 0) this.#addresses.delete(name)
      else this.#addresses.set(name, { connections, connects: this.#bucketOfAddress() })
    }
  }

  /** Clients of this machine, and those behind a proxy on it, have no rate by their address. */
  arrives(address: string): string | null {
    const now = this.#now()
    const { connects } = isLocal(address) ? NOT_COUNTED : this.#addressOf(countedAddress(address))
    if (connects?.take(now) === false) return 'limits.connectsPerSecondPerAddress is reached'
    if (this.#connects?.take(now) === false) return 'limits.connectsPerSecond is reached'
    return null
  }

  refuses(peer: PeerInfo): string | null {
    const { connectionsPerAddress } = this.#limits
    const address = this.#addressOf(countedAddress(peer.address))
    if (connectionsPerAddress !== null && address.connections >= connectionsPerAddress)
      return 'limits.connectionsPerAddressMax is reached'
    address.connections++
    return null
  }

  /** The budget stays with the client: coming again does not fill it. */
  quotaOf({ name, clientId }: Principal): Quota {
    const { messagesPerSecond, bytesPerSecond } = this.#limits
    if (messagesPerSecond === null && bytesPerSecond === null) return UNLIMITED
    const id = JSON.stringify([name, clientId])
    const budget = this.#budgets.get(id) ?? new Budget(this.#limits, this.#now())
    this.#budgets.delete(id)
    this.#budgets.set(id, budget)
    budget.connections++
    if (this.#budgets.size > CLIENTS_MAX) forgetFirst(this.#budgets)
    return {
      charge: (messages, bytes) => budget.charge(messages, bytes, this.#now()),
      release: () => {
        budget.connections--
        const isLast = budget.connections === 0 && this.#budgets.get(id) === budget
        if (isLast && budget.isFull(this.#now())) this.#budgets.delete(id)
      },
    }
  }

  /** A connection that was not refused has ended. */
  left(peer: PeerInfo): void {
    const address = this.#addresses.get(countedAddress(peer.address))
    if (address !== undefined) address.connections--
  }

  #bucketOfAddress(): Bucket | null {
    const { connectsPerSecondOfAddress: rate, connectsAtOnceOfAddress: atOnce } = this.#limits
    return rate === null ? null : new Bucket(rate, this.#now(), atOnce)
  }

  #addressOf(name: string): Address {
    const address = this.#addresses.get(name) ?? { connections: 0, connects: this.#bucketOfAddress() }
    this.#addresses.delete(name)
    this.#addresses.set(name, address)
    if (this.#addresses.size > ADDRESSES_MAX) forgetFirst(this.#addresses)
    return address
  }
}

/** The first that has no connection. */
function forgetFirst(all: Map<string, { readonly connections: number }>): void {
  for (const [name, { connections }] of all) {
    if (connections > 0) continue
    all.delete(name)
    return
  }
}

const UNLIMITED: Quota = { charge: () => 0, release() {} }
