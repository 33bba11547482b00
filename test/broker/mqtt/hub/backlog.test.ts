/** Publishers wait for a queue that is half full, to the message; they take turns, and nobody waits for ever. */
import { describe, expect, it } from 'vitest'
import { Backlog, type BacklogOwner, type HeldPublisher } from '../../../../broker/mqtt/hub/backlog.ts'
import type { Message } from '../../../../broker/mqtt/hub/message.ts'
import { SharedGroup } from '../../../../broker/mqtt/hub/shared-group.ts'
import { settle } from '../session/support.ts'

const MAX = 32

class Session implements BacklogOwner {
  queued = 0
  isWaitedFor = true
  isOnline = true
  isAwaited = false
  readonly clientId = 's'
  readonly backlog = new Backlog(this, MAX)

  awaited(isAwaited: boolean): void {
    this.isAwaited = isAwaited
  }
  deliver(_message: Message): void {
    this.queued++
  }
  /** Its client has acknowledged so many. */
  take(count: number): void {
    for (let i = 0; i < count; i++) {
      this.queued--
      this.backlog.progressed()
    }
  }
}

/** Sends messages as a connection does: until one has to wait. */
class Publisher implements HeldPublisher {
  readonly own: Backlog | null
  sent = 0
  waitsFor: Backlog | null = null
  readonly #session: Session
  #left = 0

  constructor(session: Session, own: Backlog | null = null) {
    this.#session = session
    this.own = own
  }
  publish(count: number): void {
    this.#left += count
    this.resume()
  }
  resume(): void {
    this.waitsFor = null
    const { backlog } = this.#session
    while (this.#left > 0) {
      this.waitsFor = backlog.holds(this.own)
      if (this.waitsFor !== null) {
        this.waitsFor.wait(this)
        return
      }
      backlog.expect()
      this.#left--
      this.sent++
    }
  }
}

/** All that is under way comes to disk. */
function commit(session: Session, count: number): void {
  for (let i = 0; i < count; i++) {
    session.backlog.arrived()
    session.deliver({} as Message)
  }
}

