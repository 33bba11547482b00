/**
 * Why a TLS connection did not come about, told apart by what a person does next: mend a certificate, a file, a name, an address, or
 * wait for the time. OpenSSL and Node give codes; the certificates themselves say the rest.
 *
 *   the server's certificate   expired, not valid yet, unknown authority, other name      HW_UPSTREAM_TLS
 *   this device's clock        not valid yet by a clock that is not to be believed        HW_UPSTREAM_CLOCK
 *   this device's certificate  missing, expired, refused                                  HW_UPSTREAM_CERTIFICATE
 *   no TLS on the other side, or no version in common                                     HW_UPSTREAM_TLS
 */
import type { X509Certificate } from 'node:crypto'
import { type ClockReading, isClockSuspect, timeText } from './clock-reading.ts'
import {
  UpstreamCertificateError,
  UpstreamClockError,
  type UpstreamError,
  UpstreamTlsError,
} from './errors.ts'
import { namesIn, nameText, type PeerAddress, peerCertificates } from './peer-certificate.ts'
import { ownCertificate, type TlsFiles, type TlsMaterial } from './tls.ts'

export interface TlsSituation {
  readonly peer: PeerAddress
  /** The files that the configuration names, and what was in them. */
  readonly files: TlsFiles
  readonly material: TlsMaterial
  /** The fields' prefix in the configuration, such as "tls". */
  readonly prefix: string
  readonly clock: ClockReading
}

/** Given the name of the place, the error for people. */
export type Explained = (place: string) => UpstreamError

const DATE_CODES = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'])
const AUTHORITY_CODES = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_UNTRUSTED',
  'CERT_SIGNATURE_FAILURE',
  'INVALID_CA',
])
/** Alerts by which the other side refuses the certificate it was shown, or the lack of one. */
const REFUSED_ALERT =
  /ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_REVOKED|CERTIFICATE_EXPIRED|CERTIFICATE_UNKNOWN|CERTIFICATE_REQUIRED|UNKNOWN_CA|ACCESS_DENIED)/
const VERSION_CODES =
  /UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|NO_PROTOCOLS_AVAILABLE|HANDSHAKE_FAILURE|NO_SHARED_CIPHER/
const NOT_TLS_CODES = /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|UNEXPECTED_MESSAGE|HTTP_REQUEST/

const TLS_CODES =
  /^(ERR_TLS|ERR_SSL|CERT_|CRL_|CA_|EE_KEY_|ERROR_IN_C|INVALID_(CA|PURPOSE)|PATH_LENGTH|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO|HOSTNAME_MISMATCH|EPROTO)/

/** True for a code of a TLS connection that failed. */
export function isTlsCode(code: string): boolean {
  return TLS_CODES.test(code)
}

/** @param error with a code for which `isTlsCode` holds */
export async function explainTls(
  error: Error & { readonly code?: string },
  situation: TlsSituation,
): Promise<Explained> {
  const code = error.code ?? ''
  const said = signature(error)
  if (REFUSED_ALERT.test(said)) return refusedCertificate(error, situation)
  if (NOT_TLS_CODES.test(said)) return notTls(situation, error)
  if (VERSION_CODES.test(said)) {
    const hint = 'let the other side offer TLS 1.2 or 1.3 with a cipher of this decade'
    return (place) => new UpstreamTlsError(place, 'no version or cipher of TLS in common', error, hint)
  }
  const dates = DATE_CODES.has(code)
  if (!dates && !AUTHORITY_CODES.has(code) && code !== 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return (place) => new UpstreamTlsError(place, error.message, error)
  }
  const chain = await peerCertificates(situation.peer, situation.material)
  if (dates) return wrongDates(code, chain, situation, error)
  return code === 'ERR_TLS_CERT_ALTNAME_INVALID'
    ? wrongName(chain, situation, error)
    : unknownAuthority(chain, situation, error)
}

/** A code, or OpenSSL's words where Node has only EPROTO for it, in one form. */
function signature({ code, message }: Error & { readonly code?: string }): string {
  return `${code} ${message}`.toUpperCase().replace(/[\s:]+/g, '_')
}

/** The other side answers, but not with TLS. */
export function notTls({ prefix }: TlsSituation, cause?: unknown): Explained {
  const hint = `use the port of its TLS listener, or remove ${prefix} from this upstream`
  return (place) => new UpstreamTlsError(place, 'that port does not speak TLS', cause, hint)
}

