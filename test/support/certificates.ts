/**
 * Certificates for tests: an authority, and what it signs, with any names and dates. X.509 (RFC 5280) in DER, as far as a TLS server
 * and client need it; made here because dates in the past and the future are the point, and command line tools differ in them.
 */
import {
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto'
import { isIP } from 'node:net'

export interface Certificate {
  /** PEM: the certificate. */
  readonly cert: string
  /** PEM, PKCS #8. */
  readonly key: string
  readonly privateKey: KeyObject
  readonly x509: X509Certificate
}

export interface CertificateOptions {
  /** The common name. */
  readonly name: string
  /** DNS names and addresses. */
  readonly names?: readonly string[]
  readonly from?: Date
  readonly until?: Date
  /** Who signs; itself without. */
  readonly issuer?: Certificate
  readonly isAuthority?: boolean
}

const DAY_MS = 86_400_000
const OID = {
  ecPublicKeySha256: '06082a8648ce3d040302',
  commonName: '0603550403',
  basicConstraints: '0603551d13',
  keyUsage: '0603551d0f',
  alternativeNames: '0603551d11',
}

export function createAuthority(name: string, options: Partial<CertificateOptions> = {}): Certificate {
  return createCertificate({ name, isAuthority: true, ...options })
}

export function createCertificate(options: CertificateOptions): Certificate {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { name, issuer, isAuthority = false, names = [] } = options
  const from = options.from ?? new Date(Date.now() - DAY_MS)
  const until = options.until ?? new Date(Date.now() + 365 * DAY_MS)
  const issuerName = issuer === undefined ? nameOf(name) : nameOf(commonName(issuer))
  const algorithm = sequence(oid(OID.ecPublicKeySha256))
  const serial = randomBytes(16)
  serial[0] = (serial[0]! & 0x7f) | 0x40
  const extensions = [
    extension(OID.basicConstraints, sequence(...(isAuthority ? [der(0x01, Buffer.from([0xff]))] : [])), true),
    // certificates and lists signed by an authority; signatures by others
    extension(OID.keyUsage, der(0x03, Buffer.from(isAuthority ? [1, 0x06] : [7, 0x80])), true),
    ...(names.length === 0
      ? []
      : [extension(OID.alternativeNames, sequence(...names.map(alternative)), false)]),
  ]
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    issuerName,
    sequence(time(from), time(until)),
    nameOf(name),
    createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  )
  const signature = sign('sha256', body, issuer?.privateKey ?? privateKey)
  const bytes = sequence(body, algorithm, der(0x03, Buffer.from([0]), signature))
  const cert = pem('CERTIFICATE', bytes)
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return { cert, key, privateKey, x509: new X509Certificate(cert) }
}

function commonName({ x509 }: Certificate): string {
  return /CN=(.+)/.exec(x509.subject)![1]!
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g)!
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body])
  const length = body.length < 0x100 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, ...parts)
}

function oid(hex: string): Buffer {
  return Buffer.from(hex, 'hex')
}

function nameOf(name: string): Buffer {
  return sequence(der(0x31, sequence(oid(OID.commonName), der(0x0c, Buffer.from(name)))))
}

function extension(id: string, value: Buffer, isCritical: boolean): Buffer {
  const critical = isCritical ? [der(0x01, Buffer.from([0xff]))] : []
  return sequence(oid(id), ...critical, der(0x04, value))
}

function alternative(name: string): Buffer {
  if (isIP(name) !== 4) return der(0x82, Buffer.from(name))
  return der(0x87, Buffer.from(name.split('.').map(Number)))
}

/** GeneralizedTime; RFC 5280 has UTCTime until 2049, which nobody insists on but some. */
function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-T:]/g, '').slice(0, 14)
  const year = date.getUTCFullYear()
  const isShort = year >= 1950 && year < 2050
  return isShort ? der(0x17, Buffer.from(`${digits.slice(2)}Z`)) : der(0x18, Buffer.from(`${digits}Z`))
}
