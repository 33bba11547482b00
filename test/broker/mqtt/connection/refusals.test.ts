/** Whatever is refused, one line says to whom, from where and why, and says it once in ten seconds. */
import { describe, expect, it } from 'vitest'
import { type Access, NO_QUOTAS, OPEN_ACCESS } from '../../../../broker/mqtt/connection/access.ts'
import { Reason } from '../../../../broker/mqtt/packets/protocol-error.ts'
import { type FrontTest, type FrontTestOptions, startFront, type TestClient } from './support.ts'

const FROM = '192.0.2.1'
/** Everybody is ann, and may do nothing on topics and filters with "no" in them. */
const ANN = { client: 'c1', from: FROM, user: 'ann' }
const rules = {
  ...OPEN_ACCESS,
  canConnect: async ({ clientId }: { clientId: string }) => ({ name: 'ann', clientId }),
  mayPublish: (_: unknown, topic: string) => !topic.includes('no'),
  maySubscribe: (_: unknown, filter: string) => !filter.includes('no'),
}
const refusing = (reasonCode: (typeof Reason)[keyof typeof Reason], text: string): Access => ({
  ...OPEN_ACCESS,
  canConnect: async () => ({ reasonCode, text }),
})
const will = { topic: 'a/no', payload: Buffer.from('x'), qos: 1, retain: false }

interface Case {
  readonly what: string
  readonly options?: FrontTestOptions
  /** @param again a second time, right after */
  run(test: FrontTest, again: boolean): Promise<unknown>
  readonly message: string
  readonly fields: Record<string, unknown>
}

async function publish(client: TestClient, qos: 0 | 1 | 2, topic = 'a/no', payload = 'x'): Promise<void> {
  client.publish(qos, 1, payload, { topic })
  if (qos === 1) await client.next('puback')
  if (qos === 2) await client.next('pubrec')
  if (qos === 0) await client.handled()
}

async function subscribe(client: TestClient, topic: string): Promise<void> {
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1 }] })
  await client.next('suback')
}

const connected = (act: (client: TestClient, test: FrontTest) => Promise<unknown>, version: 4 | 5 = 5) => {
  return async (test: FrontTest) => {
    const client = await test.connect({ version })
    await act(client, test)
  }
}

