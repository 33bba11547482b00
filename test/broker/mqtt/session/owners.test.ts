/**
 * Whose a session is. One whose user was removed or renamed was nobody's, and kept its client id for ever: a device under its next name was refused for good.
 */
import { describe, expect, it } from 'vitest'
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
