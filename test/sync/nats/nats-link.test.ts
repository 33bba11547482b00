/** Links that stall or break between this edge and the server, at a point of a round that a test chooses. */
import { afterEach, expect, it } from 'vitest'
import { createReplicator, type Replicator } from '../../../sync/index.ts'
import { describeWithNats } from '../../support/nats/vitest.ts'
import { testSeed } from '../../support/random.ts'
import { MemoryLog } from '../memory-log.ts'
import { seededRandom } from '../stored-batches.ts'
import { BreakingLink } from './breaking-link.ts'
import { expectChain, messagesOf, natsConfig, recordsOf } from './open-nats.ts'

const links: BreakingLink[] = []
const running: Replicator[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((replicator) => replicator.close()))
  for (const link of links.splice(0)) link.close()
})

async function until(what: string, condition: () => boolean): Promise<void> {
  const end = Date.now() + 60_000
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not within a minute: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

describeWithNats('a link to NATS', (start) => {
  it('stalls and breaks in the middle of messages, and each record is there once and in order', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const { address } = await start()
    const link = new BreakingLink(address)
    links.push(link)
    const log = new MemoryLog().addStream('events', 3)
    const lines: string[] = []
    const complain = (line: string) => void lines.push(line)
    const sink = { info: () => {}, warn: complain, error: complain }
    const config = natsConfig(await link.listen(), {
      ackMs: 300,
      messageBytesMax: 3000,
      backoff: { firstMs: 10, msMax: 50 },
    })
    const cache = { load: async () => null, save: async () => {} }
    const replicator = await createReplicator(config, { log, cache, sink })
    running.push(replicator)
    replicator.start()
    for (let fault = 0; fault < 16; fault++) {
      link.arm(1 + Math.floor(random() * 40_000), fault % 4 === 0 ? 'stall' : 'break')
      const before = link.faults
      for (let burst = 0; link.faults === before; burst++) {
        for (const partition of [0, 1, 2]) log.appendMany('events', partition, 60, 6)
        const isSent = () => replicator.status().lagRecords === 0
        await until('a fault, or all is sent', () => link.faults > before || isSent())
        expect(burst).toBeLessThan(100)
      }
    }
    await until('all is sent', () => {
      const { state, lagRecords } = replicator.status()
      return state === 'idle' && lagRecords === 0
    })
    expect(link.open, 'connections that were given up are closed').toBe(1)
    expect(lines.join('\n'), `seed ${seed}`).not.toMatch(/HW_FENCED|HW_CHECKPOINT|HW_SYNC_INTERNAL/)
    for (const { stream, partition, durableOffset } of log.partitions()) {
      const messages = await messagesOf(address, stream, partition)
      expectChain(messages)
      const values = recordsOf(messages).map(({ value }) => value)
      const expected = Array.from({ length: durableOffset }, (_, i) => `events/${partition}/${i}`)
      expect(values, `seed ${seed}`).toEqual(expected)
    }
  }, 120_000)
})
