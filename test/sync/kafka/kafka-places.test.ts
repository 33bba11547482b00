/**
 * The place upstream is not what it was, or not this edge's: each row of the table of failures in sync/DESIGN.md that needs one
 * broker. Afterwards a reader sees each record once and in order, or nothing was written and the error says what to do.
 */
import { afterEach, expect, it } from 'vitest'
import { systemClock } from '../../../sync/clock.ts'
import {
  createTopic,
  deleteTopic,
  describeWithKafka,
  describeWithOwnKafka,
  type KafkaServer,
  readTopic,
  startKafka,
  uniqueName,
  withAdmin,
} from '../../support/kafka/index.ts'
import { testSeed } from '../../support/random.ts'
import { MemoryLog, testIdentity } from '../memory-log.ts'
import { MemoryCache } from '../replicator-setup.ts'
import { seededRandom } from '../stored-batches.ts'
import { caughtUp, close, closeEdges, expectExact, originsOf, startEdge, stopped } from './edge.ts'

afterEach(closeEdges)

const OTHER_INCARNATION = '22222222-2222-4222-8222-222222222222'
const group = (name: string) => `${name}.edge-a`

/** A log with `count` records in each of its two partitions; the same arguments give the same log. */
function newLog(count: number, identity = testIdentity()): MemoryLog {
  const log = new MemoryLog(identity).addStream('events', 2)
  grow(log, count)
  return log
}

function grow(log: MemoryLog, count: number): void {
  for (const partition of [0, 1]) log.appendMany('events', partition, count)
}

const forgetCheckpoint = (bootstrap: string, name: string) =>
  withAdmin(bootstrap, (admin) => admin.deleteGroups([group(name)]))

