import { describe, expect, it } from 'vitest'
import { Backlog, type BacklogOwner } from '../../../../broker/mqtt/hub/backlog.ts'
import { Hub } from '../../../../broker/mqtt/hub/hub.ts'
import type { Grant, Message, Subscriber } from '../../../../broker/mqtt/hub/message.ts'
import { filterText, type Subscription } from '../../../../broker/mqtt/hub/subscription.ts'
import type { QoS } from '../../../../broker/mqtt/packets/packet.ts'
import { topicMatches } from '../../../../broker/mqtt/router.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'

const SEED = testSeed()

class Session implements Subscriber, BacklogOwner {
  isOnline = true
  queued = 0
  isWaitedFor = true
  readonly backlog = new Backlog(this, 20)
  readonly got: { topic: string; grant: Grant }[] = []
  readonly clientId: string
  constructor(clientId: string) {
    this.clientId = clientId
  }
  awaited(): void {}
  deliver({ topic }: Message, grant: Grant): void {
    this.got.push({ topic, grant })
  }
  take(): { topic: string; grant: Grant }[] {
    return this.got.splice(0)
  }
}

function subscription(filter: string, changes: Partial<Subscription> = {}): Subscription {
  return {
    filter,
    shareName: null,
    qos: 1,
    isNoLocal: false,
    isRetainAsPublished: false,
    identifier: null,
    ...changes,
  }
}

function message(topic: string, clientId: string | null = 'publisher'): Message {
  return {
    topic,
    payload: Buffer.from('x'),
    qos: 1,
    isRetained: false,
    properties: null,
    timestamp: 0,
    clientId,
    place: null,
  }
}

function setUp(...names: string[]) {
  const hub = new Hub()
  const sessions = names.map((name) => new Session(name))
  return { hub, sessions: sessions as [Session, Session, Session] }
}

