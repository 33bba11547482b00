/** Clients that take their time, or never come to an end. */
import type { Random } from '../../support/random.ts'
import type { Attack } from './field.ts'
import { anyPacket, chance, connectOf, encoded, pick, VERSIONS } from './packets.ts'

const ANSWER_MS = 300

/** A CONNECT, or a packet after it, byte by byte. */
export const slowLoris: Attack = {
  name: 'byte by byte',
  weight: 6,
  async run(random, arena) {
    const version = pick(random, VERSIONS)
    const links = Array.from({ length: random.between(5, 30) }, () => arena.link())
    const hello = connectOf(random, version)
    let slowly = hello
    if (chance(random, 0.5)) {
      for (const link of links) link.write(connectOf(random, version))
      await arena.pause(ANSWER_MS)
      slowly = anyPacket(random, version)
    }
    for (const byte of slowly.subarray(0, random.between(1, slowly.length))) {
      if (arena.isOver) return
      for (const link of links) link.write(Buffer.from([byte]))
      await arena.pause(random.between(1, 60))
    }
    await arena.pause(random.between(0, 3000))
  },
}

/** Connections on which nothing comes: without CONNECT, or after it with a keep alive that runs out; half closed ones too. */
export const silence: Attack = {
  name: 'silence',
  weight: 5,
  async run(random, arena) {
    const version = pick(random, VERSIONS)
    for (let count = random.between(5, 40); count > 0 && !arena.isOver; count--) {
      const link = arena.link()
      if (chance(random, 0.5)) link.write(connectOf(random, version, { keepalive: 1 }))
      if (chance(random, 0.2)) link.stall()
      if (chance(random, 0.2)) link.end()
      await arena.pause(2)
    }
    await arena.pause(random.between(500, 5000))
  },
}

/** Says that much will come, and sends a little of it; or sends all of it. */
export const hugeLengths: Attack = {
  name: 'huge remaining lengths',
  weight: 6,
  async run(random, arena) {
    const version = pick(random, VERSIONS)
    const link = arena.tcp()
    if (chance(random, 0.7)) {
      link.write(connectOf(random, version))
      await link.something(ANSWER_MS)
    }
    const first = pick(random, [0x10, 0x30, 0x32, 0x34, 0x40, 0x62, 0x82, 0xa2, 0xe0, 0xf0])
    const length = pick(random, [
      [0xff, 0xff, 0xff, 0x7f],
      [0xff, 0xff, 0xff, 0xff, 0x01],
      [0xff, 0xff, 0x3f],
      [0x80, 0x80, 0x80, 0x00],
    ])
    link.write(Buffer.from([first, ...length]))
    for (let sent = 0; sent < random.between(0, 4_000_000) && !link.isClosed && !arena.isOver; ) {
      const piece = Buffer.alloc(random.between(1, 65_536), 'x')
      link.write(piece)
      sent += piece.length
      await link.drained(() => arena.isOver)
      if (chance(random, 0.3)) await arena.pause(1)
    }
    await link.something(ANSWER_MS)
  },
}

/** Subscribers to everything that never read, beside one that makes much for them. */
export const stalledReaders: Attack = {
  name: 'reads that stall',
  weight: 6,
  async run(random, arena) {
    const version = pick(random, VERSIONS)
    const readers = Array.from({ length: random.between(1, 10) }, () => arena.link())
    for (const [i, link] of readers.entries()) {
      const clientId = `stalled-${random.between(0, 50)}-${i}`
      link.write(connectOf(random, version, { clientId, keepalive: 0, clean: chance(random, 0.5) }))
      await link.something(ANSWER_MS)
      const topic = chance(random, 0.2) ? '$replay/anything/earliest' : 'stall/#'
      const qos = random.between(0, 2) as 0 | 1 | 2
      link.write(encoded(version, { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] }))
      await link.something(ANSWER_MS)
      link.stall()
    }
    await flood(random, arena, version, random.between(200, 3000))
    await arena.pause(random.between(0, 2000))
  },
}

async function flood(
  random: Random,
  arena: Parameters<Attack['run']>[1],
  version: (typeof VERSIONS)[number],
  messages: number,
): Promise<void> {
  const link = arena.tcp()
  link.write(connectOf(random, version, { clientId: `noise-${random.between(0, 100)}`, keepalive: 0 }))
  await link.something(ANSWER_MS)
  const payload = Buffer.alloc(random.between(10, 4000), 'n')
  const retain = false
  for (let n = 0; n < messages && !link.isClosed && !arena.isOver; n++) {
    const qos = pick(random, [0, 0, 1, 2] as const)
    const packet = { cmd: 'publish', topic: `stall/${n % 7}`, payload, qos, dup: false, retain } as const
    link.write(encoded(version, { ...packet, messageId: (n % 900) + 1 }))
    if (n % 50 === 49) await link.drained(() => arena.isOver)
    if (n % 50 === 49) await arena.pause(1)
  }
}

/** As many messages as it can, without looking at what is answered. */
export const noise: Attack = {
  name: 'floods of messages',
  weight: 6,
  run: (random, arena) => flood(random, arena, pick(random, VERSIONS), random.between(1000, 20_000)),
}
