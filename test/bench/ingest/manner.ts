/**
 * How clients come to a server. Plain: MQTT 3.1.1 and an open door. Guarded: MQTT 5, a user with a password, permissions and quotas, which
 * are asked at every message and never bind.
 */

export type Manner = 'plain' | 'guarded'

export interface Credentials {
  readonly name: string
  readonly password: string
}

const CREDENTIALS: Credentials = { name: 'device-1', password: 'measured, not guessed' }

export function credentialsOf(manner: Manner): Credentials | null {
  return manner === 'guarded' ? CREDENTIALS : null
}

export function versionOf(manner: Manner): 4 | 5 {
  return manner === 'guarded' ? 5 : 4
}

export function clientIdOf(connection: number): string {
  return `dev-${String(connection).padStart(5, '0')}`
}

/** All topics have one length, so that all packets have. A client publishes to its own: a permission by client id is asked. */
export function topicOf(connection: number): string {
  return `site/1/${clientIdOf(connection)}/t`
}

/** Of Headwater's configuration. */
export const PERMISSIONS = [
  { users: ['operator'], subscribe: ['#', '$SYS/#'] },
  { users: ['device-*'], publish: ['site/1/%c/t'], subscribe: ['site/#', '#'] },
] as const

export const QUOTAS = {
  messagesPerSecondPerClient: 5_000_000,
  bytesPerSecondPerClient: 2_000_000_000,
  connectionsMax: 5000,
  connectionsPerAddressMax: 5000,
  connectsPerSecond: 10_000,
  connectsPerSecondPerAddress: 10_000,
} as const

/** The same rules for mosquitto, which has no quotas of this kind. */
export const MOSQUITTO_RULES = [
  'user operator',
  'topic read #',
  'topic read $SYS/#',
  `user ${CREDENTIALS.name}`,
  'topic read #',
  'pattern write site/1/%c/t',
  '',
].join('\n')
