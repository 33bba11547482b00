/** What ended sessions had of shared subscriptions: read back a batch at a time, bounded, and kept where the log cannot be read. */
import { expect, it } from 'vitest'
import type { Message } from '../../../../broker/mqtt/hub/message.ts'
import { Drops } from '../../../../broker/mqtt/session/drops.ts'
import type { Loaded, Reference } from '../../../../broker/mqtt/session/message-loader.ts'
import { type Shared, SharedReturns } from '../../../../broker/mqtt/session/shared-returns.ts'

function setUp() {
  const given: string[] = []
  const reads: number[] = []
  const drops = new Drops()
  const state = { isBroken: false }
  const group = {
    give({ topic, qos }: Message) {
      given.push(`${topic} ${qos}`)
      return true
    },
  }
  const loader = {
    async load(references: readonly Reference[]): Promise<Loaded[]> {
      reads.push(references.length)
      if (state.isBroken) throw new Error('the disk is at fault')
      return references.map(({ offset }) =>
        offset % 1000 === 999 ? 'gone' : ({ topic: `t${offset}`, qos: 2 } as Message),
      )
    },
  }
  const returns = new SharedReturns(loader, drops)
  const shared = (count: number): Shared[] =>
    Array.from({ length: count }, (_, offset) => ({ group, qos: 1, partition: 1, offset }))
  const settle = () => new Promise((resolve) => setImmediate(resolve))
  return { given, reads, drops, state, returns, shared, settle }
}

it('go to the group in their order, with the QoS they had, a batch at a time', async () => {
  const { given, reads, returns, shared, settle } = setUp()
  returns.give(returns.taken(shared(100)))
  await settle()
  expect(given).toEqual(Array.from({ length: 100 }, (_, n) => `t${n} 1`))
  expect(reads).toEqual([64, 36])
})

it('are counted where they are gone from the log, and beyond their limit', async () => {
  const { given, drops, returns, shared, settle } = setUp()
  const first = returns.taken(shared(15_000))
  returns.give(first)
  const second = returns.taken(shared(15_000))
  expect(second).toHaveLength(5_000)
  returns.give(second)
  await settle()
  expect(given).toHaveLength(20_000 - 20)
  expect(drops.counts()).toMatchObject({ queueFull: 10_000, gone: 20 })
  expect(returns.taken(shared(20_000)), 'there is room again').toHaveLength(20_000)
})

it('wait while the log cannot be read, and are none once the broker ends', async () => {
  const { given, reads, state, returns, shared, settle } = setUp()
  state.isBroken = true
  returns.give(returns.taken(shared(3)))
  await settle()
  expect(given).toEqual([])
  state.isBroken = false
  returns.look()
  await settle()
  expect(given).toEqual(['t0 1', 't1 1', 't2 1'])
  returns.give(returns.taken(shared(3)))
  returns.close()
  await settle()
  expect(given).toHaveLength(3)
  expect(reads).toHaveLength(3)
})
