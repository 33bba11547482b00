/** Ids reserved ahead: a device is told when the broker has its message, before the window's disk says so, and a kill after that costs nothing. */
import type { Packet } from 'mqtt-packet'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { RESERVED_AHEAD, ReservedIds } from '../../../firmware-bridge/uplink/reserved-ids.ts'
import type { DeviceSession } from '../../../firmware-bridge/uplink/uplink.ts'
import { reservedKey } from '../../../firmware-bridge/uplink/window-format.ts'
import { MqttProxy } from './mqtt-proxy.ts'
import {
  connectOf,
  MemoryWindowDb,
  message,
  startBroker,
  startUplink,
  type TestBroker,
  until,
} from './support.ts'

describe('a range', () => {
  it('covers ids once it is on the disk, and a device that counts up needs a new one each half of it', () => {
    const ids = new ReservedIds(null)
    expect(ids.rangeFor(1, [])).toEqual({ first: 65_520, count: 81 })
    expect(ids.covers(1)).toBe(false)
    ids.written(true)
    expect([65_519, 65_520, 65_535, 1, 65, 66].map((id) => ids.covers(id))).toEqual([
      false,
      true,
      true,
      true,
      true,
      false,
    ])
    expect(ids.rangeFor(RESERVED_AHEAD / 2 + 1, [])).toBeNull()
    expect(ids.rangeFor(RESERVED_AHEAD / 2 + 2, [])).not.toBeNull()
  })

  it('that is being written covers what both cover: either is on the disk after a kill', () => {
    const ids = new ReservedIds(null)
    ids.rangeFor(100, [])
    ids.written(true)
    ids.rangeFor(140, [])
    expect([100, 130, 164, 165].map((id) => ids.covers(id))).toEqual([false, true, true, false])
    ids.written(true)
    expect([100, 130, 164, 165].map((id) => ids.covers(id))).toEqual([false, true, true, true])
  })

  it('keeps what devices were told of and the window has not on disk', () => {
    const ids = new ReservedIds(null)
    ids.rangeFor(100, [])
    ids.written(true)
    expect(ids.rangeFor(140, [110])).toBeNull()
    expect(ids.rangeFor(140, [130])).not.toBeNull()
  })

  it('covers nothing when its write failed', () => {
    const ids = new ReservedIds(null)
    ids.rangeFor(100, [])
    ids.written(false)
    expect(ids.covers(100)).toBe(false)
  })

  it('of an earlier process stays as it is until none of it is a suspect', () => {
    const ids = new ReservedIds({ first: 65_535, count: 3 })
    expect(ids.suspects(9)).toEqual([65_535, 1, 2])
    expect(ids.rangeFor(200, [])).toBeNull()
    for (const id of [65_535, 1, 2]) ids.clear(id)
    expect(ids.rangeFor(200, [])).not.toBeNull()
  })
})

let broker: TestBroker
let proxy: MqttProxy
let client = 0

beforeAll(async () => {
  broker = await startBroker()
  proxy = await MqttProxy.start(broker.port)
})
afterEach(() => {
  proxy.watch = () => 'pass'
})
afterAll(async () => {
  await proxy.close()
  await broker.stop()
})

/** A device that has published, with the next ids reserved. */
async function reserved() {
  const clientId = `reserved-${++client}`
  const topic = `reserved/${clientId}`
  const bridgeClientId = `own-${clientId}`
  const db = new MemoryWindowDb()
  const uplink = await startUplink(proxy.port, db, { bridgeClientId })
  const session = await uplink.connect(connectOf(clientId, { isClean: true }))
  const send = async (messageId: number, payload: string, isDup = false) =>
    (await session.publish(message(topic, payload, { messageId, isDup }))).kind
  expect(await send(6, 'first')).toBe('accepted')
  await until(() => isReserved(db, clientId) && uplink.status().inFlight === 0)
  return { clientId, topic, bridgeClientId, db, uplink, session, send }
}

const isReserved = (db: MemoryWindowDb, clientId: string) =>
  db.kept.has(reservedKey(clientId).toString('hex'))

const payloads = async (topic: string) => (await broker.records(topic)).map(({ payload }) => payload)

/** Told of message 7, and killed before anything of it is on the window's disk. */
async function killedAfterTelling() {
  const { clientId, topic, bridgeClientId, db, uplink, send } = await reserved()
  db.isFrozen = true
  expect(await send(7, 'once')).toBe('accepted')
  proxy.watch = () => 'cut'
  proxy.cut()
  void uplink.close()
  proxy.watch = () => 'pass'
  const kept = new MemoryWindowDb(db.kept)
  const after = await startUplink(proxy.port, kept, { bridgeClientId })
  const session = await after.connect(connectOf(clientId))
  return { clientId, topic, after, session, kept }
}

