/** Links that stall or break between this edge and the server, at a point of a round that a test chooses. */
import { afterEach, expect, it } from 'vitest'
import { describeWithNats } from '../../support/nats/vitest.ts'
import { testSeed } from '../../support/random.ts'
import { until } from '../kafka/security-setup.ts'
import { seededRandom } from '../stored-batches.ts'
import { BreakingLink, type LinkFault } from './breaking-link.ts'
import { edgeConfig, NatsEdge } from './nats-edge.ts'

const WAYS: readonly LinkFault[] = ['stall', 'break', 'late', 'break']

const links: BreakingLink[] = []
const edges: NatsEdge[] = []
afterEach(async () => {
  await Promise.all(edges.splice(0).map((edge) => edge.stop()))
  for (const link of links.splice(0)) link.close()
})

describeWithNats('a link to NATS', (start) => {
  it('stalls, breaks and delivers late in the middle of messages, and each record is there once and in order', async () => {
    const random = seededRandom(testSeed())
    const { address } = await start()
    const link = new BreakingLink(address)
    links.push(link)
    const edge = new NatsEdge(3)
    edges.push(edge)
    const small = { ackMs: 300, messageBytesMax: 3000, backoff: { firstMs: 10, msMax: 50 } }
    await edge.start(edgeConfig(await link.listen(), small))
    for (let fault = 0; fault < 16; fault++) {
      const way = WAYS[fault % WAYS.length]!
      link.arm(1 + Math.floor(random() * 40_000), way)
      const before = link.faults
      for (let burst = 0; link.faults === before; burst++) {
        edge.append(60, 6)
        await until('a fault, or all is sent', () => link.faults > before || edge.isLevel())
        expect(burst).toBeLessThan(100)
      }
      if (way === 'late') await edge.level()
      link.release()
    }
    await edge.level()
    expect(link.open, 'connections that were given up are closed').toBe(1)
    await edge.expectExact(address)
  }, 120_000)
})
