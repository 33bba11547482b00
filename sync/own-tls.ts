/**
 * The TLS files of one upstream, read anew for each connection; and a warning in time, before the certificate that this device
 * shows expires.
 */
import { isCertificateDue, type Validity, validityOf } from '../broker/index.ts'
import type { Clock } from './clock.ts'
import { type ReadClock, timeText } from './clock-reading.ts'
import type { TlsConfig } from './config/security.ts'
import type { PeerAddress } from './peer-certificate.ts'
import type { Secrets } from './secrets.ts'
import { ownCertificate, readTlsFiles, type TlsMaterial } from './tls.ts'
import type { TlsSituation } from './tls-faults.ts'

const WARN_EVERY_MS = 86_400_000

export interface OwnTlsDeps {
  readonly secrets: Secrets
  readonly clock: Clock
  readonly readClock: ReadClock
  /** Takes a line for people, once a day, while this device's certificate is about to expire. */
  readonly warn?: ((line: string) => void) | undefined
}

export class OwnTls {
  readonly #files: TlsConfig | undefined
  readonly #deps: OwnTlsDeps
  #certificate: Validity | null = null
  /** Monotonic. */
  #warnedAt = Number.NEGATIVE_INFINITY

  constructor(files: TlsConfig | undefined, deps: OwnTlsDeps) {
    this.#files = files
    this.#deps = deps
  }

  /** How long this device's certificate, as last read, is good; null where there is none. */
  get certificate(): Validity | null {
    return this.#certificate
  }

  /** Empty where the upstream has no `tls`. @throws UpstreamSecretError */
  async read(): Promise<TlsMaterial> {
    const material = this.#files === undefined ? {} : await readTlsFiles(this.#files, this.#deps.secrets)
    const own = ownCertificate(material)
    this.#certificate = own === null ? null : validityOf(own)
    this.#warnOfExpiry()
    return material
  }

  /** For an error: what a connection to this address was tried with. */
  situation(address: Omit<PeerAddress, 'serverName'>, material: TlsMaterial): TlsSituation {
    const files = this.#files ?? {}
    const peer = { ...address, serverName: files.serverName }
    return { peer, files, material, prefix: 'tls', clock: this.#deps.readClock() }
  }

  #warnOfExpiry(): void {
    const { warn, clock, readClock } = this.#deps
    const certificate = this.#certificate
    const { now } = readClock()
    if (warn === undefined || certificate === null || !isCertificateDue(certificate, now)) return
    if (clock.monotonic() - this.#warnedAt < WARN_EVERY_MS) return
    this.#warnedAt = clock.monotonic()
    const { until } = certificate
    const days = Math.floor((until - now) / 86_400_000)
    const when = days < 0 ? 'expired' : `expires in ${days} ${days === 1 ? 'day' : 'days'},`
    const { certFile, keyFile } = this.#files!
    warn(
      `this device's certificate ${when} on ${timeText(until)} - put a new one into ${certFile} and its key into ${keyFile}; no restart is needed`,
    )
  }
}
