/** The whole broker with mqtt.js: who connects over which listener, what a change of users and rules does to those who are there. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { afterEach, describe, expect, it } from 'vitest'
import type { BrokerConfig } from '../../../../broker/config/schema.ts'
import { writeUsers } from '../../../../broker/mqtt/door/users.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import { createAuthority, createCertificate } from '../../../support/certificates.ts'
import { until } from '../../log/support.ts'
import { dataDirectory, recordsIn, startBroker } from '../support.ts'
import { users } from './support.ts'

const clients: MqttClient[] = []
const directories: string[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

async function connect(port: number, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await mqtt.connectAsync({ host: '127.0.0.1', port, reconnectPeriod: 0, ...options })
  client.on('error', () => {})
  clients.push(client)
  return client
}

const closed = (client: MqttClient) => new Promise<void>((resolve) => client.once('close', () => resolve()))

const as = (username: string, more: IClientOptions = {}): IClientOptions => ({
  username,
  password: `${username} correct horse`,
  ...more,
})

/** A broker with users, and a way to change them and its rules as `headwater` does. */
async function guarded(names: string[], change: (config: BrokerConfig) => void = () => {}) {
  const data = dataDirectory()
  const set = async (now: string[]) => {
    const passwords = Object.fromEntries(now.map((name) => [name, `${name} correct horse`]))
    await writeUsers(nodeDisk, data, await users(passwords))
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

const ALL = { users: ['*'], publish: ['#'], subscribe: ['#'] }

describe('users and permissions', () => {
  it('let those in who know their password, and them do what is allowed', async () => {
    const { port, broker, sink } = await guarded(['ann'], (config) => {
      config.mqtt.permissions = [{ users: ['*'], publish: ['p/%u/%c'], subscribe: ['p/#'] }]
    })
    const ann = await connect(port, as('ann', { clientId: 'c1', protocolVersion: 5 }))
    await ann.publishAsync('p/ann/c1', 'yes', { qos: 1 })
    for (const topic of ['p/ann/c2', 'p/bob/c1', 'x'])
      await expect(ann.publishAsync(topic, 'no', { qos: 1 })).rejects.toThrow('Not authorized')
    const granted = await ann.subscribeAsync(['p/+/x', '#'], { qos: 1 }).catch((error) => error)
    expect(granted).toBeInstanceOf(Error)
    expect(await recordsIn(broker)).toEqual([{ topic: 'p/ann/c1', value: 'yes' }])
    await expect(connect(port, { protocolVersion: 5 })).rejects.toThrow('Not authorized')
    await expect(connect(port, { ...as('ann'), password: 'wrong' })).rejects.toThrow()
    await expect(connect(port, as('eve'))).rejects.toThrow()
    const log = JSON.stringify(sink)
    expect(log).toContain('its password is wrong')
    expect(log).toContain('mqtt.anonymous is false')
    expect(log).not.toContain('correct horse')
  })

  it.each(['+', '#', 'a/b', '../x', '%u', '$SYS'])(
    'give the client id %s no way into other topics',
    async (clientId) => {
      const { port, broker } = await guarded(['ann'], (config) => {
        config.mqtt.permissions = [{ users: ['*'], publish: ['d/%c/x', '%c/y'], subscribe: ['d/%c', '%c/#'] }]
      })
      const client = await connect(port, as('ann', { clientId, protocolVersion: 5 }))
      for (const topic of ['d/other/x', 'd/a/b/x', 'other/y', 'd/ann/x', '$SYS/y'])
        await expect(client.publishAsync(topic, 'no', { qos: 1 }), topic).rejects.toThrow()
      for (const filter of ['d/+', 'd/#', '#', '+/#', '$SYS/#', 'ann/#']) {
        const isOwn = filter === `${clientId}/#` && !/[/+#$]/.test(clientId)
        const granted = await client.subscribeAsync(filter).then(
          () => true,
          () => false,
        )
        expect(granted, filter).toBe(isOwn)
      }
      expect(await recordsIn(broker)).toEqual([])
    },
  )

  it('keep a stream for its one writer', async () => {
    const { port, broker, sink } = await guarded(['plc-1', 'ann'], (config) => {
      config.mqtt.permissions = [ALL]
      config.streams[0]!.writer = 'plc-1'
    })
    const plc = await connect(port, as('plc-1'))
    await plc.publishAsync('a', 'from the plc', { qos: 1 })
    const ann = await connect(port, as('ann', { protocolVersion: 5, clientId: 'plc-1' }))
    await expect(ann.publishAsync('a', 'from ann', { qos: 1 })).rejects.toThrow('Not authorized')
    expect(await recordsIn(broker)).toEqual([{ topic: 'a', value: 'from the plc' }])
    expect(JSON.stringify(sink)).toContain('may not publish to a')
  })

  it('whose client asks for too long a topic, or too many of one address, are refused', async () => {
    const { port, sink } = await guarded([], (config) => {
      config.limits.connectionsPerAddressMax = 2
      config.limits.topicBytesMax = 16
    })
    const one = await connect(port)
    const ended = closed(one)
    one.publish('a/very/long/topic/name', 'x')
    await ended
    await Promise.all([connect(port), connect(port)])
    const third = mqtt.connect({ host: '127.0.0.1', port, reconnectPeriod: 0 })
    clients.push(third)
    third.on('error', () => {})
    await closed(third)
    expect(third.connected).toBe(false)
    expect(JSON.stringify(sink)).toContain('limits.connectionsPerAddressMax is reached')
  })
})

describe('a change', () => {
  it('of users ends the connections of those that are gone, and lets new ones in', async () => {
    const { port, set, apply } = await guarded(['ann', 'bob'], (config) => {
      config.mqtt.permissions = [ALL]
    })
    const [ann, bob] = [await connect(port, as('ann')), await connect(port, as('bob'))]
    const gone = closed(ann)
    await set(['bob', 'eve'])
    await apply(() => {})
    await gone
    await bob.publishAsync('a', 'still there', { qos: 1 })
    await connect(port, as('eve'))
    await expect(connect(port, as('ann'))).rejects.toThrow()
  })

  it('of the file of users is seen within seconds', async () => {
    const { port, set } = await guarded(['ann'], (config) => {
      config.mqtt.permissions = [ALL]
    })
    const ann = await connect(port, as('ann'))
    const gone = closed(ann)
    await set(['bob'])
    await gone
    await connect(port, as('bob'))
  })

  it('to a first user ends the connections of clients without a name', async () => {
    const { port, set, apply } = await guarded([])
    const nobody = await connect(port)
    const gone = closed(nobody)
    await set(['ann'])
    await apply(() => {})
    await gone
    await expect(connect(port)).rejects.toThrow()
  })

  it('of permissions counts for those who are connected: what they publish, and what they are subscribed to', async () => {
    const { port, apply, sink } = await guarded(['ann', 'bob'], (config) => {
      config.mqtt.permissions = [ALL]
    })
    const ann = await connect(port, as('ann', { protocolVersion: 5 }))
    const bob = await connect(port, as('bob'))
    const arrived: string[] = []
    ann.on('message', (topic) => arrived.push(topic))
    await ann.subscribeAsync(['secret/#', 'open/#'], { qos: 1 })
    await bob.publishAsync('secret/1', 'x', { qos: 1 })
    await until(() => arrived.length === 1, 'ann is told')
    const report = await apply((config) => {
      config.mqtt.permissions = [
        { users: ['ann'], publish: [], subscribe: ['open/#'] },
        { ...ALL, users: ['bob'] },
      ]
    })
    expect(report).toMatchObject({
      applied: [expect.stringMatching(/^mqtt\.permissions: /)],
      needsRestart: [],
    })
    await bob.publishAsync('secret/2', 'x', { qos: 1 })
    await bob.publishAsync('open/1', 'x', { qos: 1 })
    await until(() => arrived.length === 2, 'ann is told')
    expect(arrived).toEqual(['secret/1', 'open/1'])
    await expect(ann.publishAsync('open/2', 'x', { qos: 1 })).rejects.toThrow('Not authorized')
    expect(JSON.stringify(sink)).toContain('ended subscriptions that are not allowed any more')
  })

  it('of permissions while a client is away counts when it comes back to its session', async () => {
    const { port, apply } = await guarded(['ann'], (config) => {
      config.mqtt.permissions = [ALL]
    })
    const session = as('ann', { clientId: 'c1', clean: false })
    const before = await connect(port, session)
    await before.subscribeAsync('secret/#', { qos: 1 })
    await before.endAsync()
    await apply((config) => {
      config.mqtt.permissions = [{ users: ['*'], publish: ['#'], subscribe: ['open/#'] }]
    })
    const after = await connect(port, session)
    const arrived: string[] = []
    after.on('message', (topic) => arrived.push(topic))
    await after.subscribeAsync('open/#')
    await after.publishAsync('secret/1', 'x', { qos: 1 })
    await after.publishAsync('open/1', 'x', { qos: 1 })
    await until(() => arrived.length > 0, 'something comes')
    expect(arrived).toEqual(['open/1'])
  })

  it('of what is only read at a start is told, each time until then', async () => {
    const { apply, sink } = await guarded([])
    const other = (config: BrokerConfig) => {
      config.limits.sessionsMax = 5
      config.limits.connectionsMax = 7
      config.mqtt.listeners.push({ address: '127.0.0.1:0' })
    }
    expect(await apply(other)).toEqual({
      applied: ['limits.connectionsMax: 1000 -> 7'],
      needsRestart: ['mqtt.listeners', 'limits.sessionsMax'],
    })
    expect(await apply(other)).toEqual({
      applied: [],
      needsRestart: ['mqtt.listeners', 'limits.sessionsMax'],
    })
    expect(JSON.stringify(sink)).toContain('which needs a restart: limits.sessionsMax')
  })
})

describe('listeners of every kind', () => {
  const portOf = (address: string) => Number(/:(\d+)/.exec(address.replace('://', ''))![1])

  it('take mqtt.js: TCP, TLS, mutual TLS, WebSocket and secure WebSocket', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'headwater-tls-'))
    directories.push(directory)
    const authority = createAuthority('plant')
    const own = createCertificate({ name: 'broker', names: ['127.0.0.1'], issuer: authority })
    const device = createCertificate({ name: 'sensor-7', issuer: authority })
    const file = (name: string, text: string) => {
      writeFileSync(join(directory, name), text)
      return join(directory, name)
    }
    const tls = { certFile: file('crt', own.cert), keyFile: file('key', own.key) }
    const mutual = { ...tls, clientCaFile: file('ca', authority.cert) }
    const { broker } = await guarded(['ann'], (config) => {
      const address = '127.0.0.1:0'
      config.mqtt.permissions = [{ users: ['*'], publish: ['%u/+'], subscribe: ['%u/+'] }]
      config.mqtt.listeners = [
        { address },
        { address, tls },
        { address, tls: mutual },
        { address, webSocket: { path: '/mqtt' } },
        { address, tls: mutual, webSocket: { path: '/mqtt' } },
      ]
    })
    const addresses = broker.status().mqtt.listeners
    const ca = authority.cert
    const certificate = { ca, cert: device.cert, key: device.key }
    const kinds: [IClientOptions, string][] = [
      [as('ann'), 'ann/tcp'],
      [as('ann', { protocol: 'mqtts', ca }), 'ann/tls'],
      [{ protocol: 'mqtts', ...certificate }, 'sensor-7/mutual'],
      [as('ann', { protocol: 'ws', path: '/mqtt' }), 'ann/ws'],
      [{ protocol: 'wss', path: '/mqtt', wsOptions: certificate }, 'sensor-7/wss'],
    ]
    for (const [index, [options, topic]] of kinds.entries()) {
      for (const protocolVersion of [4, 5] as const) {
        const client = await connect(portOf(addresses[index]!), { ...options, protocolVersion })
        const large = Buffer.alloc(300_000, index)
        await client.subscribeAsync(topic, { qos: 2 })
        const arrived = new Promise<Buffer>((resolve) =>
          client.once('message', (_, payload) => resolve(payload)),
        )
        await client.publishAsync(topic, large, { qos: 2 })
        expect((await arrived).equals(large), topic).toBe(true)
      }
    }
    await expect(connect(portOf(addresses[2]!), as('ann', { protocol: 'mqtts', ca }))).rejects.toThrow()
  })

  it('that other machines reach are told of while nobody is configured', async () => {
    const open = (config: BrokerConfig) => {
      config.mqtt.listeners = [{ address: '0.0.0.0:0' }]
    }
    const first = await guarded([], open)
    expect(JSON.stringify(first.sink)).toContain('clients of other machines are refused')
    const second = await guarded(['ann'], open)
    expect(JSON.stringify(second.sink)).not.toContain('clients of other machines are refused')
    const third = await guarded([], (config) => {
      open(config)
      config.mqtt.anonymous = true
    })
    expect(JSON.stringify(third.sink)).toContain('everybody may do everything')
  })
})

