/** Replays, packet by packet: what comes, in which order and with what, and what a client is refused. */
import { setImmediate } from 'node:timers/promises'
import type { IPublishPacket } from 'mqtt-packet'
import { describe, expect, it } from 'vitest'
import { END_KEY, FIRST_KEY, KIND } from '../../../../broker/mqtt/session/state-format.ts'
import { STATE_STORE_OPTIONS } from '../../../../broker/mqtt/session/state-store.ts'
import { MEMORY_PATH, until } from '../../log/support.ts'
import { startFront } from '../connection/support.ts'
import { publishes, range, received, subscribe, take, unsubscribe, user, values, write } from './support.ts'

const stays = { clientId: 'stays', clean: false, properties: { sessionExpiryInterval: 1000 } }

describe('a replay', () => {
  it.each([0, 1] as const)('of QoS %d brings what is there, and goes on with what comes', async (qos) => {
    const test = await startFront()
    await write(test, 0, 20)
    const client = await test.connect({ clientId: 'sub' })
    expect(await subscribe(client, '$replay/events/earliest', qos)).toBe(qos)
    await received(client, 20)
    await write(test, 20, 40)
    const taken = await take(client, 40)
    expect(taken.map(({ payload }) => String(payload))).toEqual(range(0, 40))
    expect(taken.map(({ topic }) => topic)).toEqual(Array.from({ length: 40 }, (_, n) => `a/${n % 3}`))
    expect(new Set(taken.map((packet) => `${packet.qos} ${packet.retain} ${packet.dup}`))).toEqual(
      new Set([`${qos} false false`]),
    )
  })

  it('says stream, partition, offset and time of each message; before the publisher’s properties', async () => {
    const test = await startFront()
    const writer = await test.connect({ clientId: 'w' })
    const userProperties = { 'hw.offset': '999', plant: 'north' }
    writer.publish(1, 1, 'v0', {
      properties: { userProperties, messageExpiryInterval: 60, contentType: 'x' },
    })
    await writer.next('puback')
    test.time.now += 3_600_000
    const client = await test.connect({ clientId: 'sub' })
    await subscribe(client, '$replay/events/earliest', 0, { properties: { subscriptionIdentifier: 7 } })
    const packet = await client.next<IPublishPacket>('publish')
    expect(user(packet)).toEqual({
      'hw.stream': 'events',
      'hw.partition': '0',
      'hw.offset': '0',
      'hw.timestamp': new Date(1_700_000_000_000).toISOString(),
      'hw.message-expiry': '60',
      plant: 'north',
    })
    expect(packet.properties).toMatchObject({ contentType: 'x', subscriptionIdentifier: 7 })
    expect(packet.properties?.messageExpiryInterval).toBe(undefined)
  })

  it('of MQTT 3.1.1 brings the same messages, bare; QoS 2 is granted as 1', async () => {
    const test = await startFront()
    await write(test, 0, 5)
    const client = await test.connect({ clientId: 'sub', version: 4 })
    expect(await subscribe(client, '$replay/events/earliest', 2)).toBe(1)
    expect((await take(client, 5)).map(({ payload }) => String(payload))).toEqual(range(0, 5))
  })

  it('begins at an offset, at a time, or with what comes next', async () => {
    const test = await startFront()
    await write(test, 0, 5)
    test.time.now += 60_000
    await write(test, 5, 8)
    const at = new Date(1_700_000_030_000).toISOString()
    for (const [filter, from] of [
      ['0/3', 3],
      [`@${at}`, 5],
      ['latest', 8],
      ['0/8', 8],
    ] as const) {
      const client = await test.connect({ clientId: filter.slice(0, 3) })
      await subscribe(client, `$replay/events/${filter}`)
      await received(client, 8 - from)
    }
    await write(test, 8, 10)
    const client = await test.connect({ clientId: 'check' })
    await subscribe(client, '$replay/events/0/9')
    await received(client, 1)
    expect(values(client)).toEqual(['v9'])
  })

  it('from latest brings nothing of before, and all of after', async () => {
    const test = await startFront()
    await write(test, 0, 5)
    const client = await test.connect({ clientId: 'sub' })
    await subscribe(client, '$replay/events/latest')
    await write(test, 5, 9)
    await received(client, 4)
    expect(values(client)).toEqual(range(5, 9))
  })

  it('stands beside a subscription to the same topics, and takes nothing from it', async () => {
    const test = await startFront()
    await write(test, 0, 3)
    const client = await test.connect({ clientId: 'sub' })
    await subscribe(client, 'a/#', 1)
    await subscribe(client, '$replay/events/earliest', 1)
    await received(client, 3)
    await write(test, 3, 6)
    const taken = await take(client, 9)
    const isReplayed = (packet: IPublishPacket) => user(packet)['hw.offset'] !== undefined
    expect(taken.filter(isReplayed).map(({ payload }) => String(payload))).toEqual(range(0, 6))
    expect(taken.filter((packet) => !isReplayed(packet)).map(({ payload }) => String(payload))).toEqual(
      range(3, 6),
    )
  })

  it('ends with UNSUBSCRIBE; what is under way is still acknowledged, and its ids are free then', async () => {
    const test = await startFront()
    await write(test, 0, 50)
    const client = await test.connect({ clientId: 'sub', properties: { receiveMaximum: 3 } })
    await subscribe(client, '$replay/events/earliest', 1)
    await received(client, 3)
    await unsubscribe(client, '$replay/events/earliest')
    expect(test.front.clients().find(({ clientId }) => clientId === 'sub')).toMatchObject({ inFlight: 3 })
    await take(client, 3)
    await client.handled()
    expect(values(client)).toEqual([])
    expect(test.front.clients().find(({ clientId }) => clientId === 'sub')).toMatchObject({
      inFlight: 0,
      queued: 0,
    })
    expect(test.front.status().sessions).toMatchObject({ replays: 0, subscriptions: 0 })
    await subscribe(client, '$replay/events/earliest', 1)
    expect((await take(client, 50)).map(({ payload }) => String(payload))).toEqual(range(0, 50))
  })

  it('has no more in flight than the receive maximum, together with all else [MQTT-3.3.4-9]', async () => {
    const test = await startFront()
    await write(test, 0, 10)
    const client = await test.connect({ clientId: 'sub', properties: { receiveMaximum: 4 } })
    await subscribe(client, '$replay/events/earliest', 1)
    await subscribe(client, 'a/#', 1)
    await received(client, 4)
    await write(test, 10, 15)
    await client.handled()
    expect(publishes(client)).toHaveLength(4)
    await take(client, 20)
    await client.handled()
    expect(publishes(client)).toHaveLength(0)
  })

  it('neither starves another subscription nor is starved', async () => {
    const test = await startFront()
    await write(test, 0, 100)
    const client = await test.connect({ clientId: 'sub', properties: { receiveMaximum: 1 } })
    await subscribe(client, 'a/#', 1)
    await subscribe(client, '$replay/events/earliest', 1)
    await subscribe(client, '$replay/events/0/0', 1)
    await write(test, 100, 120)
    const taken = await take(client, 60)
    const replayed = taken.filter((packet) => user(packet)['hw.offset'] !== undefined)
    expect(taken.length - replayed.length).toBe(20)
    expect(replayed).toHaveLength(40)
    const early = taken.slice(0, 30).filter((packet) => replayed.includes(packet)).length
    expect(early).toBeGreaterThan(5)
    expect(early).toBeLessThan(25)
  })

  it('shares with the client’s other replays: they take turns', async () => {
    const test = await startFront()
    await write(test, 0, 100)
    const client = await test.connect({ clientId: 'sub', properties: { receiveMaximum: 1 } })
    for (const [i, filter] of ['earliest', '0/0', '0/1'].entries()) {
      const properties = { subscriptionIdentifier: i + 1 }
      await subscribe(client, `$replay/events/${filter}`, 1, { properties })
    }
    const taken: IPublishPacket[] = []
    while (taken.length < 60) {
      taken.push(...(await take(client, 1)))
      // a disk takes its time as well
      await setImmediate()
    }
    for (const identifier of [1, 2, 3]) {
      const own = taken.filter(({ properties }) => properties?.subscriptionIdentifier === identifier)
      expect(own.length).toBeGreaterThan(10)
    }
  })

  it('of a client that does not read waits, and holds little', async () => {
    const test = await startFront({ limits: { outboxBytesMax: 20_000 } })
    const writer = await test.connect({ clientId: 'w' })
    for (let n = 0; n < 200; n++) {
      writer.publish(1, n + 1, Buffer.alloc(2_000, n))
      await writer.next('puback')
    }
    const client = await test.connect({ clientId: 'slow' })
    await subscribe(client, '$replay/events/earliest')
    client.stream.pause()
    await write(test, 0, 50)
    expect(test.front.clients().find(({ clientId }) => clientId === 'slow')!.outboxBytes).toBeLessThan(30_000)
    client.stream.resume()
    await received(client, 250)
    expect(publishes(client).map((packet) => user(packet)['hw.offset'])).toEqual(
      Array.from({ length: 250 }, (_, n) => String(n)),
    )
    expect(test.front.status().sessions.dropped).toMatchObject({ outboxFull: 0, queueFull: 0 })
  })
})

