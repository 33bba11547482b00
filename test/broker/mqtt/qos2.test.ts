import { Decoder, Encoder } from 'cbor-x'
import { describe, expect, it } from 'vitest'
import { Qos2Ids, type Qos2Message } from '../../../broker/mqtt/qos2.ts'
import { seededRandom, testSeed } from '../../support/random.ts'

function message(packetId: number, text = 'on', more: Partial<Qos2Message> = {}): Qos2Message {
  return { clientId: 'c1', packetId, isDup: false, topic: 'door', payload: Buffer.from(text), ...more }
}

/** As a note carries it: through CBOR. */
function stored(value: unknown): unknown {
  const encoded = new Encoder({ useRecords: false, mapsAsObjects: true }).encode(value)
  return new Decoder({ useRecords: false, mapsAsObjects: true }).decode(encoded)
}

function restored(snapshot: unknown, ...added: unknown[]): Qos2Ids {
  const ids = new Qos2Ids()
  ids.restore(snapshot)
  for (const ops of added) ids.apply(ops)
  return ids
}

describe('a QoS 2 message that comes again', () => {
  it('is a repetition while its id is in flight, with and without DUP', () => {
    const ids = new Qos2Ids()
    expect(ids.isRepetition(message(1))).toBe(false)
    ids.add(message(1))
    expect(ids.isRepetition(message(1))).toBe(true)
    expect(ids.isRepetition(message(1, 'on', { isDup: true }))).toBe(true)
  })

  it('of the new session is one as always, whatever the old one left', () => {
    const ids = new Qos2Ids()
    ids.add(message(1))
    ids.clean('c1')
    ids.add(message(2))
    ids.takePending()
    const again = restored(stored(ids.snapshot()))
    for (const each of [ids, again]) {
      expect([1, 2].map((id) => each.isRepetition(message(id)))).toEqual([false, true])
    }
    ids.add(message(1))
    expect(ids.isRepetition(message(1))).toBe(true)
  })

  it('is another message when its payload, its topic, its id or its client differs, DUP or not', () => {
    const ids = new Qos2Ids()
    ids.add(message(1))
    for (const isDup of [false, true]) {
      expect(ids.isRepetition(message(1, 'off', { isDup }))).toBe(false)
      expect(ids.isRepetition(message(1, 'on', { isDup, topic: 'gate' }))).toBe(false)
      expect(ids.isRepetition(message(2, 'on', { isDup }))).toBe(false)
      expect(ids.isRepetition(message(1, 'on', { isDup, clientId: 'c2' }))).toBe(false)
    }
  })

  it('is another message when bytes only moved between topic and payload', () => {
    const ids = new Qos2Ids()
    ids.add(message(1, 'bc', { topic: 'a' }))
    expect(ids.isRepetition(message(1, 'c', { topic: 'ab' }))).toBe(false)
    expect(ids.isRepetition(message(1, 'a', { topic: 'bc' }))).toBe(false)
  })

  it('is no repetition once its id was released', () => {
    const ids = new Qos2Ids()
    ids.add(message(1))
    expect(ids.release('c1', 1)).toBe(true)
    expect(ids.isRepetition(message(1, 'on', { isDup: true }))).toBe(false)
    expect(ids.release('c1', 1)).toBe(false)
    expect(ids.count).toBe(0)
  })

  it('after a clean session is a repetition only when it is marked DUP', () => {
    const ids = new Qos2Ids()
    ids.add(message(1))
    expect(ids.clean('c1')).toBe(true)
    expect(ids.clean('c1')).toBe(false)
    expect(ids.isRepetition(message(1))).toBe(false)
    expect(ids.isRepetition(message(1, 'on', { isDup: true }))).toBe(true)
  })

  it('replaces what its id stood for', () => {
    const ids = new Qos2Ids()
    ids.add(message(1, 'on'))
    ids.add(message(1, 'off'))
    expect(ids.isRepetition(message(1, 'on'))).toBe(false)
    expect(ids.isRepetition(message(1, 'off'))).toBe(true)
    expect(ids.count).toBe(1)
  })
})