describe('the hub', () => {
  it('delivers to those whose filters match, and knows who takes a topic', () => {
    const { hub, sessions } = setUp('a', 'b')
    const [a, b] = sessions
    expect(hub.hasTakers('plant/1/temperature')).toBe(false)
    hub.subscribe(a, subscription('plant/+/temperature'))
    hub.subscribe(b, subscription('plant/#'))
    expect(hub.hasTakers('plant/1/temperature')).toBe(true)
    expect(hub.hasTakers('office/1')).toBe(false)
    expect(hub.publish(message('plant/1/temperature'))).toBe(2)
    expect(hub.publish(message('plant'))).toBe(1)
    expect(a.take().map(({ topic }) => topic)).toEqual(['plant/1/temperature'])
    expect(b.take().map(({ topic }) => topic)).toEqual(['plant/1/temperature', 'plant'])
    hub.unsubscribe(a, 'plant/+/temperature')
    hub.removeAll(b)
    expect(hub.hasTakers('plant/1/temperature')).toBe(false)
    expect(hub.publish(message('plant/1/temperature'))).toBe(0)
    expect(hub.count).toBe(0)
  })

  it('gives one delivery of overlapping subscriptions: the highest QoS, all identifiers [MQTT-3.3.4-2, 3.3.4-3]', () => {
    const { hub, sessions } = setUp('a')
    const [a] = sessions
    hub.subscribe(a, subscription('a/#', { qos: 0, identifier: 7 }))
    hub.subscribe(a, subscription('a/+', { qos: 2, identifier: 9, isRetainAsPublished: true }))
    hub.subscribe(a, subscription('a/b', { qos: 1 }))
    hub.publish(message('a/b'))
    const [only, ...more] = a.take()
    expect(more).toEqual([])
    expect(only!.grant.qos).toBe(2)
    expect([...only!.grant.identifiers].sort()).toEqual([7, 9])
    expect(only!.grant.isRetainAsPublished).toBe(true)
  })

  it('puts a subscription in the place of one with the same filter [MQTT-3.8.4-3]', () => {
    const { hub, sessions } = setUp('a')
    const [a] = sessions
    hub.subscribe(a, subscription('a/b', { qos: 0, identifier: 1 }))
    hub.subscribe(a, subscription('a/b', { qos: 2 }))
    expect(hub.count).toBe(1)
    hub.publish(message('a/b'))
    expect(a.take()).toEqual([
      { topic: 'a/b', grant: { qos: 2, identifiers: [], isRetainAsPublished: false } },
    ])
    expect(hub.unsubscribe(a, 'a/b')).toBe(true)
    expect(hub.unsubscribe(a, 'a/b')).toBe(false)
  })

  it('does not deliver to a session what it published itself under a subscription with No Local [MQTT-3.8.3-3]', () => {
    const { hub, sessions } = setUp('a', 'b')
    const [a, b] = sessions
    hub.subscribe(a, subscription('t/#', { isNoLocal: true, qos: 2, identifier: 3 }))
    hub.subscribe(b, subscription('t/#'))
    expect(hub.publish(message('t/1', 'a'))).toBe(1)
    expect(a.take()).toEqual([])
    expect(b.take()).toHaveLength(1)
    hub.subscribe(a, subscription('t/+', { qos: 1 }))
    hub.publish(message('t/1', 'a'))
    expect(a.take().map(({ grant }) => grant)).toEqual([
      { qos: 1, identifiers: [], isRetainAsPublished: false },
    ])
    hub.publish(message('t/1', 'b'))
    expect(a.take().map(({ grant }) => grant.qos)).toEqual([2])
  })

  it('keeps topics that begin with "$" from filters that begin with a wildcard [MQTT-4.7.2-1]', () => {
    const { hub, sessions } = setUp('a', 'b')
    const [a, b] = sessions
    hub.subscribe(a, subscription('#'))
    hub.subscribe(a, subscription('+/uptime'))
    hub.subscribe(b, subscription('$SYS/#'))
    expect(hub.publish(message('$SYS/uptime'))).toBe(1)
    expect(a.take()).toEqual([])
    expect(b.take()).toHaveLength(1)
  })

  it('takes a filter back that was given up and wanted again in one turn', async () => {
    const { hub, sessions } = setUp('a')
    const [a] = sessions
    hub.subscribe(a, subscription('a/b'))
    hub.unsubscribe(a, 'a/b')
    expect(hub.hasTakers('a/b')).toBe(false)
    hub.subscribe(a, subscription('a/b'))
    await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setImmediate(resolve))
    hub.publish(message('a/b'))
    expect(a.take()).toHaveLength(1)
  })

  it('changes its generation with each answer of hasTakers', () => {
    const { hub, sessions } = setUp('a')
    const [a] = sessions
    const seen = new Set([hub.generation])
    hub.subscribe(a, subscription('a'))
    seen.add(hub.generation)
    hub.unsubscribe(a, 'a')
    seen.add(hub.generation)
    expect(seen.size).toBe(3)
  })

  it('has nobody for a topic of more levels than a filter may have', () => {
    const { hub, sessions } = setUp('a')
    hub.subscribe(sessions[0], subscription('#'))
    expect(hub.publish(message('a/'.repeat(200)))).toBe(0)
  })
})

describe('a shared subscription', () => {
  const shared = (name: string, filter = 'jobs/#') => subscription(filter, { shareName: name })

  it('gives each message to one of its members in turn, beside those that subscribe by themselves', () => {
    const { hub, sessions } = setUp('a', 'b', 'c')
    const [a, b, c] = sessions
    hub.subscribe(a, shared('workers'))
    hub.subscribe(b, shared('workers'))
    hub.subscribe(c, subscription('jobs/+'))
    for (let i = 0; i < 6; i++) expect(hub.publish(message(`jobs/${i}`))).toBe(2)
    expect(a.take().length).toBe(3)
    expect(b.take().length).toBe(3)
    expect(c.take().length).toBe(6)
  })

  it('prefers members that are connected, and waits in a session while none is', () => {
    const { hub, sessions } = setUp('a', 'b')
    const [a, b] = sessions
    hub.subscribe(a, shared('workers'))
    hub.subscribe(b, shared('workers'))
    a.isOnline = false
    for (let i = 0; i < 4; i++) hub.publish(message('jobs/1'))
    expect([a.take().length, b.take().length]).toEqual([0, 4])
    b.isOnline = false
    for (let i = 0; i < 4; i++) hub.publish(message('jobs/1'))
    expect([a.take().length, b.take().length]).toEqual([2, 2])
  })

  it('is a group for each name and filter, and one that was left by all is none', () => {
    const { hub, sessions } = setUp('a', 'b')
    const [a, b] = sessions
    hub.subscribe(a, shared('one'))
    hub.subscribe(b, shared('two'))
    hub.subscribe(b, shared('one', 'jobs/+'))
    expect(hub.publish(message('jobs/1'))).toBe(3)
    expect(hub.unsubscribe(b, '$share/two/jobs/#')).toBe(true)
    hub.removeAll(b)
    expect(hub.publish(message('jobs/1'))).toBe(1)
    hub.removeAll(a)
    expect(hub.hasTakers('jobs/1')).toBe(false)
  })

  it('prefers members for which nothing waits, then the one with least', () => {
    const { hub, sessions } = setUp('a', 'b', 'c')
    const [a, b, c] = sessions
    for (const session of sessions) hub.subscribe(session, shared('workers'))
    a.queued = 1
    for (let i = 0; i < 4; i++) hub.publish(message('jobs/1'))
    expect([a.take().length, b.take().length, c.take().length]).toEqual([0, 2, 2])
    b.queued = 3
    c.queued = 2
    for (let i = 0; i < 4; i++) hub.publish(message('jobs/1'))
    expect([a.take().length, b.take().length, c.take().length]).toEqual([4, 0, 0])
  })

  it('goes on in turn when a member leaves', () => {
    const { hub, sessions } = setUp('a', 'b', 'c')
    const [a, b, c] = sessions
    for (const session of sessions) hub.subscribe(session, shared('workers'))
    hub.publish(message('jobs/1'))
    hub.removeAll(a)
    for (let i = 0; i < 4; i++) hub.publish(message('jobs/1'))
    expect([a.take().length, b.take().length, c.take().length]).toEqual([1, 2, 2])
  })
})

