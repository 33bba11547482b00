/**
 * The other side's certificates, and what it says of ours, for an error that says what is wrong: a refused handshake leaves only a
 * code. A second connection takes whatever certificate comes, sends nothing on it, and ends.
 */
import { X509Certificate } from 'node:crypto'
import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import type { TlsMaterial } from './tls.ts'

const PROBE_MS_MAX = 3000
const CHAIN_MAX = 8

export interface PeerAddress {
  readonly host: string
  readonly port: number
  readonly serverName?: string | undefined
  /** It says a line of plain text before TLS begins, as NATS does. */
  readonly speaksFirst?: boolean
}

/** The name to ask for and to find in the certificate; none for an address in numbers, which TLS does not take as a name. */
export function serverNameOf({ host, serverName }: PeerAddress): string | undefined {
  return serverName ?? (isIP(host) === 0 ? host : undefined)
}

/** @returns the chain as it was sent, the server's own first; empty when no TLS connection comes about */
export function peerCertificates(peer: PeerAddress, material: TlsMaterial): Promise<X509Certificate[]> {
  return probe<X509Certificate[]>(peer, material, [], (socket, end) => end(chainOf(socket)))
}

/**
 * With TLS 1.3 a client's certificate is refused after the handshake, and what was said of it is lost to a side that writes
 * meanwhile. This connection waits.
 * @returns what the other side says once the handshake is done; null when it says nothing, or no TLS connection comes about
 */
export function refusalAfterHandshake(peer: PeerAddress, material: TlsMaterial): Promise<Error | null> {
  return probe<Error | null>(peer, material, null, (socket, end) => socket.once('error', end))
}

/** @param nothing for an end without an answer */
function probe<T>(
  peer: PeerAddress,
  material: TlsMaterial,
  nothing: T,
  ask: (socket: TLSSocket, end: (answer: T) => void) => void,
): Promise<T> {
  return new Promise((resolve) => {
    const { host, port, speaksFirst = false } = peer
    const plain = connectPlain({ host, port })
    let open: Socket = plain
    const end = (answer: T) => {
      clearTimeout(timer)
      open.destroy()
      plain.destroy()
      resolve(answer)
    }
    const timer = setTimeout(() => end(nothing), PROBE_MS_MAX)
    const begin = () => {
      const encrypted = encrypt(plain, peer, material)
      open = encrypted
      encrypted.once('secureConnect', () => ask(encrypted, end))
      // after what was asked has listened
      encrypted.on('error', () => setImmediate(end, nothing)).once('close', () => setImmediate(end, nothing))
    }
    plain.on('error', () => end(nothing)).once('close', () => setImmediate(end, nothing))
    if (!speaksFirst) plain.once('connect', begin)
    else {
      plain.on('data', function ended(chunk: Buffer) {
        if (!chunk.includes('\n')) return
        plain.off('data', ended)
        begin()
      })
    }
  })
}

function encrypt(socket: Socket, peer: PeerAddress, { ca: _, ...own }: TlsMaterial): TLSSocket {
  const servername = serverNameOf(peer)
  // only to look at the certificate; nothing is sent
  const options = { ...own, socket, rejectUnauthorized: false }
  return connect(servername === undefined ? options : { ...options, servername })
}

function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = []
  let next = socket.getPeerCertificate(true)
  while (next?.raw !== undefined && chain.length < CHAIN_MAX) {
    chain.push(new X509Certificate(next.raw))
    if (next.issuerCertificate === undefined || next.issuerCertificate === next) break
    next = next.issuerCertificate
  }
  return chain
}

/** `CN=a, O=b` of a subject or an issuer, which node:crypto puts on lines of their own. */
export function nameText(name: string): string {
  return name.split('\n').filter(Boolean).join(', ')
}

/** DNS names and addresses in a certificate. */
export function namesIn(certificate: X509Certificate): string[] {
  const alternatives = certificate.subjectAltName
    ?.split(', ')
    .map((part) => part.replace(/^(DNS|IP Address):/, ''))
  if (alternatives !== undefined && alternatives.length > 0) return alternatives
  const common = /CN=([^\n]+)/.exec(certificate.subject)
  return common === null ? [] : [common[1]!]
}