describe('a replay of a session that stays', () => {
  it('goes on where it was: what was not acknowledged comes again, DUP, under its id [MQTT-4.4.0-1]', async () => {
    const test = await startFront()
    await write(test, 0, 10)
    const first = await test.connect({ ...stays, properties: { ...stays.properties, receiveMaximum: 4 } })
    await subscribe(first, '$replay/events/earliest', 1)
    await take(first, 2)
    await received(first, 4)
    const sent = publishes(first)
    // the second of the four is acknowledged, out of order
    first.send({ cmd: 'puback', messageId: sent[1]!.messageId! })
    await received(first, 5)
    const unacked = publishes(first).filter(({ messageId }) => messageId !== sent[1]!.messageId)
    first.stream.destroy()
    await until(() => test.front.clients().length === 0, 'it is gone')
    const again = await test.connect(stays)
    // clients subscribe whenever they connect: that begins nothing anew
    await subscribe(again, '$replay/events/earliest', 1)
    const taken = await take(again, 7)
    const old = taken.filter(({ dup }) => dup)
    const ids = new Map(unacked.map(({ messageId, payload }) => [messageId, String(payload)]))
    expect(old.length).toBeGreaterThan(1)
    for (const { messageId, payload } of old) expect(ids.get(messageId)).toBe(String(payload))
    expect(taken.map(({ payload }) => String(payload))).toEqual(['v2', ...range(4, 10)])
    await again.handled()
    expect(publishes(again)).toEqual([])
  })

  it('goes on after a restart', async () => {
    const test = await startFront()
    await write(test, 0, 10)
    const first = await test.connect({ ...stays, properties: { ...stays.properties, receiveMaximum: 2 } })
    await subscribe(first, '$replay/events/earliest', 1)
    await take(first, 4)
    await received(first, 2)
    await test.close()
    const next = await startFront({ disk: test.disk })
    const again = await next.connect(stays)
    const taken = await take(again, 6)
    expect(taken.map(({ payload, dup }) => `${payload} ${dup}`)).toEqual([
      'v4 true',
      'v5 true',
      ...range(6, 10).map((value) => `${value} false`),
    ])
    await unsubscribe(again, '$replay/events/earliest')
    await next.close()
    const store = await test.disk.openStore(`${MEMORY_PATH}/mqtt`, STATE_STORE_OPTIONS)
    const entries = await store.range({ from: FIRST_KEY, to: END_KEY, bytesMax: 1e6 })
    const kinds = new Set(entries.map(({ key }) => key[0]))
    await store.close()
    expect(kinds.has(KIND.session)).toBe(true)
    expect(kinds.has(KIND.replay)).toBe(false)
    const last = await startFront({ disk: test.disk })
    expect(last.front.status().sessions).toMatchObject({ sessions: 1, subscriptions: 0, replays: 0 })
  })

  it('of QoS 0 goes on after the last that was sent', async () => {
    const test = await startFront()
    await write(test, 0, 5)
    const first = await test.connect(stays)
    await subscribe(first, '$replay/events/earliest')
    await received(first, 5)
    first.stream.destroy()
    await until(() => test.front.clients().length === 0, 'it is gone')
    await write(test, 5, 8)
    const again = await test.connect(stays)
    await received(again, 3)
    expect(values(again)).toEqual(range(5, 8))
  })

  it('ends with the session', async () => {
    const test = await startFront()
    const first = await test.connect(stays)
    await subscribe(first, '$replay/events/earliest')
    first.stream.destroy()
    await test.connect({ clientId: 'stays', clean: true })
    expect(test.front.status().sessions).toMatchObject({ replays: 0, subscriptions: 0 })
  })
})
