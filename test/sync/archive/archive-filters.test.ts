/** What a replicator leaves out, in a real archive of a real log: what the files hold is exact after every restart. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { NO_HEADERS, readRecords } from '../../../broker/index.ts'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { DEFAULT_POLICY } from '../../../broker/log/stream-policy.ts'
import { silentSink } from '../../../broker/log-sink.ts'
import { readArchive } from '../../../sync/archive/reader.ts'
import { createReplicator, type Replicator } from '../../../sync/index.ts'
import { committed, openLog, temporaryDirectory, until } from '../../broker/log/support.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { MemoryCache } from '../replicator-setup.ts'

const STREAMS = [
  { name: 'telemetry', partitions: 3 },
  { name: 'state', partitions: 2 },
  { name: 'alarms', partitions: 1, policy: { ...DEFAULT_POLICY, priority: 9 } },
  { name: 'debug', partitions: 1 },
]
const FILTERS = [
  { streams: ['telemetry'], keys: { include: [], exclude: ['dev/3*'] }, oneIn: 3, newestPerKey: false },
  { streams: ['state'], keys: { include: [], exclude: [] }, oneIn: 1, newestPerKey: true },
]

interface Sent {
  readonly offset: number
  readonly key: string
  readonly value: string
}

async function archived(directory: string): Promise<Map<string, Sent[]>> {
  const found = new Map<string, Sent[]>()
  for await (const { stream, partition, bytes } of readArchive(directory)) {
    const place = `${stream}/${partition}`
    const records = [...readRecords(bytes)].map(({ offset, key, value }) => {
      return { offset, key: key!.toString(), value: value!.toString() }
    })
    found.set(place, [...(found.get(place) ?? []), ...records])
  }
  return found
}

async function logged(log: EventLog, stream: string, partition: number): Promise<Sent[]> {
  const records: Sent[] = []
  const { durableOffset } = log
    .partitions()
    .find((state) => state.stream === stream && state.partition === partition)!
  for (let at = 0; at < durableOffset; ) {
    const batches = await log.read(stream, partition, at, 65_536)
    for (const { bytes, nextOffset } of batches) {
      for (const { offset, key, value } of readRecords(bytes)) {
        records.push({ offset, key: key!.toString(), value: value!.toString() })
      }
      at = nextOffset
    }
  }
  return records
}

const seed = testSeed()

it(`holds what was wanted, once and in order, over restarts in the middle (seed ${seed})`, async () => {
  const random = seededRandom(seed)
  const log = await openLog(new MemoryDisk(), { streams: STREAMS, segmentBytes: 20_000, upstreams: ['usb'] })
  const directory = join(temporaryDirectory(), 'usb')
  const cache = new MemoryCache()
  const running = new Set<Replicator>()
  const start = async () => {
    const replicator = await createReplicator(
      {
        name: 'usb',
        kind: 'archive',
        directory,
        fileBytesMax: 65_536,
        round: { bytesMax: 16_384, lingerMs: 1 },
        backoff: { firstMs: 10, msMax: 100 },
        streams: { include: ['*'], exclude: ['debug'] },
        filters: FILTERS,
      },
      { log, cache, sink: silentSink },
    )
    log.floors.set('usb', () => replicator.positions())
    running.add(replicator)
    replicator.start()
    return replicator
  }
  const write = async () => {
    for (let commits = 0; commits < 20; commits++) {
      for (const { name, partitions } of STREAMS) {
        const { chain, partitions: own } = log.stream(name)
        for (let n = random.between(0, 20); n > 0; n--) {
          const key = Buffer.from(`dev/${random.between(0, 39)}`)
          const value = Buffer.from(`value ${random.between(0, 1e9)}`)
          chain.append(own[random.between(0, partitions - 1)]!, 1000, key, value, NO_HEADERS)
        }
        await committed(log, name)
      }
    }
  }
  try {
    await write()
    for (let life = 0; life < 6; life++) {
      const replicator = await start()
      await write()
      if (life % 2 === 0) await until(() => replicator.status().sentRecords > 50, 'something was sent')
      await replicator.close()
      running.delete(replicator)
    }
    const replicator = await start()
    await until(() => {
      const { state, lagRecords } = replicator.status()
      return state === 'idle' && lagRecords === 0
    }, 'all that is wanted is upstream')
    expect(replicator.status()).toMatchObject({ tries: 0, skippedRecords: 0 })

    const found = await archived(directory)
    expect(found.has('debug/0')).toBe(false)
    expect(log.floors.of('debug', 0)).toBe(Number.POSITIVE_INFINITY)
    expect(found.get('alarms/0')).toEqual(await logged(log, 'alarms', 0))
    for (const partition of [0, 1, 2]) {
      const wanted = (await logged(log, 'telemetry', partition)).filter(
        ({ offset, key }) => offset % 3 === 0 && !key.startsWith('dev/3'),
      )
      expect(found.get(`telemetry/${partition}`)).toEqual(wanted)
    }
    for (const partition of [0, 1]) {
      const all = await logged(log, 'state', partition)
      const sent = found.get(`state/${partition}`)!
      expect(sent.length).toBeLessThan(all.length)
      expect(sent.map(({ offset }) => offset)).toEqual(
        [...new Set(sent.map(({ offset }) => offset))].toSorted((a, b) => a - b),
      )
      expect(new Map(sent.map(({ key, value }) => [key, value]))).toEqual(
        new Map(all.map(({ key, value }) => [key, value])),
      )
    }
  } finally {
    await Promise.all([...running].map((replicator) => replicator.close()))
  }
}, 60_000)
