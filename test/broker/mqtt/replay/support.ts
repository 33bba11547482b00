/** What tests of replays do with clients: write records, subscribe, take what comes. */
import type { IPublishPacket, ISubackPacket } from 'mqtt-packet'
import { until } from '../../log/support.ts'
import type { FrontTest, TestClient } from '../connection/support.ts'

export const publishes = (client: TestClient) =>
  client.received.filter((packet): packet is IPublishPacket => packet.cmd === 'publish')
export const values = (client: TestClient) => publishes(client).map(({ payload }) => String(payload))
export const user = ({ properties }: IPublishPacket) => ({ ...properties?.userProperties })

/** Values v0, v1, ... of topics a/0 to a/2, each in a commit of its own. */
export async function write({ connect }: FrontTest, from: number, to: number): Promise<void> {
  const client = await connect({ clientId: `writer ${from}` })
  for (let n = from; n < to; n++) {
    client.publish(1, n + 1, `v${n}`, { topic: `a/${n % 3}` })
    await client.next('puback')
  }
  client.stream.destroy()
}

export const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `v${from + i}`)

export async function subscribe(
  client: TestClient,
  topic: string,
  qos: 0 | 1 | 2 = 0,
  more = {},
): Promise<number> {
  client.send({ cmd: 'subscribe', messageId: 60_000, subscriptions: [{ topic, qos }], ...more })
  return (await client.next<ISubackPacket>('suback')).granted[0] as number
}

export async function unsubscribe(client: TestClient, topic: string): Promise<void> {
  client.send({ cmd: 'unsubscribe', messageId: 60_001, unsubscriptions: [topic] })
  await client.next('unsuback')
}

/** Takes so many messages, and acknowledges them. */
export async function take(client: TestClient, count: number): Promise<IPublishPacket[]> {
  const taken: IPublishPacket[] = []
  while (taken.length < count) {
    const packet = await client.next<IPublishPacket>('publish')
    if (packet.qos === 1) client.send({ cmd: 'puback', messageId: packet.messageId! })
    taken.push(packet)
  }
  return taken
}

export const received = (client: TestClient, count: number) =>
  until(() => publishes(client).length >= count, `${count} messages have come`)
