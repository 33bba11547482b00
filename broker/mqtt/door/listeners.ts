/** All addresses that clients connect to. */
import { formatListenAddress } from '../../config/address.ts'
import { Listener, type ListenerOptions, type ListenerParts, type ListenerTls } from './listener.ts'

export class Listeners {
  readonly #options: readonly ListenerOptions[]
  readonly #listeners: readonly Listener[]

  constructor(options: readonly ListenerOptions[], parts: ListenerParts) {
    this.#options = options
    this.#listeners = options.map((one) => new Listener(one, parts))
  }

  /** @throws ListenError: then none is left open */
  async listen(): Promise<void> {
    try {
      for (const listener of this.#listeners) await listener.listen()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /** As they are bound. */
  addresses(): string[] {
    return this.#listeners.map(({ bound }) => bound)
  }

  /** Those that other machines reach without a certificate. */
  exposed(): string[] {
    return this.#options.flatMap(({ address, tls }, index) => {
      const { host } = address
      const isLocal = host !== null && (host === 'localhost' || host === '::1' || host.startsWith('127.'))
      const isCertain = tls !== null && tls.clientCaFile !== null && tls.requiresClientCertificate
      if (isLocal || isCertain) return []
      return [this.#listeners[index]?.bound ?? formatListenAddress(address)]
    })
  }

  /** One of them asks clients for a certificate. */
  get takesCertificates(): boolean {
    return this.#options.some(({ tls }) => tls?.clientCaFile != null)
  }

  /** Of those with TLS. @param now ms since 1970 */
  tls(now: number): ListenerTls[] {
    return this.#listeners.flatMap((listener) => listener.tls(now) ?? [])
  }

  /** Looks for new certificates. */
  async renew(): Promise<void> {
    for (const listener of this.#listeners) await listener.renew()
  }

  /** No more connections; resolves once those there are have ended. */
  async close(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()))
  }
}
