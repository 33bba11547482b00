/** Where the log, the disk, subscribers or a quota are slower than a publisher, it is not read: bounded, in order, and told where it is refused. */
import { describe, expect, it, vi } from 'vitest'
import { NO_RATE_LIMITS, Rates } from '../../../../broker/mqtt/door/rates.ts'
import { Reason } from '../../../../broker/mqtt/packets/protocol-error.ts'
import { acknowledged, startFront, storedMessages } from './support.ts'

const range = (count: number, from = 1) => Array.from({ length: count }, (_, i) => i + from)

describe('back-pressure', () => {
  it('leaves what is beyond the limit unread, and takes it in order afterwards', async () => {
    const test = await startFront({ admittedBytesMax: 400 })
    const { connect, disk, log, values } = test
    const clients = await Promise.all(range(3).map((i) => connect({ clientId: `c${i}` })))
    const gate = disk.hold('sync', '/log/')
    for (const id of range(40))
      for (const client of clients) client.publish(1, id, `${id}`, { topic: `a/${clients.indexOf(client)}` })
    await gate.reached
    await new Promise((resolve) => setImmediate(resolve))
    expect(log.stream('events').chain.admittedBytes).toBeLessThan(1000)
    gate.release()
    for (const client of clients) expect(await acknowledged(client, 40)).toEqual(range(40))
    const stored = await storedMessages(test)
    for (const i of range(3, 0)) {
      const own = stored.filter(({ topic }) => topic === `a/${i}`).map(({ payload }) => Number(payload))
      expect(own).toEqual(range(40))
    }
    expect(await values()).toHaveLength(120)
  })

  it('is bounded for what subscribers wait for, too: it takes more memory than in the log', async () => {
    const { connect, disk, ingress } = await startFront()
    const subscriber = await connect({ clientId: 'sub' })
    await subscriber.subscribe('a/#')
    const clients = await Promise.all(range(2).map((i) => connect({ clientId: `c${i}` })))
    const gate = disk.hold('sync', '/log/')
    clients[0]!.publish(1, 1, 'first')
    await gate.reached
    const count = 6_000
    for (const client of clients) for (const id of range(count)) client.publish(0, 0, `${id}`)
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
    // the commit under way, and the open one; a chunk that was begun is not cut
    expect(ingress.status().received).toBeLessThan(6_000)
    gate.release()
    for (const client of clients) await client.handled()
    await clients[0]!.next('puback')
    for (let left = 2 * count + 1; left > 0; left--) await subscriber.next('publish')
    expect(ingress.status().received).toBe(2 * count + 1)
  })

  it('on a full disk waits, then MQTT 5 is told 0x97 for each message, and MQTT 3 ends without a PUBACK', async () => {
    const { connect, log, values, sink } = await startFront({ fullWaitMs: 20 })
    const five = await connect({ clientId: 'five' })
    const four = await connect({ clientId: 'four', version: 4 })
    const { chain } = log.stream('events')
    chain.admission.hold(true)
    for (const id of range(3)) five.publish(1, id, 'v')
    five.publish(2, 4, 'v')
    four.publish(1, 1, 'v')
    for (const id of range(3)) {
      expect(await five.next('puback')).toMatchObject({ messageId: id, reasonCode: Reason.quotaExceeded })
    }
    expect(await five.next('pubrec')).toMatchObject({ messageId: 4, reasonCode: Reason.quotaExceeded })
    await four.closed()
    expect(four.received).toEqual([])
    expect(sink.matching('dropped a connection')[0]!.fields.reason).toMatch(/HW_LOG_FULL/)
    chain.admission.hold(false)
    five.publish(1, 5, 'there is room')
    expect(await five.next('puback')).toMatchObject({ messageId: 5, reasonCode: Reason.success })
    expect(await values()).toEqual(['there is room'])
  })

  it('ends with the connection: what waited is not stored', async () => {
    const { connect, log, values } = await startFront()
    const client = await connect()
    const { chain } = log.stream('events')
    chain.admission.hold(true)
    client.publish(1, 1, 'v')
    await new Promise((resolve) => setImmediate(resolve))
    client.stream.destroy()
    await new Promise((resolve) => setImmediate(resolve))
    chain.admission.hold(false)
    const other = await connect({ clientId: 'c2' })
    other.publish(1, 1, 'w')
    await other.next('puback')
    expect(await values()).toEqual(['w'])
  })
})

describe('quotas', () => {
  it('are charged by what was read, and reading stops for as long as they say', async () => {
    const charged: [messages: number, bytes: number][] = []
    let released = 0
    const quotas = {
      arrives: () => null,
      refuses: () => null,
      left() {},
      quotaOf: () => ({
        charge(messages: number, bytes: number) {
          charged.push([messages, bytes])
          return messages >= 3 ? 50 : 0
        },
        release: () => {
          released++
        },
      }),
    }
    const { connect, values } = await startFront({ quotas })
    const client = await connect({ version: 4 })
    charged.length = 0
    const publish = Buffer.from([0x30, 0x06, 0x00, 0x03, 0x61, 0x2f, 0x62, 0x76])
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    client.sendBytes(Buffer.concat([publish, publish, publish]))
    const handled = client.handled()
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(charged).toHaveLength(1)
    vi.advanceTimersByTime(50)
    vi.useRealTimers()
    await handled
    expect(charged).toEqual([
      [3, 18],
      [1, 0],
    ])
    client.send({ cmd: 'disconnect' })
    await client.closed()
    expect(released).toBe(1)
    expect(await values()).toEqual(['v', 'v', 'v'])
  })

  it('of a user count all its clients, and each filter of a SUBSCRIBE: who comes anew waits like the others', async () => {
    const clock = { now: 1000 }
    const quotas = new Rates({ ...NO_RATE_LIMITS, messagesPerSecondOfUser: 10 }, () => clock.now)
    const { open, connect } = await startFront({ quotas })
    const first = await connect({ clientId: 'first' })
    await first.handled()
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    const subscriptions = Array.from({ length: 29 }, (_, n) => ({ topic: `t/${n}`, qos: 0 as const }))
    first.send({ cmd: 'subscribe', messageId: 1, subscriptions })
    await first.next('suback')
    // twenty of thirty are above what there was: a second
    const second = open()
    await second.connect({ clientId: 'second' })
    let isHandled = false
    const handled = second.handled().then(() => {
      isHandled = true
    })
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(isHandled).toBe(false)
    clock.now += 1000
    vi.advanceTimersByTime(1000)
    vi.useRealTimers()
    await handled
  })
})
