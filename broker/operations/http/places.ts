/**
 * Connections that the HTTP listener holds at one time. Other machines together get fewer than there are, and one address fewer than these: the
 * scraper and the owner of this machine get in, whoever else holds connections or asks for more and more of them. One that is turned away takes no place, not
 * even for the moment until it is closed: in a flood those moments would fill the house.
 */
import { countedAddress, isLocal } from '../../mqtt/door/counted-address.ts'

export interface PlaceLimits {
  readonly connectionsMax: number
  /** Of all other machines together. */
  readonly fromOutsideMax: number
  /** Of one address that is not this machine's. */
  readonly perAddressMax: number
}

export class Places {
  readonly #limits: PlaceLimits
  readonly #isLocal: (address: string) => boolean
  readonly #byAddress = new Map<string, number>()
  #taken = 0
  #fromOutside = 0

  constructor(limits: PlaceLimits, isLocalAddress: (address: string) => boolean = isLocal) {
    this.#limits = limits
    this.#isLocal = isLocalAddress
  }

  /** @param address as a socket gives it @returns the way to give the place back; null: there is none */
  take(address: string): (() => void) | null {
    const { connectionsMax, fromOutsideMax, perAddressMax } = this.#limits
    if (this.#taken >= connectionsMax) return null
    if (this.#isLocal(address)) {
      this.#taken++
      return () => {
        this.#taken--
      }
    }
    const counted = countedAddress(address)
    const own = this.#byAddress.get(counted) ?? 0
    if (this.#fromOutside >= fromOutsideMax || own >= perAddressMax) return null
    this.#taken++
    this.#fromOutside++
    this.#byAddress.set(counted, own + 1)
    return () => {
      this.#taken--
      this.#fromOutside--
      const left = this.#byAddress.get(counted)! - 1
      if (left === 0) this.#byAddress.delete(counted)
      else this.#byAddress.set(counted, left)
    }
  }
}
