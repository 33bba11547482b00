/**
 * What every `Upstream` does, whatever it writes to. An implementation hands in a harness: a fresh place for each test, ways
 * to open an upstream on it (also one that is cut off after a number of outside steps), and a way to read it back.
 */
import { describe, expect, it } from 'vitest'
import {
  filterBatch,
  type LogIdentity,
  partitionKey,
  readRecords,
  type StoredBatch,
} from '../../broker/index.ts'
import { decideStart } from '../../sync/checkpoint.ts'
import { UpstreamError } from '../../sync/errors.ts'
import { logProof } from '../../sync/proof.ts'
import type { Recovered, Round, RoundPart, Upstream } from '../../sync/upstream.ts'
import { MemoryLog, testIdentity } from './memory-log.ts'

export interface ReadBack {
  readonly stream: string
  readonly partition: number
  readonly key: string | null
  readonly value: string | null
  readonly timestamp: number
  /** Without what the upstream itself adds. */
  readonly headers: readonly (readonly [string, string | null])[]
}

/** One place for one test. */
export interface UpstreamPlace {
  open(): Upstream
  /**
   * As `open`, but the process "dies": after `steps` calls to the outside (a request, a write) since `arm`, none reaches it.
   * `died` says whether that happened.
   */
  openMortal(): { upstream: Upstream; arm(steps: number): void; died(): boolean }
  /** As `open`, but the place refuses one stream until it is allowed; see `refusesStreams`. */
  openRefusing?(stream: string): Promise<{ upstream: Upstream; allow(): Promise<void> }>
  /** What a reader sees, for each partition in order. */
  read(streams: ReadonlyMap<string, number>): Promise<ReadBack[]>
  dispose(): Promise<void>
}

export interface UpstreamHarness {
  readonly kind: string
  /** A round that was under way when the process died can come twice. */
  readonly mayRepeat?: boolean
  /** It takes some streams while it refuses others: its places have `openRefusing`. */
  readonly refusesStreams?: boolean
  /** After an error: all of the round or nothing (the default), or of each part its beginning. */
  readonly atomic?: 'round' | 'part'
  place(): Promise<UpstreamPlace>
}

const STREAMS = new Map([
  ['events', 3],
  ['alarms', 1],
])

function newLog(identity: LogIdentity = testIdentity()): MemoryLog {
  const log = new MemoryLog(identity)
  for (const [stream, partitions] of STREAMS) log.addStream(stream, partitions)
  return log
}

/** The round that takes upstream from `positions` to the end of the log, or to `bytesMax` from there. */
export function roundFrom(log: MemoryLog, positions: ReadonlyMap<string, number>, batchesMax = 1e9): Round {
  const byPartition = new Map<string, StoredBatch[]>()
  let taken = 0
  for (const batch of log.commits) {
    const key = partitionKey(batch.stream, batch.partition)
    if (batch.nextOffset <= (positions.get(key) ?? 0) || taken++ >= batchesMax) continue
    byPartition.set(key, [...(byPartition.get(key) ?? []), batch])
  }
  const parts: RoundPart[] = [...byPartition].map(([key, batches]) => ({
    stream: batches[0]!.stream,
    partition: batches[0]!.partition,
    fromOffset: positions.get(key) ?? 0,
    nextOffset: batches.at(-1)!.nextOffset,
    batches,
  }))
  return { parts }
}

function nexts(recovered: Recovered): Map<string, number> {
  return new Map([...recovered.partitions].map(([key, { next }]) => [key, next ?? 0]))
}

