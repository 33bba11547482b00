/** What is wrong with `tls` and `sasl` that their schemas let through. */
import type { OauthConfig, SaslConfig, TlsConfig } from './security.ts'

/** `path` is below the entry that was looked at. */
export interface ConfigFault {
  readonly path: readonly string[]
  readonly message: string
  readonly hint: string
}

export function tlsFaults(tls: TlsConfig | undefined, path: readonly string[] = ['tls']): ConfigFault[] {
  if (tls === undefined) return []
  const faults: ConfigFault[] = []
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined)) {
    const hint = 'give both certFile and keyFile, or none'
    faults.push({ path, message: 'a certificate and its key belong together', hint })
  }
  const passwords = given(tls.keyPasswordFile, tls.keyPasswordEnv)
  if (passwords > 1) {
    const hint = 'give one of keyPasswordFile and keyPasswordEnv'
    faults.push({ path, message: "the key's password is given more than once", hint })
  }
  if (passwords > 0 && tls.keyFile === undefined) {
    const hint = 'give keyFile and certFile, too'
    faults.push({ path, message: "there is a key's password, but no key", hint })
  }
  return faults
}

export function saslFaults(sasl: SaslConfig | undefined, path: readonly string[] = ['sasl']): ConfigFault[] {
  if (sasl === undefined) return []
  const { mechanism, username, passwordFile, passwordEnv, password, oauth } = sasl
  const passwords = given(passwordFile, passwordEnv, password)
  if (mechanism === 'OAUTHBEARER') {
    if (oauth === undefined) {
      return [
        { path, message: 'OAUTHBEARER needs a token', hint: 'add oauth with tokenEndpoint or tokenFile' },
      ]
    }
    if (username !== undefined || passwords > 0) {
      const hint = 'remove username and password: the token says who this is'
      return [{ path, message: 'OAUTHBEARER takes no user', hint }]
    }
    return oauthFaults(oauth, [...path, 'oauth'])
  }
  const faults: ConfigFault[] = []
  if (oauth !== undefined) {
    const hint = 'set mechanism to OAUTHBEARER, or remove oauth'
    faults.push({ path: [...path, 'oauth'], message: `${mechanism} uses no token`, hint })
  }
  if (username === undefined) {
    faults.push({ path, message: `${mechanism} needs a user`, hint: 'add username' })
  }
  if (passwords !== 1) {
    const message = passwords === 0 ? 'there is no password' : 'the password is given more than once'
    faults.push({ path, message, hint: 'give one of passwordFile, passwordEnv and password' })
  }
  return faults
}

function oauthFaults(oauth: OauthConfig, path: readonly string[]): ConfigFault[] {
  const { tokenEndpoint, tokenFile, clientId, clientSecretFile, clientSecretEnv, clientSecret } = oauth
  const one = (message: string, hint: string) => [{ path, message, hint }]
  if (given(tokenEndpoint, tokenFile) !== 1) {
    return one('the token comes from one place', 'give one of tokenEndpoint and tokenFile')
  }
  const secrets = given(clientSecretFile, clientSecretEnv, clientSecret)
  if (tokenEndpoint === undefined) {
    const extra = clientId !== undefined || secrets > 0
    return extra ? one('tokenFile needs no client', 'remove clientId and the client secret') : []
  }
  if (clientId === undefined) return one('a token endpoint asks who this is', 'add clientId')
  if (secrets !== 1) {
    const message = secrets === 0 ? 'there is no client secret' : 'the client secret is given more than once'
    return one(message, 'give one of clientSecretFile, clientSecretEnv and clientSecret')
  }
  if (!URL.canParse(tokenEndpoint))
    return one('tokenEndpoint is no address', 'such as https://login.example.org/oauth2/token')
  const url = new URL(tokenEndpoint)
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    return one('the token endpoint would get the client secret unencrypted', 'use an https:// address')
  }
  return []
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

function given(...values: readonly unknown[]): number {
  return values.filter((value) => value !== undefined).length
}