describe(`any history of subscriptions, seed ${SEED}`, () => {
  it('delivers what matching each filter by itself says', () => {
    const random = seededRandom(SEED)
    const pick = <T>(list: readonly T[]): T => list[random.between(0, list.length - 1)]!
    const LEVELS = ['a', 'b', '', '$x', 'long level'] as const
    const anyTopic = () => Array.from({ length: random.between(1, 4) }, () => pick(LEVELS)).join('/') || 'a'
    const anyFilter = () => {
      const levels: string[] = Array.from({ length: random.between(1, 4) }, () =>
        random.next() < 0.3 ? '+' : pick(LEVELS),
      )
      if (random.next() < 0.3) levels.push('#')
      return levels.join('/') || '#'
    }
    const hub = new Hub()
    const sessions = ['a', 'b', 'c', 'd', 'e'].map((name) => new Session(name))
    const model = new Map(sessions.map((session) => [session, new Map<string, Subscription>()]))
    for (let step = 0; step < 4000; step++) {
      const session = pick(sessions)
      const own = model.get(session)!
      const dice = random.next()
      if (dice < 0.3) {
        const one = subscription(anyFilter(), {
          qos: random.between(0, 2) as QoS,
          isNoLocal: random.next() < 0.2,
          identifier: random.next() < 0.5 ? random.between(1, 9) : null,
        })
        hub.subscribe(session, one)
        own.set(filterText(one), one)
      } else if (dice < 0.5) {
        const text = own.size > 0 && random.next() < 0.8 ? pick([...own.keys()]) : anyFilter()
        expect(hub.unsubscribe(session, text)).toBe(own.delete(text))
      } else if (dice < 0.52) {
        hub.removeAll(session)
        own.clear()
      } else {
        const topic = anyTopic()
        const publisher = pick(['a', 'b', 'z'])
        const expected = sessions.flatMap((each) => {
          const matching = [...model.get(each)!.values()].filter(({ filter, isNoLocal }) => {
            const isApart = topic.startsWith('$') && !filter.startsWith('$')
            const isOwn = isNoLocal && each.clientId === publisher
            return !isApart && !isOwn && topicMatches(filter.split('/'), topic.split('/'))
          })
          if (matching.length === 0) return []
          const identifiers = matching.flatMap(({ identifier }) => identifier ?? []).sort()
          return [{ to: each.clientId, qos: Math.max(...matching.map(({ qos }) => qos)), identifiers }]
        })
        hub.publish(message(topic, publisher))
        const got = sessions.flatMap((each) =>
          each.take().map(({ grant }) => {
            return { to: each.clientId, qos: grant.qos, identifiers: [...grant.identifiers].sort() }
          }),
        )
        expect(got, `${topic} at step ${step}`).toEqual(expected)
      }
    }
    expect(hub.count).toBe([...model.values()].reduce((sum, own) => sum + own.size, 0))
  })
})
