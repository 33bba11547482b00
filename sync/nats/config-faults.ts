/** What is wrong with an entry of the configuration that its schema lets through. */
import { type ConfigFault, tlsFaults } from '../config/security-faults.ts'
import type { NatsUpstreamConfig } from '../config.ts'

export function natsFaults(config: NatsUpstreamConfig): ConfigFault[] {
  const faults = tlsFaults(config.tls)
  const login = loginFault(config)
  if (login !== null) {
    const hint = 'give user and its password, a token, nkeyFile or credsFile, each from one place'
    faults.push({ path: ['login'], message: login, hint })
  }
  return faults
}

function loginFault({ login }: Pick<NatsUpstreamConfig, 'login'>): string | null {
  if (login === undefined) return null
  const given = (...values: unknown[]) => values.filter((value) => value !== undefined).length
  const passwords = given(login.passwordFile, login.passwordEnv, login.password)
  const tokens = given(login.tokenFile, login.tokenEnv, login.token)
  const ways = given(login.user, login.nkeyFile, login.credsFile) + Math.min(1, tokens)
  if (ways === 0) return 'nobody logs in: there is no user, token, NKey or credentials file'
  if (ways > 1) return 'there is more than one way to log in'
  if (login.user === undefined && passwords > 0) return 'there is a password and no user'
  if (login.user !== undefined && passwords === 0) return 'there is no password'
  if (passwords > 1) return 'the password is given more than once'
  return tokens > 1 ? 'the token is given more than once' : null
}
