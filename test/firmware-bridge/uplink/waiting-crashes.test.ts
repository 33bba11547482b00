/** PUBRELs that wait for the session's next PUBLISH: whatever ends meanwhile, and whoever needs the id, each message is in the log once. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { silentSink } from '../../../broker/log-sink.ts'
import { MqttUplink } from '../../../firmware-bridge/uplink/mqtt-uplink.ts'
import type { DeviceSession } from '../../../firmware-bridge/uplink/uplink.ts'
import { MqttProxy } from './mqtt-proxy.ts'
import {
  connectOf,
  MemoryWindowDb,
  message,
  startBroker,
  type TestBroker,
  until,
  uplinkConfig,
} from './support.ts'

let broker: TestBroker
let proxy: MqttProxy
let client = 0
let clientId: string
let topic: string
let db: MemoryWindowDb
let uplink: MqttUplink
let session: DeviceSession
/** Packet ids of PUBRELs that left. */
let released: number[]

beforeAll(async () => {
  broker = await startBroker()
  proxy = await MqttProxy.start(broker.port)
})

afterAll(async () => {
  await proxy.close()
  await broker.stop()
})

beforeEach(async () => {
  clientId = `waiting-${++client}`
  topic = `waiting/${clientId}`
  db = new MemoryWindowDb()
  released = []
  watch()
  uplink = await started()
  session = await uplink.connect(connectOf(clientId, { isClean: true }))
})

afterEach(() => uplink.close())

function watch(): void {
  proxy.watch = (packet, isUp) => {
    if (packet.cmd === 'pubrel' && isUp) released.push(packet.messageId!)
    return 'pass'
  }
}

/** Time stands still: no PUBREL leaves by itself. */
async function started(windowMessages = 16): Promise<MqttUplink> {
  const config = uplinkConfig(proxy.port, {
    bridgeClientId: `own-${clientId}`,
    window: { messages: windowMessages, clientsMax: 10 },
  })
  const begun = await MqttUplink.start({ config, db, log: silentSink, will: null, now: () => 0 })
  await until(() => begun.isUp)
  return begun
}

/** Three messages, the PUBREL of the last one waits. */
async function published(): Promise<void> {
  for (const messageId of [1, 2, 3]) {
    const { kind } = await session.publish(message(topic, `of ${messageId}`, { messageId }))
    expect(kind).toBe('accepted')
    // the window has it
    await until(() => db.kept.has(entryKeyOf(messageId - 1)))
  }
  await until(() => released.includes(2))
  expect(released).not.toContain(3)
}

/** Slots are taken in turn. */
function entryKeyOf(slot: number): string {
  return Buffer.concat([Buffer.of(1), Buffer.from(clientId), Buffer.of(0, slot)]).toString('hex')
}

async function repeated(on: DeviceSession): Promise<string> {
  for (;;) {
    const { kind } = await on.publish(message(topic, 'of 3', { messageId: 3, isDup: true }))
    if (kind !== 'congested') return kind
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const inLog = async () => (await broker.records(topic)).map(({ payload }) => payload)

describe('while PUBREL waits', () => {
  it('the bridge is killed: the repetition is known, and the id is free for the next message', async () => {
    await published()
    db.isFrozen = true
    proxy.watch = () => 'cut'
    proxy.cut()
    void uplink.close()
    watch()
    db = new MemoryWindowDb(db.kept)
    uplink = await started()
    session = await uplink.connect(connectOf(clientId))
    expect(await repeated(session)).toBe('repeated')
    expect((await session.publish(message(topic, 'next', { messageId: 3 }))).kind).toBe('accepted')
    expect(await inLog()).toEqual(['of 1', 'of 2', 'of 3', 'next'])
  })

  it('the broker is killed: the repetition is known, and PUBREL leaves with the next connection', async () => {
    await published()
    await broker.process.end('SIGKILL')
    proxy.cut()
    await broker.process.start()
    expect(await repeated(session)).toBe('repeated')
    await until(() => released.includes(3) && uplink.status().inFlight === 0)
    expect(await inLog()).toEqual(['of 1', 'of 2', 'of 3'])
  })

  it('the device uses the id again: PUBREL leaves before the message', async () => {
    await published()
    expect((await session.publish(message(topic, 'next', { messageId: 3 }))).kind).toBe('accepted')
    expect(released).toContain(3)
    expect(await inLog()).toEqual(['of 1', 'of 2', 'of 3', 'next'])
  })

  it('the device releases its message of QoS 2: PUBREL leaves, and it has its answer', async () => {
    await published()
    await session.release(3)
    expect(released).toContain(3)
  })

  it('the bridge stops: PUBREL leaves, and the broker holds nothing', async () => {
    await published()
    await uplink.close()
    expect(released).toContain(3)
  })

  it('the device leaves: PUBREL leaves before DISCONNECT', async () => {
    await published()
    await session.end('clean')
    await until(() => released.includes(3))
  })
})

describe('with a window of few messages', () => {
  it.each([1, 2, 3])('of %i all get in: PUBREL does not wait where slots run out', async (slots) => {
    await uplink.close()
    uplink = await started(slots)
    session = await uplink.connect(connectOf(clientId, { isClean: true }))
    for (let messageId = 1; messageId <= 8; messageId++) {
      await until(async () => {
        const { kind } = await session.publish(message(topic, `of ${messageId}`, { messageId }))
        return kind === 'accepted'
      })
    }
    expect(await inLog()).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((id) => `of ${id}`))
  })
})
