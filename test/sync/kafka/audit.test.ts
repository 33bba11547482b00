/** Topics of a real Kafka, read back for the verification: whole, and spoilt on purpose. */
import { afterEach, expect, it } from 'vitest'
import { partitionKey } from '../../../broker/index.ts'
import { systemClock } from '../../../sync/clock.ts'
import type { UpstreamConfig } from '../../../sync/config.ts'
import { createAuditSource } from '../../../sync/create.ts'
import { KafkaAudit } from '../../../sync/kafka/audit.ts'
import type { KafkaUpstreamOptions } from '../../../sync/kafka/kafka-upstream.ts'
import { openWire } from '../../../sync/kafka/platformatic-wire.ts'
import { EARLIEST, type ListedOffset } from '../../../sync/kafka/wire.ts'
import { rewindUpstream } from '../../../sync/rewind.ts'
import {
  createTopic,
  describeWithKafka,
  growTopic,
  uniqueName,
  withAdmin,
} from '../../support/kafka/index.ts'
import { verify } from '../audit/audited-log.ts'
import { hastyClock } from '../hasty-clock.ts'
import { MemoryLog, testIdentity } from '../memory-log.ts'
import { roundFrom } from '../upstream-harness.ts'
import { settled } from './kafka-place.ts'
import { kafkaOptions, openKafka, wireOptions, wrapWire } from './open-kafka.ts'
import { HandProducer } from './transactions.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()))
})

function audit(bootstrap: string, name: string, options: Partial<KafkaUpstreamOptions> = {}): KafkaAudit {
  const made = new KafkaAudit(kafkaOptions(bootstrap, name, options), {
    clock: systemClock,
    openWire: () => openWire(wireOptions(bootstrap)),
  })
  open.push(made)
  return made
}

/** Sends what the log has from `positions` on. @returns the positions after it */
async function send(
  bootstrap: string,
  name: string,
  log: MemoryLog,
  positions = new Map<string, number>(),
  options: Partial<KafkaUpstreamOptions> = {},
) {
  const upstream = openKafka(bootstrap, name, { options })
  await upstream.recover(log.identity, log.partitions())
  const after = await upstream.send(roundFrom(log, positions))
  await upstream.close()
  return new Map([...positions, ...after])
}

function newLog(edge = 'edge-a'): MemoryLog {
  const log = new MemoryLog(testIdentity(edge)).addStream('events', 2)
  for (const partition of [0, 1]) log.appendMany('events', partition, 60, 7)
  log.append('events', 0, [{ key: null, value: null, headers: [{ key: 'unit', value: Buffer.from('K') }] }])
  return log
}

const origin = (edge: string, partition: number, offset: number) => ({
  'hw.origin': `${edge}/11111111/events/${partition}/${offset}`,
})
/** As MemoryLog makes it. */
const copyOf = (partition: number, offset: number) => ({
  key: `k${offset % 7}`,
  value: `events/${partition}/${offset}`,
  timestamp: 1_700_000_000_000 + offset - (offset % 7),
  headers: origin('edge-a', partition, offset),
})

