/** Replays, packet by packet: what comes in place of what is not there any more. */
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { idOf } from '../../../../broker/log/commit-key.ts'
import { NO_HEADERS } from '../../../../broker/log/record-batch.ts'
import { DEFAULT_POLICY } from '../../../../broker/log/stream-policy.ts'
import { STATE_STORE_OPTIONS } from '../../../../broker/mqtt/session/state-store.ts'
import { committed, MEMORY_PATH, until } from '../../log/support.ts'
import { startFront } from '../connection/support.ts'
import { publishes, received, subscribe, take, user, values, write } from './support.ts'

describe('what is not there any more', () => {
  const policy = { ...DEFAULT_POLICY, retentionBytes: 3000 }
  const log = { segmentBytes: 2000, streams: [{ name: 'events', partitions: 1, policy }] }

  it('by retention, is told with the next message, and in one log line', async () => {
    const test = await startFront({ log })
    await write(test, 0, 150)
    await test.log.janitor.run()
    const { logStartOffset } = test.log.partitions()[0]!
    expect(logStartOffset).toBeGreaterThan(10)
    const client = await test.connect({ clientId: 'sub' })
    await subscribe(client, '$replay/events/0/5')
    await received(client, 150 - logStartOffset)
    const [first, second] = publishes(client)
    expect(user(first!)).toMatchObject({
      'hw.offset': String(logStartOffset),
      'hw.gap': `5-${logStartOffset - 1} retention`,
    })
    expect(user(second!)['hw.gap']).toBe(undefined)
    expect(test.sink.matching('not there any more').map(({ fields }) => fields)).toEqual([
      {
        client: 'sub',
        replay: '$replay/events/0/5',
        partition: 0,
        from: 5,
        to: logStartOffset - 1,
        reason: 'retention',
      },
    ])
  })

  it('by retention under a slow reader, is told: no offset is missing without a word', async () => {
    const test = await startFront({ log, limits: { outboxBytesMax: 2_000 } })
    await write(test, 0, 60)
    const client = await test.connect({ clientId: 'slow', properties: { receiveMaximum: 1 } })
    await subscribe(client, '$replay/events/0/0', 1)
    await take(client, 3)
    await received(client, 1)
    await write(test, 60, 1500)
    await test.log.janitor.run()
    let next = 3
    let gaps = 0
    while (next < 1500) {
      const [packet] = await take(client, 1)
      const { 'hw.gap': gap, 'hw.offset': offset } = user(packet!) as Record<string, string>
      if (gap !== undefined) {
        gaps++
        const [from, to] = gap.split(' ')[0]!.split('-').map(Number)
        expect(from).toBe(next)
        next = to! + 1
      }
      expect(Number(offset)).toBe(next)
      next++
    }
    expect(gaps).toBeGreaterThan(0)
  })

  it('by damage of the last batch, is waited behind without reading the log again and again', async () => {
    const before = await startFront()
    await write(before, 0, 3)
    await before.close()
    const segment = `${MEMORY_PATH}/log/main/00000001`
    const store = await before.disk.openStore(segment, STATE_STORE_OPTIONS)
    const batches = await store.range({ from: Buffer.of(), to: Buffer.alloc(12, 0xff), bytesMax: 1e6 })
    const { key, value } = batches.findLast((entry) => idOf(entry.key) === 0)!
    const damaged = Buffer.from(value)
    damaged[70]! ^= 1
    const batch = store.batch()
    batch.put(key, damaged)
    await batch.write({ sync: true })
    await store.close()

    const test = await startFront({ disk: before.disk })
    const read = test.log.read.bind(test.log)
    let reads = 0
    test.log.read = (...where) => {
      // an endless loop would let no timer of the test go off
      if (++reads > 100) throw new Error('it reads again and again')
      return read(...where)
    }
    const client = await test.connect({ clientId: 'sub' })
    await subscribe(client, '$replay/events/earliest')
    await received(client, 2)
    for (let turn = 0; turn < 200; turn++) await setImmediate()
    expect(reads).toBeLessThan(5)
    await write(test, 4, 5)
    await received(client, 3)
    expect(values(client)).toEqual(['v0', 'v1', 'v4'])
  })

  it('by compaction, is passed over; a tombstone is an empty message that says so', async () => {
    const compacts = { ...DEFAULT_POLICY, compacts: true, deletes: false }
    const test = await startFront({
      log: { segmentBytes: 1500, streams: [{ name: 'events', partitions: 1, policy: compacts }] },
    })
    const { chain, partitions } = test.log.stream('events')
    for (let n = 0; n < 100; n++) {
      const value = n % 10 === 9 ? null : Buffer.from(`v${n}`.padEnd(40, '.'))
      chain.append(partitions[0]!, 1000 + n, Buffer.from(`a/${n % 10}`), value, NO_HEADERS)
      await committed(test.log)
    }
    const early = await test.connect({ clientId: 'early', properties: { receiveMaximum: 1 } })
    await subscribe(early, '$replay/events/earliest', 1)
    await received(early, 1)
    await test.log.compact('events')
    const client = await test.connect({ clientId: 'late' })
    await subscribe(client, '$replay/events/earliest')
    await until(
      () => publishes(client).some((packet) => user(packet)['hw.offset'] === '99'),
      'the last has come',
    )
    const found = publishes(client)
    expect(found.length).toBeLessThan(60)
    const offsets = found.map((packet) => Number(user(packet)['hw.offset']))
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b))
    expect(new Set(found.map(({ topic }) => topic)).size).toBe(10)
    expect(found.at(-1)).toMatchObject({ topic: 'a/9', payload: Buffer.alloc(0) })
    expect(user(found.at(-1)!)).toMatchObject({ 'hw.tombstone': 'true' })
    expect(found.some((packet) => user(packet)['hw.gap'] !== undefined)).toBe(false)
    // who was on the way meanwhile comes to the end as well
    let last = -1
    while (last < 99) last = Number(user((await take(early, 1))[0]!)['hw.offset'])
  })

  it('of many records that the client does not take is one gap', async () => {
    const test = await startFront()
    const { chain, partitions } = test.log.stream('events')
    for (let n = 0; n < 500; n++) {
      chain.append(partitions[0]!, 1000, Buffer.from('a/1'), Buffer.alloc(500), NO_HEADERS)
    }
    chain.append(partitions[0]!, 1000, Buffer.from('a/2'), Buffer.alloc(1), NO_HEADERS)
    await committed(test.log)
    const client = await test.connect({ clientId: 'sub', properties: { maximumPacketSize: 400 } })
    await subscribe(client, '$replay/events/earliest', 1)
    const [only] = await take(client, 1)
    expect(user(only!)).toMatchObject({ 'hw.offset': '500', 'hw.gap': '0-499 larger than the client takes' })
  })

  it('because the client does not take its size, or MQTT not its topic, is told', async () => {
    const test = await startFront()
    const { chain, partitions } = test.log.stream('events')
    for (const [key, bytes] of [
      ['a/1', 10],
      ['a/2', 1000],
      ['no/+/topic', 10],
      ['', 10],
      ['a/3', 10],
    ] as const) {
      chain.append(partitions[0]!, 1000, Buffer.from(key), Buffer.alloc(bytes), NO_HEADERS)
    }
    await committed(test.log)
    const client = await test.connect({ clientId: 'sub', properties: { maximumPacketSize: 400 } })
    await subscribe(client, '$replay/events/earliest', 1)
    const taken = await take(client, 2)
    expect(taken.map(({ topic }) => topic)).toEqual(['a/1', 'a/3'])
    expect(user(taken[1]!)['hw.gap']).toEqual(['1-1 larger than the client takes', '2-3 not an MQTT topic'])
  })
})
