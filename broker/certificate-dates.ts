/**
 * When certificates end, and from when on that is to be told: the same for those that listeners show, that are shown upstream, and that `doctor`
 * looks at.
 */
import { X509Certificate } from 'node:crypto'

const PEM = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]+-----END [^-]+-----/g
/** They are made for a year or so, and people read their logs by the week. */
const CERTIFICATE_DUE_MS = 30 * 86_400_000

export interface CertificateStatus {
  /** When it ends, ms since 1970. */
  readonly until: number
  /** It is time for a new one. */
  readonly isDue: boolean
}

/** True when a certificate that is good until then should be replaced now; times in ms since 1970. */
export function isCertificateDue(until: number, now: number): boolean {
  return until - now <= CERTIFICATE_DUE_MS
}

/** @returns null where there is none, or it is not known when it ends */
export function certificateStatus(until: number | null, now: number): CertificateStatus | null {
  return until === null ? null : { until, isDue: isCertificateDue(until, now) }
}

/** The certificates of a file in PEM, in its order. @param onDamaged told the place of one that cannot be read, from 0 */
export function certificatesIn(
  pem: Uint8Array | undefined,
  onDamaged: (at: number, cause: unknown) => void = () => {},
): X509Certificate[] {
  const blocks = pem === undefined ? [] : (Buffer.from(pem).toString('latin1').match(PEM) ?? [])
  return blocks.flatMap((block, at) => {
    try {
      return new X509Certificate(block)
    } catch (cause) {
      onDamaged(at, cause)
      return []
    }
  })
}

export function endOf({ validTo }: X509Certificate): number {
  return Date.parse(validTo)
}

/** When the first of them ends, ms since 1970; null where there is none. */
export function firstEnd(certificates: readonly X509Certificate[]): number | null {
  return certificates.length === 0 ? null : Math.min(...certificates.map(endOf))
}

/** Of authorities, the one of each name that lasts longest: beside its successor an old one may end. */
export function lastingAuthorities(certificates: readonly X509Certificate[]): X509Certificate[] {
  const byName = new Map<string, X509Certificate>()
  for (const certificate of certificates) {
    const other = byName.get(certificate.subject)
    if (other === undefined || endOf(other) < endOf(certificate)) byName.set(certificate.subject, certificate)
  }
  return [...byName.values()]
}
