/** From accepted messages to records, on a real log over a disk that waits and fails where the test says so. */
import { describe, expect, it } from 'vitest'
import { CommitFailedError, LogUnavailableError, RecordTooLargeError } from '../../../broker/errors.ts'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { partitionOf } from '../../../broker/log/murmur2.ts'
import { readRecords } from '../../../broker/log/record-batch.ts'
import { Ingress, type IngressMessage } from '../../../broker/mqtt/ingress.ts'
import { Qos2Ids } from '../../../broker/mqtt/qos2.ts'
import { Router } from '../../../broker/mqtt/router.ts'
import { SourcePositions } from '../../../broker/mqtt/source-positions.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { streamConfig } from '../../support/stream-config.ts'
import { openLog, readAll, until } from '../log/support.ts'

const STREAMS = [
  streamConfig({ name: 'keyed', topics: ['keyed/#'], key: { pointer: '/id' }, partitions: 4 }),
  streamConfig({ name: 'turns', topics: ['turns/#'], key: 'none', partitions: 3 }),
  streamConfig({ name: 'events', topics: ['t/#'], partitions: 2 }),
]

async function setUp(
  options: { admittedBytesMax?: number; recordBytesMax?: number; disk?: FaultyDisk } = {},
) {
  const disk = options.disk ?? new FaultyDisk(new MemoryDisk())
  const ids = new Qos2Ids()
  const sources = new SourcePositions()
  const log = await openLog(disk, {
    streams: [
      ...STREAMS.map(({ name, partitions }) => ({ name, partitions })),
      { name: 'dead-letters', partitions: 1 },
    ],
    admittedBytesMax: options.admittedBytesMax ?? 1e9,
    states: [ids, sources],
  })
  const router = new Router(STREAMS, (name) => log.stream(name))
  const limits = { recordBytesMax: options.recordBytesMax ?? 1000, now: () => 5000 }
  const ingress = new Ingress(log, router, () => ({ qos2: ids, sources }), limits)
  return { disk, log, ids, ingress }
}

function message(more: Partial<IngressMessage> = {}): IngressMessage {
  return {
    clientId: 'c1',
    topic: 't/x',
    payload: Buffer.from('v'),
    qos: 1,
    packetId: 1,
    isDup: false,
    ...more,
  }
}

function accept(ingress: Ingress, more: Partial<IngressMessage> = {}): Promise<Error | null> {
  return new Promise((resolve) => ingress.accept(message(more), resolve))
}

function release(ingress: Ingress, packetId: number): Promise<Error | null> {
  return new Promise((resolve) => {
    try {
      const chains = ingress.releaseIn('c1', packetId)
      if (chains.length === 0) resolve(null)
      for (const chain of chains) chain.onCommit(resolve)
    } catch (error) {
      resolve(error as Error)
    }
  })
}

/** All values of a stream, partition by partition. */
async function valuesOf(log: EventLog, stream: string): Promise<string[]> {
  const partitions = log.streams().find((state) => state.stream === stream)!.partitions
  const values: string[] = []
  for (let partition = 0; partition < partitions; partition++) {
    for (const record of await readAll(log, partition, { stream }))
      values.push(record.slice(record.indexOf(':') + 1))
  }
  return values
}

const turns = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

const isOpen = (log: EventLog) => until(() => log.status().condition === 'open', 'the log is open')