describeWithKafka('an edge and its place in Kafka', ({ bootstrap }) => {
  /** An edge that has sent a log and is gone; what it remembered stays. */
  async function former(name: string, log: MemoryLog, cache = new MemoryCache()): Promise<MemoryCache> {
    const edge = startEdge(bootstrap, name, log, { cache })
    await caughtUp(edge)
    await close(edge)
    return cache
  }

  /** What Kafka answers to OffsetFetch for this log now. */
  async function offsetsOf(name: string, log: MemoryLog): Promise<unknown> {
    let found: unknown
    const edge = startEdge(bootstrap, name, log, {
      around: async (method, ask) => {
        const answer = await ask()
        if (method === 'offsetFetch') found = answer
        return answer
      },
    })
    await caughtUp(edge)
    await close(edge)
    return found
  }

  it('is exact when a connection is cut behind any request, answered or not', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const name = uniqueName('cut')
    const methods = ['addPartitionsToTxn', 'addOffsetsToTxn', 'produce', 'txnOffsetCommit', 'endTxn']
    let cut: string | null = null
    const log = newLog(10)
    const edge = startEdge(bootstrap, name, log, {
      around: async (method, ask) => {
        if (method !== cut) return ask()
        cut = null
        const answer = ask()
        answer.catch(() => {})
        // Cut at once, with the request on its way, or once it was answered and the answer is lost with the connection.
        if (random() < 0.5) await answer
        await edge.upstream.disconnect()
        return answer.then(() => Promise.reject(new Error('the answer was lost')))
      },
    })
    await caughtUp(edge)
    for (let round = 0; round < 20; round++) {
      cut = round < 10 ? 'endTxn' : methods[Math.floor(random() * methods.length)]!
      grow(log, 5)
      await caughtUp(edge)
      expect(cut, `seed ${seed}`).toBeNull()
    }
    await expectExact(bootstrap, name, log)
  })

  it('stops with an alarm when a clone took over, and goes on only when a person says so', async () => {
    const name = uniqueName('clone')
    const log = newLog(10)
    const first = startEdge(bootstrap, name, log)
    await caughtUp(first)
    const initialised = first.asked.get('initProducerId')
    const copy = newLog(10)
    const clone = startEdge(bootstrap, name, copy)
    await caughtUp(clone)
    grow(log, 10)
    await stopped(first)
    const alarm = first.lines.filter((line) => line.startsWith('error'))
    expect(alarm).toHaveLength(1)
    expect(alarm[0]).toMatch(/stopped: .*another process took over as producer clone-.*headwater rename NAME/)
    expect(first.replicator.status().lastError).toMatchObject({ code: 'HW_FENCED', hint: expect.anything() })
    grow(copy, 10)
    await caughtUp(clone)
    first.replicator.now()
    grow(log, 1)
    await caughtUp(clone)
    expect(first.replicator.status().state).toBe('stopped')
    expect(first.asked.get('initProducerId')).toBe(initialised)
    await expectExact(bootstrap, name, copy)
    // The clone was given another name; the first one is told to go on, and it has what the clone had.
    await close(clone)
    first.replicator.resume()
    await caughtUp(first)
    await expectExact(bootstrap, name, log)
  })

  it('refuses a restored backup under the old name, which neither writes nor stops the original', async () => {
    const name = uniqueName('restored')
    const log = newLog(20)
    const original = startEdge(bootstrap, name, log)
    await caughtUp(original)
    const restored = startEdge(bootstrap, name, newLog(30, testIdentity('edge-a', OTHER_INCARNATION)))
    await stopped(restored)
    const { lastError } = restored.replicator.status()
    expect(lastError).toMatchObject({
      code: 'HW_CHECKPOINT_MISMATCH',
      message: expect.stringMatching(/events\/0 in group .* belongs to incarnation 1111.*this log is 2222/),
      hint: expect.stringContaining('headwater rename'),
    })
    expect(restored.asked.get('initProducerId')).toBeUndefined()
    grow(log, 5)
    await caughtUp(original)
    expect(original.lines).toEqual([])
    await expectExact(bootstrap, name, log)
  })

  it('refuses a log that was restored from a copy and grew past the checkpoint with other records', async () => {
    const name = uniqueName('regrown')
    const log = newLog(30)
    await former(name, log)
    const copy = newLog(20)
    for (const partition of [0, 1]) {
      copy.append(
        'events',
        partition,
        Array.from({ length: 15 }, (_, i) => ({ value: `written since ${i}` })),
      )
    }
    const edge = startEdge(bootstrap, name, copy)
    await stopped(edge)
    expect(edge.replicator.status().lastError).toMatchObject({
      code: 'HW_CHECKPOINT_MISMATCH',
      message: expect.stringContaining('another record than this log at events/0 offset 29'),
      hint: expect.stringContaining('headwater rename NAME'),
    })
    expect(edge.asked.get('produce')).toBeUndefined()
    await expectExact(bootstrap, name, log)
  })

  it('sends all again, and says so, into a topic that was deleted and made anew while it was stopped', async () => {
    const name = uniqueName('renewed')
    const log = newLog(30)
    const cache = await former(name, log)
    const old = await offsetsOf(name, log)
    await deleteTopic(bootstrap, `${name}-events`)
    await createTopic(bootstrap, `${name}-events`, 2)
    log.dropBelow('events', 1, 10)
    const edge = startEdge(bootstrap, name, log, {
      cache,
      // Kafka forgets the offsets of a topic that is gone, but not in the same moment.
      around: (method, ask) => (method === 'offsetFetch' ? Promise.resolve(old) : ask()),
    })
    await caughtUp(edge)
    expect(edge.lines.join('\n')).toMatch(/events\/0 goes to another place.* 30 are sent again$/m)
    expect(edge.lines.join('\n')).toMatch(/events\/1 .* 20 are sent again, 10 are gone: retention/)
    await expectExact(bootstrap, name, log, [0, 10])
  })

  it('sends all again into a topic that was deleted while it ran', async () => {
    const name = uniqueName('deleted')
    const log = newLog(30)
    const edge = startEdge(bootstrap, name, log)
    await caughtUp(edge)
    await deleteTopic(bootstrap, `${name}-events`)
    grow(log, 5)
    await caughtUp(edge)
    await expectExact(bootstrap, name, log)
  })

  it('leaves no hole in a topic that was deleted and made anew between two rounds', async () => {
    const name = uniqueName('swapped')
    const log = newLog(30)
    const edge = startEdge(bootstrap, name, log)
    await caughtUp(edge)
    await deleteTopic(bootstrap, `${name}-events`)
    await createTopic(bootstrap, `${name}-events`, 2)
    // Its leaders take records: nothing but the offsets that they give tells the two topics apart.
    expect(await readTopic(bootstrap, `${name}-events`)).toEqual([])
    grow(log, 5)
    await caughtUp(edge)
    await expectExact(bootstrap, name, log)
  })

  it('leaves no hole in a new topic either where others have written further than it had', async () => {
    const name = uniqueName('overtaken')
    const log = newLog(10)
    let skew = 0
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + skew }
    const edge = startEdge(bootstrap, name, log, { clock })
    await caughtUp(edge)
    await deleteTopic(bootstrap, `${name}-events`)
    const others = newLog(200, testIdentity('edge-b', OTHER_INCARNATION))
    const other = startEdge(bootstrap, name, others)
    await caughtUp(other)
    skew = 60_000
    grow(log, 5)
    await caughtUp(edge)
    const origins = await originsOf(bootstrap, name, log)
    const own = origins.map((list) => list.filter((origin) => origin.startsWith('edge-a/')))
    expect(own[1]).toEqual(Array.from({ length: 15 }, (_, i) => `edge-a/11111111/events/1/${i}`))
    expect(own[0]).toHaveLength(15)
  })

  it('goes on from what it remembers when its checkpoint expired', async () => {
    const name = uniqueName('expired')
    const log = newLog(30)
    const cache = await former(name, log)
    await forgetCheckpoint(bootstrap, name)
    grow(log, 5)
    const edge = startEdge(bootstrap, name, log, { cache, options: { provenance: 'none' } })
    await caughtUp(edge)
    await close(edge)
    await forgetCheckpoint(bootstrap, name)
    expect(edge.replicator.status().sentRecords).toBe(10)
  })

  it('goes on behind its own records when its checkpoint expired and what it remembers is old or lost', async () => {
    const name = uniqueName('forgotten')
    const log = newLog(10)
    const cache = await former(name, log)
    grow(log, 20)
    await former(name, log)
    await forgetCheckpoint(bootstrap, name)
    grow(log, 5)
    await former(name, log, cache) // remembers the first ten
    await expectExact(bootstrap, name, log)
    await forgetCheckpoint(bootstrap, name)
    grow(log, 5)
    const edge = startEdge(bootstrap, name, log)
    await caughtUp(edge)
    expect(edge.lines.join('\n')).toMatch(/no checkpoint of events\/0 but its records below 35: it goes on/)
    await expectExact(bootstrap, name, log)
  })

  it('does not believe a checkpoint that fell back while its records are there', async () => {
    const name = uniqueName('fell')
    const log = newLog(10)
    await former(name, log)
    // What the group's own partition is left with after an unclean election there: an older offset.
    const old = await offsetsOf(name, log)
    grow(log, 20)
    const cache = await former(name, log)
    grow(log, 5)
    const edge = startEdge(bootstrap, name, log, {
      cache,
      around: (method, ask) => (method === 'offsetFetch' ? Promise.resolve(old) : ask()),
    })
    await caughtUp(edge)
    expect(edge.lines.join('\n')).toMatch(/checkpoint of events\/0 fell back from 30 to 10/)
    await expectExact(bootstrap, name, log)
  })

  it('goes on in the same partitions of a topic that was given more, before a restart and after it', async () => {
    const name = uniqueName('grown')
    const log = newLog(10)
    const edge = startEdge(bootstrap, name, log)
    await caughtUp(edge)
    await withAdmin(bootstrap, (admin) =>
      admin.createPartitions({ topicPartitions: [{ topic: `${name}-events`, count: 4 }] }),
    )
    grow(log, 5)
    await caughtUp(edge)
    await expectExact(bootstrap, name, log)
    await close(edge)
    grow(log, 5)
    const again = startEdge(bootstrap, name, log)
    await caughtUp(again)
    await expectExact(bootstrap, name, log)
  })

  it('refuses a checkpoint that was copied from another cluster', async () => {
    const name = uniqueName('copied')
    const log = newLog(10)
    await former(name, log)
    grow(log, 5)
    const edge = startEdge(bootstrap, name, log, {
      around: async (method, ask) =>
        method === 'metadata' ? { ...((await ask()) as object), clusterId: 'other-cluster' } : ask(),
    })
    await stopped(edge)
    expect(edge.replicator.status().lastError).toMatchObject({
      code: 'HW_CHECKPOINT_MISMATCH',
      message: expect.stringMatching(/belongs to cluster \S+, this is other-cluster/),
      hint: expect.stringContaining('kafka-consumer-groups.sh'),
    })
    expect(edge.asked.get('produce')).toBeUndefined()
    await expectExact(bootstrap, name, newLog(10))
  })
})