const CASES: Case[] = [
  {
    what: 'a connection at connectionsMax',
    options: { connectionsMax: 0 },
    run: ({ open }) => open().closed(),
    message: 'refused a connection',
    fields: { from: FROM, reason: 'limits.connectionsMax of 0 is reached' },
  },
  {
    what: 'a connection at a limit of its address',
    options: { quotas: { ...NO_QUOTAS, refuses: () => 'limits.connectionsPerAddressMax is reached' } },
    run: ({ open }) => open().closed(),
    message: 'refused a connection',
    fields: { from: FROM, reason: 'limits.connectionsPerAddressMax is reached' },
  },
  {
    what: 'what is no CONNECT',
    run: async ({ open }) => {
      const client = open(4)
      client.sendBytes(Buffer.from('GET / HTTP/1.1\r\n'))
      await client.closed()
    },
    message: 'dropped a connection',
    fields: { client: '(not connected yet)', from: FROM, reason: expect.stringMatching(/./) },
  },
  {
    what: 'a CONNECT that does not come',
    run: async ({ open, seconds }) => {
      const client = open()
      seconds(20)
      await client.closed()
    },
    message: 'dropped a connection',
    fields: { client: '(not connected yet)', from: FROM, reason: expect.stringContaining('no CONNECT') },
  },
  {
    what: 'a password',
    options: { access: refusing(Reason.badCredentials, 'its password is wrong') },
    run: ({ open }) => open().connect({ username: 'ann', password: Buffer.from('secret') }),
    message: 'refused a client',
    fields: { ...ANN, reason: 'its password is wrong' },
  },
  {
    what: 'a client without a name',
    options: { access: refusing(Reason.notAuthorized, 'it gives no user name') },
    run: ({ open }) => open().connect(),
    message: 'refused a client',
    fields: { ...ANN, user: 'anonymous', reason: 'it gives no user name' },
  },
  {
    what: 'an authentication method',
    run: ({ open }) => open().connect({ properties: { authenticationMethod: 'X' }, username: 'ann' }),
    message: 'refused a client',
    fields: { ...ANN, reason: expect.stringContaining('"X"') },
  },
  {
    what: 'a will',
    options: { access: rules },
    run: ({ open }) => open().connect({ will, username: 'ann' }),
    message: 'refused a client',
    fields: { ...ANN, reason: 'may not publish its will to a/no' },
  },
  {
    what: "another user's client id",
    options: {
      access: {
        ...OPEN_ACCESS,
        canConnect: async ({ clientId, username }) => ({ name: username, clientId }),
      },
    },
    run: async ({ open }, again) => {
      if (!again) await open().connect({ username: 'bob' })
      await open().connect({ username: 'ann' })
    },
    message: 'refused a client',
    fields: { ...ANN, reason: 'the client id is that of another user [MQTT-3.1.4-2]' },
  },
  {
    what: 'one session too many',
    options: { sessionLimits: { sessionsMax: 1 }, access: rules },
    run: async ({ open }, again) => {
      const stays = { properties: { sessionExpiryInterval: 60 } }
      if (!again) await open().connect({ clientId: 'c0', ...stays })
      await open().connect({ username: 'ann', ...stays })
    },
    message: 'refused a client',
    fields: { ...ANN, reason: 'limits.sessionsMax of 1 is reached [MQTT-3.1.4-2]' },
  },
  ...([0, 1, 2] as const).map((qos) => ({
    what: `a message of QoS ${qos} that is not permitted`,
    options: { access: rules },
    run: connected((client) => publish(client, qos)),
    message: 'refused a message',
    fields: { ...ANN, reason: 'may not publish to a/no' },
  })),
  {
    what: 'the same of 3.1.1',
    options: { access: rules },
    run: connected(async (client) => {
      client.publish(1, 1, 'x', { topic: 'a/no' })
      await client.closed()
    }, 4),
    message: 'dropped a connection',
    fields: { ...ANN, reason: 'may not publish to a/no' },
  },
  {
    what: "a message on a topic of the broker's own",
    options: { access: rules },
    run: connected((client) => publish(client, 1, '$SYS/x')),
    message: 'refused a message',
    fields: { ...ANN, reason: 'may not publish to $SYS/x' },
  },
  {
    what: 'a message while the disk is full',
    options: { access: rules, fullWaitMs: 1 },
    run: connected(async (client, { log }) => {
      log.stream('events').chain.admission.hold(true)
      await publish(client, 1, 'a/b')
    }),
    message: 'refused a message',
    fields: { ...ANN, reason: expect.stringMatching(/full/) },
  },
  {
    what: 'a record that is too large',
    options: { access: rules, recordBytesMax: 1000 },
    run: connected(async (client) => {
      client.publish(1, 1, 'x'.repeat(2000))
      await client.disconnected()
    }),
    message: 'dropped a connection',
    fields: { ...ANN, reason: expect.stringContaining('1000') },
  },
  {
    what: 'a packet that is malformed',
    options: { access: rules },
    run: connected(async (client) => {
      client.sendBytes(Buffer.from([0xf1, 0]))
      await client.closed()
    }),
    message: 'dropped a connection',
    fields: { ...ANN, reason: expect.stringMatching(/./) },
  },
  {
    what: 'more in flight than may be',
    options: { access: rules, limits: { receiveMaximum: 1 } },
    run: connected(async (client) => {
      for (const id of [1, 2]) client.publish(2, id, 'x')
      await client.disconnected()
    }),
    message: 'dropped a connection',
    fields: { ...ANN, reason: expect.stringContaining('more than 1 messages') },
  },
  {
    what: 'silence',
    options: { access: rules },
    run: async ({ connect, seconds }) => {
      const client = await connect({ keepalive: 10 })
      seconds(20)
      await client.disconnected()
    },
    message: 'dropped a connection',
    fields: { ...ANN, reason: expect.stringContaining('keep alive of 10 s') },
  },
  {
    what: 'a subscription that is not permitted',
    options: { access: rules },
    run: connected((client) => subscribe(client, 'no/#')),
    message: 'refused a subscription',
    fields: { ...ANN, filter: 'no/#', reason: 'may not subscribe to no/#' },
  },
  {
    what: 'one subscription too many',
    options: { access: rules, sessionLimits: { subscriptionsMax: 1 } },
    run: connected(async (client) => {
      for (const filter of ['x', 'y']) await subscribe(client, filter)
    }),
    message: 'refused a subscription',
    fields: { ...ANN, filter: 'y', reason: 'limits.subscriptionsPerClientMax of 1 is reached' },
  },
  {
    what: 'a replay of what is not there',
    options: { access: rules },
    run: connected((client) => subscribe(client, '$replay/other/earliest')),
    message: 'refused a replay',
    fields: { ...ANN, filter: '$replay/other/earliest', reason: 'there is no stream "other"' },
  },
]

describe.each(CASES)('$what', (one) => {
  it('is said in a line, with client, address, user and reason, once', async () => {
    const test = await startFront(one.options)
    await one.run(test, false)
    const lines = () => test.sink.lines.filter(({ message }) => /refused|dropped/.test(message))
    expect(lines()).toEqual([{ level: 'warn', message: one.message, fields: one.fields }])
    await one.run(test, true)
    expect(lines(), 'the second is counted, and not said').toHaveLength(1)
    expect(JSON.stringify(test.sink.lines)).not.toContain('secret')
  })
})

it('a connection that is ended by a change of rules, and its subscriptions, are said with the same words', async () => {
  const known = { isAllowed: true, isKnown: true, generation: 0 }
  const access: Access = {
    ...rules,
    maySubscribe: () => known.isAllowed,
    knows: () => known.isKnown,
  }
  const test = await startFront({ access })
  const client = await test.connect()
  await client.subscribe('x', 1)
  known.isAllowed = false
  test.front.review()
  expect(test.sink.matching('ended subscriptions')[0]?.fields).toEqual({ ...ANN, filters: 'x', count: 1 })
  known.isKnown = false
  test.front.review()
  expect(await client.disconnected()).toBe(Reason.notAuthorized)
  const [line] = test.sink.matching('dropped a connection')
  expect(line?.fields).toEqual({ ...ANN, reason: 'it is not let in any more' })
})