describe('a message', () => {
  it('of QoS 1 and 2 is answered only once its record is on disk, of QoS 0 at once', async () => {
    const { disk, log, ingress } = await setUp()
    const answered: number[] = []
    const gate = disk.hold('sync')
    for (const qos of [0, 1, 2] as const) {
      ingress.accept(message({ qos, packetId: qos }), (error) => {
        expect(error).toBeNull()
        answered.push(qos)
      })
    }
    await gate.reached
    await turns()
    expect(answered).toEqual([0])
    expect(await valuesOf(log, 'events')).toEqual([])
    gate.release()
    await until(() => answered.length === 3, 'all are answered')
    expect(answered).toEqual([0, 1, 2])
    expect(await valuesOf(log, 'events')).toEqual(['v', 'v', 'v'])
  })

  it('becomes a record with its key, its payload, the time of its acceptance and the topic', async () => {
    const { log, ingress } = await setUp()
    await accept(ingress, { payload: Buffer.from('21.5') })
    const partition = partitionOf(Buffer.from('t/x'), 2)
    const [batch] = await log.read('events', partition, 0, 1000)
    expect([...readRecords(batch!.bytes)]).toEqual([
      { offset: 0, timestamp: 5000, key: Buffer.from('t/x'), value: Buffer.from('21.5'), headers: [] },
    ])
    await accept(ingress, { topic: 'keyed/a', payload: Buffer.from('{"id":"p7"}') })
    const keyed = await log.read('keyed', partitionOf(Buffer.from('p7'), 4), 0, 1000)
    const [record] = readRecords(keyed[0]!.bytes)
    expect(record!.key?.toString()).toBe('p7')
    expect(record!.headers).toEqual([{ key: 'topic', value: Buffer.from('keyed/a') }])
  })

  it('of a topic that no stream takes is answered at once and not stored', async () => {
    const { disk, ingress } = await setUp()
    const before = disk.trace.length
    expect(await accept(ingress, { topic: 'other' })).toBeNull()
    expect(disk.trace.length).toBe(before)
    expect(ingress.status()).toMatchObject({ received: 1, unrouted: 1, appended: 0 })
  })

  it('over the limit is refused and not stored; one at the limit is taken', async () => {
    const { log, ingress } = await setUp({ recordBytesMax: 1000 })
    // the key, in bytes and not in characters, the headers, and what a record's own fields take at most
    const room = 1000 - 36 - Buffer.byteLength('t/°') - 1
    const error = await accept(ingress, { topic: 't/°', payload: Buffer.alloc(room + 1) })
    expect(error).toBeInstanceOf(RecordTooLargeError)
    expect(error!.message).toMatch(/1001 bytes, the limit is 1000/)
    expect(await valuesOf(log, 'events')).toEqual([])
    expect(await accept(ingress, { topic: 't/°', payload: Buffer.alloc(room) })).toBeNull()
    expect(ingress.status()).toMatchObject({ tooLarge: 1, appended: 1 })
  })

  it('without a key goes to the partitions in turn', async () => {
    const { log, ingress } = await setUp()
    for (let i = 0; i < 6; i++) await accept(ingress, { topic: 'turns/x', payload: Buffer.from(`v${i}`) })
    expect(await readAll(log, 0, { stream: 'turns' })).toEqual(['0:v0', '1:v3'])
    expect(await readAll(log, 2, { stream: 'turns' })).toEqual(['0:v2', '1:v5'])
  })

  it('whose key is not in its payload goes to the dead letters with topic, stream and reason, on disk before its answer', async () => {
    const { disk, log, ingress } = await setUp()
    const gate = disk.hold('sync')
    let isAnswered = false
    const answer = accept(ingress, { topic: 'keyed/x', payload: Buffer.from('no JSON') }).then((error) => {
      isAnswered = true
      return error
    })
    await gate.reached
    await turns()
    expect(isAnswered).toBe(false)
    gate.release()
    expect(await answer).toBeNull()
    expect(await valuesOf(log, 'keyed')).toEqual([])
    const [batch] = await log.read('dead-letters', 0, 0, 1000)
    const [record] = readRecords(batch!.bytes)
    expect(record!.value?.toString()).toBe('no JSON')
    expect(record!.key?.toString()).toBe('keyed/x')
    expect(record!.headers.map(({ key, value }) => [key, value?.toString()])).toEqual([
      ['topic', 'keyed/x'],
      ['stream', 'keyed'],
      ['reason', 'the payload is not JSON'],
    ])
    expect(ingress.status()).toMatchObject({ deadLetters: 1, appended: 0 })
  })

  it('whose commit fails is answered with the error, and taken again once the log is open', async () => {
    const { disk, log, ingress } = await setUp()
    disk.fail({ on: 'sync', code: 'ENOSPC' })
    expect(await accept(ingress)).toBeInstanceOf(CommitFailedError)
    expect(await accept(ingress)).toBeInstanceOf(LogUnavailableError)
    expect(ingress.status().failed).toBe(2)
    await isOpen(log)
    expect(await accept(ingress)).toBeNull()
    expect(await valuesOf(log, 'events')).toEqual(['v'])
  })
})

