import { describe, expect, it } from 'vitest'
import { ClockState } from '../../../broker/clock/clock-state.ts'
import { DAY, Machine, T0 } from './machine.ts'
import { SimulatedChain, stored } from './simulated-chain.ts'

const SHUTDOWN = T0 - 5 * DAY

/** A machine whose clock is five days late, a process on it, and its chain. */
function booted() {
  const machine = new Machine(SHUTDOWN).withSystemd()
  const chain = new SimulatedChain()
  const { watch } = machine.start()
  chain.open(watch)
  /** A record is stamped and committed. @returns its commit and timestamp */
  const record = (outcome: 'durable' | 'lost' | 'kept' = 'durable') => {
    const timestamp = watch.now()
    chain.seal(outcome)
    return { commit: chain.commit, timestamp }
  }
  return { machine, chain, watch, record }
}

function clockOf(chain: SimulatedChain, { commit, timestamp }: { commit: number; timestamp: number }) {
  return chain.state.of(commit)?.(timestamp) ?? null
}

describe('the clock in a chain’s commits', () => {
  it('is noted by the first commit of a process, and then only when it changes', async () => {
    const { machine, chain, watch } = booted()
    watch.now()
    expect(chain.seal()).toBe(true)
    for (let i = 0; i < 5; i++) {
      await machine.pass(60_000)
      watch.now()
      expect(chain.seal()).toBe(false)
    }
    machine.synchronize(T0)
    watch.now()
    expect(chain.seal()).toBe(true)
    watch.now()
    expect(chain.seal()).toBe(false)
  })

  it('corrects what was stamped before the time was known, and marks it until then', async () => {
    const { machine, chain, watch, record } = booted()
    const early = record()
    expect(clockOf(chain, early)).toEqual({ trust: 'untrusted' })
    expect(chain.state.owesCorrection).toBe(false)
    await machine.pass(90_000)
    machine.synchronize(T0)
    watch.now()
    expect(chain.state.owesCorrection).toBe(true)
    expect(clockOf(chain, early)).toEqual({ trust: 'untrusted' })
    const late = record()
    expect(chain.state.owesCorrection).toBe(false)
    expect(clockOf(chain, early)).toEqual({ trust: 'corrected', correctedTimestamp: T0 - 90_000 })
    expect(clockOf(chain, late)).toBeNull()
    expect(chain.state.corrected).toEqual({ until: T0, byMs: 5 * DAY - 90_000 })
  })

  it('is noted again after a commit that failed and was not kept, and not after one that was', async () => {
    for (const outcome of ['lost', 'kept'] as const) {
      const { machine, chain, record } = booted()
      const early = record(outcome)
      expect(chain.seal()).toBe(outcome === 'lost')
      expect(chain.state.last?.trust).toBe('untrusted')
      await machine.pass(1000)
      machine.synchronize(T0)
      record(outcome)
      expect(chain.state.owesCorrection).toBe(outcome === 'lost')
      expect(chain.seal()).toBe(outcome === 'lost')
      if (outcome === 'kept') {
        expect(clockOf(chain, early)).toEqual({ trust: 'corrected', correctedTimestamp: T0 - 1000 })
      }
    }
  })

  it('is still told apart in the commit that was tried again', async () => {
    const { machine, chain, watch } = booted()
    watch.now()
    chain.seal()
    await machine.pass(1000)
    const before = watch.now()
    machine.synchronize(T0)
    const after = watch.now()
    chain.seal('lost')
    await machine.pass(600)
    const again = watch.now()
    chain.seal()
    const { commit } = chain
    expect(clockOf(chain, { commit, timestamp: before })).toMatchObject({ trust: 'corrected' })
    expect(clockOf(chain, { commit, timestamp: after })).toBeNull()
    expect(clockOf(chain, { commit, timestamp: again })).toBeNull()
  })

  it('goes on in the next process of the same boot without a note, and still corrects the last one’s records', async () => {
    const { machine, chain, record } = booted()
    const early = record()
    await machine.pass(1000)
    const { watch } = machine.start({ last: chain.state.last })
    chain.open(watch)
    const timestamp = watch.now()
    expect(chain.seal()).toBe(false)
    const second = { commit: chain.commit, timestamp }
    machine.synchronize(T0)
    watch.now()
    chain.seal()
    expect(clockOf(chain, early)).toEqual({ trust: 'corrected', correctedTimestamp: T0 - 1000 })
    expect(clockOf(chain, second)).toEqual({ trust: 'corrected', correctedTimestamp: T0 })
  })

  it('that was stepped while no process ran corrects them too', async () => {
    const { machine, chain, record } = booted()
    const early = record()
    await machine.pass(1000)
    machine.withSystemd(() => true).synchronize(T0)
    await machine.pass(3_600_000)
    const { watch } = machine.start({ last: chain.state.last })
    chain.open(watch)
    expect(chain.state.owesCorrection).toBe(false)
    await machine.pass(0)
    expect(chain.state.owesCorrection).toBe(true)
    chain.seal()
    expect(clockOf(chain, early)).toEqual({ trust: 'corrected', correctedTimestamp: T0 - 1000 })
  })

  it('of another boot says nothing about the records of this one', async () => {
    const { machine, chain, record } = booted()
    const early = record()
    machine.boot(T0 + DAY)
    machine.synchronize(T0 + DAY)
    const { watch } = machine.start()
    chain.open(watch)
    expect(chain.state.owesCorrection).toBe(false)
    const timestamp = watch.now()
    chain.seal()
    expect(clockOf(chain, early)).toEqual({ trust: 'untrusted' })
    expect(clockOf(chain, { commit: chain.commit, timestamp })).toBeNull()
  })

  it('is read from a log without a watch, and nothing is noted then', async () => {
    const { machine, chain, record } = booted()
    const early = record()
    machine.synchronize(T0)
    record()
    chain.open(null)
    expect(clockOf(chain, early)).toMatchObject({ trust: 'corrected' })
    expect(chain.seal()).toBe(false)
    expect(chain.state.owesCorrection).toBe(false)
  })

  it('is the same from a segment’s head as from the notes before it', async () => {
    const { machine, chain, watch, record } = booted()
    const records = [record()]
    for (const step of [DAY, -3 * DAY, 700]) {
      machine.step(step)
      records.push(record())
    }
    chain.roll()
    chain.open(watch)
    machine.synchronize(T0)
    const found = () => records.map((one) => clockOf(chain, one))
    records.push(record())
    const before = found()
    chain.roll()
    chain.open(watch)
    expect(found()).toEqual(before)
    expect(before.map((clock) => clock?.trust)).toEqual([
      ...['corrected', 'corrected', 'corrected', 'corrected'],
      undefined,
    ])
    expect(chain.seal()).toBe(false)
  })

  it('has kinds of stretches for all that can be known, through CBOR', () => {
    const snapshot = [
      ['boot', 'untrusted', T0, 12.345],
      [
        [1, 1, 5 * DAY],
        [2, 0, 0, T0, -DAY, 3],
        [3, 3, 0],
        [4, 2, T0 - 5000, T0 + 1, 2 * DAY, 400],
      ],
    ]
    const state = new ClockState(null)
    state.restore(stored(snapshot))
    expect(state.snapshot(1)).toEqual(snapshot)
    expect(state.of(1)?.(T0)).toEqual({ trust: 'corrected', correctedTimestamp: T0 + 5 * DAY })
    expect(state.of(3)?.(T0)).toEqual({ trust: 'untrusted' })
  })

  it('of a log from before there was any is not known, and so not marked', () => {
    const state = new ClockState(null)
    state.restore(undefined)
    expect(state.of(1)).toBeNull()
    expect(state.snapshot(1)).toEqual([null, []])
  })

  it('takes at most 10 kB in a segment’s head, whatever the clock does', async () => {
    const machine = new Machine(SHUTDOWN).withSystemd()
    const chain = new SimulatedChain()
    chain.commit = 1e9
    for (let boot = 0; boot < 300; boot++) {
      machine.boot(SHUTDOWN + boot * DAY)
      const { watch } = machine.start()
      chain.open(watch)
      watch.now()
      chain.seal()
      await machine.pass(1000)
      machine.synchronize(T0 + boot * DAY)
      watch.now()
      chain.seal()
      watch.close()
    }
    expect(chain.headBytes).toBeGreaterThan(4_000)
    expect(chain.headBytes).toBeLessThan(10_000)
    chain.firstCommit = chain.commit - 20
    expect(chain.headBytes).toBeLessThan(1_000)
  })
})
