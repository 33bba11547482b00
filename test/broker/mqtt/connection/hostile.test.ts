/** Bytes and packets of all kinds, in every state: the broker goes on, and an honest client does not notice. */
import { generate, type Packet } from 'mqtt-packet'
import { expect, it } from 'vitest'
import { playLives, type Random } from '../../../support/random.ts'
import { startFront, type TestClient } from './support.ts'

const VERSIONS = [3, 4, 5] as const
const CONNECTIONS = 40
const pick = <T>(random: Random, items: readonly T[]): T => items[random.between(0, items.length - 1)]!
const bytesOf = (random: Random, most: number) =>
  Buffer.from(Array.from({ length: random.between(0, most) }, () => random.between(0, 255)))

function anyPacket(random: Random, version: 3 | 4 | 5): Packet {
  const messageId = random.between(1, 6)
  const qos = random.between(0, 2) as 0 | 1 | 2
  const topic = pick(random, ['a/b', 'other', '$SYS/x', 'a/b/c'])
  const properties = version === 5 && random.next() < 0.3 ? { topicAlias: random.between(1, 40) } : undefined
  const id = qos === 0 ? {} : { messageId }
  return pick<() => Packet>(random, [
    () => ({
      cmd: 'publish',
      topic,
      payload: bytesOf(random, 300),
      qos,
      dup: qos > 0 && random.next() < 0.5,
      retain: random.next() < 0.3,
      ...id,
      ...(properties === undefined ? {} : { properties }),
    }),
    () => ({
      cmd: 'subscribe',
      messageId,
      subscriptions: [{ topic: pick(random, ['#', 'a/+', '$share/g/#', topic]), qos }],
    }),
    () => ({ cmd: 'unsubscribe', messageId, unsubscriptions: ['#', topic] }),
    () => ({ cmd: 'puback', messageId }),
    () => ({ cmd: 'pubrec', messageId }),
    () => ({ cmd: 'pubrel', messageId }),
    () => ({ cmd: 'pubcomp', messageId }),
    () => ({ cmd: 'pingreq' }),
    () => ({ cmd: 'disconnect' }),
    () => ({ cmd: 'suback', messageId, granted: [0] }),
    () => ({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clientId: 'x',
      clean: true,
      keepalive: 1,
    }),
  ])()
}

/** A packet as it should be, or with some of its bytes changed, cut off or added. */
function hostileBytes(random: Random, version: 3 | 4 | 5): Buffer {
  const bytes = Buffer.from(generate(anyPacket(random, version), { protocolVersion: version }))
  const kind = random.next()
  if (kind < 0.6) return bytes
  if (kind < 0.8) bytes[random.between(0, bytes.length - 1)] = random.between(0, 255)
  else if (kind < 0.9) return bytes.subarray(0, random.between(0, bytes.length))
  else return Buffer.concat([bytes, bytesOf(random, 20)])
  return bytes
}

async function annoy(random: Random, client: TestClient, version: 3 | 4 | 5): Promise<void> {
  for (let i = random.between(0, 12); i > 0 && !client.isClosed; i--) {
    const bytes = hostileBytes(random, version)
    // in pieces of any size
    for (let at = 0; at < bytes.length; ) {
      const to = at + random.between(1, bytes.length)
      client.sendBytes(bytes.subarray(at, to))
      at = to
      if (random.next() < 0.3) await new Promise((resolve) => setImmediate(resolve))
    }
  }
  if (random.next() < 0.3) client.stream.destroy()
}

it('a client that sends anything takes nothing from another one, and no connection of it is left', {
  timeout: 120_000,
}, async () => {
  await playLives(3, async (random) => {
    const test = await startFront({ limits: { packetBytesMax: 2_000 }, recordBytesMax: 1_500 })
    const honest = await test.connect({ clientId: 'honest', keepalive: 60 })
    for (let i = 1; i <= CONNECTIONS; i++) {
      const version = pick(random, VERSIONS)
      const client = test.open(version)
      client.ignorePackets()
      if (random.next() < 0.8) {
        const clean = random.next() < 0.5
        const will =
          random.next() < 0.3
            ? { topic: 'a/will', payload: bytesOf(random, 50), qos: 1, retain: false }
            : null
        client.send({
          cmd: 'connect',
          protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
          protocolVersion: version,
          clientId: `hostile-${random.between(0, 5)}`,
          clean,
          keepalive: 1,
          ...(will === null ? {} : { will: will as never }),
        })
      }
      await annoy(random, client, version)
      honest.publish(1, i, `honest ${i}`, { topic: 'a/honest' })
      expect(await honest.next('puback')).toMatchObject({ messageId: i, reasonCode: 0 })
    }
    // all that did not end are silent now
    for (let turn = 0; turn < 5; turn++) {
      await honest.handled()
      test.seconds(12)
    }
    await honest.handled()
    expect(test.front.status().clients).toBe(1)
    const stored = await test.values()
    expect(stored.filter((value) => value.startsWith('honest'))).toHaveLength(CONNECTIONS)
    expect(test.sink.lines.filter(({ level }) => level === 'error')).toEqual([])
    const ownFaults = test.sink.lines.filter(({ fields }) => /\n\s+at /.test(String(fields.reason)))
    expect(ownFaults).toEqual([])
    await test.close()
  })
})