describeWithKafka('an edge whose cluster was replaced', ({ bootstrap }) => {
  describeWithOwnKafka('by one of its own', () => {
    let server: KafkaServer | undefined
    afterEach(() => server?.stop())

    it('sends all that it still has to an empty one, and goes on behind its own records in one that has them', async () => {
      server = await startKafka()
      const name = uniqueName('replaced')
      const log = newLog(30)
      const cache = new MemoryCache()
      const first = startEdge(bootstrap, name, log, { cache })
      await caughtUp(first)
      await close(first)
      log.dropBelow('events', 0, 10)
      const empty = startEdge(server.bootstrap, name, log, { cache })
      await caughtUp(empty)
      await close(empty)
      expect(empty.lines.join('\n')).toMatch(
        /events\/0 goes to another place .* 20 are sent again, 10 are gone/,
      )
      expect(empty.lines.join('\n')).toMatch(/events\/1 goes to another place .* 30 are sent again$/m)
      await expectExact(server.bootstrap, name, log, [10, 0])

      grow(log, 10)
      const back = startEdge(bootstrap, name, log, { cache })
      await caughtUp(back)
      await close(back)
      await expectExact(bootstrap, name, log)
      // The data is there, the group is not: as behind a mirror that copies topics alone.
      await forgetCheckpoint(server.bootstrap, name)
      const mirrored = startEdge(server.bootstrap, name, log, { cache })
      await caughtUp(mirrored)
      await expectExact(server.bootstrap, name, log, [10, 0])
    })
  })
})
