/** Positions moved on a real Kafka: in one transaction, by this edge alone. */
import { afterEach, expect, it } from 'vitest'
import { systemClock } from '../../../sync/clock.ts'
import { KafkaAudit } from '../../../sync/kafka/audit.ts'
import type { KafkaUpstream } from '../../../sync/kafka/kafka-upstream.ts'
import { openWire } from '../../../sync/kafka/platformatic-wire.ts'
import { rewindUpstream } from '../../../sync/rewind.ts'
import { describeWithKafka, uniqueName } from '../../support/kafka/index.ts'
import { verify } from '../audit/audited-log.ts'
import { MemoryLog } from '../memory-log.ts'
import { roundFrom } from '../upstream-harness.ts'
import { kafkaOptions, openKafka, wireOptions } from './open-kafka.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()))
})

function upstreamOf(bootstrap: string, name: string): KafkaUpstream {
  const upstream = openKafka(bootstrap, name)
  open.push(upstream)
  return upstream
}

/** Sends all from where upstream stands. */
async function catchUp(bootstrap: string, name: string, log: MemoryLog): Promise<Map<string, number>> {
  const upstream = upstreamOf(bootstrap, name)
  const { partitions } = await upstream.recover(log.identity, log.partitions())
  const stands = new Map([...partitions].map(([key, { next }]) => [key, next ?? 0]))
  const round = roundFrom(log, stands)
  if (round.parts.length > 0) await upstream.send(round)
  await upstream.close()
  return stands
}

async function report(bootstrap: string, name: string, log: MemoryLog) {
  const audit = new KafkaAudit(kafkaOptions(bootstrap, name), {
    clock: systemClock,
    openWire: () => openWire(wireOptions(bootstrap)),
  })
  open.push(audit)
  return (await verify(log, audit)).partitions
}

describeWithKafka('a rewind of a Kafka upstream', ({ bootstrap }) => {
  it('moves the offset of the group back and forward, and the next process goes on from there', async () => {
    const name = uniqueName('rewind')
    const log = new MemoryLog().addStream('events', 2)
    for (const partition of [0, 1]) log.appendMany('events', partition, 40, 8)
    await catchUp(bootstrap, name, log)
    const saved: number[] = []
    const save = async (positions: ReadonlyMap<string, number>) => void saved.push(positions.get('events/0')!)
    const move = (to: number) => {
      const change = { stream: 'events', to: new Map([[0, to]]) }
      return rewindUpstream(log, log.partitions(), upstreamOf(bootstrap, name), null, save, change)
    }
    expect((await move(24)).partitions).toEqual([{ stream: 'events', partition: 0, from: 40, to: 24 }])
    expect(await catchUp(bootstrap, name, log)).toEqual(
      new Map([
        ['events/0', 24],
        ['events/1', 40],
      ]),
    )
    expect((await report(bootstrap, name, log))[0]).toMatchObject({
      compared: 40,
      duplicated: { ranges: [{ from: 24, to: 40 }] },
      missing: { records: 0 },
    })
    log.appendMany('events', 0, 16, 8)
    await move(48)
    expect((await catchUp(bootstrap, name, log)).get('events/0')).toBe(48)
    expect(await report(bootstrap, name, log)).toMatchObject([
      { duplicated: { records: 16 }, missing: { ranges: [{ from: 40, to: 48 }] }, compared: 48 },
      { duplicated: { records: 0 }, missing: { records: 0 }, compared: 40 },
    ])
    expect(saved).toEqual([24, 24, 40, 48])
  })
})
