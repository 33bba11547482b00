/**
 * Notices that a link came back before a long backoff ends. Two hints, both cheap: this device's addresses changed (asked of the
 * operating system), and the place answers a connection again (a TCP handshake, no more). A place that accepts connections and does not
 * serve them is believed once: then only the backoff counts, until it has served again.
 */
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { parseAddress } from '../address.ts'

export interface LinkHints {
  /** Something that is different when this device has other addresses; empty without any. */
  readonly network: () => string
  /** Whether the place answers; null where it cannot be asked cheaply. */
  readonly probe: (() => Promise<boolean>) | null
}

export const NETWORK_MS = 2000
/** A link is used again within 30 s: this, the probe itself and a recover fit in. */
const PROBE_MS = 15_000
const PROBE_TIMEOUT_MS = 5000

export class LinkWatch {
  readonly #hints: LinkHints
  readonly #network: string
  #isProbeBelieved: boolean
  #sinceProbe = 0

  /** @param isProbeBelieved it did not mislead since the upstream last served */
  constructor(hints: LinkHints, isProbeBelieved: boolean) {
    this.#hints = hints
    this.#network = hints.network()
    this.#isProbeBelieved = isProbeBelieved
  }

  /** @param waitedMs since the last look @returns why to try again now, or null */
  async look(waitedMs: number): Promise<'network' | 'probe' | null> {
    const network = this.#hints.network()
    if (network !== '' && network !== this.#network) return 'network'
    this.#sinceProbe += waitedMs
    if (this.#hints.probe === null || !this.#isProbeBelieved || this.#sinceProbe < PROBE_MS) return null
    this.#sinceProbe = 0
    return (await this.#hints.probe()) ? 'probe' : null
  }
}

/** Addresses of this device but for itself; those that IPv6 makes up for privacy change without a reason, so networks count. */
export function localNetworks(): string {
  const networks = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
    .map(({ family, address, netmask }) => (family === 'IPv4' ? address : prefixOf(address, netmask)))
  return [...new Set(networks)].toSorted().join(' ')
}

function prefixOf(address: string, netmask: string): string {
  const groups = netmask.split(':').filter((group) => group !== '').length
  return address.split(':').slice(0, groups).join(':')
}

/** Whether one of some `host:port` takes a connection. */
export function tcpProbe(addresses: readonly string[]): () => Promise<boolean> {
  let turn = 0
  return () => {
    const { host, port } = parseAddress(addresses[turn++ % addresses.length]!)
    return new Promise((resolve) => {
      const socket = connect({ host, port, timeout: PROBE_TIMEOUT_MS })
      const end = (answers: boolean) => {
        socket.destroy()
        resolve(answers)
      }
      socket.once('connect', () => end(true))
      socket.once('timeout', () => end(false))
      socket.once('error', () => end(false))
    })
  }
}
