/** A batch that is read some messages at a time is read once. */
import { describe, expect, it } from 'vitest'
import { OpenBatches } from '../../../../broker/mqtt/session/open-batches.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { append, openLog } from '../../log/support.ts'
import { settle, TestBroker } from './support.ts'
import { TestClient } from './test-client.ts'

async function batchOf(values: readonly string[]) {
  const log = await openLog(new MemoryDisk())
  await append(log, 0, values)
  const batches = await log.read('events', 0, 0, 1)
  await log.close()
  return batches
}
const numbers = (count: number) => Array.from({ length: count }, (_, n) => `v${n}`)

describe('an open batch', () => {
  it('gives its records in order, from any of them on, and again those just behind', async () => {
    const opened = new OpenBatches().open(7, await batchOf(numbers(1_000)), 0)!
    for (let offset = 0; offset < 1_000; offset++) {
      expect(String(opened.at(offset)!.value)).toBe(`v${offset}`)
      const behind = Math.max(0, offset - 100)
      expect(String(opened.at(behind)!.value)).toBe(`v${behind}`)
    }
    expect(opened.at(0)).toBeUndefined()
    expect(opened.at(1_000)).toBeNull()
  })
})

describe('open batches', () => {
  it('are found by partition and offset, until they were not used for a while', async () => {
    const batches = new OpenBatches()
    batches.open(7, await batchOf(numbers(3)), 0)
    expect(batches.find(8, 0)).toBeNull()
    expect(batches.find(7, 3)).toBeNull()
    for (let n = 0; n < 3; n++) {
      expect(batches.find(7, 2)).not.toBeNull()
      batches.rest()
    }
    batches.rest()
    expect(batches.find(7, 2)).toBeNull()
  })

  it('are kept up to a limit, the last one in any case', async () => {
    const batches = new OpenBatches()
    const large = await batchOf([Buffer.alloc(700_000).toString('latin1')])
    for (const partition of [1, 2, 3]) batches.open(partition, large, 0)
    expect([1, 2, 3].map((partition) => batches.find(partition, 0) !== null)).toEqual([true, true, true])
    batches.trim()
    expect([1, 2, 3].map((partition) => batches.find(partition, 0) !== null)).toEqual([false, false, true])
  })
})

it('a long queue of one commit costs a few reads of the log', async () => {
  const limits = { heldBytesMax: 0, inFlightMax: 10 }
  const broker = await TestBroker.open(undefined, { limits })
  const client = await new TestClient('c').connect(broker.sessions)
  await client.subscribe('a')
  let reads = 0
  const read = broker.log.read.bind(broker.log)
  broker.log.read = (...args) => {
    reads++
    return read(...args)
  }
  await Promise.all(numbers(2_000).map((value) => broker.publish('a', value)))
  for (let n = 0; n < 2_000; ) {
    await settle(1)
    for (; n < client.received.length; n++) client.session.puback(client.received[n]!.packetId, 0)
  }
  expect(client.received.map(({ payload }) => payload)).toEqual(numbers(2_000))
  expect(reads).toBeLessThan(5)
})
