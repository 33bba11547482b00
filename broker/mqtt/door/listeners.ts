/** All addresses that clients connect to. */
import { formatListenAddress } from '../../config/address.ts'
import { Listener, type ListenerOptions, type ListenerParts, type ListenerTls } from './listener.ts'
import { ListenerChange, type Listening, planListeners } from './listener-change.ts'

/** Other listeners, bound and not open yet. */
export interface PreparedListeners {
  /** @returns the names, as they were bound, of listeners whose connections are to end */
  commit(): readonly string[]
  discard(): Promise<void>
}

export class Listeners {
  readonly #parts: ListenerParts
  #listening: readonly Listening[]

  constructor(options: readonly ListenerOptions[], parts: ListenerParts) {
    this.#parts = parts
    this.#listening = options.map((one) => ({ options: one, listener: this.#create(one) }))
  }

  /** @throws ListenError: then none is left open */
  async listen(): Promise<void> {
    try {
      for (const { listener } of this.#listening) await listener.listen()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /** While they run. @throws ListenError: all is as it was then */
  async prepare(options: readonly ListenerOptions[]): Promise<PreparedListeners> {
    const plan = planListeners(this.#listening, options)
    const change = new ListenerChange(plan, (one) => this.#create(one), this.#parts.log)
    await change.prepare()
    return {
      commit: () => {
        const { listening, ended } = change.commit()
        this.#listening = listening
        return ended
      },
      discard: () => change.discard(),
    }
  }

  /** As they are bound. */
  addresses(): string[] {
    return this.#listening.map(({ listener }) => listener.bound)
  }

  /** Those that other machines reach without a certificate. */
  exposed(): string[] {
    return this.#listening.flatMap(({ options: { address, tls }, listener }) => {
      const isCertain = tls !== null && tls.clientCaFile !== null && tls.requiresClientCertificate
      if (isLocal(address.host) || isCertain) return []
      return [listener.bound || formatListenAddress(address)]
    })
  }

  /** One of them asks clients for a certificate. */
  get takesCertificates(): boolean {
    return this.#listening.some(({ options: { tls } }) => tls?.clientCaFile != null)
  }

  /** Of those with TLS. @param now ms since 1970 */
  tls(now: number): ListenerTls[] {
    return this.#listening.flatMap(({ listener }) => listener.tls(now) ?? [])
  }

  /** Looks for new certificates. */
  async renew(): Promise<void> {
    for (const { listener } of this.#listening) await listener.renew()
  }

  /** No more connections; resolves once those there are have ended. */
  async close(): Promise<void> {
    await Promise.all(this.#listening.map(({ listener }) => listener.close()))
  }

  #create(options: ListenerOptions): Listener {
    return new Listener(options, this.#parts)
  }
}

function isLocal(host: string | null): boolean {
  return host !== null && (host === 'localhost' || host === '::1' || host.startsWith('127.'))
}
