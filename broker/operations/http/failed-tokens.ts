/**
 * Wrong tokens are held to a rate, by address: 10 at once, then one in 6 seconds. A page that goes on with an old token is one wrong token, however
 * often it asks: it must not keep its user out who types the right one. A token that was right for an address is looked at whatever else comes from
 * there: who shares an address with a scraper cannot keep it out.
 */

const BURST = 10
const REFILL_MS = 6_000
/** Addresses remembered; the one that was heard of first is forgotten. */
const ADDRESSES_MAX = 1_000
/** Addresses whose right token is remembered. */
const RIGHT_MAX = 1_000
/** Wrong tokens of an address that are known again. */
const KNOWN_MAX = 16

interface Tries {
  left: number
  at: number
  /** Digests. */
  readonly known: Set<string>
}

export class FailedTokens {
  readonly #tries = new Map<string, Tries>()
  /** The digest of the last one that was right, by address. */
  readonly #right = new Map<string, string>()
  readonly #monotonic: () => number

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic
  }

  /** Whether another token of this address is looked at now. @param digest of the token */
  mayTry(address: string, digest: string): boolean {
    if (this.#right.get(address) === digest) return true
    const tries = this.#of(address)
    return tries === undefined || tries.known.has(digest) || tries.left >= 1
  }

  succeeded(address: string, digest: string): void {
    if (this.#right.get(address) === digest) return
    this.#right.set(address, digest)
    if (this.#right.size > RIGHT_MAX) this.#right.delete(this.#right.keys().next().value as string)
  }

  failed(address: string, digest: string): void {
    // it was right once, and is not any more
    if (this.#right.get(address) === digest) this.#right.delete(address)
    const tries = this.#of(address) ?? { left: BURST, at: this.#monotonic(), known: new Set() }
    if (tries.known.has(digest)) return
    tries.left = Math.max(0, tries.left - 1)
    tries.known.add(digest)
    if (tries.known.size > KNOWN_MAX) tries.known.delete(tries.known.values().next().value as string)
    this.#tries.set(address, tries)
    if (this.#tries.size > ADDRESSES_MAX) this.#tries.delete(this.#tries.keys().next().value as string)
  }

  /** As much as has come back since. */
  #of(address: string): Tries | undefined {
    const tries = this.#tries.get(address)
    if (tries === undefined) return undefined
    const now = this.#monotonic()
    tries.left = Math.min(BURST, tries.left + (now - tries.at) / REFILL_MS)
    tries.at = now
    return tries
  }
}
