/** One JetStream stream of several refuses what it gets: the others go on, and it goes on by itself when the cause is gone. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Replicator } from '../../../sync/index.ts'
import { describeWithNats } from '../../support/nats/vitest.ts'
import { MemoryLog } from '../memory-log.ts'
import { MemoryCache, OPTIONS } from '../replicator-setup.ts'
import { messagesOf, openNats, recordsOf } from './open-nats.ts'

const CONFIG = { stream: 'HW-{stream}' }
const WAIT_MS_MAX = 20_000

async function until(what: string, isSo: () => boolean): Promise<void> {
  const end = Date.now() + WAIT_MS_MAX
  while (!isSo()) {
    if (Date.now() > end) throw new Error(`not within ${WAIT_MS_MAX} ms: ${what}`)
    await sleep(5)
  }
}

describeWithNats('an edge one of whose JetStream streams refuses', (start) => {
  async function running() {
    const { address } = await start()
    const log = new MemoryLog().addStream('events', 2).addStream('alarms', 1)
    const grow = (count: number) => {
      for (const { stream, partition } of log.partitions()) log.appendMany(stream, partition, count)
    }
    const upstream = openNats(address, { config: CONFIG })
    const sink = { info() {}, warn() {}, error() {} }
    const options = {
      ...OPTIONS,
      round: { ...OPTIONS.round, lingerMs: 5 },
      backoff: { firstMs: 20, msMax: 300 },
    }
    const replicator = new Replicator(options, { log, upstream, cache: new MemoryCache(), sink })
    const caughtUp = () =>
      until('caught up', () => replicator.status().state === 'idle' && replicator.status().lagRecords === 0)
    const alone = (code: string) =>
      until(`alarms refused with ${code} alone`, () => {
        const { state, refused, partitions } = replicator.status()
        const others = partitions.filter(({ stream }) => stream === 'events')
        const isAlone = refused.length === 1 && refused[0]!.stream === 'alarms' && refused[0]!.code === code
        return state === 'idle' && isAlone && others.every(({ lagRecords }) => lagRecords === 0)
      })
    const valuesOf = async (stream: string, partition: number) =>
      recordsOf(await messagesOf(address, stream, partition, CONFIG)).map(({ value }) => value)
    return { address, log, grow, replicator, caughtUp, alone, valuesOf }
  }

  async function withStreams<T>(address: string, act: (streams: Streams) => Promise<T>): Promise<T> {
    const { connect } = await import('@nats-io/transport-node')
    const { jetstreamManager } = await import('@nats-io/jetstream')
    const connection = await connect({ servers: address })
    try {
      return await act((await jetstreamManager(connection)).streams)
    } finally {
      await connection.close()
    }
  }
  type Streams = Awaited<ReturnType<typeof import('@nats-io/jetstream').jetstreamManager>>['streams']

  it('a record that is too large for it, and takes it once its limit is raised', async () => {
    const { address, log, grow, replicator, caughtUp, alone, valuesOf } = await running()
    replicator.start()
    try {
      grow(20)
      await caughtUp()
      const limit = (bytes: number) =>
        withStreams(address, (streams) => streams.update('HW-alarms', { max_msg_size: bytes }))
      await limit(2000)
      log.append('alarms', 0, [{ value: 'x'.repeat(5000) }])
      grow(20)
      await alone('HW_NATS_RECORD_TOO_LARGE')
      grow(20)
      await alone('HW_NATS_RECORD_TOO_LARGE')
      const numbered = (stream: string, partition: number) =>
        Array.from({ length: 60 }, (_, i) => `${stream}/${partition}/${i}`)
      expect(await valuesOf('events', 0)).toEqual(numbered('events', 0))
      expect(await valuesOf('events', 1)).toEqual(numbered('events', 1))
      await limit(-1)
      await caughtUp()
      const alarms = await valuesOf('alarms', 0)
      expect(alarms.map((value, i) => (i === 20 ? value!.length : value))).toEqual(
        Array.from({ length: 61 }, (_, i) => (i === 20 ? 5000 : `alarms/0/${i}`)),
      )
    } finally {
      await replicator.close()
    }
  })

  it('all that it gets, by how it is set up, and takes it once it is a plain one', async () => {
    const { address, grow, replicator, caughtUp, alone, valuesOf } = await running()
    const subjects = ['headwater.*.alarms.*']
    await withStreams(address, (streams) =>
      streams.add({ name: 'HW-alarms', subjects, retention: 'workqueue' } as never),
    )
    replicator.start()
    try {
      grow(20)
      await alone('HW_NATS_STREAM_UNSUITABLE')
      expect(await valuesOf('events', 1)).toHaveLength(20)
      await withStreams(address, (streams) => streams.delete('HW-alarms'))
      await caughtUp()
      expect(await valuesOf('alarms', 0)).toEqual(Array.from({ length: 20 }, (_, i) => `alarms/0/${i}`))
    } finally {
      await replicator.close()
    }
  })
})
