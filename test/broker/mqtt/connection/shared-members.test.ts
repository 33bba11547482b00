/** Members of a shared subscription that are slow, dead or gone: what they hold, and who gets it. MQTT 5, section 4.8.2. */
import type { IPublishPacket } from 'mqtt-packet'
import { expect, it } from 'vitest'
import { until } from '../../log/support.ts'
import { type ConnectOptions, type FrontTest, startFront, type TestClient } from './support.ts'

const GROUP = '$share/workers/a/#'

const payloads = (client: TestClient) =>
  client.received
    .filter((packet): packet is IPublishPacket => packet.cmd === 'publish')
    .map(({ payload }) => Number(payload))
const upTo = (end: number) => [...Array(end).keys()]

async function member(front: FrontTest, clientId: string, qos: 1 | 2, more: ConnectOptions = {}) {
  const client = await front.connect({ clientId, ...more })
  await client.subscribe(GROUP, qos)
  return client
}

/** Its client answers PUBLISH from now on. */
function takes(client: TestClient): void {
  let next = 0
  client.stream.on('data', () => {
    for (; next < client.received.length; next++) {
      const packet = client.received[next]!
      if (packet.cmd === 'publish' && packet.qos === 1)
        client.send({ cmd: 'puback', messageId: packet.messageId! })
    }
  })
}

async function publishes(front: FrontTest, count: number, qos: 1 | 2 = 1): Promise<void> {
  const publisher = await front.connect({ clientId: `publisher-${qos}` })
  for (let n = 0; n < count; n++) {
    publisher.publish(qos, n + 1, `${n}`)
    await publisher.next(qos === 1 ? 'puback' : 'pubrec')
  }
}

it('one that answers nothing holds what its receive maximum allows and one more, and others take the rest', async () => {
  const front = await startFront()
  const dead = await member(front, 'dead', 1, { properties: { receiveMaximum: 2 } })
  const lives = await member(front, 'lives', 1)
  takes(lives)
  await publishes(front, 200)
  await until(() => payloads(lives).length === 197, 'the other has the rest')
  expect(payloads(dead)).toHaveLength(2)
  // its connection ends: so does its session
  dead.stream.destroy()
  await until(() => payloads(lives).length === 200, 'it has what the dead one had')
  expect(payloads(lives).sort((a, b) => a - b)).toEqual(upTo(200))
})

it('of several that are slow the one with least that waits gets the next', async () => {
  const front = await startFront()
  const one = await member(front, 'one', 1, { properties: { receiveMaximum: 1 } })
  const ten = await member(front, 'ten', 1, { properties: { receiveMaximum: 10 } })
  await publishes(front, 21)
  await one.handled()
  await ten.handled()
  expect([payloads(one).length, payloads(ten).length]).toEqual([1, 10])
  const { queued } = front.front.status().sessions
  expect(queued, 'five each').toBe(10)
  one.stream.destroy()
  await until(() => front.front.status().sessions.queued === 11, 'what one had waits for ten')
})

it('what a session has in flight when it ends goes to others with QoS 1, and with QoS 2 to nobody', async () => {
  const front = await startFront()
  const gone = await member(front, 'gone', 2)
  const stays = await member(front, 'stays', 2)
  await publishes(front, 4, 2)
  await publishes(front, 4, 1)
  await gone.handled()
  await stays.handled()
  expect([payloads(gone).length, payloads(stays).length]).toEqual([4, 4])
  const ofQos1 = gone.received.filter((packet) => packet.cmd === 'publish' && packet.qos === 1)
  expect(ofQos1).toHaveLength(2)
  gone.stream.destroy()
  await until(() => payloads(stays).length === 6, 'the other has what was in flight')
  await stays.handled()
  const last = stays.received.filter((packet): packet is IPublishPacket => packet.cmd === 'publish').slice(4)
  expect(last.map(({ payload, qos, dup }) => [String(payload), qos, dup])).toEqual(
    ofQos1.map((packet) => [String((packet as IPublishPacket).payload), 1, false]),
  )
})

it('what waits for a session that stays comes to its client, and to others once it ends without it', async () => {
  const front = await startFront()
  const away = { properties: { sessionExpiryInterval: 100 } }
  const first = await member(front, 'away', 1, away)
  const other = await member(front, 'other', 1)
  takes(other)
  await publishes(front, 10)
  await first.handled()
  const had = payloads(first)
  expect(had).toHaveLength(5)
  first.stream.destroy()
  await until(() => front.front.status().sessions.connected === 2, 'its connection has ended')
  const again = await front.connect({ clientId: 'away', clean: false, ...away })
  await until(() => payloads(again).length === 5, 'it has what it had')
  expect(payloads(again)).toEqual(had)
  expect(payloads(other)).toHaveLength(5)
  // it begins anew
  await front.connect({ clientId: 'away', clean: true })
  await until(() => payloads(other).length === 10, 'the other has all')
})

it('a group that nobody is left in takes nothing: what its last member had is gone', async () => {
  const front = await startFront()
  const only = await member(front, 'only', 1)
  await publishes(front, 3)
  await only.handled()
  only.stream.destroy()
  await until(() => front.front.status().sessions.subscriptions === 0, 'the group is empty')
  const next = await member(front, 'next', 1)
  await next.handled()
  expect(payloads(next)).toEqual([])
})
