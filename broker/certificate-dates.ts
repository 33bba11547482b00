/**
 * When certificates end, and from when on that is to be told: the same for those that listeners show, that are shown upstream, and that `doctor`
 * looks at.
 */
import { X509Certificate } from 'node:crypto'

const PEM = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]+-----END [^-]+-----/g
/** They are made for a year or so, and people read their logs by the week. */
const CERTIFICATE_DUE_MS = 30 * 86_400_000
/** Of the time that it is made for: who has them for a day or for three months has a machine that renews them, most often when a third is left. */
const CERTIFICATE_DUE_SHARE = 1 / 4

/** From when to when a certificate is good, ms since 1970. */
export interface Validity {
  readonly from: number
  readonly until: number
}

export interface CertificateStatus {
  /** When it ends, ms since 1970. */
  readonly until: number
  /** It is time for a new one. */
  readonly isDue: boolean
}

/** True when a certificate should be replaced now. @param now ms since 1970 */
export function isCertificateDue({ from, until }: Validity, now: number): boolean {
  return until - now <= Math.min(CERTIFICATE_DUE_MS, (until - from) * CERTIFICATE_DUE_SHARE)
}

/** @returns null where there is none, or it is not known when it ends */
export function certificateStatus(validity: Validity | null, now: number): CertificateStatus | null {
  return validity === null ? null : { until: validity.until, isDue: isCertificateDue(validity, now) }
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

export function validityOf({ validFrom, validTo }: Pick<X509Certificate, 'validFrom' | 'validTo'>): Validity {
  return { from: Date.parse(validFrom), until: Date.parse(validTo) }
}

/** Of the one that ends first; null where there is none. */
export function firstToEnd(certificates: readonly X509Certificate[]): Validity | null {
  const [first = null] = certificates.map(validityOf).toSorted((a, b) => a.until - b.until)
  return first
}

/** Of authorities, the one of each name that lasts longest: beside its successor an old one may end. */
export function lastingAuthorities(certificates: readonly X509Certificate[]): X509Certificate[] {
  const byName = new Map<string, X509Certificate>()
  for (const certificate of certificates) {
    const other = byName.get(certificate.subject)
    if (other === undefined || validityOf(other).until < validityOf(certificate).until)
      byName.set(certificate.subject, certificate)
  }
  return [...byName.values()]
}