describe('the backlog of a session', () => {
  it('takes half of the queue, what is under way included, whoever publishes', () => {
    const session = new Session()
    const publishers = [new Publisher(session), new Publisher(session)]
    for (const publisher of publishers) publisher.publish(12)
    expect(publishers.map(({ sent }) => sent)).toEqual([12, 4])
    commit(session, 16)
    expect(session).toMatchObject({ queued: 16, isAwaited: true })
  })

  it('lets publishers go on as its client takes messages, and share what there is', async () => {
    const session = new Session()
    const publishers = [20, 20, 20].map((count) => {
      const publisher = new Publisher(session)
      publisher.publish(count)
      return publisher
    })
    commit(session, 16)
    expect(publishers.map(({ sent }) => sent)).toEqual([16, 0, 0])
    session.take(6)
    await settle()
    expect(publishers.map(({ sent }) => sent)).toEqual([18, 2, 2])
    commit(session, 6)
    expect(session.queued).toBe(16)
    // the first has two left, and does not take what it does not need
    session.take(16)
    await settle()
    expect(publishers.map(({ sent }) => sent)).toEqual([20, 7, 7])
  })

  it('does not wake publishers for each message, but for a few', async () => {
    const session = new Session()
    const publisher = new Publisher(session)
    publisher.publish(20)
    commit(session, 16)
    session.take(1)
    await settle()
    expect(publisher.sent).toBe(16)
    session.take(1)
    await settle()
    expect(publisher.sent).toBe(18)
  })

  it('a commit that fails makes room', async () => {
    const session = new Session()
    const publisher = new Publisher(session)
    publisher.publish(20)
    for (let i = 0; i < 16; i++) session.backlog.arrived()
    await settle()
    expect(publisher.sent).toBe(20)
    expect(session.isAwaited).toBe(false)
  })

  it('one that comes back with a long queue lets publishers go on with three messages for four it takes', async () => {
    const session = new Session()
    session.queued = MAX - 4
    const publisher = new Publisher(session)
    publisher.publish(100)
    expect(publisher.sent).toBe(0)
    let taken = 0
    for (; session.queued > 16; taken++) {
      session.take(1)
      await settle(3)
      commit(session, publisher.sent - (taken === 0 ? 0 : committed))
      committed = publisher.sent
    }
    expect(publisher.sent / taken).toBeGreaterThan(0.6)
    expect(publisher.sent / taken).toBeLessThanOrEqual(0.75)
  })
  let committed = 0

  it('nobody waits for a session that is not waited for, and who waits goes on once it is not', () => {
    const session = new Session()
    const publisher = new Publisher(session)
    publisher.publish(40)
    expect(publisher.sent).toBe(16)
    session.isWaitedFor = false
    session.backlog.release()
    expect(publisher.sent).toBe(40)
    expect(session.isAwaited).toBe(false)
  })

  it('a publisher that leaves is not waited with', async () => {
    const session = new Session()
    const [gone, stays] = [new Publisher(session), new Publisher(session)]
    gone.publish(20)
    stays.publish(4)
    commit(session, 16)
    session.backlog.leave(gone)
    session.take(4)
    await settle()
    expect([gone.sent, stays.sent]).toEqual([16, 4])
    session.backlog.leave(stays)
    expect(session.isAwaited).toBe(false)
  })

  it('who was let in and has nothing to send does not keep the others waiting', async () => {
    const session = new Session()
    const idle = { own: null, resume: () => {} }
    const publisher = new Publisher(session)
    publisher.publish(16)
    for (let i = 0; i < 20; i++) session.backlog.wait(idle)
    publisher.publish(4)
    for (let i = 0; i < 16; i++) session.backlog.arrived()
    await settle()
    // its share of the room, beside four who have nothing to send
    expect(publisher.sent).toBe(19)
    commit(session, 3)
    await settle()
    expect(publisher.sent).toBe(20)
  })

  it('a client does not wait for itself, nor for one that waits for it', () => {
    const [a, b] = [new Session(), new Session()]
    const toItself = new Publisher(a, a.backlog)
    toItself.publish(20)
    expect(toItself.sent).toBe(20)
    const [fromB, fromA] = [new Publisher(a, b.backlog), new Publisher(b, a.backlog)]
    fromB.publish(20)
    fromA.publish(20)
    expect([fromB.sent, fromA.sent]).toEqual([0, 20])
    // the other way round it would not be a circle
    const fromC = new Publisher(b, new Session().backlog)
    fromC.publish(1)
    expect(fromC.sent).toBe(0)
  })
})

describe('a shared group', () => {
  const subscription = {
    filter: 'a',
    shareName: 'g',
    qos: 1,
    isNoLocal: false,
    isRetainAsPublished: false,
    identifier: null,
  } as const

  function group(...sessions: Session[]): SharedGroup {
    const shared = new SharedGroup()
    for (const session of sessions) shared.add(session, subscription)
    return shared
  }

  it('gives messages to members that take them, while there are some', () => {
    const [slow, quick] = [new Session(), new Session()]
    const shared = group(slow, quick)
    slow.queued = 16
    for (let i = 0; i < 4; i++) expect(shared.next().subscriber).toBe(quick)
    slow.queued = quick.queued = 16
    expect(new Set([shared.next().subscriber, shared.next().subscriber]).size).toBe(2)
  })

  it('holds publishers once all members are slow, what is under way included', () => {
    const [a, b] = [new Session(), new Session()]
    const shared = group(a, b)
    a.queued = 16
    b.queued = 14
    expect(shared.holds(null)).toBeNull()
    shared.expect()
    shared.expect()
    expect(shared.holds(null)).not.toBeNull()
    shared.arrived()
    expect(shared.holds(null)).toBeNull()
    b.isOnline = false
    expect(shared.holds(null)).toBe(a.backlog)
    a.isWaitedFor = false
    expect(shared.holds(null)).toBeNull()
  })

  it('who waits for one goes on when it is his turn there, though others wait too', async () => {
    const [a, b] = [new Session(), new Session()]
    const shared = group(a, b)
    a.queued = b.queued = 16
    const answers: (Backlog | null)[] = []
    const publisher = { own: null, resume: () => void answers.push(shared.holds(null)) }
    shared.holds(null)!.wait(publisher)
    b.backlog.wait({ own: null, resume: () => {} })
    a.take(4)
    await settle()
    expect(answers).toEqual([null])
  })
})
