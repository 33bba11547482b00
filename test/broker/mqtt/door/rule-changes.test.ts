/** The whole broker with mqtt.js: what a change of users and rules does to those who are there. */
import mqtt from 'mqtt'
import { describe, expect, it } from 'vitest'
import type { BrokerConfig } from '../../../../broker/config/schema.ts'
import { until } from '../../log/support.ts'
import { recordsIn, startBroker } from '../support.ts'
import { ALL, as, clients, closed, connect, guarded } from './wire-support.ts'

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
      config.log.segmentBytes = 2_000_000
    }
    const needsRestart = ['limits.sessionsMax', 'log.segmentBytes'].map((key) => ({
      key,
      reason: expect.any(String),
    }))
    expect(await apply(other)).toEqual({ applied: ['limits.connectionsMax: 1000 -> 7'], needsRestart })
    expect(await apply(other)).toEqual({ applied: [], needsRestart })
    expect(JSON.stringify(sink)).toContain('which needs a restart: limits.sessionsMax')
  })
})
