/** Many of one kind at once: wills, takeovers of one session, replays of everything, shared subscriptions whose members do not do their part. */
import type { Random } from '../../support/random.ts'
import type { Arena, Attack } from './field.ts'
import type { Link } from './link.ts'
import { chance, connectOf, encoded, pick, VERSIONS, type Version } from './packets.ts'

const ANSWER_MS = 300

async function connected(
  arena: Arena,
  random: Random,
  version: Version,
  of: Parameters<typeof connectOf>[2],
): Promise<Link> {
  const link = arena.tcp()
  link.write(connectOf(random, version, { keepalive: 0, ...of }))
  await link.something(ANSWER_MS)
  return link
}

/** Clients with wills that all die at once: some of them retained, some for topics that are not theirs. */
export const wills: Attack = {
  name: 'storms of wills',
  weight: 4,
  async run(random, arena) {
    const version = pick(random, VERSIONS)
    const base = random.between(0, 1000)
    const links: Link[] = []
    for (let count = random.between(20, 60); count > 0 && !arena.isOver; count--) {
      const will = {
        topic: pick(random, ['wills/a', `wills/${count}`, 'honest/writer-0/t']),
        payload: Buffer.alloc(random.between(0, 4000), 'w'),
        qos: random.between(0, 2) as 0 | 1 | 2,
        retain: chance(random, 0.5),
      }
      const link = arena.tcp()
      link.write(connectOf(random, version, { clientId: `will-${base + count}`, keepalive: 0, will }))
      links.push(link)
    }
    await arena.pause(ANSWER_MS)
    for (const link of links) link.destroy()
    await arena.pause(ANSWER_MS)
  },
}

/** One client id, wanted by many connections at once, with a session that stays or begins anew each time. */
export const takeovers: Attack = {
  name: 'takeovers of one session',
  weight: 4,
  async run(random, arena) {
    const version = pick(random, VERSIONS)
    const clientId = `wanted-${random.between(0, 5)}`
    const stays = version === 5 ? { properties: { sessionExpiryInterval: random.between(0, 60) } } : {}
    for (let count = random.between(20, 100); count > 0 && !arena.isOver; count--) {
      const link = arena.link()
      link.write(connectOf(random, version, { clientId, clean: chance(random, 0.3), ...stays }))
      const subscriptions = [{ topic: pick(random, ['#', 'a/#']), qos: 1 as const }]
      link.write(encoded(version, { cmd: 'subscribe', messageId: 1, subscriptions }))
      if (chance(random, 0.3)) await arena.pause(random.between(0, 20))
    }
    await arena.pause(random.between(0, 1000))
  },
}

/** The whole history, as often as the broker gives it, by clients that read it, do not, or stop in the middle. */
export const replays: Attack = {
  name: 'replays of everything',
  weight: 4,
  async run(random, arena) {
    const version = pick(random, VERSIONS)
    const base = random.between(0, 50)
    for (let count = random.between(2, 20); count > 0 && !arena.isOver; count--) {
      const clean = chance(random, 0.7)
      const link = await connected(arena, random, version, { clientId: `replays-${base + count}`, clean })
      const qos = random.between(0, 2) as 0 | 1 | 2
      const from = ['earliest', '0/0', '@2020-01-01T00:00:00Z', '0/1', '0/2', 'latest', '0/3', '0/4', '0/5']
      const subscriptions = from.map((start) => ({ topic: `$replay/anything/${start}`, qos }))
      link.write(encoded(version, { cmd: 'subscribe', messageId: 1, subscriptions }))
      await link.something(ANSWER_MS)
      if (chance(random, 0.5)) link.stall()
    }
    await arena.pause(random.between(0, 2000))
  },
}

/** Members that do not answer, do not read, or go away in the middle, of a group that one floods. */
export const sharedMembers: Attack = {
  name: 'members of shared subscriptions',
  weight: 4,
  async run(random, arena) {
    const version = pick(random, VERSIONS)
    const group = random.between(0, 3)
    const members: Link[] = []
    for (let count = random.between(2, 12); count > 0 && !arena.isOver; count--) {
      const clientId = `member-${group}-${random.between(0, 20)}`
      const link = await connected(arena, random, version, { clientId, clean: chance(random, 0.6) })
      const topic = `$share/group-${group}/shared/${group}/#`
      const qos = random.between(0, 2) as 0 | 1 | 2
      link.write(encoded(version, { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] }))
      await link.something(ANSWER_MS)
      if (chance(random, 0.5)) link.stall()
      members.push(link)
    }
    const source = await connected(arena, random, version, { clientId: `feeds-${random.between(0, 50)}` })
    const payload = Buffer.alloc(random.between(1, 1000))
    for (let n = 0; n < random.between(100, 1500) && !source.isClosed && !arena.isOver; n++) {
      const packet = {
        cmd: 'publish',
        topic: `shared/${group}/${n % 5}`,
        payload,
        dup: false,
        retain: false,
      } as const
      const qos = pick(random, [0, 1, 1, 2] as const)
      source.write(encoded(version, { ...packet, qos, messageId: (n % 900) + 1 }))
      if (n % 50 === 49) await arena.pause(2)
      if (chance(random, 0.01)) members.pop()?.destroy()
    }
    await arena.pause(random.between(0, 1000))
  },
}
