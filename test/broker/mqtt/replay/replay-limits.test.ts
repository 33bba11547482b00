/** What replays a client is refused, and which have to wait. */
import type { IPublishPacket } from 'mqtt-packet'
import { describe, expect, it } from 'vitest'
import { type Credentials, OPEN_ACCESS } from '../../../../broker/mqtt/connection/access.ts'
import { until } from '../../log/support.ts'
import { startFront } from '../connection/support.ts'
import { publishes, range, received, subscribe, take, unsubscribe, values, write } from './support.ts'

const staysAs = (clientId: string) => ({
  clientId,
  clean: false,
  properties: { sessionExpiryInterval: 1000 },
})

describe('a client is refused', () => {
  it.each([
    ['$replay/nothing/earliest', 'there is no stream "nothing"'],
    ['$replay/events/1/0', 'stream "events" has the partitions 0 to 0'],
    ['$replay/#', 'it is not $replay/STREAM'],
    ['$replay/+/earliest', 'there is no stream "+"'],
    ['$replay/events/@never', 'is no time'],
    ['$share/g/$replay/events/earliest', 'a replay cannot be shared'],
  ])('%s with 0x8F, and one log line', async (filter, reason) => {
    const test = await startFront()
    const client = await test.connect({ clientId: 'sub' })
    for (let n = 0; n < 3; n++) expect(await subscribe(client, filter)).toBe(0x8f)
    const old = await test.connect({ clientId: 'old', version: 4 })
    expect(await subscribe(old, filter)).toBe(0x80)
    const lines = test.sink.matching('refused a replay')
    expect(lines).toHaveLength(1)
    expect(lines[0]!.fields).toMatchObject({ client: 'sub', reason: expect.stringContaining(reason) })
    expect(test.front.status().sessions).toMatchObject({ replays: 0, subscriptions: 0 })
  })

  it('more replays than limits allow, with 0x97; others go on', async () => {
    const test = await startFront()
    await write(test, 0, 9)
    const client = await test.connect({ clientId: 'sub' })
    for (let n = 0; n < 8; n++) expect(await subscribe(client, `$replay/events/0/${n}`)).toBe(0)
    expect(await subscribe(client, '$replay/events/0/8')).toBe(0x97)
    expect(await subscribe(client, '$replay/events/0/7')).toBe(0)
    await received(client, 9 * 8 - 28)
    expect(test.sink.matching('refused a replay')).toHaveLength(1)
    await unsubscribe(client, '$replay/events/0/0')
    expect(await subscribe(client, '$replay/events/0/8')).toBe(0)
    expect(test.front.status().sessions).toMatchObject({ replays: 8 })
  })

  it('where it may not read: the filter itself is what is asked for', async () => {
    const asked: string[] = []
    const test = await startFront({
      access: {
        canConnect: async ({ clientId }) => ({ name: null, clientId }),
        mayPublish: () => true,
        maySubscribe: (_, filter) => {
          asked.push(filter)
          return filter !== '$replay/events/earliest'
        },
        knows: () => true,
        hasUsers: false,
        isUser: () => true,
        isGone: () => false,
        generation: 0,
      },
    })
    await write(test, 0, 3)
    const client = await test.connect({ clientId: 'sub' })
    expect(await subscribe(client, '$replay/events/earliest')).toBe(0x87)
    expect(await subscribe(client, '$replay/events/0/1')).toBe(0)
    await received(client, 2)
    expect(values(client)).toEqual(['v1', 'v2'])
    expect(asked).toEqual(['$replay/events/earliest', '$replay/events/0/1'])
  })

  it('an acknowledgement of another QoS [MQTT-4.3.2-3]', async () => {
    const test = await startFront()
    await write(test, 0, 1)
    const client = await test.connect({ clientId: 'sub' })
    await subscribe(client, '$replay/events/earliest', 1)
    const { messageId } = await client.next<IPublishPacket>('publish')
    client.send({ cmd: 'pubrec', messageId: messageId! })
    expect(await client.disconnected()).toBe(0x82)
  })
})