/** The records of a log as a reader of upstream should see them. */
function contents(log: MemoryLog, below?: ReadonlyMap<string, number>): ReadBack[] {
  const out: ReadBack[] = []
  const order = [...STREAMS.keys()]
  const partitions = log.partitions().sort((a, b) => order.indexOf(a.stream) - order.indexOf(b.stream))
  for (const { stream, partition } of partitions) {
    for (const batch of log.commits) {
      if (batch.stream !== stream || batch.partition !== partition) continue
      for (const record of readRecords(batch.bytes)) {
        if (record.offset >= (below?.get(partitionKey(stream, partition)) ?? Number.POSITIVE_INFINITY))
          continue
        out.push({
          stream,
          partition,
          key: record.key?.toString() ?? null,
          value: record.value?.toString() ?? null,
          timestamp: record.timestamp,
          headers: record.headers.map((h) => [h.key, h.value?.toString() ?? null] as const),
        })
      }
    }
  }
  return out
}

/** Without what comes again; in the logs of this suite all values of a partition differ. */
function first(records: readonly ReadBack[]): ReadBack[] {
  const seen = new Set<string>()
  return records.filter(({ stream, partition, value }) => {
    const name = JSON.stringify([stream, partition, value])
    return !seen.has(name) && seen.add(name)
  })
}

async function caught(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => {
      throw new Error('an error was expected')
    },
    (error) => error,
  )
}

