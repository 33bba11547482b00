/** Processes killed in the middle of rounds, links that drop them, and topics that grow: by key, and without transactions. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { KafkaUpstreamOptions } from '../../../sync/kafka/kafka-upstream.ts'
import { WireConnectionError } from '../../../sync/kafka/wire.ts'
import type { Upstream } from '../../../sync/upstream.ts'
import {
  createTopic,
  describeWithKafka,
  growTopic,
  readTopic,
  uniqueName,
} from '../../support/kafka/index.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { MemoryLog, testIdentity } from '../memory-log.ts'
import { roundFrom } from '../upstream-harness.ts'
import { readByOrigin, settled } from './kafka-place.ts'
import { type OpenOptions, openKafka } from './open-kafka.ts'

const CHILD = join(import.meta.dirname, '../../../dist/test/support/sync-child.js')
const RECORDS = 1200
/** What one round of the child holds, with room to spare. */
const ROUND_RECORDS_MAX = 100

interface Killed {
  readonly title: string
  readonly options: Partial<KafkaUpstreamOptions>
  readonly lives: number
  /** The requests of a start and of a round, in their order: killed after each is killed between every two steps. */
  readonly methods: readonly string[]
  readonly repeatsMax: number
}

const CASES: readonly Killed[] = [
  {
    title: 'by key, each record once',
    options: { compression: 'lz4' },
    lives: 10,
    methods: ['offsetFetch', 'addPartitionsToTxn', 'addOffsetsToTxn', 'produce', 'txnOffsetCommit', 'endTxn'],
    repeatsMax: 0,
  },
  {
    title: 'without transactions, each record in order, and no more than a round twice for each death',
    options: { mode: 'fleet' },
    lives: 10,
    methods: ['newProducerId', 'offsetFetch', 'produce', 'offsetCommit'],
    repeatsMax: 10 * ROUND_RECORDS_MAX,
  },
]

function live(args: string[]): Promise<{ signal: string | null; code: number | null; errors: string }> {
  const child = spawn(process.execPath, [CHILD, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  return new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, errors })))
}

const opened: Upstream[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((upstream) => upstream.close()))
})

function open(bootstrap: string, name: string, options: OpenOptions = {}): Upstream {
  const upstream = openKafka(bootstrap, name, options)
  opened.push(upstream)
  return upstream
}

const recover = (upstream: Upstream, log: MemoryLog) => upstream.recover(log.identity, log.partitions())

async function nexts(upstream: Upstream, log: MemoryLog): Promise<Map<string, number>> {
  const { partitions } = await recover(upstream, log)
  return new Map([...partitions].map(([key, { next }]) => [key, next ?? 0]))
}

function values(log: MemoryLog, stream = 'events'): string[] {
  return log.partitions().flatMap(({ partition, durableOffset }) => {
    return Array.from({ length: durableOffset }, (_, offset) => `${stream}/${partition}/${offset}`)
  })
}

async function valuesUpstream(
  bootstrap: string,
  name: string,
  mode: KafkaUpstreamOptions['mode'] = 'exactly-once',
): Promise<string[]> {
  if (mode === 'exactly-once') await settled(bootstrap, `${name}.${testIdentity().edge}`)
  return (await readByOrigin(bootstrap, name, 'events')).map(({ value }) => value!)
}