/** As a device does: until it is taken. */
async function sent(
  session: DeviceSession,
  topic: string,
  messageId: number,
  payload: string,
  isDup = false,
) {
  for (;;) {
    const { kind } = await session.publish(message(topic, payload, { messageId, isDup }))
    if (kind !== 'congested') return kind
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

describe('killed after the device was told, before the window is on disk', () => {
  it('the repetition is acknowledged, the log has the message once', async () => {
    const { topic, after, session } = await killedAfterTelling()
    expect(await sent(session, topic, 7, 'once', true)).toBe('accepted')
    expect(await sent(session, topic, 7, 'once', true)).toBe('repeated')
    expect(await sent(session, topic, 8, 'next')).toBe('accepted')
    expect(await payloads(topic)).toEqual(['first', 'once', 'next'])
    await after.close()
  })

  it('the device’s next message under that id is another one, with the same bytes, too', async () => {
    const { topic, after, session } = await killedAfterTelling()
    const seen: string[] = []
    proxy.watch = (packet, isUp) => {
      if (isUp && 'messageId' in packet && packet.messageId === 7) seen.push(packet.cmd)
      return 'pass'
    }
    expect(await sent(session, topic, 7, 'once')).toBe('accepted')
    expect(await payloads(topic)).toEqual(['first', 'once', 'once'])
    // a broker that looks at ids alone takes no message under one that it holds
    expect(seen.slice(0, 2)).toEqual(['pubrel', 'publish'])
    await after.close()
  })

  it('PUBREL of a QoS 2 device lets it go at the broker', async () => {
    const { topic, after, session } = await killedAfterTelling()
    const released: number[] = []
    proxy.watch = (packet, isUp) => {
      if (isUp && packet.cmd === 'pubrel') released.push(packet.messageId!)
      return 'pass'
    }
    await session.release(7)
    expect(released).toEqual([7])
    expect(await sent(session, topic, 7, 'once')).toBe('accepted')
    expect(await payloads(topic)).toEqual(['first', 'once', 'once'])
    await after.close()
  })

  it('PUBCOMP of an id that is let go is no answer to a message that goes under it meanwhile', async () => {
    const { topic, after, session } = await killedAfterTelling()
    let meanwhile: Promise<{ kind: string }> | null = null
    proxy.watch = (packet, isUp) => {
      if (isUp && packet.cmd === 'pubrel') {
        meanwhile ??= session.publish(message(topic, 'other', { messageId: 7, isDup: true }))
      }
      // lost on its way, as by a network that breaks there
      return isUp && packet.cmd === 'publish' ? 'drop' : 'pass'
    }
    await session.release(7)
    expect(await meanwhile).toEqual({ kind: 'congested' })
    proxy.watch = () => 'pass'
    proxy.cut()
    expect(await sent(session, topic, 7, 'other', true)).toBe('accepted')
    expect(await payloads(topic)).toEqual(['first', 'once', 'other'])
    await after.close()
  })

  it('what the device never names again is let go once it cannot be repeating it', async () => {
    const { clientId, topic, after, session, kept } = await killedAfterTelling()
    const released = new Set<number>()
    proxy.watch = (packet, isUp) => {
      if (isUp && packet.cmd === 'pubrel') released.add(packet.messageId!)
      return 'pass'
    }
    const last = kept.kept.get(reservedKey(clientId).toString('hex'))
    for (let id = 1000; released.size < 81 || !released.has(7); id++) {
      expect(await sent(session, topic, id, `m${id}`)).toBe('accepted')
      if (id < 1016) expect(released.has(7)).toBe(false)
    }
    // and then ids are reserved where the device is now
    for (let id = 1100; kept.kept.get(reservedKey(clientId).toString('hex')) === last; id++) {
      expect(await sent(session, topic, id, `m${id}`)).toBe('accepted')
    }
    await after.close()
  })
})

it('a session that ends with nothing on its way leaves nothing reserved; one with a message on its way does', async () => {
  const { clientId, db, uplink, session, topic } = await reserved()
  await session.end('clean')
  expect(isReserved(db, clientId)).toBe(false)
  const again = await uplink.connect(connectOf(clientId))
  expect(await sent(again, topic, 7, 'a')).toBe('accepted')
  await until(() => isReserved(db, clientId) && uplink.status().inFlight === 0)
  proxy.watch = (packet: Packet, isUp) => (isUp || packet.cmd !== 'pubrec' ? 'pass' : 'drop')
  void again.publish(message(topic, 'b', { messageId: 8 }))
  await until(async () => (await payloads(topic)).includes('b'))
  await again.end('lost')
  expect(isReserved(db, clientId)).toBe(true)
  await uplink.close()
})

it('a disk that fails after the device was told keeps PUBREL back until it takes the message', async () => {
  const { topic, db, uplink, send } = await reserved()
  const released: number[] = []
  proxy.watch = (packet, isUp) => {
    if (isUp && packet.cmd === 'pubrel') released.push(packet.messageId!)
    return 'pass'
  }
  db.fault = new Error('no space left')
  expect(await send(7, 'once')).toBe('accepted')
  // of the next connection, too
  await until(() => uplink.status().windowFailedCommits > 1)
  expect(await send(7, 'once', true)).toBe('repeated')
  expect(released).toEqual([])
  db.fault = null
  await until(() => released.includes(7) && uplink.status().inFlight === 0)
  expect(await send(7, 'once', true)).toBe('repeated')
  expect(await payloads(topic)).toEqual(['first', 'once'])
  await uplink.close()
})

it('a device that has one id for all its messages is not congested by its own', async () => {
  const { topic, uplink, send } = await reserved()
  for (let n = 0; n < 20; n++) expect(await send(7, `n${n}`)).toBe('accepted')
  expect((await payloads(topic)).length).toBe(21)
  await uplink.close()
})
