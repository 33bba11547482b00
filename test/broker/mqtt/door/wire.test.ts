/** The whole broker with mqtt.js: who connects over which listener, and what is allowed. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt, { type IClientOptions } from 'mqtt'
import { afterEach, describe, expect, it } from 'vitest'
import type { BrokerConfig } from '../../../../broker/config/schema.ts'
import { type Certificate, createAuthority, createCertificate } from '../../../support/certificates.ts'
import { until } from '../../log/support.ts'
import { recordsIn } from '../support.ts'
import { ALL, as, clients, closed, connect, guarded } from './wire-support.ts'

const directories: string[] = []
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

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
