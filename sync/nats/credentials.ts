/** What logs this edge in, from files and the environment; read for each connection, in no log and no status. */
import { readFile } from 'node:fs/promises'
import type { NatsUpstreamConfig } from '../config.ts'
import { UpstreamSecretError } from '../errors.ts'

export type Login =
  | { readonly kind: 'user'; readonly user: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'nkey'; readonly seed: Uint8Array }
  | { readonly kind: 'creds'; readonly creds: Uint8Array }

type LoginConfig = NonNullable<NatsUpstreamConfig['login']>

/** @throws UpstreamSecretError */
export async function readLogin(
  { login }: Pick<NatsUpstreamConfig, 'login'>,
  env: NodeJS.ProcessEnv,
): Promise<Login | null> {
  if (login === undefined) return null
  const { user, nkeyFile, credsFile } = login
  if (credsFile !== undefined) {
    return { kind: 'creds', creds: await readSecret(`login.credsFile ${credsFile}`, credsFile) }
  }
  if (nkeyFile !== undefined) {
    const seed = (await readSecret(`login.nkeyFile ${nkeyFile}`, nkeyFile)).toString('utf8').trim()
    return { kind: 'nkey', seed: Buffer.from(seed, 'utf8') }
  }
  if (user !== undefined) return { kind: 'user', user, password: await readOne(login, 'password', env) }
  return { kind: 'token', token: await readOne(login, 'token', env) }
}

/** Certificates and key, as PEM. @throws UpstreamSecretError */
export async function readTls({ tls }: Pick<NatsUpstreamConfig, 'tls'>) {
  if (tls === undefined) return null
  const { caFile, certFile, keyFile, serverName } = tls
  const read = (field: string, path: string | undefined) =>
    path === undefined ? undefined : readSecret(`tls.${field} ${path}`, path)
  const [ca, cert, key] = await Promise.all([
    read('caFile', caFile),
    read('certFile', certFile),
    read('keyFile', keyFile),
  ])
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  }
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

async function readOne(login: LoginConfig, field: 'password' | 'token', env: NodeJS.ProcessEnv) {
  const given = login[field]
  if (given !== undefined) return given
  const variable = login[`${field}Env`]
  if (variable !== undefined) {
    const value = env[variable]
    if (value !== undefined && value !== '') return value
    throw new UpstreamSecretError(`login.${field}Env ${variable}`, 'the environment has no such variable')
  }
  const path = login[`${field}File`]!
  const text = await readSecret(`login.${field}File ${path}`, path)
  return text.toString('utf8').replace(/\r?\n$/, '')
}
