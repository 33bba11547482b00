/**
 * Clients that the program itself brings along, such as the sensors of the demo: let in with a password that is made at the start and told to
 * them alone, to publish what they are for and nothing else. Users and permissions do not change that, and a guest does not count as a user:
 * it closes no door that stood open.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { Principal } from '../connection/access.ts'
import { Permissions } from './permissions.ts'

const PASSWORD_BYTES = 24

interface Guest {
  readonly password: Buffer
  readonly publish: readonly string[]
}

export class Guests {
  readonly #guests = new Map<string, Guest>()
  readonly #permissions = new WeakMap<Principal, Permissions>()

  /**
   * @param name one that no user can have: with a "/" in it
   * @param publish topic filters
   * @returns its password
   */
  add(name: string, publish: readonly string[]): string {
    const password = randomBytes(PASSWORD_BYTES).toString('base64url')
    this.#guests.set(name, { password: Buffer.from(password), publish })
    return password
  }

  /** @returns null where it is none, or not with this password */
  enter(name: string, password: Buffer, clientId: string): Principal | null {
    const guest = this.#guests.get(name)
    if (guest === undefined || guest.password.length !== password.length) return null
    if (!timingSafeEqual(guest.password, password)) return null
    const principal = { name, clientId }
    const rule = { users: [name], publish: guest.publish, subscribe: [] }
    this.#permissions.set(principal, Permissions.of([rule], principal))
    return principal
  }

  /** null: no guest. */
  permissionsOf(principal: Principal): Permissions | null {
    return this.#permissions.get(principal) ?? null
  }
}