function wrongDates(
  code: string,
  chain: readonly X509Certificate[],
  { clock, material, files, prefix }: TlsSituation,
  cause: unknown,
): Explained {
  const fits = (certificate: X509Certificate) =>
    code === 'CERT_HAS_EXPIRED'
      ? Date.parse(certificate.validTo) < clock.now
      : Date.parse(certificate.validFrom) > clock.now
  const at = chain.findIndex(fits)
  const certificate = chain[at]
  const which =
    at <= 0 ? 'its certificate' : `the certificate of its authority (${nameText(certificate!.subject)})`
  const shows = `the clock shows ${timeText(clock.now)}`
  if (code === 'CERT_HAS_EXPIRED') {
    const when = certificate === undefined ? '' : ` on ${timeText(Date.parse(certificate.validTo))}`
    const doubt = clock.trust === 'untrusted' ? `, by a clock that is not synchronized (${shows})` : ''
    const renew =
      material.ca === undefined
        ? ''
        : `; an authority's new one belongs into ${prefix}.caFile ${files.caFile}`
    const hint = `the certificate has to be renewed there${renew}`
    return (place) => new UpstreamTlsError(place, `${which} expired${when}${doubt}`, cause, hint)
  }
  const from = certificate === undefined ? 'later' : `from ${timeText(Date.parse(certificate.validFrom))}`
  if (isClockSuspect(clock)) {
    const text = `it shows ${timeText(clock.now)} (${clock.evidence}), and ${which} is valid ${from}`
    return (place) => new UpstreamClockError(place, text, cause)
  }
  const hint = 'it was made with a date in the future, or by a device whose clock was ahead: make it anew'
  const text = `${which} is valid only ${from}; ${shows}, ${clock.trust === 'rtc' ? 'set by its hardware clock' : 'synchronized'}`
  return (place) => new UpstreamTlsError(place, text, cause, hint)
}

function wrongName(chain: readonly X509Certificate[], situation: TlsSituation, cause: unknown): Explained {
  const { peer, prefix } = situation
  const names = chain[0] === undefined ? [] : namesIn(chain[0])
  const asked = peer.serverName ?? peer.host
  const list = names.length === 0 ? 'no name' : names.slice(0, 10).join(', ')
  const set = names.length === 0 ? '' : ` (${prefix}.serverName: ${names[0]})`
  const hint = `connect by a name in it, set ${prefix}.serverName to one${set}, or have ${asked} put into the certificate`
  return (place) =>
    new UpstreamTlsError(place, `its certificate is not for ${asked} but for ${list}`, cause, hint)
}

function unknownAuthority(
  chain: readonly X509Certificate[],
  situation: TlsSituation,
  cause: unknown,
): Explained {
  const { files, prefix } = situation
  const last = chain.at(-1)
  const issuer = last === undefined ? '' : ` (${nameText(last.issuer)})`
  const where = files.caFile === undefined ? "among the system's" : `in ${prefix}.caFile ${files.caFile}`
  const hint =
    files.caFile === undefined
      ? `name the file with that authority's certificate in ${prefix}.caFile`
      : "put that authority's certificate into the file; it may have several"
  return (place) =>
    new UpstreamTlsError(
      place,
      `its certificate is from an authority${issuer} that is not ${where}`,
      cause,
      hint,
    )
}

/** The other side ended the connection over this device's certificate. */
export function refusedCertificate(
  cause: Error & { readonly code?: string },
  situation: TlsSituation,
): Explained {
  const { material, files, prefix, clock } = situation
  const own = ownCertificate(material)
  if (own === null) {
    const hint = `have a certificate made for this device, and name it in ${prefix}.certFile and ${prefix}.keyFile`
    return (place) => new UpstreamCertificateError(place, 'it asks for one and there is none', hint, cause)
  }
  const until = Date.parse(own.validTo)
  const from = Date.parse(own.validFrom)
  const hint = (what: string) =>
    `put ${what} into ${files.certFile} and its key into ${files.keyFile}; they are used without a restart`
  if (until < clock.now) {
    const text = `it expired on ${timeText(until)}`
    return (place) => new UpstreamCertificateError(place, text, hint('a new certificate'), cause)
  }
  if (from > clock.now) {
    const text = `it is valid from ${timeText(from)}, and the clock here shows ${timeText(clock.now)} (${clock.evidence})`
    return (place) =>
      new UpstreamCertificateError(place, text, "check this device's clock, and the other side's", cause)
  }
  const alert = /ALERT_([A-Z]+(_[A-Z]+)?)/
    .exec(cause.code ?? '')?.[1]
    ?.toLowerCase()
    .replaceAll('_', ' ')
  const said = alert === undefined ? '' : ` ("${alert}")`
  const text = `${nameText(own.subject)} from ${nameText(own.issuer)}, valid until ${timeText(until)}, was refused${said}`
  const trust = `put ${nameText(own.issuer)} among the authorities that the other side takes clients' certificates from (Kafka: ssl.truststore, NATS: tls.ca_file), or ${hint('a certificate that it takes')}`
  return (place) => new UpstreamCertificateError(place, text, trust, cause)
}
