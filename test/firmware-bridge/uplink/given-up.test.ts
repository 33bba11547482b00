/** A message upon which the broker ends the connection each time is given up; one that a broker dies with, or near, is not. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { BrokerUnreachableError } from '../../../firmware-bridge/errors.ts'
import type { Attempt } from '../../../firmware-bridge/uplink/attempt.ts'
import type { SessionsMode } from '../../../firmware-bridge/uplink/config.ts'
import { MqttUplink } from '../../../firmware-bridge/uplink/mqtt-uplink.ts'
import { Suspicion } from '../../../firmware-bridge/uplink/suspicion.ts'
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

const LOST: Attempt = {
  outcome: 'reached',
  error: new BrokerUnreachableError('b', 'it closed the connection'),
}
const UNREACHABLE: Attempt = { ...LOST, outcome: 'unreachable' }
const CONNACK = { cmd: 'connack', reasonCode: 0 }

/** A session whose first message is the same until it is given up. */
class Suspects {
  first = { packetId: 7, topic: 't', bytes: 1 }
  givenUp = 0
  witnesses = 0
  /** null: none can be had. */
  isAlive: boolean | null = true
  readonly suspicion = new Suspicion({
    firstUnanswered: () => this.first,
    openWitness: async () => {
      if (this.isAlive === null) return null
      this.witnesses++
      return { isAlive: async () => this.isAlive ?? false, close: () => this.witnesses-- }
    },
    giveUp: () => this.givenUp++,
  })

  attempt(made: Attempt, ...packets: { cmd: string; messageId?: number; reasonCode?: number }[]) {
    return this.suspicion.watch(async () => {
      for (const packet of packets) this.suspicion.onPacket(packet)
      return made
    })
  }
}

describe('a message is given up', () => {
  it('after three connections in a row that ended upon it, while a witness was answered', async () => {
    const session = new Suspects()
    for (const expected of [0, 0, 1]) {
      await session.attempt(LOST, CONNACK)
      expect(session.givenUp).toBe(expected)
    }
    expect(session.witnesses).toBe(0)
  })

  it('also where the broker says that the message is the fault', async () => {
    const session = new Suspects()
    for (let n = 0; n < 3; n++) await session.attempt(LOST, CONNACK, { cmd: 'disconnect', reasonCode: 0x95 })
    expect(session.givenUp).toBe(1)
  })
})

describe('a message is not given up', () => {
  it.each([
    { name: 'the broker was not there', made: UNREACHABLE, packets: [] },
    { name: 'it refused the session', made: LOST, packets: [{ cmd: 'connack', reasonCode: 0x88 }] },
    { name: 'it answered the message', made: LOST, packets: [CONNACK, { cmd: 'pubrec', messageId: 7 }] },
    { name: 'it was shutting down', made: LOST, packets: [CONNACK, { cmd: 'disconnect', reasonCode: 0x8b }] },
  ])('where in between $name', async ({ made, packets }) => {
    const session = new Suspects()
    for (let round = 0; round < 3; round++) {
      await session.attempt(LOST, CONNACK)
      await session.attempt(LOST, CONNACK)
      await session.attempt(made, ...packets)
    }
    expect(session.givenUp).toBe(0)
  })

  it('where the broker died, or no witness can be had', async () => {
    for (const isAlive of [false, null]) {
      const session = new Suspects()
      session.isAlive = isAlive
      for (let n = 0; n < 9; n++) await session.attempt(LOST, CONNACK)
      session.isAlive = true
      // what was before says nothing about the message
      await session.attempt(LOST, CONNACK)
      expect(session.givenUp).toBe(0)
    }
  })

  it('where another one is the first meanwhile', async () => {
    const session = new Suspects()
    for (let n = 0; n < 9; n++) {
      session.first = { packetId: n, topic: 't', bytes: 1 }
      await session.attempt(LOST, CONNACK)
    }
    expect(session.givenUp).toBe(0)
  })
})

let broker: TestBroker
let proxy: MqttProxy

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

describe.each(['device', 'aggregated'] as SessionsMode[])('sessions: %s', (sessions) => {
  const lines: string[] = []
  let uplink: MqttUplink
  let session: DeviceSession

  async function start(clientId: string) {
    lines.length = 0
    const log = { info: () => {}, warn: (line: string) => lines.push(line), error: () => {} }
    const config = uplinkConfig(proxy.port, { sessions, bridgeClientId: `own-${clientId}` })
    // soon again
    const random = () => -0.49
    uplink = await MqttUplink.start({ config, db: new MemoryWindowDb(), log, will: null, random })
    await until(() => uplink.isUp)
    session = await uplink.connect(connectOf(clientId, { isClean: true }))
  }

  /** As a device does. */
  async function sent(topic: string, messageId: number, isFirstDup = false) {
    for (let isDup = isFirstDup; ; isDup = true) {
      const result = await session.publish(message(topic, `m${messageId}`, { messageId, isDup }))
      if (result.kind !== 'congested') return result
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  it('it is refused, counted and told in one line; what came with it and after it gets there', async () => {
    const good = `good/${sessions}`
    await start(`poisoned-${sessions}`)
    proxy.watch = (packet) => (packet.cmd === 'publish' && packet.topic === 'poison' ? 'cut' : 'pass')
    const results = await Promise.all([sent(good, 1), sent('poison', 2), sent(good, 3)])
    // what was in flight was sent again by itself: a repetition may find it done
    expect(results.map(({ kind }) => kind.replace('repeated', 'accepted'))).toEqual([
      'accepted',
      'refused',
      'accepted',
    ])
    expect(results[1]).toMatchObject({ reason: 'the broker ends the connection each time it comes' })
    expect(await sent('poison', 2, true)).toMatchObject({ kind: 'refused' })
    expect(await sent(good, 2)).toEqual({ kind: 'accepted' })
    expect(uplink.status().counters.givenUp).toBe(1)
    expect(lines.filter((line) => line.includes('given up'))).toHaveLength(1)
    await until(() => uplink.status().inFlight === 0)
    const records = (await broker.records(good)).map(({ payload }) => payload)
    expect(records.toSorted()).toEqual(['m1', 'm2', 'm3'])
    await uplink.close()
  })

  it('a broker that dies each time it has a message does not make the bridge give it up', async () => {
    const topic = `good-too/${sessions}`
    await start(`dying-${sessions}`)
    let deaths = 0
    proxy.watch = (packet, isUp) => {
      if (!isUp || packet.cmd !== 'publish' || packet.topic !== topic || deaths >= 8) return 'pass'
      deaths++
      proxy.cut()
      return 'cut'
    }
    expect(await sent(topic, 1)).toMatchObject({ kind: expect.stringMatching('accepted|repeated') })
    expect(deaths).toBe(8)
    expect(uplink.status().counters.givenUp).toBe(0)
    expect((await broker.records(topic)).map(({ payload }) => payload)).toEqual(['m1'])
    await uplink.close()
  })
})