describe('QoS 2 ids as a commit state', () => {
  it('give each addition to one commit, and nothing when there is none', () => {
    const ids = new Qos2Ids()
    expect(ids.takePending()).toBeUndefined()
    ids.add(message(1))
    ids.release('c1', 1)
    expect(ids.takePending()).toHaveLength(2)
    expect(ids.takePending()).toBeUndefined()
  })

  it('leave what is pending out of a snapshot, which may reach the disk before it', () => {
    const ids = new Qos2Ids()
    ids.add(message(1))
    ids.takePending()
    ids.add(message(2))
    ids.release('c1', 1)
    ids.clean('c1')
    const head = restored(stored(ids.snapshot()))
    expect(head.isRepetition(message(1))).toBe(true)
    expect(head.isRepetition(message(2))).toBe(false)
    ids.takePending()
    const later = restored(stored(ids.snapshot()))
    expect(later.isRepetition(message(1))).toBe(false)
    expect(later.isRepetition(message(2, 'on', { isDup: true }))).toBe(true)
    expect(later.isRepetition(message(2))).toBe(false)
  })

  it('drop what is pending when they are restored', () => {
    const ids = new Qos2Ids()
    ids.add(message(1))
    ids.restore(undefined)
    expect(ids.takePending()).toBeUndefined()
    expect(ids.isRepetition(message(1))).toBe(false)
    expect(ids.count).toBe(0)
  })

  it('are the same whether they went on, or were restored from any snapshot and the notes after it', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const probe = (ids: Qos2Ids) => {
      const found: boolean[] = []
      for (const clientId of ['a', 'b', 'c']) {
        for (let id = 1; id <= 4; id++) {
          for (const isDup of [false, true]) {
            for (const text of ['x', 'y']) {
              found.push(ids.isRepetition(message(id, text, { clientId, isDup })))
            }
          }
        }
      }
      return found
    }
    for (let round = 0; round < 50; round++) {
      const ids = new Qos2Ids()
      const notes: unknown[] = []
      let snapshot: unknown
      let since = 0
      for (let step = 0; step < 40; step++) {
        const clientId = ['a', 'b', 'c'][random.between(0, 2)]!
        const id = random.between(1, 4)
        const roll = random.between(0, 9)
        if (roll < 4) ids.add(message(id, random.next() < 0.5 ? 'x' : 'y', { clientId }))
        else if (roll < 6) ids.release(clientId, id)
        else if (roll < 7) ids.clean(clientId)
        else if (roll < 9) {
          const added = ids.takePending()
          if (added !== undefined) notes.push(stored(added))
        } else {
          snapshot = stored(ids.snapshot())
          since = notes.length
        }
      }
      const last = ids.takePending()
      if (last !== undefined) notes.push(stored(last))
      const again = restored(snapshot, ...notes.slice(since))
      expect(probe(again), `seed ${seed}, round ${round}`).toEqual(probe(ids))
      expect(again.count).toBe(ids.count)
      expect(again.snapshot()).toEqual(ids.snapshot())
    }
  })

  it('forget, once too many are in flight, the client that was silent longest of those that hold the average or more', () => {
    const ids = new Qos2Ids()
    const isKnown = (clientId: string) => ids.isRepetition(message(1, 'on', { clientId }))
    for (let i = 0; i < 10; i++) ids.add(message(i, 'on', { clientId: 'few' }))
    for (let i = 0; i < 10_000; i++) ids.add(message(i, 'on', { clientId: 'second' }))
    for (let i = 0; i < 9_990; i++) ids.add(message(i, 'on', { clientId: 'third' }))
    expect(ids.count).toBe(20_000)
    ids.add(message(1, 'on', { clientId: 'new' }))
    expect(['few', 'second', 'third', 'new'].map(isKnown)).toEqual([true, false, true, true])
    expect(ids.count).toBe(10_001)
  })

  it('of many clients with one each forget the one that was silent longest', () => {
    const ids = new Qos2Ids()
    for (let i = 0; i <= 20_000; i++) ids.add(message(1, 'on', { clientId: `c${i}` }))
    expect([0, 1, 20_000].map((i) => ids.isRepetition(message(1, 'on', { clientId: `c${i}` })))).toEqual([
      false,
      true,
      true,
    ])
  })
})
