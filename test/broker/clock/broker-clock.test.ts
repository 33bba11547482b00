/** The whole broker on a machine whose clock comes late: what publishers, readers, operators and the log's retention see of it. */
import { describe, expect, it } from 'vitest'
import type { Broker } from '../../../broker/broker.ts'
import { openLog } from '../../../broker/open-log.ts'
import type { ReadableLog } from '../../../broker/operations/operations.ts'
import { openReading } from '../../../broker/operations/reading.ts'
import type { RecordJson } from '../../../broker/operations/record-json.ts'
import { until } from '../log/support.ts'
import { dataDirectory, RawClient, startBroker } from '../mqtt/support.ts'
import { DAY, Machine, T0 } from './machine.ts'

const SHUTDOWN = T0 - 5 * DAY
let clients = 0

async function publish(port: number, payload: string): Promise<void> {
  const client = await RawClient.connect(port, `c-${clients++}`)
  client.publish(1, 1, payload, { topic: 't' })
  await client.next('puback')
  client.end()
}

async function read(log: ReadableLog) {
  const request = { stream: 'events', partition: null, from: 'earliest', follow: false, count: null } as const
  const records: RecordJson[] = []
  for await (const piece of await openReading(log, request, new AbortController().signal)) {
    for (const line of piece.split('\n').slice(0, -1)) records.push(JSON.parse(line) as RecordJson)
  }
  return records.map(({ value, timestamp, clock }) => ({ value, timestamp, ...clock }))
}

const iso = (time: number) => new Date(time).toISOString()
const commitsOf = (broker: Broker) => broker.status().log.commits

describe('a broker on a machine whose clock comes late', () => {
  it('keeps the times as they were, marks them, and tells the right ones once they are known, over restarts too', async () => {
    const data = dataDirectory()
    const machine = new Machine(SHUTDOWN).withSystemd()
    const { broker, port, sink } = await startBroker({ data, clock: machine.parts() })
    expect(broker.status().clock).toMatchObject({
      trust: 'untrusted',
      isTrusted: false,
      correctedUntil: null,
    })
    await publish(port, 'early')
    const marked = { value: 'early', timestamp: iso(SHUTDOWN), trust: 'untrusted' }
    expect(await read(broker.log)).toEqual([marked])
    await machine.pass(60_000)
    expect(sink.matching('the clock is not to be trusted')).toHaveLength(1)

    const commits = commitsOf(broker)
    machine.synchronize(T0 + 60_000)
    await machine.pass(10_000)
    await until(() => commitsOf(broker) > commits, 'the correction is on disk')
    expect(sink.matching('the clock was stepped by +5 d; it is now synchronized')).toHaveLength(1)
    await publish(port, 'late')
    const corrected = { ...marked, trust: 'corrected', correctedTimestamp: iso(T0) }
    const both = [corrected, { value: 'late', timestamp: iso(T0 + 70_000) }]
    expect(await read(broker.log)).toEqual(both)
    expect(broker.status().clock).toMatchObject({
      trust: 'synchronized',
      steps: 1,
      lastStepMs: 5 * DAY,
      correctedUntil: T0 + 70_000,
      correctedByMs: 5 * DAY,
    })
    await broker.close()
    expect(machine.isClosed).toBe(true)

    const stored = await openLog(data)
    expect(await read(stored)).toEqual(both)
    await stored.close()

    machine.boot(T0 + DAY)
    const again = await startBroker({ data, clock: machine.parts() })
    expect(again.broker.status().clock).toMatchObject({
      trust: 'untrusted',
      steps: 0,
      correctedUntil: T0 + 70_000,
    })
    await publish(again.port, 'next boot')
    expect(await read(again.broker.log)).toEqual([
      ...both,
      { value: 'next boot', timestamp: iso(T0 + DAY), trust: 'untrusted' },
    ])
  })

  it('costs no commit and no byte while nothing changes', async () => {
    const machine = new Machine().withSystemd()
    machine.synchronize(T0)
    const { broker, port, sink } = await startBroker({ clock: machine.parts() })
    await publish(port, 'a')
    const first = broker.status().log
    for (let i = 0; i < 3; i++) {
      await machine.pass(3_600_000)
      await publish(port, 'a')
    }
    const { commits, bytes } = broker.status().log
    expect(commits).toBe(first.commits + 3)
    expect((bytes - first.bytes) / 3).toBeLessThan(first.bytes)
    expect(sink.matching('clock')).toEqual([])
  })

  it('is not trusted behind its own log, where nobody can be asked', async () => {
    const data = dataDirectory()
    const machine = new Machine(T0)
    const first = await startBroker({ data, clock: machine.parts() })
    await publish(first.port, 'a')
    await first.broker.close()
    machine.boot(T0 - DAY)
    const { broker } = await startBroker({ data, clock: machine.parts() })
    expect(broker.status().clock).toMatchObject({ trust: 'untrusted' })
    expect(broker.status().clock.evidence).toContain(iso(T0))
  })

  it('is trusted all the same where the configuration says so', async () => {
    const machine = new Machine(0).withSystemd()
    const change = (config: { clock: { trust: string } }) => {
      config.clock.trust = 'always'
    }
    const { broker, port } = await startBroker({ clock: machine.parts(), change })
    await publish(port, 'a')
    expect(await read(broker.log)).toEqual([{ value: 'a', timestamp: iso(0) }])
  })
})