describe('back-pressure', () => {
  it('holds messages back while the log has admitted its limit, and keeps their order', async () => {
    const { disk, log, ingress } = await setUp({ admittedBytesMax: 300 })
    const gate = disk.hold('sync')
    const answered: number[] = []
    const count = 40
    for (let i = 0; i < count; i++) {
      ingress.accept(message({ payload: Buffer.from(`v${i}`), packetId: i }), () => answered.push(i))
    }
    await gate.reached
    const { chain } = log.stream('events')
    expect(chain.admission.isFull).toBe(true)
    expect(chain.admittedBytes).toBeLessThan(600)
    gate.release()
    await until(() => answered.length === count, 'all are answered')
    const expected = Array.from({ length: count }, (_, i) => i)
    expect(answered).toEqual(expected)
    expect(await valuesOf(log, 'events')).toEqual(expected.map((i) => `v${i}`))
  })

  it('lets nobody who comes later, even while an acknowledgement is sent, overtake those that wait', async () => {
    const { disk, log, ingress } = await setUp({ admittedBytesMax: 150 })
    const gate = disk.hold('sync')
    const answered: string[] = []
    const send = (value: string, then = () => {}) =>
      ingress.accept(message({ payload: Buffer.from(value) }), () => {
        answered.push(value)
        then()
      })
    send('first'.padEnd(150), () => send('late'))
    await gate.reached
    send('second'.padEnd(150))
    send('third')
    send('fourth')
    gate.release()
    await until(() => answered.length === 5, 'all are answered')
    const order = ['first', 'second', 'third', 'fourth', 'late']
    expect((await valuesOf(log, 'events')).map((value) => value.trim())).toEqual(order)
  })

  it('ends with an error for those that wait when the log is closed or fails', async () => {
    for (const end of ['close', 'fail'] as const) {
      const { disk, log, ingress } = await setUp({ admittedBytesMax: 100 })
      const gate = disk.hold('sync')
      const answers = [accept(ingress, { payload: Buffer.alloc(200) })]
      await gate.reached
      for (let i = 0; i < 5; i++) answers.push(accept(ingress, { payload: Buffer.alloc(200) }))
      if (end === 'fail') disk.fail({ on: 'sync' })
      const closed = end === 'close' ? log.close() : isOpen(log)
      gate.release()
      const ended = await Promise.all(answers)
      await closed
      expect(ended.some((error) => error !== null)).toBe(true)
    }
  })
})

describe('a QoS 2 message', () => {
  it('that comes again before its PUBREL is answered and not stored again, also while the first one is under way', async () => {
    const { log, ingress } = await setUp()
    const both = [accept(ingress, { qos: 2 }), accept(ingress, { qos: 2, isDup: true })]
    expect(await Promise.all(both)).toEqual([null, null])
    expect(await accept(ingress, { qos: 2, isDup: true })).toBeNull()
    expect(await valuesOf(log, 'events')).toEqual(['v'])
    expect(ingress.status()).toMatchObject({ appended: 1, repetitions: 2 })
    expect(await release(ingress, 1)).toBeNull()
    expect(await accept(ingress, { qos: 2 })).toBeNull()
    expect(await valuesOf(log, 'events')).toEqual(['v', 'v'])
  })

  it('whose repetition comes while the first one’s commit is under way is answered by that commit, not before', async () => {
    const { disk, ingress } = await setUp()
    const gate = disk.hold('sync')
    const first = accept(ingress, { qos: 2 })
    await gate.reached
    let isAnswered = false
    const second = accept(ingress, { qos: 2, isDup: true }).then((error) => {
      isAnswered = true
      return error
    })
    await turns()
    expect(isAnswered).toBe(false)
    disk.fail({ on: 'sync' })
    gate.release()
    expect(await first).toBeInstanceOf(CommitFailedError)
    expect(await second).toBeInstanceOf(CommitFailedError)
  })

  it('whose commit failed is stored when it comes again, whether the disk kept the first one or not: once', async () => {
    for (const isKept of [true, false]) {
      const { disk, log, ingress } = await setUp()
      disk.fail({ on: 'sync', isKept })
      expect(await accept(ingress, { qos: 2 })).toBeInstanceOf(CommitFailedError)
      await isOpen(log)
      expect(await accept(ingress, { qos: 2, isDup: true })).toBeNull()
      expect(await valuesOf(log, 'events')).toEqual(['v'])
      expect(ingress.status().repetitions).toBe(isKept ? 1 : 0)
    }
  })

  it('without a packet id or a client, as a will has none, is stored each time', async () => {
    const { log, ingress } = await setUp()
    await accept(ingress, { qos: 2, packetId: 0 })
    await accept(ingress, { qos: 2, packetId: 0 })
    await accept(ingress, { qos: 2, clientId: null })
    await accept(ingress, { qos: 2, clientId: null })
    expect(await valuesOf(log, 'events')).toHaveLength(4)
  })
})

