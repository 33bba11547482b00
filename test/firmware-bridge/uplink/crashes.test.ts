/** The table of uplink/DESIGN.md: bridge or broker killed between every two steps, then the device repeats. */
import type { Packet } from 'mqtt-packet'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SessionsMode } from '../../../firmware-bridge/uplink/config.ts'
import type { DeviceSession } from '../../../firmware-bridge/uplink/uplink.ts'
import { MqttProxy, type Verdict } from './mqtt-proxy.ts'
import {
  connectOf,
  MemoryWindowDb,
  message,
  startBroker,
  startUplink,
  type TestBroker,
  until,
} from './support.ts'

interface Row {
  readonly name: string
  /** The packet that does not arrive any more. */
  readonly lost: { readonly cmd: Packet['cmd']; readonly isUp: boolean } | null
  /** The window does not reach the disk any more. */
  readonly isFrozen?: boolean
  /** The device heard that it is accepted. */
  readonly isTold: boolean
}

const ROWS: readonly Row[] = [
  { name: 'before PUBLISH leaves', lost: { cmd: 'publish', isUp: true }, isTold: false },
  { name: 'after PUBLISH, before PUBREC', lost: { cmd: 'pubrec', isUp: false }, isTold: false },
  { name: 'after PUBREC, before the window is on disk', lost: null, isFrozen: true, isTold: false },
  { name: 'after the window, before PUBREL', lost: { cmd: 'pubrel', isUp: true }, isTold: true },
  { name: 'after PUBREL, before PUBCOMP', lost: { cmd: 'pubcomp', isUp: false }, isTold: true },
  { name: 'after PUBCOMP', lost: null, isTold: true },
]

let broker: TestBroker
let proxy: MqttProxy
let client = 0

beforeAll(async () => {
  broker = await startBroker()
  proxy = await MqttProxy.start(broker.port)
})

afterAll(async () => {
  await proxy.close()
  await broker.stop()
})

/** Repeats as a device does, until it is acknowledged. */
async function repeated(session: DeviceSession, topic: string, payload = 'once'): Promise<string> {
  for (;;) {
    const { kind } = await session.publish(message(topic, payload, { messageId: 7, isDup: true }))
    if (kind === 'accepted' || kind === 'repeated') return kind
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function loses(row: Row, happened: () => void): (packet: Packet, isUp: boolean) => Verdict {
  return (packet, isUp) => {
    if (row.lost === null || packet.cmd !== row.lost.cmd || isUp !== row.lost.isUp) return 'pass'
    happened()
    return 'drop'
  }
}

describe.each(['device', 'aggregated'] as SessionsMode[])('sessions: %s', (sessions) => {
  describe.each(ROWS)('killed $name', (row) => {
    it('the bridge: the repetition is acknowledged, the log has the message once', async () => {
      const clientId = `bridge-${++client}`
      const topic = `crash/${clientId}`
      const db = new MemoryWindowDb()
      const bridgeClientId = `own-${clientId}`
      const before = await startUplink(proxy.port, db, { sessions, bridgeClientId })
      const session = await before.connect(connectOf(clientId, { isClean: true }))
      let isLost = false
      proxy.watch = loses(row, () => {
        isLost = true
      })
      // in aggregated mode the mapping is on disk before PUBLISH leaves
      if (row.isFrozen) db.writesMax = db.writes + (sessions === 'aggregated' ? 1 : 0)
      const told = session.publish(message(topic, 'once', { messageId: 7 }))
      if (row.isFrozen) await until(async () => (await broker.records(topic)).length === 1)
      if (row.lost !== null) await until(() => isLost)
      if (row.isTold) expect((await told).kind).toBe('accepted')
      if (row.isTold && row.lost === null) await until(() => before.status().inFlight === 0)
      // killed: no write after this, no packet after this
      db.isFrozen = true
      proxy.watch = () => 'cut'
      proxy.cut()
      void before.close()

      proxy.watch = () => 'pass'
      const after = await startUplink(proxy.port, new MemoryWindowDb(db.kept), { sessions, bridgeClientId })
      const again = await after.connect(connectOf(clientId))
      const answer = await repeated(again, topic)
      expect(answer).toBe(row.isTold ? 'repeated' : 'accepted')
      expect((await broker.records(topic)).map(({ payload }) => payload)).toEqual(['once'])
      // and the id is free for what comes next
      expect((await again.publish(message(topic, 'next', { messageId: 7 }))).kind).toBe('accepted')
      expect((await broker.records(topic)).map(({ payload }) => payload)).toEqual(['once', 'next'])
      await after.close()
    })

    it('the broker: the repetition is acknowledged, the log has the message once', async () => {
      const clientId = `broker-${++client}`
      const topic = `crash/${clientId}`
      const db = new MemoryWindowDb()
      const uplink = await startUplink(proxy.port, db, { sessions, bridgeClientId: `own-${clientId}` })
      const session = await uplink.connect(connectOf(clientId, { isClean: true }))
      let isLost = false
      proxy.watch = loses(row, () => {
        isLost = true
      })
      const told = session.publish(message(topic, 'once', { messageId: 7 }))
      if (row.lost !== null) await until(() => isLost)
      if (row.isTold) expect((await told).kind).toBe('accepted')
      await broker.process.end('SIGKILL')
      proxy.cut()
      // before it is back: the uplink connects as soon as it can
      proxy.watch = () => 'pass'
      await broker.process.start()
      const answer = await repeated(session, topic)
      // what was in flight was sent again by itself: the repetition may find it done
      expect(['accepted', 'repeated']).toContain(answer)
      if (row.isTold) expect(answer).toBe('repeated')
      expect((await broker.records(topic)).map(({ payload }) => payload)).toEqual(['once'])
      await uplink.close()
    })
  })
})
