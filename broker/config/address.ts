import { ListenError } from '../errors.ts'

/** A place to listen on: `host:port`, `[IPv6]:port`, or a bare port, which is every interface of the machine. */
export interface ListenAddress {
  /** null is every interface, IPv6 and IPv4. */
  readonly host: string | null
  /** 0 lets the system choose one. */
  readonly port: number
}

const HOST = /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/

/** @returns the address, or what is wrong with the text. */
export function parseListenAddress(text: string): ListenAddress | string {
  if (/^[0-9]+$/.test(text)) return withPort(null, text)
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text)
  if (bracketed !== null) {
    const host = bracketed[1]!
    if (!/^[0-9A-Fa-f:.]+(%[\w.-]+)?$/.test(host) || !host.includes(':')) {
      return `"${host}" is not an IPv6 address`
    }
    return bracketed[2] === undefined ? 'the port is missing' : withPort(host, bracketed[2])
  }
  const colon = text.lastIndexOf(':')
  if (colon < 0) return 'the port is missing'
  const host = text.slice(0, colon)
  if (host.includes('://')) return 'it is an address, not a URL; write it without the scheme'
  if (host.includes(':')) return 'an IPv6 address stands in brackets, as in "[::1]:1883"'
  if (host === '*') return withPort(null, text.slice(colon + 1))
  if (!HOST.test(host)) return host === '' ? 'the host is missing' : `"${host}" is not a host name or address`
  return withPort(host, text.slice(colon + 1))
}

function withPort(host: string | null, digits: string): ListenAddress | string {
  if (digits === '') return 'the port is missing'
  const port = /^[0-9]{1,6}$/.test(digits) ? Number(digits) : Number.NaN
  if (!(port <= 65_535)) return `"${digits}" is not a port; ports are 0 to 65535`
  return { host, port }
}

/** For people: `127.0.0.1:1883`, `[::1]:1883`, `*:1883`. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.host === null) return `*:${address.port}`
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

/** Only this machine reaches it. */
export function isLoopback({ host }: ListenAddress): boolean {
  return host !== null && (host === 'localhost' || host === '::1' || /^127(\.[0-9]{1,3}){3}$/.test(host))
}

/** Whether the system refuses the second of two listeners: `::`, as no host, takes a port of both families. */
export function areOnePort(a: ListenAddress, b: ListenAddress): boolean {
  if (a.port !== b.port || a.port === 0) return false
  const isAny = ({ host }: ListenAddress) => host === null || host === '::'
  const isFour = ({ host }: ListenAddress) => /^[0-9.]+$/.test(host ?? '')
  const hasAllFour = ({ host }: ListenAddress) => host === '0.0.0.0'
  if (a.host === b.host || isAny(a) || isAny(b)) return true
  return (hasAllFour(a) && isFour(b)) || (hasAllFour(b) && isFour(a))
}

const LISTEN_REASONS: Readonly<Record<string, readonly [reason: string, hint: string]>> = {
  EADDRINUSE: ['the port is in use', 'stop what uses it (`ss -ltnp`), or set another KEY address'],
  EACCES: ['this user may not use the port', 'use a port above 1023'],
  EADDRNOTAVAIL: ['this machine does not have the address', 'use one that `ip address` shows'],
  ENOTFOUND: ['the host name is unknown', 'use an IP address'],
}

/**
 * Why a server could not listen, in a person's words.
 * @param key of the configuration that has the address
 */
export function listenError(
  address: ListenAddress,
  error: NodeJS.ErrnoException,
  key: 'mqtt.listeners' | 'http.address' = 'mqtt.listeners',
): ListenError {
  const [reason, hint] = LISTEN_REASONS[error.code ?? ''] ?? [error.message, 'check KEY']
  const way = hint.replace('KEY address', key === 'http.address' ? key : `${key} address`).replace('KEY', key)
  return new ListenError(formatListenAddress(address), reason, way, error)
}