describe('the limit of all replays', () => {
  const sessionLimits = { replaysTotalMax: 2 }

  it('counts those of clients that are connected', async () => {
    const test = await startFront({ sessionLimits })
    await write(test, 0, 3)
    const away = await test.connect(staysAs('away'))
    for (const filter of ['$replay/events/earliest', '$replay/events/0/1']) {
      expect(await subscribe(away, filter)).toBe(0)
    }
    const client = await test.connect({ clientId: 'client' })
    expect(await subscribe(client, '$replay/events/earliest')).toBe(0x97)
    away.stream.destroy()
    await until(() => test.front.clients().length === 1, 'it is gone')
    expect(test.front.status().sessions.replays).toBe(2)
    expect(await subscribe(client, '$replay/events/earliest')).toBe(0)
    expect(await subscribe(client, '$replay/events/0/1')).toBe(0)
    await received(client, 5)
    expect(await subscribe(client, '$replay/events/0/2')).toBe(0x97)
  })

  it('one that comes back waits until another one ends, and loses nothing', async () => {
    const test = await startFront({ sessionLimits })
    await write(test, 0, 3)
    const first = await test.connect(staysAs('back'))
    await subscribe(first, '$replay/events/earliest', 1)
    expect((await take(first, 3)).map(({ payload }) => String(payload))).toEqual(range(0, 3))
    await first.handled()
    first.stream.destroy()
    await until(() => test.front.clients().length === 0, 'it is gone')
    const other = await test.connect({ clientId: 'other' })
    for (const filter of ['$replay/events/latest', '$replay/events/0/2']) {
      expect(await subscribe(other, filter)).toBe(0)
    }
    const back = await test.connect(staysAs('back'))
    await write(test, 3, 6)
    await received(other, 7)
    await back.handled()
    expect(publishes(back)).toEqual([])
    expect(test.sink.matching('a replay waits for another one to end')).toHaveLength(1)
    await unsubscribe(other, '$replay/events/latest')
    expect((await take(back, 3)).map(({ payload }) => String(payload))).toEqual(range(3, 6))
    expect(values(other).filter((value) => value === 'v5')).toHaveLength(2)
  })

  it('leaves half of it to others: one user, whatever client ids it has, gets no more', async () => {
    const access = {
      ...OPEN_ACCESS,
      hasUsers: true,
      canConnect: async ({ clientId }: Credentials) => ({ name: clientId.split('-')[0]!, clientId }),
    }
    const test = await startFront({ access, sessionLimits: { replaysTotalMax: 6 } })
    await write(test, 0, 1)
    const granted: number[] = []
    for (let n = 0; n < 20; n++) {
      const client = await test.connect({ clientId: `greedy-${n}` })
      granted.push(await subscribe(client, '$replay/events/earliest'))
    }
    expect(granted.filter((code) => code === 0)).toHaveLength(3)
    expect(new Set(granted.slice(3))).toEqual(new Set([0x97]))
    const other = await test.connect({ clientId: 'other-1' })
    for (const offset of [0, 1]) expect(await subscribe(other, `$replay/events/0/${offset}`)).toBe(0)
    const third = await test.connect({ clientId: 'third-1' })
    expect(await subscribe(third, '$replay/events/earliest')).toBe(0)
    expect(await subscribe(third, '$replay/events/latest'), 'of all').toBe(0x97)
  })

  it('is all of it for who is the only one: clients without a name, where there are no users', async () => {
    const test = await startFront({ sessionLimits: { replaysTotalMax: 6 } })
    await write(test, 0, 1)
    const client = await test.connect({ clientId: 'client' })
    for (let n = 0; n < 6; n++) expect(await subscribe(client, `$replay/events/0/${n}`)).toBe(0)
    expect(await subscribe(client, '$replay/events/0/6')).toBe(0x97)
  })
})

it('of many replays four read at a time, so that no commit waits behind all of them', async () => {
  const test = await startFront()
  await write(test, 0, 3)
  let underWay = 0
  let most = 0
  const read = test.log.read.bind(test.log)
  test.log.read = async (...args) => {
    most = Math.max(most, ++underWay)
    await new Promise((resolve) => setImmediate(resolve))
    try {
      return await read(...args)
    } finally {
      underWay--
    }
  }
  const clients = await Promise.all(range(0, 20).map((clientId) => test.connect({ clientId })))
  await Promise.all(clients.map((client) => subscribe(client, '$replay/events/earliest')))
  for (const client of clients) await received(client, 3)
  expect(most).toBe(4)
})
