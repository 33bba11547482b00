/** QoS 2 where one chain of the log has failed: what it may have in flight waits for it, and nothing else does. */
import { expect, it } from 'vitest'
import { CommitFailedError, LogUnavailableError } from '../../../broker/errors.ts'
import { DEFAULT_POLICY } from '../../../broker/log/stream-policy.ts'
import { Ingress, type IngressMessage } from '../../../broker/mqtt/ingress.ts'
import { Qos2Ids } from '../../../broker/mqtt/qos2.ts'
import { Router } from '../../../broker/mqtt/router.ts'
import { SourcePositions } from '../../../broker/mqtt/source-positions.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { streamConfig } from '../../support/stream-config.ts'
import { openLog, readAll, until } from '../log/support.ts'

/** Where streams that are compacted lie. */
const COMPACTED = '/log/compacted'
const STREAMS = [
  streamConfig({ name: 'states', topics: ['s/#'], partitions: 1, cleanup: 'compact' }),
  streamConfig({ name: 'events', topics: ['t/#'], partitions: 1 }),
]

async function setUp() {
  const disk = new FaultyDisk(new MemoryDisk())
  const states = new Map<string, { qos2: Qos2Ids; sources: SourcePositions }>()
  const log = await openLog(disk, {
    streams: [
      { name: 'events', partitions: 1 },
      { name: 'states', partitions: 1, policy: { ...DEFAULT_POLICY, compacts: true, deletes: false } },
    ],
    statesOf(chain) {
      const own = { qos2: new Qos2Ids(), sources: new SourcePositions() }
      states.set(chain, own)
      return [own.qos2, own.sources]
    },
  })
  const router = new Router(STREAMS, (name) => log.stream(name))
  const limits = { recordBytesMax: 1000, now: () => 5000 }
  const ingress = new Ingress(log, router, (chain) => states.get(chain)!, limits)
  const { chain } = log.stream('states')
  return {
    disk,
    log,
    ids: states.get(chain.name)!.qos2,
    accept: (more: Partial<IngressMessage>) =>
      new Promise<Error | null>((resolve) => {
        const plain = {
          clientId: 'c1',
          payload: Buffer.from('v'),
          qos: 2,
          packetId: 1,
          isDup: false,
        } as const
        ingress.accept({ ...plain, topic: 't/x', ...more }, resolve)
      }),
    async release(packetId: number): Promise<Error | null> {
      try {
        const chains = ingress.releaseIn('c1', packetId)
        const waits = chains.map((one) => new Promise<Error | null>((resolve) => one.onCommit(resolve)))
        return (await Promise.all(waits)).find((error) => error !== null) ?? null
      } catch (error) {
        return error as Error
      }
    },
    /** Until the disk heals. */
    fail() {
      disk.fail({ on: 'sync', path: COMPACTED, times: Number.POSITIVE_INFINITY })
      disk.fail({ on: 'open-store', path: COMPACTED, times: Number.POSITIVE_INFINITY })
    },
    isOpen: () => until(() => chain.condition.state === 'open', 'the chain is open'),
  }
}

it('what another chain cannot have in flight is taken and released while that one has failed', async () => {
  const { log, disk, accept, release, fail, isOpen } = await setUp()
  expect(await accept({ topic: 's/x', packetId: 7 })).toBeNull()
  expect(await accept({ packetId: 5 })).toBeNull()
  fail()
  expect(await accept({ topic: 's/y', qos: 1 })).toBeInstanceOf(CommitFailedError)
  expect(await accept({ packetId: 6 })).toBeNull()
  expect(await accept({ packetId: 6, isDup: true })).toBeNull()
  expect([await release(6), await release(5), await release(99)]).toEqual([null, null, null])
  expect(await accept({ clientId: 'c2', packetId: 7 })).toBeNull()
  expect(await readAll(log, 0)).toEqual(['0:v', '1:v', '2:v'])
  // it went there first, or not: nobody knows
  expect(await accept({ packetId: 7, isDup: true })).toBeInstanceOf(LogUnavailableError)
  expect(await release(7)).toBeInstanceOf(LogUnavailableError)
  disk.heal()
  await isOpen()
  expect(await accept({ topic: 's/x', packetId: 7, isDup: true })).toBeNull()
  expect(await release(7)).toBeNull()
  expect(await readAll(log, 0, { stream: 'states' })).toEqual(['0:v'])
})

it('nothing is forgotten while a chain is read again, also after a reading that failed, or a second failure', async () => {
  const { disk, accept, release, isOpen, ids } = await setUp()
  await accept({ topic: 's/x', packetId: 7 })
  for (let failure = 0; failure < 2; failure++) {
    disk.fail({ on: 'sync', path: COMPACTED })
    expect(await accept({ topic: 's/y', qos: 1 })).toBeInstanceOf(CommitFailedError)
    disk.fail({ on: 'range', path: COMPACTED })
    const gate = disk.hold('range', COMPACTED)
    await gate.reached
    expect(await release(7)).toBeInstanceOf(LogUnavailableError)
    gate.release()
    await isOpen()
    expect(ids.count).toBe(1)
  }
  expect(await release(7)).toBeNull()
})

it('a release whose commit failed is not said to be over before the disk has been asked', async () => {
  for (const isKept of [true, false]) {
    const { disk, accept, release, isOpen, ids } = await setUp()
    await accept({ topic: 's/x', packetId: 7 })
    disk.fail({ on: 'sync', path: COMPACTED, isKept })
    expect(await release(7)).toBeInstanceOf(CommitFailedError)
    expect(await release(7)).toBeInstanceOf(LogUnavailableError)
    const gate = disk.hold('range', COMPACTED)
    await gate.reached
    expect(await release(7)).toBeInstanceOf(LogUnavailableError)
    gate.release()
    await isOpen()
    expect(ids.count).toBe(isKept ? 0 : 1)
    expect(await release(7)).toBeNull()
    expect(ids.count).toBe(0)
  }
})
