/**
 * Whose a session is. One whose user was removed or renamed was nobody's, and kept its client id for ever: a device under its next name was refused for good.
 */
import { describe, expect, it } from 'vitest'
import { Reason } from '../../../../broker/mqtt/packets/protocol-error.ts'
import type { SessionRules } from '../../../../broker/mqtt/session/away-review.ts'
import { settle, TestBroker } from './support.ts'
import { TestClient } from './test-client.ts'

const ANN = { user: 'ann', expirySeconds: 3600 }
const WITH_WILL = { ...ANN, will: { topic: 'will', delaySeconds: 600 } }

/** A broker with these users, and a session of ann that is away: subscribed, with a message in its queue and a will to come. */
async function annIsAway(users: Set<string>) {
  const broker = await TestBroker.open(undefined, { rules: { isUser: (name) => users.has(name) } })
  const ann = await new TestClient('pump').connect(broker.sessions, WITH_WILL)
  await ann.subscribe('a')
  ann.lost()
  await broker.publish('a', 'for ann')
  expect(broker.sessions.status()).toMatchObject({ sessions: 1, queued: 1, wills: 1 })
  return broker
}

const rules = (users: Set<string>): SessionRules => ({
  mayPublish: () => true,
  maySubscribe: () => true,
  hasUsers: true,
  isUser: (name) => users.has(name),
  isGone: (name) => !users.has(name),
})

describe('the session of a user that is none any more', () => {
  it.each([false, true])(
    'is over when somebody else comes with its client id, and nobody gets what it held (clean start %s)',
    async (cleanStart) => {
      const users = new Set(['ann', 'bob'])
      let broker = await annIsAway(users)
      const bob = new TestClient('pump')
      const asBob = { user: 'bob', expirySeconds: 3600, cleanStart }
      await expect(bob.connect(broker.sessions, asBob)).rejects.toMatchObject({ reasonCode: 0x87 })
      users.delete('ann')
      await bob.connect(broker.sessions, asBob)
      expect(bob.isPresent).toBe(false)
      broker.clock.pass(700_000)
      broker.sessions.tick()
      await settle()
      expect(bob.wire).toEqual([])
      expect(broker.wills).toEqual([])
      const left = { sessions: 1, queued: 0, wills: 0, subscriptions: 0 }
      expect(broker.sessions.status()).toMatchObject(left)
      broker = await broker.cut()
      expect(broker.sessions.status()).toMatchObject(left)
      await bob.connect(broker.sessions, { ...asBob, cleanStart: false })
      expect(bob.isPresent).toBe(true)
    },
  )

  it.each([
    ['was removed', new Set(['ann', 'bob']), ['ann']],
    ['is not among the users', new Set(['bob']), []],
  ] as const)('ends when it is found that the user %s; others stay', async (_, users, removed) => {
    let broker = await annIsAway(new Set(['ann', 'bob']))
    const others = [await new TestClient('b').connect(broker.sessions, { user: 'bob' })]
    others.push(await new TestClient('c').connect(broker.sessions))
    for (const other of others) other.lost()
    broker.sessions.review(rules(users), removed)
    const left = { sessions: 2, queued: 0, wills: 0 }
    expect(broker.sessions.status()).toMatchObject(left)
    await settle()
    expect(broker.wills).toEqual([])
    broker = await broker.cut()
    expect(broker.sessions.status()).toMatchObject(left)
  })

  it('goes on while it has a connection: that is its connection’s to end', async () => {
    const broker = await TestBroker.open()
    const ann = await new TestClient('pump').connect(broker.sessions, ANN)
    broker.sessions.review(rules(new Set()), ['ann'])
    expect(ann.session.isAttached).toBe(true)
    expect(broker.sessions.status()).toMatchObject({ sessions: 1 })
  })
})

