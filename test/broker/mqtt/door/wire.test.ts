/** The whole broker with mqtt.js: who connects over which listener, what a change of users and rules does to those who are there. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { afterEach, describe, expect, it } from 'vitest'
import type { BrokerConfig } from '../../../../broker/config/schema.ts'
import { type User, writeUsers } from '../../../../broker/mqtt/door/users.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import { type Certificate, createAuthority, createCertificate } from '../../../support/certificates.ts'
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

  it('of a password ends the connections that were made with the old one, and no others', async () => {
    const { port, set, apply, sink } = await guarded(['ann', 'bob'], (config) => {
      config.mqtt.permissions = [ALL]
    })
    const five = await connect(port, as('ann', { protocolVersion: 5, clientId: 'five' }))
    const four = await connect(port, as('ann', { clientId: 'four' }))
    const bob = await connect(port, as('bob'))
    const told = new Promise<number | undefined>((resolve) =>
      five.once('disconnect', ({ reasonCode }) => resolve(reasonCode)),
    )
    const gone = closed(four)
    await set(['ann', 'bob'], 'ann')
    await apply(() => {})
    expect(await told).toBe(0x87)
    await gone
    await bob.publishAsync('a', 'still there', { qos: 1 })
    await expect(connect(port, as('ann'))).rejects.toThrow()
    const again = await connect(port, { ...as('ann'), password: 'another horse' })
    await set(['ann', 'bob', 'eve'], '')
    await apply(() => {})
    await again.publishAsync('a', 'the same password', { qos: 1 })
    expect(JSON.stringify(sink)).toContain('"passwords":"ann"')
  })

  it('of permissions ends a connection of 3.1.1 at the next message that is not allowed', async () => {
    const { port, apply, broker } = await guarded(['ann'], (config) => {
      config.mqtt.permissions = [ALL]
    })
    const ann = await connect(port, as('ann'))
    await ann.publishAsync('a', 'before', { qos: 1 })
    await apply((config) => {
      config.mqtt.permissions = [{ users: ['ann'], publish: ['b'], subscribe: ['#'] }]
    })
    await ann.publishAsync('b', 'after', { qos: 1 })
    const gone = closed(ann)
    ann.publish('a', 'after', { qos: 1 })
    await gone
    const values = (await recordsIn(broker)).map(({ topic, value }) => `${topic} ${value}`)
    expect(values.sort()).toEqual(['a before', 'b after'])
  })

  it('of permissions takes back a will that may not be published any more', async () => {
    const { port, apply, broker, set } = await guarded(['ann', 'bob'], (config) => {
      config.mqtt.permissions = [ALL]
    })
    const will = (topic: string) => ({ topic, payload: Buffer.from('gone'), qos: 1 as const, retain: false })
    await connect(port, as('ann', { clientId: 'c1', will: will('no') }))
    await connect(port, as('ann', { clientId: 'c2', will: will('yes') }))
    const bob = await connect(port, as('bob', { clientId: 'c4', will: will('yes') }))
    // its connection has ended, its will waits
    const delayed = { ...will('no'), properties: { willDelayInterval: 3600 } }
    const away = await connect(
      port,
      as('ann', {
        clientId: 'c3',
        protocolVersion: 5,
        clean: false,
        properties: { sessionExpiryInterval: 7200 },
        will: delayed,
      }),
    )
    away.stream.destroy()
    await until(() => broker.status().mqtt.connections === 3, 'it is gone')
    expect(broker.status().mqtt.sessions.wills).toBe(4)
    await apply((config) => {
      config.mqtt.permissions = [{ users: ['ann', 'bob'], publish: ['yes'], subscribe: [] }]
    })
    expect(broker.status().mqtt.sessions.wills).toBe(2)
    await set(['bob'])
    await apply(() => {})
    await until(() => broker.status().mqtt.connections === 1, 'ann is gone')
    expect(broker.status().mqtt.sessions).toMatchObject({ wills: 1, willsPublished: 0 })
    bob.stream.destroy()
    await until(() => broker.status().mqtt.sessions.willsPublished === 1, 'its will is published')
    expect(await recordsIn(broker)).toEqual([{ topic: 'yes', value: 'gone' }])
  })

  it('of permissions stops what is queued for a client that is away, also over a restart', async () => {
    const rules = (subscribe: string[]) => (config: BrokerConfig) => {
      config.mqtt.permissions = [
        { users: ['ann'], publish: [], subscribe },
        { users: ['bob'], publish: ['#'], subscribe: [] },
      ]
    }
    const first = await guarded(['ann', 'bob'], rules(['#']))
    const session = as('ann', { clientId: 'c1', clean: false })
    const before = await connect(first.port, session)
    await before.subscribeAsync(['secret/#', 'later/#', 'open/#'], { qos: 1 })
    await before.endAsync()
    const publish = async (port: number, value: string) => {
      const bob = await connect(port, as('bob'))
      for (const topic of ['secret/1', 'later/1', 'open/1']) await bob.publishAsync(topic, value, { qos: 1 })
    }
    await publish(first.port, 'one')
    await first.apply(rules(['later/#', 'open/#']))
    await publish(first.port, 'two')
    expect(first.broker.status().mqtt.sessions).toMatchObject({ queued: 5, subscriptions: 2 })
    await first.broker.close()
    const second = await startBroker({ data: first.config.data, change: rules(['open/#']) })
    await publish(second.port, 'three')
    const after = mqtt.connect({ host: '127.0.0.1', port: second.port, reconnectPeriod: 0, ...session })
    clients.push(after)
    const arrived: string[] = []
    after.on('message', (topic, payload) => arrived.push(`${topic} ${payload}`))
    await until(() => arrived.includes('open/1 three'), 'the queue comes')
    expect(arrived).toEqual([
      // what waited when it was forbidden had been allowed when it came
      'secret/1 one',
      'later/1 one',
      'open/1 one',
      'later/1 two',
      'open/1 two',
      'open/1 three',
    ])
  })

  it('of users ends the sessions of those that are gone, and gives their client ids free', async () => {
    const { port, broker, set, apply, sink } = await guarded(['ann', 'bob'], (config) => {
      config.mqtt.permissions = [ALL]
    })
    const session = { clientId: 'pump', clean: false }
    const away = await connect(port, as('ann', session))
    await away.subscribeAsync('a/#', { qos: 1 })
    await away.endAsync()
    const asBob = as('bob', { ...session, protocolVersion: 5 })
    await expect(connect(port, asBob)).rejects.toThrow('Not authorized')
    const client = await connect(port, as('ann', session))
    const ended = closed(client)
    await set(['bob'])
    await apply(() => {})
    await ended
    await until(() => broker.status().mqtt.sessions.sessions === 0, 'its session has ended')
    await connect(port, asBob)
    expect(JSON.stringify(sink)).toContain('the client id is that of another user')
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
    const needsRestart = ['mqtt.listeners', 'limits.sessionsMax'].map((key) => ({
      key,
      reason: expect.any(String),
    }))
    expect(await apply(other)).toEqual({ applied: ['limits.connectionsMax: 1000 -> 7'], needsRestart })
    expect(await apply(other)).toEqual({ applied: [], needsRestart })
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

  it('end the connections whose certificates nobody vouches for any more', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'headwater-tls-'))
    directories.push(directory)
    const [ours, devices, next] = [createAuthority('plant'), createAuthority('old'), createAuthority('next')]
    const own = createCertificate({ name: 'broker', names: ['127.0.0.1'], issuer: ours })
    const [certFile, keyFile, clientCaFile] = ['crt', 'key', 'ca'].map((name) => join(directory, name))
    writeFileSync(certFile!, own.cert)
    writeFileSync(keyFile!, own.key)
    writeFileSync(clientCaFile!, devices.cert + next.cert)
    const { port, apply } = await guarded(['ann'], (config) => {
      config.mqtt.permissions = [ALL]
      const tls = {
        certFile: certFile!,
        keyFile: keyFile!,
        clientCaFile: clientCaFile!,
        clientCertificate: 'request' as const,
      }
      config.mqtt.listeners = [{ address: '127.0.0.1:0', tls }]
    })
    const device = (issuer: Certificate) => {
      const { cert, key } = createCertificate({ name: 'sensor-7', issuer })
      return connect(port, { protocol: 'mqtts', ca: ours.cert, cert, key, protocolVersion: 5 })
    }
    const [old, renewed] = [await device(devices), await device(next)]
    const ann = await connect(port, as('ann', { protocol: 'mqtts', ca: ours.cert }))
    const told = new Promise<number | undefined>((resolve) =>
      old.once('disconnect', ({ reasonCode }) => resolve(reasonCode)),
    )
    // in place whole: a listener that looks in between keeps what it has
    writeFileSync(`${clientCaFile}.new`, next.cert)
    renameSync(`${clientCaFile}.new`, clientCaFile!)
    await apply(() => {})
    expect(await told).toBe(0x87)
    for (const client of [renewed, ann]) await client.publishAsync('a', 'still there', { qos: 1 })
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
    await bob.publishAsync('a', 'x', { qos: 1, retain: true })
    const { retained, retainedOwn } = broker.status().mqtt.sessions
    expect([retained, retainedOwn], 'of clients, and of its own').toEqual([1, arrived.size])
  })
})
