/**
 * Certificates and keys for TLS, checked as they are read, so that an unreadable or a wrong file is told by its name and not by
 * a library's code. Plain types: any client (Kafka, NATS, HTTP) takes them.
 */
import { createHash, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { certificatesIn } from '../broker/index.ts'
import { UpstreamSecretError } from './errors.ts'
import type { Secrets } from './secrets.ts'

export interface TlsFiles {
  readonly caFile?: string | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly keyPasswordFile?: string | undefined
  readonly keyPasswordEnv?: string | undefined
}

/** As node:tls takes it. */
export interface TlsMaterial {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
  readonly passphrase?: string
}

/**
 * @param prefix of the fields in the configuration, such as "tls"
 * @throws UpstreamSecretError
 */
export async function readTlsFiles(files: TlsFiles, secrets: Secrets, prefix = 'tls'): Promise<TlsMaterial> {
  const read = async (field: string, path: string | undefined, isSecret: boolean) =>
    path === undefined ? undefined : secrets.bytes(`${prefix}.${field}`, path, isSecret)
  const [ca, cert, key, passphrase] = await Promise.all([
    read('caFile', files.caFile, false),
    read('certFile', files.certFile, false),
    read('keyFile', files.keyFile, true),
    keyPassword(files, secrets, prefix),
  ])
  if (ca !== undefined) certificates(ca, `${prefix}.caFile ${files.caFile}`)
  if (cert !== undefined && key !== undefined) {
    const [own] = certificates(cert, `${prefix}.certFile ${files.certFile}`)
    const keyName = `${prefix}.keyFile ${files.keyFile}`
    if (!own!.checkPrivateKey(privateKey(key, passphrase, keyName, prefix))) {
      throw new UpstreamSecretError(
        keyName,
        `it is not the key of the certificate in ${prefix}.certFile ${files.certFile}`,
        undefined,
        'put the key there that the certificate was made for; while both are being replaced this passes by itself',
      )
    }
  }
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(passphrase === undefined ? {} : { passphrase }),
  }
}

/** This device's certificate, null where there is none. */
export function ownCertificate({ cert }: TlsMaterial): X509Certificate | null {
  return cert === undefined ? null : new X509Certificate(cert)
}

/** Changes with any of the parts; says nothing about them. */
export function fingerprint(...parts: readonly (Uint8Array | string | undefined)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) {
    const bytes = part === undefined ? null : Buffer.from(part)
    hash.update(bytes === null ? '-' : `${bytes.length}:`)
    if (bytes !== null) hash.update(bytes)
  }
  return hash.digest('base64')
}

export function materialParts({ ca, cert, key, passphrase }: TlsMaterial) {
  return [ca, cert, key, passphrase] as const
}

async function keyPassword(
  { keyPasswordFile: file, keyPasswordEnv: variable }: TlsFiles,
  secrets: Secrets,
  prefix: string,
) {
  if (file === undefined && variable === undefined) return undefined
  return secrets.text({ field: `${prefix}.keyPassword`, file, variable })
}

function certificates(pem: Buffer, name: string): X509Certificate[] {
  const hint = 'put certificates there as PEM: blocks that begin with -----BEGIN CERTIFICATE-----'
  const found = certificatesIn(pem, (at, cause) => {
    throw new UpstreamSecretError(name, `its certificate ${at + 1} is damaged`, cause, hint)
  })
  if (found.length === 0) throw new UpstreamSecretError(name, 'it has no PEM certificate', undefined, hint)
  return found
}

function privateKey(pem: Buffer, passphrase: string | undefined, name: string, prefix: string): KeyObject {
  try {
    return createPrivateKey({ key: pem, ...(passphrase === undefined ? {} : { passphrase }) })
  } catch (cause) {
    const text = pem.toString('latin1')
    if (!/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/.test(text)) {
      const hint = 'put the private key there as PEM: a block that begins with -----BEGIN PRIVATE KEY-----'
      throw new UpstreamSecretError(name, 'it has no PEM private key', cause, hint)
    }
    if (!/ENCRYPTED/.test(text)) throw new UpstreamSecretError(name, 'the key is damaged', cause)
    if (passphrase === undefined) {
      const hint = `name the file of its password in ${prefix}.keyPasswordFile`
      throw new UpstreamSecretError(name, 'the key is encrypted and there is no password', cause, hint)
    }
    throw new UpstreamSecretError(name, `the password in ${prefix}.keyPassword does not open the key`, cause)
  }
}