describeWithKafka('the verification of a Kafka upstream', ({ bootstrap }) => {
  it('is whole where Kafka has what the log has, beside another edge in the same topic', async () => {
    const name = uniqueName('shared')
    const log = newLog()
    const other = newLog('edge-b')
    const positions = await send(bootstrap, name, log)
    await send(bootstrap, name, other)
    log.appendMany('events', 1, 25, 4)
    await send(bootstrap, name, log, positions)
    const report = await verify(log, audit(bootstrap, name))
    expect(report).toMatchObject({
      isWhole: true,
      strangers: { otherEdges: 121, otherLogs: 0, unmarked: 0 },
    })
    expect(report.partitions.map(({ compared }) => compared)).toEqual([61, 85])
    const theirs = await verify(other, audit(bootstrap, name))
    expect(theirs).toMatchObject({ isWhole: true, strangers: { otherEdges: 146 } })
  })

  it('finds records that were not sent, sent twice and altered, and passes over what is not its own', async () => {
    const name = uniqueName('spoilt')
    const log = newLog()
    await send(bootstrap, name, log)
    const by = await HandProducer.open(bootstrap, uniqueName('hand'))
    open.push(by)
    const altered = { ...copyOf(1, 70), value: 'altered' }
    const stranger = { ...copyOf(0, 5), headers: origin('edge-z', 0, 5) }
    const relative = { ...copyOf(0, 5), headers: { 'hw.origin': 'edge-a/22222222/events/0/5' } }
    const unmarked = { ...copyOf(0, 5), headers: {} }
    await by.write(`${name}-events`, 0, [copyOf(0, 11), copyOf(0, 12), stranger, relative, unmarked])
    await by.write(`${name}-events`, 1, [altered])
    await by.end(true)
    await by.write(`${name}-events`, 1, [copyOf(1, 3)])
    await by.end(false)
    await settled(bootstrap, by.id)
    log.appendMany('events', 1, 20, 7)
    const report = await verify(log, audit(bootstrap, name))
    expect(report).toMatchObject({
      isWhole: false,
      strangers: { otherEdges: 1, otherLogs: 1, unmarked: 1 },
    })
    expect(report.partitions[0]).toMatchObject({
      compared: 61,
      missing: { records: 0 },
      duplicated: { ranges: [{ from: 11, to: 13 }] },
      different: { records: 0 },
    })
    expect(report.partitions[1]).toMatchObject({
      compared: 60,
      missing: {
        ranges: [
          { from: 60, to: 70 },
          { from: 71, to: 80 },
        ],
      },
      duplicated: { records: 0 },
      different: { ranges: [{ from: 70, to: 71 }] },
    })
  })

  it('compares without the time where the topic has its own', async () => {
    const name = uniqueName('times')
    await createTopic(bootstrap, `${name}-events`, 2, { 'message.timestamp.type': 'LogAppendTime' })
    const log = newLog()
    await send(bootstrap, name, log)
    expect(await verify(log, audit(bootstrap, name))).toMatchObject({ isWhole: true })
  })

  it('is whole while records go on being written and sent', async () => {
    const name = uniqueName('running')
    const log = newLog()
    let positions = await send(bootstrap, name, log)
    const fixed = new Map(positions)
    for (let turn = 0; turn < 3; turn++) {
      log.appendMany('events', turn % 2, 30, 7)
      positions = await send(bootstrap, name, log, positions)
      const verified = verify(log, audit(bootstrap, name), { positions: fixed })
      log.appendMany('events', 0, 10, 7)
      const sent = send(bootstrap, name, log, positions)
      const report = await verified
      expect(report).toMatchObject({ isWhole: true })
      expect(report.partitions.map(({ compared }) => compared)).toEqual([61, 60])
      positions = await sent
    }
    const all = await verify(log, audit(bootstrap, name), { positions })
    expect(
      all.partitions.every(
        ({ stream, partition, toOffset }) => toOffset === positions.get(partitionKey(stream, partition)),
      ),
    ).toBe(true)
    expect(all.isWhole).toBe(true)
  })

  it('does not blame Kafka for what the retention of a topic removed', async () => {
    const name = uniqueName('cut')
    const log = newLog()
    await send(bootstrap, name, log)
    const made = new KafkaAudit(kafkaOptions(bootstrap, name), {
      clock: systemClock,
      openWire: async () =>
        wrapWire(await openWire(wireOptions(bootstrap)), async (method, ask, args) => {
          const answer = await ask()
          if (method !== 'listOffsets' || args.at(-1) !== EARLIEST) return answer
          return (answer as ListedOffset[]).map((each) =>
            each.partition === 1 ? { ...each, offset: 10 } : each,
          )
        }),
    })
    open.push(made)
    const report = await verify(log, made)
    expect(report).toMatchObject({ isWhole: true })
    expect(report.partitions).toMatchObject([
      { compared: 61, notCompared: { excused: 0 } },
      {
        compared: 50,
        notCompared: { excused: 10 },
        reasons: [expect.stringContaining("the topic's retention")],
      },
    ])
  })

  it('does not blame Kafka for what a transaction that stays open hides', async () => {
    const name = uniqueName('hidden')
    const log = newLog()
    await send(bootstrap, name, log)
    const by = await HandProducer.open(bootstrap, uniqueName('hand'))
    open.push(by)
    await settled(bootstrap, `${name}.edge-a`)
    await by.write(`${name}-events`, 1, [{ value: 'open' }])
    const before = new Map([
      ['events/0', 61],
      ['events/1', 60],
    ])
    log.appendMany('events', 1, 25, 4)
    await send(bootstrap, name, log, before)
    await settled(bootstrap, `${name}.edge-a`)
    let time = 0
    // Time flies: nobody waits for a transaction that its producer has forgotten.
    const clock = { ...systemClock, monotonic: () => (time += 10_000) }
    const made = new KafkaAudit(kafkaOptions(bootstrap, name), {
      clock,
      openWire: () => openWire(wireOptions(bootstrap)),
    })
    open.push(made)
    expect((await verify(log, made)).partitions[1]).toMatchObject({
      compared: 60,
      missing: { records: 0 },
      notCompared: { excused: 25 },
      reasons: [expect.stringContaining('a transaction that stays open hides')],
    })
    await by.end(false)
    await settled(bootstrap, by.id)
    expect((await verify(log, audit(bootstrap, name))).partitions[1]).toMatchObject({ compared: 85 })
  })

  const MAPPINGS = [
    ['by key', 3, {}],
    ['without transactions', 2, { mode: 'fleet' }],
    ['by key and without transactions', 3, { mode: 'fleet' }],
  ] as const

  it.each(MAPPINGS)(
    '%s: is whole, and finds what is missing and what is there twice',
    async (_, count, options) => {
      const name = uniqueName('mapped')
      await createTopic(bootstrap, `${name}-events`, count)
      const log = newLog()
      let positions = await send(bootstrap, name, log, new Map(), options)
      for (let round = 0; round < 3; round++) {
        log.appendMany('events', round % 2, 25, 4)
        positions = await send(bootstrap, name, log, positions, options)
      }
      const source = () => audit(bootstrap, name, options)
      expect(await verify(log, source())).toMatchObject({
        isWhole: true,
        partitions: [{ compared: 111 }, { compared: 85 }],
      })
      const moving = openKafka(bootstrap, name, { options })
      open.push(moving)
      const move = (partition: number, to: number) => {
        const change = { stream: 'events', to: new Map([[partition, to]]) }
        return rewindUpstream(log, log.partitions(), moving, null, async () => {}, change)
      }
      log.appendMany('events', 1, 15, 4)
      await move(0, 101)
      await move(1, 90)
      const stands = new Map([
        ['events/0', 101],
        ['events/1', 90],
      ])
      await send(bootstrap, name, log, stands, options)
      const report = await verify(log, source())
      expect(report.partitions).toMatchObject([
        { duplicated: { ranges: [{ from: 101, to: 111 }] }, missing: { records: 0 }, compared: 111 },
        { duplicated: { records: 0 }, missing: { ranges: [{ from: 85, to: 90 }] }, compared: 95 },
      ])
      for (const { different, outOfOrder } of report.partitions) {
        expect([different.records, outOfOrder.records]).toEqual([0, 0])
      }
    },
  )

  it('by key: blames Kafka for nothing that retention removed from one partition, though the topic has grown since', async () => {
    const name = uniqueName('keycut')
    await createTopic(bootstrap, `${name}-events`, 1)
    const log = newLog()
    await send(bootstrap, name, log)
    // As many as the stream has: only the checkpoint knows that it goes by key.
    await growTopic(bootstrap, `${name}-events`, 2)
    const topic = `${name}-events`
    await withAdmin(bootstrap, async (admin) => {
      // So that it knows the topic.
      await admin.fetchTopicOffsets(topic)
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '70' }] })
    })
    const report = await verify(log, audit(bootstrap, name))
    expect(report).toMatchObject({ isWhole: true })
    const reasons = [expect.stringContaining("the topic's retention")]
    // Of the second one, too, which a stream by identity would have in the other partition of the topic.
    expect(report.partitions).toMatchObject([
      { compared: 0, notCompared: { excused: 61 }, reasons },
      { reasons },
    ])
    const { compared, notCompared } = report.partitions[1]!
    // How many of the offsets below 70 are markers of transactions depends on the rounds that it was sent in.
    expect(compared).toBeGreaterThan(50)
    expect(compared + notCompared.excused).toBe(60)
  })

  it('reads no faster than its upstream may be written, what others have in the topic counted', async () => {
    const name = uniqueName('capped')
    const log = newLog()
    const other = newLog('edge-b')
    for (let i = 0; i < 40; i++) other.append('events', 0, [{ value: `${i}`.padStart(10_000, 'x') }])
    await send(bootstrap, name, log)
    await send(bootstrap, name, other)
    const spent = async (changes: object, bytesPerSecond?: number) => {
      const clock = hastyClock()
      const options = { ...kafkaOptions(bootstrap, name), bootstrap: [bootstrap], ...changes }
      const backoff = { firstMs: 1, msMax: 1 }
      const config = { kind: 'kafka', budgets: [], backoff, ...options } as unknown as UpstreamConfig
      const source = await createAuditSource(config, { clock }, bytesPerSecond)
      open.push(source)
      expect(await verify(log, source)).toMatchObject({
        isWhole: true,
        strangers: { otherEdges: 161 },
      })
      return clock.time
    }
    const free = await spent({})
    const bandwidth = { bytesPerSecond: 50_000, burstBytes: 50_000 }
    // 400,000 bytes: the first 50,000 are to be had at once, and the last request pays nothing.
    expect(await spent({ bandwidth })).toBeGreaterThan(free + 5000)
    expect(await spent({ bandwidth }, 10_000)).toBeGreaterThan(free + 25_000)
    expect(await spent({ bandwidth }, 1_000_000)).toBeLessThan(free + 5000)
  })

  it('says that it cannot where records do not say where they are from', async () => {
    const source = audit(bootstrap, uniqueName('none'), { provenance: 'none' })
    await expect(verify(newLog(), source)).rejects.toMatchObject({ code: 'HW_UNVERIFIABLE' })
  })
})
