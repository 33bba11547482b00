/** The certificate files of a listener: read and tried out before they are used. */
import { createHash, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
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
}

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
  const options = { cert, key, ...(ca === null ? {} : { ca }) }
  try {
    createSecureContext(options)
  } catch (error) {
    const reason = `${certFile} and ${keyFile} cannot be used: ${(error as Error).message}`
    throw new ListenError(where, reason, 'the key must be that of the certificate, both as PEM', error)
  }
  const hash = createHash('sha256')
  for (const part of [cert, key, ca ?? Buffer.alloc(0)]) hash.update(`${part.length}:`).update(part)
  return { options, fingerprint: hash.digest('base64'), authorities: authoritiesIn(ca) }
}

const PEM = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]+-----END [^-]+-----/g

/** What TLS cannot read there vouches for nobody. */
function authoritiesIn(file: Buffer | null): Set<string> {
  const authorities = new Set<string>()
  for (const [pem] of file?.toString('latin1').matchAll(PEM) ?? []) {
    try {
      authorities.add(new X509Certificate(pem).fingerprint256)
    } catch {}
  }
  return authorities
}
