/** mqtt.js at a whole broker that has users, and rules that a test changes. */
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { afterEach } from 'vitest'
import type { BrokerConfig } from '../../../../broker/config/schema.ts'
import { type User, writeUsers } from '../../../../broker/mqtt/door/users.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import { dataDirectory, startBroker } from '../support.ts'
import { users } from './support.ts'

export const clients: MqttClient[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
})

export async function connect(port: number, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await mqtt.connectAsync({ host: '127.0.0.1', port, reconnectPeriod: 0, ...options })
  client.on('error', () => {})
  clients.push(client)
  return client
}

export const closed = (client: MqttClient) =>
  new Promise<void>((resolve) => client.once('close', () => resolve()))

export const as = (username: string, more: IClientOptions = {}): IClientOptions => ({
  username,
  password: `${username} correct horse`,
  ...more,
})

/** A broker with users, and a way to change them and its rules as `headwater` does. */
export async function guarded(names: string[], change: (config: BrokerConfig) => void = () => {}) {
  const data = dataDirectory()
  let hashes = new Map<string, User>()
  /** Those that were there keep their password, but for one. */
  const set = async (now: string[], renewed = '') => {
    const passwords = Object.fromEntries(now.map((name) => [name, `${name} correct horse`]))
    if (renewed !== '') passwords[renewed] = 'another horse'
    const known = await users(passwords)
    hashes = new Map(
      [...known].map(([name, user]) => [name, name === renewed ? user : (hashes.get(name) ?? user)]),
    )
    await writeUsers(nodeDisk, data, hashes)
  }
  await set(names)
  const running = await startBroker({ data, change })
  const apply = (next: (config: BrokerConfig) => void) => {
    const config = structuredClone(running.config)
    next(config)
    return running.broker.applyConfig(config)
  }
  return { ...running, set, apply }
}

export const ALL = { users: ['*'], publish: ['#'], subscribe: ['#'] }