describe('a PUBREL', () => {
  it('is answered once the release is on disk; at once for an id that is not in flight', async () => {
    const { disk, ids, ingress } = await setUp()
    await accept(ingress, { qos: 2, packetId: 7 })
    expect(await release(ingress, 8)).toBeNull()
    const gate = disk.hold('sync')
    let isAnswered = false
    const answer = release(ingress, 7).then((error) => {
      isAnswered = true
      return error
    })
    await gate.reached
    await turns()
    expect(isAnswered).toBe(false)
    gate.release()
    expect(await answer).toBeNull()
    expect(ids.count).toBe(0)
  })

  it('whose commit fails is answered with the error; the id is then in flight or free as the disk has it', async () => {
    for (const isKept of [true, false]) {
      const { disk, log, ids, ingress } = await setUp()
      await accept(ingress, { qos: 2, packetId: 7 })
      disk.fail({ on: 'sync', isKept })
      expect(await release(ingress, 7)).toBeInstanceOf(CommitFailedError)
      await isOpen(log)
      expect(ids.count).toBe(isKept ? 0 : 1)
      expect(await release(ingress, 7)).toBeNull()
      expect(ids.count).toBe(0)
    }
  })

  it('is not answered while the log opens itself again, when it is not known which ids are in flight', async () => {
    const { disk, log, ids, ingress } = await setUp()
    await accept(ingress, { qos: 2, packetId: 7 })
    disk.fail({ on: 'sync' })
    await accept(ingress, { packetId: 8 })
    expect(await release(ingress, 7)).toBeInstanceOf(LogUnavailableError)
    const gate = disk.hold('range')
    await gate.reached
    expect(await release(ingress, 7)).toBeInstanceOf(LogUnavailableError)
    gate.release()
    await isOpen(log)
    expect(ids.count).toBe(1)
    expect(await release(ingress, 7)).toBeNull()
  })
})

describe('a clean session', () => {
  it('makes the client’s next message another one, though it equals one that is in flight', async () => {
    const { log, ingress } = await setUp()
    await accept(ingress, { qos: 2 })
    ingress.sessionCleaned('c1')
    await accept(ingress, { qos: 2 })
    expect(await valuesOf(log, 'events')).toEqual(['v', 'v'])
  })

  it('is not forgotten when its commit fails, nor when it began while the log was away', async () => {
    for (const when of ['before', 'meanwhile', 'while opening'] as const) {
      const { disk, log, ingress } = await setUp()
      await accept(ingress, { qos: 2 })
      disk.fail({ on: 'sync' })
      if (when === 'before') ingress.sessionCleaned('c1')
      expect(await accept(ingress, { packetId: 2, payload: Buffer.from('other') })).toBeInstanceOf(
        CommitFailedError,
      )
      if (when === 'meanwhile') ingress.sessionCleaned('c1')
      if (when === 'while opening') {
        const gate = disk.hold('range')
        await gate.reached
        ingress.sessionCleaned('c1')
        gate.release()
      }
      await isOpen(log)
      await turns()
      expect(await accept(ingress, { qos: 2 })).toBeNull()
      expect(await valuesOf(log, 'events'), when).toEqual(['v', 'v'])
    }
  })
})
