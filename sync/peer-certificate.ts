/**
 * The other side's certificates, for an error that says what is wrong with them: a refused handshake leaves only a code. A
 * second connection takes whatever certificate comes, sends nothing on it, and ends.
 */
import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import type { TlsMaterial } from './tls.ts'

const PROBE_MS_MAX = 3000
const CHAIN_MAX = 8

export interface PeerAddress {
  readonly host: string
  readonly port: number
  readonly serverName?: string | undefined
}

/** The name to ask for and to find in the certificate; none for an address in numbers, which TLS does not take as a name. */
export function serverNameOf({ host, serverName }: PeerAddress): string | undefined {
  return serverName ?? (isIP(host) === 0 ? host : undefined)
}

/** @returns the chain as it was sent, the server's own first; empty when no TLS connection comes about */
export function peerCertificates(peer: PeerAddress, material: TlsMaterial): Promise<X509Certificate[]> {
  return new Promise((resolve) => {
    const servername = serverNameOf(peer)
    const { ca: _, ...own } = material
    const socket = connect({
      ...own,
      host: peer.host,
      port: peer.port,
      ...(servername === undefined ? {} : { servername }),
      // only to look at the certificate; nothing is sent
      rejectUnauthorized: false,
    })
    const end = (found: X509Certificate[]) => {
      socket.destroy()
      resolve(found)
    }
    socket.setTimeout(PROBE_MS_MAX, () => end([]))
    socket.once('error', () => end([]))
    socket.once('close', () => end([]))
    socket.once('secureConnect', () => end(chainOf(socket)))
  })
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
