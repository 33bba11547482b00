/** Packets of every type, whole and broken, in every state that a connection can be in. */
import type { Random } from '../../support/random.ts'
import type { Arena, Attack } from './field.ts'
import type { Link } from './link.ts'
import {
  anyPacket,
  bytesOf,
  chance,
  connectOf,
  encoded,
  mutated,
  pick,
  VERSIONS,
  type Version,
} from './packets.ts'

const PACKETS_MAX = 30
const ANSWER_MS = 300

type State =
  | 'nothing said'
  | 'connected'
  | 'subscribed'
  | 'in the middle of QoS 2'
  | 'replaying'
  | 'taking over'
const STATES: readonly State[] = [
  'nothing said',
  'connected',
  'subscribed',
  'in the middle of QoS 2',
  'replaying',
  'taking over',
]

/** Brings a connection there with packets as they should be. */
async function bring(link: Link, state: State, version: Version, random: Random, arena: Arena) {
  if (state === 'nothing said') return
  const hello = connectOf(random, version)
  if (state === 'taking over') {
    const first = arena.link()
    first.write(hello)
    await first.something(ANSWER_MS)
  }
  link.write(mutated(random, hello, 0.1))
  await link.something(ANSWER_MS)
  const qos = random.between(0, 2) as 0 | 1 | 2
  if (state === 'subscribed' || state === 'replaying') {
    const topic =
      state === 'subscribed'
        ? pick(random, ['a/#', '#', '$share/g/a/#'])
        : pick(random, ['$replay/anything/earliest', '$replay/anything/0/0'])
    link.write(encoded(version, { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] }))
    await link.something(ANSWER_MS)
  }
  if (state === 'in the middle of QoS 2') {
    const publish = { cmd: 'publish', topic: 'a/b', payload: 'x', qos: 2, dup: false, retain: false } as const
    for (let messageId = 1; messageId <= 4; messageId++) {
      link.write(encoded(version, { ...publish, messageId }))
    }
    if (chance(random, 0.7)) await link.something(ANSWER_MS)
  }
}

export const everyState: Attack = {
  name: 'packets in every state',
  weight: 40,
  async run(random, arena) {
    const version = pick(random, VERSIONS)
    const link = arena.link()
    if (chance(random, 0.15)) link.stall()
    await bring(link, pick(random, STATES), version, random, arena)
    for (let count = random.between(1, PACKETS_MAX); count > 0 && !link.isClosed && !arena.isOver; count--) {
      const bytes = chance(random, 0.03) ? bytesOf(random, 200) : mutated(random, anyPacket(random, version))
      if (chance(random, 0.1) && bytes.length > 1) {
        // in two pieces
        const at = random.between(1, bytes.length - 1)
        link.write(bytes.subarray(0, at))
        await arena.pause(1)
        link.write(bytes.subarray(at))
      } else link.write(bytes)
      if (chance(random, 0.3)) await arena.pause(random.between(0, 8))
    }
    await link.something(random.between(0, ANSWER_MS))
  },
}

/** Connects and goes, again and again, cleanly or not. */
export const churn: Attack = {
  name: 'churn of connections',
  weight: 8,
  async run(random, arena) {
    const version = pick(random, VERSIONS)
    for (let count = random.between(10, 60); count > 0 && !arena.isOver; count--) {
      const link = arena.tcp()
      link.write(connectOf(random, version))
      if (chance(random, 0.5)) await link.something(50)
      if (chance(random, 0.5)) link.write(encoded(version, { cmd: 'disconnect' }))
      link.destroy()
      await arena.pause(random.between(0, 5))
    }
  },
}
