/**
 * Who is let in, and what they may do. There are two conditions: before the first user or permission is configured, clients of this machine may do
 * everything and nobody else is let in; from then on what no permission allows is denied, to all.
 *
 *   identity  the client's certificate, where the listener asked for one; else user name and password; else anonymous
 */
import type { Access, Credentials, PeerInfo, Principal, Refusal } from '../connection/access.ts'
import { Reason } from '../packets/protocol-error.ts'
import { isLocal } from './counted-address.ts'
import { Guests } from './guests.ts'
import { PasswordChecks } from './password.ts'
import { type PermissionRule, Permissions } from './permissions.ts'
import type { Users } from './users.ts'

export interface DoorRules {
  /** Clients without a name are let in, also from other machines. */
  readonly anonymous: boolean
  readonly permissions: readonly PermissionRule[]
  /** The one user that may write to the stream that takes a topic, or null where all may. */
  writerOf(topic: string): string | null
  /** Of a listener: any name can come by one. */
  readonly takesCertificates: boolean
}

const NO_PASSWORD = Buffer.alloc(0)

export class Door implements Access {
  generation = 0
  #rules: DoorRules
  #users: Users
  readonly guests = new Guests()
  readonly #checks = new PasswordChecks()
  #permissions = new WeakMap<Principal, Permissions>()
  /** The hash of the password that a client came in with: with another one it would have to come again. */
  readonly #entered = new WeakMap<Principal, string>()

  constructor(rules: DoorRules, users: Users) {
    this.#rules = rules
    this.#users = users
  }

  /** Nobody has configured who may do what. */
  get isUnguarded(): boolean {
    return this.#users.size === 0 && this.#rules.permissions.length === 0
  }

  /** Clients without a name are not let in, from wherever they come. */
  get needsLogin(): boolean {
    return !this.isUnguarded && !this.#rules.anonymous
  }

  /** For all that is asked from now on, by clients that are connected as well. */
  update(rules: DoorRules, users: Users): void {
    this.#rules = rules
    this.#users = users
    this.#permissions = new WeakMap()
    this.generation++
  }

  async canConnect({
    clientId,
    username,
    password,
    peer,
    isWanted,
  }: Credentials): Promise<Principal | Refusal> {
    if (peer.identity !== null) return { name: peer.identity, clientId }
    const guest = username === null ? null : this.guests.enter(username, password ?? NO_PASSWORD, clientId)
    if (guest !== null) return guest
    if (username === null || this.#users.size === 0) {
      return this.#takesAnonymous(peer) ? { name: null, clientId } : this.#refuseAnonymous()
    }
    const user = this.#users.get(username)
    const given = password ?? NO_PASSWORD
    const isRight =
      user === undefined
        ? await this.#checks.pretend(username, given, isWanted)
        : await this.#checks.isRight(user.password, given, isWanted)
    if (isRight === null)
      return { reasonCode: Reason.serverBusy, text: 'too many passwords wait to be checked' }
    if (isRight && user !== undefined) {
      const principal = { name: username, clientId }
      this.#entered.set(principal, user.password)
      return principal
    }
    const text = user === undefined ? 'there is no such user' : 'its password is wrong'
    return { reasonCode: Reason.badCredentials, text }
  }

  mayPublish(principal: Principal, topic: string): boolean {
    const writer = this.#rules.writerOf(topic)
    if (writer !== null && writer !== principal.name) return false
    const guest = this.guests.permissionsOf(principal)
    if (guest !== null) return guest.mayPublish(topic)
    return this.isUnguarded || this.#of(principal).mayPublish(topic)
  }

  maySubscribe(principal: Principal, filter: string): boolean {
    const guest = this.guests.permissionsOf(principal)
    if (guest !== null) return guest.maySubscribe(filter)
    return this.isUnguarded || this.#of(principal).maySubscribe(filter)
  }

  /** A user that was removed is not known any more, nor one with another password than it came in with. */
  knows(principal: Principal, peer: PeerInfo): boolean {
    if (peer.identity !== null) return peer.isVouchedFor?.() ?? true
    if (this.guests.permissionsOf(principal) !== null) return true
    if (principal.name === null) return this.#takesAnonymous(peer)
    const entered = this.#entered.get(principal)
    return entered !== undefined && this.#users.get(principal.name)?.password === entered
  }

  get hasUsers(): boolean {
    return this.#users.size > 0 || this.#rules.takesCertificates
  }

  isUser(name: string): boolean {
    return this.#users.has(name) || this.#rules.takesCertificates
  }

  isGone(name: string): boolean {
    return this.#users.size > 0 && !this.isUser(name)
  }

  #refuseAnonymous(): Refusal {
    const text = this.isUnguarded
      ? 'nobody is configured, so only clients of this machine are let in: see `headwater users --help`'
      : 'it gives no user name, and mqtt.anonymous is false'
    return { reasonCode: Reason.notAuthorized, text }
  }

  #takesAnonymous(peer: PeerInfo): boolean {
    return this.#rules.anonymous || (this.isUnguarded && isLocal(peer.address))
  }

  #of(principal: Principal): Permissions {
    let permissions = this.#permissions.get(principal)
    if (permissions === undefined) {
      permissions = Permissions.of(this.#rules.permissions, principal)
      this.#permissions.set(principal, permissions)
    }
    return permissions
  }
}