describe('at a limit of sessions', () => {
  const refused = { reasonCode: Reason.quotaExceeded }
  const guarded = { hasUsers: true }
  const clientsOf = async (broker: TestBroker, user: string | null, names: string[], more = {}) => {
    const clients: TestClient[] = []
    for (const name of names) {
      clients.push(
        await new TestClient(name).connect(broker.sessions, { user, expirySeconds: 3600, ...more }),
      )
    }
    return clients
  }

  it('the one of the same user that is away for longest makes room; others’ stay', async () => {
    const limits = { sessionsPerUserMax: 3 }
    let broker = await TestBroker.open(undefined, { limits, rules: guarded })
    const [bob] = await clientsOf(broker, 'bob', ['b1'])
    bob!.lost()
    const ann = await clientsOf(broker, 'ann', ['a1', 'a2', 'a3'])
    for (const n of [1, 0, 2]) {
      broker.clock.pass(1_000)
      ann[n]!.lost()
    }
    broker = await broker.restart({ limits, rules: guarded })
    const isThere = async (client: TestClient, user: string) => {
      await client.connect(broker.sessions, { user, expirySeconds: 3600 })
      client.lost()
      return client.isPresent
    }
    await clientsOf(broker, 'ann', ['a4'])
    expect(broker.sessions.status()).toMatchObject({ sessions: 4, evicted: 1 })
    expect(broker.sink.matching('for a newer one of its user')[0]?.fields).toEqual({
      client: 'a2',
      user: 'ann',
      reason: 'limits.sessionsPerUserMax of 3 is reached',
    })
    broker = await broker.cut({ limits, rules: guarded })
    for (const client of [ann[0]!, ann[2]!]) expect(await isThere(client, 'ann')).toBe(true)
    expect(await isThere(bob!, 'bob')).toBe(true)
    expect(await isThere(ann[1]!, 'ann')).toBe(false)
  })

  it('nine tenths of them are told in a line that names the key, before the first has to go', async () => {
    const limits = { sessionsPerUserMax: 10, sessionsMax: 100 }
    const broker = await TestBroker.open(undefined, { limits, rules: guarded })
    const near = () => broker.sink.matching('come near their limit').map(({ fields }) => fields)
    const names = Array.from({ length: 8 }, (_, n) => `a${n}`)
    await clientsOf(broker, 'ann', names)
    await clientsOf(broker, 'ann', names)
    await clientsOf(
      broker,
      'ann',
      names.map((name) => `short ${name}`),
      { expirySeconds: 0 },
    )
    expect(near()).toEqual([])
    const last = await clientsOf(broker, 'ann', ['a8', 'a9'])
    expect(near()).toEqual([
      {
        user: 'ann',
        sessions: 9,
        reason: expect.stringContaining('limits.sessionsPerUserMax is 10:'),
      },
    ])
    expect(broker.sink.matching('for a newer one of its user')).toEqual([])
    await clientsOf(
      broker,
      'bob',
      Array.from({ length: 9 }, (_, n) => `b${n}`),
    )
    expect(near()).toMatchObject([{ user: 'ann' }, { user: 'bob' }])
    for (const client of last) client.lost()
    await clientsOf(broker, 'ann', ['a10'])
    expect(broker.sink.matching('for a newer one of its user')).toHaveLength(1)
  })

  it('a user whose clients are all connected is refused; who comes again is not, nor who leaves nothing', async () => {
    const limits = { sessionsPerUserMax: 2 }
    const broker = await TestBroker.open(undefined, { limits, rules: guarded })
    for (const user of ['ann', 'bob', null]) {
      const names = ['1', '2'].map((name) => `${user} ${name}`)
      await clientsOf(broker, user, names)
      await expect(clientsOf(broker, user, [`${user} 3`])).rejects.toMatchObject(refused)
      await clientsOf(broker, user, names)
      await clientsOf(broker, user, names, { cleanStart: true })
      await clientsOf(
        broker,
        user,
        ['4', '5', '6'].map((name) => `${user} ${name}`),
        { expirySeconds: 0 },
      )
      // one of these may not stay either
      await expect(clientsOf(broker, user, [`${user} 4`])).rejects.toMatchObject(refused)
    }
    expect(broker.sessions.status()).toMatchObject({ sessions: 15, stored: 6, evicted: 0 })
  })

  it('of all, nobody is shut out for good where there are no users: the one that is away for longest makes room', async () => {
    const broker = await TestBroker.open(undefined, { limits: { sessionsMax: 3, sessionsPerUserMax: 1 } })
    for (let n = 0; n < 10; n++) {
      const [client] = await clientsOf(broker, null, [`${n}`])
      client!.lost()
    }
    expect(broker.sessions.status()).toMatchObject({ sessions: 3, evicted: 7 })
    for (const [name, isPresent] of [
      ['9', true],
      ['0', false],
    ] as const) {
      const [client] = await clientsOf(broker, null, [name])
      expect(client!.isPresent).toBe(isPresent)
    }
  })

  it('of all, one user’s sessions do not make room for another’s', async () => {
    const broker = await TestBroker.open(undefined, { limits: { sessionsMax: 3 }, rules: guarded })
    for (const client of await clientsOf(broker, 'ann', ['1', '2', '3'])) client.lost()
    await expect(clientsOf(broker, 'bob', ['4'])).rejects.toMatchObject(refused)
    await clientsOf(broker, 'bob', ['4'], { expirySeconds: 0 })
    await clientsOf(broker, 'ann', ['5'])
    expect(broker.sessions.status()).toMatchObject({ stored: 3, evicted: 1 })
  })
})
