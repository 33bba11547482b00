/** The certificate files of a listener: read and tried out before they are used. */
import { constants, createHash } from 'node:crypto'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { certificatesIn, firstToEnd, lastingAuthorities, type Validity } from '../../certificate-dates.ts'
import { ListenError } from '../../errors.ts'
import type { Disk } from '../../storage/store.ts'

export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
  /** Authorities that clients' certificates are taken from; null: clients are not asked for one. */
  readonly clientCaFile: string | null
  /** A client without a certificate is refused; else it may log in by name. */
  readonly requiresClientCertificate: boolean
}

export interface Certificates {
  readonly options: SecureContextOptions
  /** Changes when a file does. */
  readonly fingerprint: string
  /** Those that clients' certificates are taken from, by their fingerprints (SHA-256). */
  readonly authorities: ReadonlySet<string>
  /** Of its chain the one that ends first, and of the clients' authorities; null where there is none. */
  readonly validity: Validity | null
  readonly authorityValidity: Validity | null
}

/**
 * With TLS 1.2 a client may ask for another handshake on its connection, before it has logged in, as often as it likes: each costs an elliptic curve signature. Node counts
 * them and only says so (`ERR_TLS_SESSION_ATTACK`); it was seen to go on for ever.
 */
const NO_RENEGOTIATION = constants.SSL_OP_NO_RENEGOTIATION

/** @param where the listener, for the error @throws ListenError */
export async function readCertificates(disk: Disk, files: TlsFiles, where: string): Promise<Certificates> {
  const read = async (file: string, what: string): Promise<Buffer> => {
    let bytes: Buffer | undefined
    try {
      bytes = await disk.readFile(file)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      throw new ListenError(
        where,
        `${what} ${file} cannot be read: ${code ?? message}`,
        'let this user read the file',
      )
    }
    if (bytes !== undefined) return bytes
    throw new ListenError(where, `${what} ${file} is not there`, 'put it there, or correct mqtt.listeners')
  }
  const { certFile, keyFile, clientCaFile } = files
  const cert = await read(certFile, 'the certificate')
  const key = await read(keyFile, 'the key')
  const ca = clientCaFile === null ? null : await read(clientCaFile, "the clients' authority")
  const options = { cert, key, ...(ca === null ? {} : { ca }), secureOptions: NO_RENEGOTIATION }
  try {
    createSecureContext(options)
  } catch (error) {
    const reason = `${certFile} and ${keyFile} cannot be used: ${(error as Error).message}`
    throw new ListenError(where, reason, 'the key must be that of the certificate, both as PEM', error)
  }
  // what TLS cannot read there vouches for nobody: half a file must not end everybody's connections
  const authorities = certificatesIn(ca ?? undefined)
  if (ca !== null && authorities.length === 0) {
    const hint = 'put the authorities of clients there as PEM, or correct mqtt.listeners'
    throw new ListenError(where, `the clients' authority ${clientCaFile} has no PEM certificate`, hint)
  }
  const hash = createHash('sha256')
  for (const part of [cert, key, ca ?? Buffer.alloc(0)]) hash.update(`${part.length}:`).update(part)
  return {
    options,
    fingerprint: hash.digest('base64'),
    authorities: new Set(authorities.map(({ fingerprint256 }) => fingerprint256)),
    validity: firstToEnd(certificatesIn(cert)),
    authorityValidity: firstToEnd(lastingAuthorities(authorities)),
  }
}
