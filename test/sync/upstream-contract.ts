/** What every `Upstream` does, whatever it writes to; an implementation hands in a harness (upstream-harness.ts). */
import { describe, expect, it } from 'vitest'
import { filterBatch, partitionKey } from '../../broker/index.ts'
import { decideStart } from '../../sync/checkpoint.ts'
import { UpstreamError } from '../../sync/errors.ts'
import { logProof } from '../../sync/proof.ts'
import type { Round, RoundPart } from '../../sync/upstream.ts'
import { MemoryLog, testIdentity } from './memory-log.ts'
import {
  caught,
  contents,
  first,
  newLog,
  nexts,
  placesOf,
  recover,
  roundFrom,
  STREAMS,
  type UpstreamHarness,
} from './upstream-harness.ts'

export function describeUpstream(harness: UpstreamHarness): void {
  const withPlace = placesOf(harness)

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