describeWithKafka('records on their way to Kafka', ({ bootstrap }) => {
  it.each(CASES)(
    'are there after SIGKILL between every two steps: $title',
    async ({ options, ...killed }) => {
      const random = seededRandom(testSeed())
      const name = uniqueName('killed')
      await createTopic(bootstrap, `${name}-events`, 2)
      const run = (method: string, count: number) =>
        live([bootstrap, name, String(RECORDS), method, String(count), '', JSON.stringify(options)])
      const { lives, methods, repeatsMax } = killed
      for (let life = 0; life < lives; life++) {
        const method = methods[life] ?? methods[random.between(methods.length - 2, methods.length - 1)]!
        expect(await run(method, life < methods.length ? 1 : random.between(1, 3))).toMatchObject({
          signal: 'SIGKILL',
          errors: '',
        })
      }
      expect(await run('', 0)).toMatchObject({ code: 0, errors: '' })
      // In order by key, which the reading checks.
      const found = await valuesUpstream(bootstrap, name, options.mode)
      const log = new MemoryLog().addStream('events', 3)
      for (const partition of [0, 1, 2]) log.appendMany('events', partition, RECORDS / 3)
      expect([...new Set(found)]).toEqual(values(log))
      expect(found.length - RECORDS).toBeLessThanOrEqual(repeatsMax)
    },
    120_000,
  )

  describe('in fleet mode', () => {
    const options: Partial<KafkaUpstreamOptions> = { mode: 'fleet', batchBytesMax: 2000 }

    it('are there once when answers get lost, as long as the process lives', async () => {
      const name = uniqueName('lost')
      const log = new MemoryLog().addStream('events', 2)
      let asked = 0
      let lost = 0
      const upstream = open(bootstrap, name, {
        options,
        async around(method, ask) {
          const answer = await ask()
          if (method !== 'produce' || ++asked % 3 > 0) return answer
          lost++
          throw new WireConnectionError('broken', 'kafka', false, 'the answer was lost', null)
        },
      })
      await createTopic(bootstrap, `${name}-events`, 2)
      await recover(upstream, log)
      let positions = new Map<string, number>()
      for (let round = 0; round < 8; round++) {
        log.appendMany('events', 0, 120)
        log.appendMany('events', 1, 30)
        positions = new Map([...positions, ...(await upstream.send(roundFrom(log, positions)))])
      }
      expect(lost).toBeGreaterThan(3)
      expect(await valuesUpstream(bootstrap, name, 'fleet')).toEqual(values(log))
    })

    it('that were acknowledged are not sent again after an error in the middle of a round', async () => {
      const name = uniqueName('middle')
      await createTopic(bootstrap, `${name}-events`, 3)
      const log = new MemoryLog().addStream('events', 2)
      log.appendMany('events', 0, 200)
      log.appendMany('events', 1, 200)
      let left = 3
      const upstream = open(bootstrap, name, {
        options,
        resendMs: 0,
        async around(method, ask) {
          // Not even sent: nothing of it can be there.
          if (method === 'produce' && left-- <= 0) {
            throw new WireConnectionError('broken', 'kafka', false, 'the link is down', null)
          }
          return ask()
        },
      })
      await recover(upstream, log)
      await expect(upstream.send(roundFrom(log, new Map()))).rejects.toMatchObject({ retryable: true })
      const before = await valuesUpstream(bootstrap, name, 'fleet')
      expect(before.length).toBeGreaterThan(0)
      left = Number.POSITIVE_INFINITY
      const positions = await nexts(upstream, log)
      expect([...positions.values()]).toEqual([0, 0])
      await upstream.send(roundFrom(log, positions))
      expect(await valuesUpstream(bootstrap, name, 'fleet')).toEqual(values(log))
    })

    it('are cut smaller until the topic takes them, without a record twice; one that it never takes is named', async () => {
      const name = uniqueName('small')
      await createTopic(bootstrap, `${name}-events`, 1, { 'max.message.bytes': '3000' })
      const log = new MemoryLog().addStream('events', 1)
      log.appendMany('events', 0, 1000, 200)
      const upstream = open(bootstrap, name, { options: { mode: 'fleet', compression: 'snappy' } })
      await recover(upstream, log)
      const positions = await upstream.send(roundFrom(log, new Map()))
      expect(await valuesUpstream(bootstrap, name, 'fleet')).toEqual(values(log))
      const random = seededRandom(testSeed())
      const noise = Buffer.from(Array.from({ length: 8000 }, () => random.between(0, 255)))
      log.append('events', 0, [
        { key: 'k', value: 'events/0/1000' },
        { key: 'k', value: noise.toString('base64') },
      ])
      for (let tries = 0; tries < 2; tries++) {
        await expect(upstream.send(roundFrom(log, new Map([...positions])))).rejects.toMatchObject({
          code: 'HW_UPSTREAM_RECORD_TOO_LARGE',
          message: expect.stringContaining('events/0 at offset 1001'),
        })
        await recover(upstream, log)
      }
      // What stood before it is there, once, however often it was tried.
      expect((await valuesUpstream(bootstrap, name, 'fleet')).slice(1000)).toEqual(['events/0/1000'])
    })
  })

  it.each(['exactly-once', 'fleet'] as const)(
    'keep their partition when the topic grows, in mode %s',
    async (mode) => {
      const name = uniqueName('grown')
      await createTopic(bootstrap, `${name}-events`, 2)
      const log = new MemoryLog().addStream('events', 3)
      const options = { mode }
      for (const partitions of [2, 5]) {
        if (partitions > 2) await growTopic(bootstrap, `${name}-events`, partitions)
        const upstream = open(bootstrap, name, { options })
        const positions = await nexts(upstream, log)
        for (const partition of [0, 1, 2]) log.appendMany('events', partition, 40)
        await upstream.send(roundFrom(log, positions))
      }
      // The reading fails where a key is in two partitions.
      expect(await valuesUpstream(bootstrap, name)).toEqual(values(log))
      const used = new Set((await readTopic(bootstrap, `${name}-events`)).map(({ partition }) => partition))
      expect([...used].sort()).toEqual([0, 1])
    },
  )

  it('of a stream with more partitions than one carrier holds stand each where it was', async () => {
    const name = uniqueName('carriers')
    await createTopic(bootstrap, `${name}-events`, 3)
    const log = new MemoryLog().addStream('events', 300)
    for (let partition = 0; partition < 300; partition += 7)
      log.appendMany('events', partition, 1 + (partition % 5))
    const upstream = open(bootstrap, name)
    await recover(upstream, log)
    await upstream.send(roundFrom(log, new Map()))
    log.appendMany('events', 299, 3)
    const positions = await nexts(upstream, log)
    await upstream.send(roundFrom(log, positions))
    const found = await nexts(open(bootstrap, name), log)
    const ends = log
      .partitions()
      .map(({ partition, durableOffset }) => [`events/${partition}`, durableOffset])
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(ends))
    expect(await valuesUpstream(bootstrap, name)).toEqual(values(log))
  })
})
