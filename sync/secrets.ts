/** Certificates, keys and passwords, from files and the environment; they stand in no log and no status. */
import { readFile } from 'node:fs/promises'
import type { KafkaUpstreamConfig } from './config.ts'
import { UpstreamSecretError } from './errors.ts'

export async function readTls({ tls }: KafkaUpstreamConfig) {
  if (tls === undefined) return null
  const read = (field: string, path: string | undefined) =>
    path === undefined ? undefined : readSecret(`tls.${field} ${path}`, path)
  const [ca, cert, key] = await Promise.all([
    read('caFile', tls.caFile),
    read('certFile', tls.certFile),
    read('keyFile', tls.keyFile),
  ])
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  }
}

export async function readPassword(
  { sasl }: KafkaUpstreamConfig,
  env: NodeJS.ProcessEnv,
): Promise<string | null> {
  if (sasl === undefined) return null
  const { password, passwordEnv, passwordFile } = sasl
  if (password !== undefined) return password
  if (passwordEnv !== undefined) {
    const value = env[passwordEnv]
    if (value === undefined || value === '') {
      throw new UpstreamSecretError(`sasl.passwordEnv ${passwordEnv}`, 'the environment has no such variable')
    }
    return value
  }
  const text = await readSecret(`sasl.passwordFile ${passwordFile!}`, passwordFile!)
  return text.toString('utf8').replace(/\r?\n$/, '')
}

async function readSecret(field: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const reason = code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`
    throw new UpstreamSecretError(field, reason, cause)
  }
}
