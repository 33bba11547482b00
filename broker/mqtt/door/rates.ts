/**
 * How fast clients may connect and publish. Each has a bucket that fills at its rate and holds two seconds of it, or a fleet; a client that has emptied
 * its bucket is not read from until there is something in it again: it waits, nothing is lost, and the others have the broker's time. The clients of a user,
 * or without a name of an address, share another one: a new client id is no new budget.
 */
import type { PeerInfo, Principal, Quota, Quotas } from '../connection/access.ts'
import { Bucket } from './bucket.ts'
import { Budgets, forgetFirst } from './budgets.ts'
import { countedAddress, isLocal } from './counted-address.ts'

export interface RateLimits {
  /** Of one client; null: no limit. */
  readonly messagesPerSecond: number | null
  readonly bytesPerSecond: number | null
  /** Of all clients of one user together; those without a name count by their address. null: no limit. */
  readonly messagesPerSecondOfUser: number | null
  readonly bytesPerSecondOfUser: number | null
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
  messagesPerSecondOfUser: null,
  bytesPerSecondOfUser: null,
  connectionsPerAddress: null,
  connectsPerSecond: null,
  connectsPerSecondOfAddress: null,
  connectsAtOnceOfAddress: 1,
}

/** Addresses whose connects are counted; those that were silent longest are forgotten. */
const ADDRESSES_MAX = 10_000

interface Address {
  connections: number
  readonly connects: Bucket | null
}

const NOT_COUNTED: Address = { connections: 0, connects: null }

const UNLIMITED: Quota = { charge: () => 0, release() {} }

export class Rates implements Quotas {
  readonly #now: () => number
  #limits: RateLimits
  #connects: Bucket | null = null
  /** By user and client id. */
  #ofClients = new Budgets(NO_RATE_LIMITS)
  /** By user or address. */
  #ofUsers = new Budgets(NO_RATE_LIMITS)
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
    const { connectsPerSecond, messagesPerSecondOfUser, bytesPerSecondOfUser } = limits
    this.#limits = limits
    this.#ofClients = new Budgets(limits)
    this.#ofUsers = new Budgets({
      messagesPerSecond: messagesPerSecondOfUser,
      bytesPerSecond: bytesPerSecondOfUser,
    })
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

  /** The budgets stay with client and user: coming again does not fill them. */
  quotaOf({ name, clientId }: Principal, { address }: PeerInfo): Quota {
    const clients = this.#ofClients
    const users = this.#ofUsers
    const id = JSON.stringify([name, clientId])
    const owner = JSON.stringify(name === null ? [null, countedAddress(address)] : [name])
    const ofClient = clients.enter(id, this.#now())
    const ofUser = users.enter(owner, this.#now())
    if (ofClient === null && ofUser === null) return UNLIMITED
    return {
      charge: (messages, bytes) => {
        const now = this.#now()
        const waitMs = ofClient?.charge(messages, bytes, now) ?? 0
        return Math.max(waitMs, ofUser?.charge(messages, bytes, now) ?? 0)
      },
      release: () => {
        clients.leave(id, ofClient, this.#now())
        users.leave(owner, ofUser, this.#now())
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
