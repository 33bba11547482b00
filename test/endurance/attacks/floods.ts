/** Much of what the broker has to remember: sessions, queues, subscriptions, retained messages, aliases, properties, wills. */
import type { Packet } from 'mqtt-packet'
import { packet, properties, text } from '../../broker/mqtt/packets/support.ts'
import type { Random } from '../../support/random.ts'
import type { Arena, Attack } from './field.ts'
import type { TcpLink } from './link.ts'
import { chance, connectOf, encoded, pick, VERSIONS, type Version } from './packets.ts'

const ANSWER_MS = 300

async function connected(
  random: Random,
  arena: Arena,
  version: Version,
  clientId: string,
  clean = true,
): Promise<TcpLink> {
  const link = arena.tcp()
  link.write(connectOf(random, version, { clientId, clean, keepalive: 0 }))
  await link.something(ANSWER_MS)
  return link
}

/** Many client ids, each with a session that stays and a queue. */
export const sessionFlood: Attack = {
  name: 'sessions with queues',
  weight: 6,
  async run(random, arena) {
    const version = pick(random, VERSIONS)
    const base = random.between(0, 1_000_000)
    for (let count = random.between(20, 150); count > 0 && !arena.isOver; count--) {
      const link = arena.tcp()
      const ids = { clientId: `flood-${base + count}`, clean: false, keepalive: 0 }
      const stays = version === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {}
      link.write(connectOf(random, version, { ...ids, ...stays }))
      await link.something(ANSWER_MS)
      const subscriptions = [{ topic: pick(random, ['#', 'a/#', 'queue/+']), qos: 1 as const }]
      link.write(encoded(version, { cmd: 'subscribe', messageId: 1, subscriptions }))
      await link.something(50)
      link.destroy()
    }
    const link = await connected(random, arena, version, `fills-${base}`)
    for (let n = 0; n < 300 && !arena.isOver; n++) {
      const message = { topic: 'queue/x', payload: Buffer.alloc(random.between(1, 500)), qos: 1 } as const
      link.write(
        encoded(version, { cmd: 'publish', ...message, dup: false, retain: false, messageId: n + 1 }),
      )
    }
    await link.something(ANSWER_MS)
  },
}

export const subscriptionFlood: Attack = {
  name: 'subscriptions',
  weight: 5,
  async run(random, arena) {
    const version = pick(random, VERSIONS)
    const link = await connected(
      random,
      arena,
      version,
      `subscriber-${random.between(0, 100)}`,
      chance(random, 0.5),
    )
    for (
      let messageId = 1;
      messageId <= random.between(5, 40) && !link.isClosed && !arena.isOver;
      messageId++
    ) {
      const subscriptions = Array.from({ length: random.between(1, 100) }, (_, i) => ({
        topic: filterOf(random, messageId * 100 + i),
        qos: random.between(0, 2) as 0 | 1 | 2,
      }))
      link.write(encoded(version, { cmd: 'subscribe', messageId, subscriptions }))
      await link.something(ANSWER_MS)
    }
  },
}

function filterOf(random: Random, n: number): string {
  const levels = Array.from({ length: random.between(1, 12) }, () => pick(random, ['+', 'l', 'a', 'b']))
  return chance(random, 0.1) ? `$share/g${n}/${levels.join('/')}` : `${levels.join('/')}/${n}`
}

export const retainedFlood: Attack = {
  name: 'retained messages',
  weight: 5,
  async run(random, arena) {
    const version = pick(random, VERSIONS)
    const link = await connected(random, arena, version, `retains-${random.between(0, 100)}`)
    const base = random.between(0, 100_000)
    for (let n = 0; n < random.between(100, 3000) && !link.isClosed && !arena.isOver; n++) {
      const payload = chance(random, 0.1) ? Buffer.alloc(0) : Buffer.alloc(random.between(1, 4000))
      const qos = random.between(0, 2) as 0 | 1 | 2
      const message: Packet = {
        cmd: 'publish',
        topic: `retained/${base + n}`,
        payload,
        qos,
        dup: false,
        retain: true,
        messageId: (n % 900) + 1,
      }
      link.write(encoded(version, message))
      if (n % 50 === 49) await link.drained(() => arena.isOver)
      if (n % 50 === 49) await arena.pause(1)
    }
    link.write(
      encoded(version, { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'retained/#', qos: 1 }] }),
    )
    await link.something(ANSWER_MS)
  },
}

/** Each topic alias that there can be, and more; then messages by alias alone. */
export const aliasFlood: Attack = {
  name: 'topic aliases',
  weight: 4,
  async run(random, arena) {
    const link = await connected(random, arena, 5, `aliases-${random.between(0, 100)}`)
    const most = pick(random, [10, 70, 66_000])
    for (let alias = 1; alias < most && !link.isClosed && !arena.isOver; alias += random.between(1, 20)) {
      const at = properties(Buffer.from([0x23, (alias >> 8) & 0xff, alias & 0xff]))
      link.write(packet(0x30, text(`alias/${'x'.repeat(random.between(0, 900))}`), at, Buffer.from('v')))
      if (chance(random, 0.5)) link.write(packet(0x30, text(''), at, Buffer.from('v')))
      if (chance(random, 0.05)) await link.drained(() => arena.isOver)
      if (chance(random, 0.05)) await arena.pause(1)
    }
    await link.something(ANSWER_MS)
  },
}

/** As many as fit into a packet, in one that is not looked at again and in one that becomes a record, a will or a session. */
export const propertyFlood: Attack = {
  name: 'user properties',
  weight: 4,
  async run(random, arena) {
    const pairs = Array.from({ length: random.between(10, 20_000) }, () => {
      const name = text('p'.repeat(random.between(0, 10)))
      return Buffer.concat([Buffer.from([0x26]), name, text('v'.repeat(random.between(0, 20)))])
    })
    const all = properties(...pairs)
    if (chance(random, 0.3)) {
      const link = arena.tcp()
      const head = [text('MQTT'), Buffer.from([5, 2, 0, 0])]
      link.write(packet(0x10, ...head, all, text(`properties-${random.between(0, 20)}`)))
      await link.something(ANSWER_MS)
      return
    }
    const link = await connected(random, arena, 5, `properties-${random.between(0, 20)}`)
    for (let n = 1; n <= random.between(1, 10) && !link.isClosed && !arena.isOver; n++) {
      const id = Buffer.from([0, n])
      const whole = pick(random, [
        packet(0x32, text('properties'), id, all, Buffer.from('v')),
        packet(0x33, text(`retained/properties/${n}`), id, all, Buffer.from('v')),
        packet(0x82, id, all, text('properties'), 1),
        packet(0xa2, id, all, text('properties')),
        packet(0x40, id, 0, all),
        packet(0xe0, 0, all),
      ])
      link.write(whole)
      await link.something(ANSWER_MS)
    }
  },
}