describe('$SYS topics', () => {
  it('come to who may subscribe to them, retained, and are written by nobody and to no disk', async () => {
    const { port, broker } = await guarded(['ann', 'bob'], (config) => {
      config.mqtt.permissions = [
        { users: ['ann'], publish: ['#', '$SYS/#'], subscribe: ['$SYS/#', '#'] },
        { users: ['bob'], publish: ['#'], subscribe: ['#'] },
      ]
    })
    const ann = await connect(port, as('ann', { protocolVersion: 5 }))
    const arrived = new Map<string, string>()
    ann.on('message', (topic, payload, { retain }) => {
      if (retain) arrived.set(topic, payload.toString())
    })
    const { writtenBytes } = broker.status().mqtt.sessions
    await ann.subscribeAsync('$SYS/broker/#', { qos: 1 })
    await until(() => arrived.has('$SYS/broker/clients/connected'), 'they come')
    expect(arrived.get('$SYS/broker/version')).toMatch(/^\d/)
    expect([...arrived.keys()]).toContain('$SYS/broker/load/bytes/received/15min')
    await expect(ann.publishAsync('$SYS/broker/version', 'mine', { qos: 1 })).rejects.toThrow(
      'Not authorized',
    )
    const bob = await connect(port, as('bob', { protocolVersion: 5 }))
    await expect(bob.subscribeAsync('$SYS/#')).rejects.toThrow()
    expect(broker.status().mqtt.sessions.writtenBytes).toBe(writtenBytes)
    expect(await recordsIn(broker)).toEqual([])
  })
})