export function describeUpstream(harness: UpstreamHarness): void {
  const withPlace = (work: (place: UpstreamPlace) => Promise<void>) => async () => {
    const place = await harness.place()
    try {
      await work(place)
    } finally {
      await place.dispose()
    }
  }
  const recover = (upstream: Upstream, log: MemoryLog) => upstream.recover(log.identity, log.partitions())

  describe(`the ${harness.kind} upstream`, () => {
    it(
      'knows nothing of partitions that were never sent',
      withPlace(async (place) => {
        const log = newLog()
        const upstream = place.open()
        const { partitions } = await recover(upstream, log)
        expect([...partitions.keys()].sort()).toEqual(['alarms/0', 'events/0', 'events/1', 'events/2'])
        for (const found of partitions.values()) {
          expect(found.next).toBeNull()
          expect(found.proof).toBeNull()
          expect(found.place).not.toBe('')
        }
        await upstream.close()
      }),
    )

    it(
      'recovers for a log that has no streams yet',
      withPlace(async (place) => {
        const upstream = place.open()
        const { partitions } = await recover(upstream, new MemoryLog())
        expect(partitions.size).toBe(0)
        await upstream.close()
      }),
    )

    it(
      'takes rounds of several streams and partitions, in order, and stands where they ended after a restart',
      withPlace(async (place) => {
        const log = newLog()
        const upstream = place.open()
        let positions = nexts(await recover(upstream, log))
        for (let round = 0; round < 4; round++) {
          log.appendMany('events', round % 3, 25)
          log.appendMany('events', 1, 7, 3)
          log.appendMany('alarms', 0, 2, 1)
          const next = roundFrom(log, positions)
          const acknowledged = await upstream.send(next)
          expect(acknowledged).toEqual(
            new Map(next.parts.map((p) => [partitionKey(p.stream, p.partition), p.nextOffset])),
          )
          positions = new Map([...positions, ...acknowledged])
        }
        await upstream.close()
        const again = place.open()
        const recovered = await recover(again, log)
        expect(nexts(recovered)).toEqual(positions)
        const start = await decideStart(log, log.partitions(), recovered, null)
        expect(start.positions).toEqual(positions)
        expect(start.warnings).toEqual([])
        await again.close()
        expect(await place.read(STREAMS)).toEqual(contents(log))
      }),
    )

    it(
      'keeps empty and null keys and values, headers and event times',
      withPlace(async (place) => {
        const log = newLog()
        const upstream = place.open()
        log.append('events', 0, [
          { key: null, value: null },
          { key: '', value: '' },
          { key: 'k', value: null, timestamp: 1_600_000_000_123 },
          {
            value: 'x'.repeat(20_000),
            timestamp: 1_500_000_000_000,
            headers: [
              { key: 'mqtt.topic', value: Buffer.from('a/b') },
              { key: 'none', value: null },
              { key: '', value: Buffer.alloc(0) },
            ],
          },
        ])
        await recover(upstream, log)
        await upstream.send(roundFrom(log, new Map()))
        await upstream.close()
        expect(await place.read(STREAMS)).toEqual(contents(log))
      }),
    )

    it(
      'does not send again what is below the position of a part',
      withPlace(async (place) => {
        const log = newLog()
        const upstream = place.open()
        await recover(upstream, log)
        const batch = log.append(
          'events',
          1,
          ['a', 'b', 'c', 'd', 'e'].map((value) => ({ value })),
        )
        const rest: RoundPart = { ...batch, fromOffset: 3, nextOffset: 5, batches: [batch] }
        await upstream.send({ parts: [rest] })
        const recovered = await recover(upstream, log)
        expect(nexts(recovered).get('events/1')).toBe(5)
        await decideStart(log, log.partitions(), recovered, null)
        await upstream.close()
        expect((await place.read(STREAMS)).map((r) => r.value)).toEqual(['d', 'e'])
      }),
    )

    it(
      'moves the position past records that are left out, with a part that has nothing to send and behind one that has',
      withPlace(async (place) => {
        const log = newLog()
        const upstream = place.open()
        await recover(upstream, log)
        log.appendMany('events', 0, 10)
        const batch = log.append('events', 1, [
          { value: 'a' },
          { value: 'b' },
          { value: 'c' },
          { value: 'd' },
        ])
        const proofAt = (partition: number, next: number) => logProof(log, 'events', partition, next)
        const [events0, events1] = [{ stream: 'events', partition: 0 }, { ...batch }]
        const passed: RoundPart = {
          ...events0,
          fromOffset: 0,
          nextOffset: 4,
          batches: [],
          proof: await proofAt(0, 4),
        }
        expect(await upstream.send({ parts: [passed] })).toEqual(new Map([['events/0', 4]]))
        const some = filterBatch(batch.bytes, ({ offset }) => offset === 0 || offset === 2)!
        const sent: RoundPart = {
          ...events1,
          fromOffset: 0,
          nextOffset: 4,
          batches: [{ ...batch, nextOffset: 3, bytes: some }],
          proof: await proofAt(1, 4),
        }
        const further = { ...passed, fromOffset: 4, nextOffset: 9, proof: await proofAt(0, 9) }
        expect(await upstream.send({ parts: [further, sent] })).toEqual(
          new Map([
            ['events/0', 9],
            ['events/1', 4],
          ]),
        )
        await upstream.close()
        const again = place.open()
        const recovered = await recover(again, log)
        expect(nexts(recovered).get('events/0')).toBe(9)
        expect(nexts(recovered).get('events/1')).toBe(4)
        await decideStart(log, log.partitions(), recovered, null)
        log.append('events', 0, [{ value: 'x' }])
        await again.send(roundFrom(log, nexts(recovered)))
        await again.close()
        const values = (await place.read(STREAMS)).map(({ value }) => value)
        expect(values).toEqual(['events/0/9', 'x', 'a', 'c'])
      }),
    )

    it(
      'moves the position where a person wants it, back and forward, by a part that begins and ends there',
      withPlace(async (place) => {
        const log = newLog()
        const upstream = place.open()
        await recover(upstream, log)
        log.appendMany('events', 0, 5)
        await upstream.send(roundFrom(log, new Map()))
        const move = async (to: number) => {
          const proof = await logProof(log, 'events', 0, to)
          const part = { stream: 'events', partition: 0, fromOffset: to, nextOffset: to, batches: [], proof }
          expect(await upstream.send({ parts: [part] })).toEqual(new Map([['events/0', to]]))
          const recovered = await recover(upstream, log)
          expect(nexts(recovered).get('events/0') ?? 0).toBe(to)
          await decideStart(log, log.partitions(), recovered, null)
          return nexts(recovered)
        }
        for (const to of [0, 3]) await upstream.send(roundFrom(log, await move(to)))
        log.appendMany('events', 0, 5)
        const positions = await move(8)
        await upstream.send(roundFrom(log, positions))
        await upstream.close()
        const values = (await place.read(STREAMS)).map(({ value }) => Number(value!.split('/')[2]))
        expect(values.sort((a, b) => a - b)).toEqual([0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 8, 9])
      }),
    )

    it(
      'goes on after a disconnect, from where it stood',
      withPlace(async (place) => {
        const log = newLog()
        const upstream = place.open()
        await recover(upstream, log)
        log.appendMany('events', 0, 30)
        await upstream.send(roundFrom(log, new Map()))
        await upstream.disconnect()
        const positions = nexts(await recover(upstream, log))
        log.appendMany('events', 0, 30)
        await upstream.send(roundFrom(log, positions))
        await upstream.close()
        expect(await place.read(STREAMS)).toEqual(contents(log))
      }),
    )

    it(
      'answers for partitions that appeared after its start',
      withPlace(async (place) => {
        const log = new MemoryLog().addStream('alarms', 1)
        const upstream = place.open()
        await recover(upstream, log)
        log.appendMany('alarms', 0, 5)
        await upstream.send(roundFrom(log, new Map()))
        log.addStream('events', 3).appendMany('events', 2, 5)
        const positions = nexts(await recover(upstream, log))
        expect(positions.get('alarms/0')).toBe(5)
        expect(positions.get('events/2')).toBe(0)
        await upstream.send(roundFrom(log, positions))
        await upstream.close()
        expect(await place.read(STREAMS)).toEqual(contents(log))
      }),
    )

    it.runIf(harness.refusesStreams)(
      'goes on with the others while it refuses one stream, and with that one from where it stood once it does not',
      withPlace(async (place) => {
        const log = newLog()
        const fill = () => {
          for (const { stream, partition } of log.partitions()) log.appendMany(stream, partition, 10)
        }
        const setUp = place.open()
        fill()
        await setUp.send(roundFrom(log, nexts(await recover(setUp, log))))
        await setUp.close()
        const { upstream, allow } = await place.openRefusing!('alarms')
        fill()
        const { partitions, refused } = await recover(upstream, log)
        expect([...partitions.keys()].sort()).toEqual(['events/0', 'events/1', 'events/2'])
        expect([...refused!.keys()]).toEqual(['alarms'])
        const refusal = refused!.get('alarms')!
        expect(refusal).toBeInstanceOf(UpstreamError)
        expect(refusal.stream).toBe('alarms')
        expect(refusal.hint).toMatch(/../)
        const others = (round: Round) => ({ parts: round.parts.filter(({ stream }) => stream === 'events') })
        await upstream.send(others(roundFrom(log, nexts({ partitions }))))
        fill()
        // Not asked about, it is in nobody's way.
        const events = log.partitions().filter(({ stream }) => stream === 'events')
        const without = await upstream.recover(log.identity, events)
        expect([...(without.refused ?? [])]).toEqual([])
        await upstream.send(others(roundFrom(log, nexts(without))))
        await allow()
        const after = nexts(await recover(upstream, log))
        expect(after.get('alarms/0')).toBe(10)
        await upstream.send(roundFrom(log, after))
        await upstream.close()
        expect(await place.read(STREAMS)).toEqual(contents(log))
      }),
    )

    it(
      'refuses a log of another incarnation',
      withPlace(async (place) => {
        const log = newLog()
        const upstream = place.open()
        await recover(upstream, log)
        log.appendMany('events', 0, 5)
        await upstream.send(roundFrom(log, new Map()))
        await upstream.close()
        const other = newLog(testIdentity(log.identity.edge, '22222222-2222-4222-8222-222222222222'))
        const again = place.open()
        const error = await caught(recover(again, other))
        expect(error).toMatchObject({ code: 'HW_CHECKPOINT_MISMATCH', retryable: false })
        await again.close()
      }),
    )

    it(
      'gives what shows that a log was restored: a checkpoint past its end, or another record before it',
      withPlace(async (place) => {
        const log = newLog()
        const upstream = place.open()
        await recover(upstream, log)
        log.appendMany('events', 0, 20)
        await upstream.send(roundFrom(log, new Map()))
        const older = newLog()
        older.appendMany('events', 0, 10)
        const recovered = await recover(upstream, older)
        const refusal = async () => {
          const { positions, refused } = await decideStart(older, older.partitions(), recovered, null)
          expect([...positions.keys()]).toEqual(['alarms/0'])
          return refused.get('events')
        }
        expect(await refusal()).toMatchObject({ code: 'HW_CHECKPOINT_AHEAD', retryable: false })
        older.append(
          'events',
          0,
          Array.from({ length: 15 }, () => ({ value: 'written since' })),
        )
        expect(await refusal()).toMatchObject({ code: 'HW_CHECKPOINT_MISMATCH', retryable: false })
        await upstream.close()
      }),
    )

    const promise = harness.mayRepeat
      ? 'misses nothing, keeps the order and repeats no more than the last round'
      : 'shows what it says it has, all of a round or nothing where rounds are atomic, and misses and repeats nothing,'
    it(
      `${promise} when the process dies after any step of it`,
      withPlace(async (place) => {
        const log = newLog()
        const setUp = place.open()
        await recover(setUp, log)
        await setUp.close()
        let finished = false
        let repeatsMax = 0
        for (let steps = 0; !finished; steps++) {
          expect(steps).toBeLessThan(40)
          log.appendMany('events', steps % 3, 12, 4)
          log.appendMany('alarms', 0, 3)
          const mortal = place.openMortal()
          const positions = nexts(await recover(mortal.upstream, log))
          const round = roundFrom(log, positions)
          mortal.arm(steps)
          const outcome = await mortal.upstream.send(round).catch((error) => error)
          finished = !mortal.died()
          if (finished) expect(outcome).toBeInstanceOf(Map)
          else expect(outcome).toBeInstanceOf(Error)
          await mortal.upstream.close().catch(() => {})

          const next = place.open()
          const after = nexts(await recover(next, log))
          const whole = new Map([
            ...positions,
            ...round.parts.map((p) => [`${p.stream}/${p.partition}`, p.nextOffset] as const),
          ])
          if (harness.atomic === 'part') {
            for (const [key, position] of after) {
              expect(position, key).toBeGreaterThanOrEqual(positions.get(key)!)
              expect(position, key).toBeLessThanOrEqual(whole.get(key)!)
            }
          } else {
            const outcomes = [positions, whole].map((p) => JSON.stringify([...p].sort()))
            expect(outcomes).toContain(JSON.stringify([...after].sort()))
          }
          if (harness.mayRepeat) {
            const visible = await place.read(STREAMS)
            const sent = round.parts.reduce((sum, part) => sum + part.nextOffset - part.fromOffset, 0)
            repeatsMax += outcome instanceof Error ? sent : 0
            expect(visible.length - first(visible).length).toBeLessThanOrEqual(repeatsMax)
            // What counts as sent is there; what is there beyond it is the round that will come again.
            expect(contents(log)).toEqual(expect.arrayContaining(first(visible)))
            expect(first(visible)).toEqual(expect.arrayContaining(contents(log, after)))
          } else expect(await place.read(STREAMS)).toEqual(contents(log, after))
          const rest = roundFrom(log, after)
          if (rest.parts.length > 0) await next.send(rest)
          await next.close()
        }
        const all = await place.read(STREAMS)
        expect(harness.mayRepeat ? first(all) : all).toEqual(contents(log))
      }),
    )

    it(
      'raises only errors with a code, a hint, and a word on whether to try again',
      withPlace(async (place) => {
        const mortal = place.openMortal()
        mortal.arm(0)
        const log = newLog()
        const error = await caught(recover(mortal.upstream, log))
        expect(error).toBeInstanceOf(UpstreamError)
        expect(error).toMatchObject({
          retryable: true,
          code: expect.stringMatching(/^HW_/),
          hint: expect.stringMatching(/../),
        })
        await mortal.upstream.close().catch(() => {})
      }),
    )
  })
}
