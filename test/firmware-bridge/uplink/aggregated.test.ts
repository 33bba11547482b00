/** Devices that share the bridge's one session: what they do at the same moment. */
import mqtt, { type MqttClient } from 'mqtt'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { MqttUplink } from '../../../firmware-bridge/uplink/mqtt-uplink.ts'
import { MqttProxy } from './mqtt-proxy.ts'
import {
  connectOf,
  MemoryWindowDb,
  message,
  startBroker,
  startUplink,
  type TestBroker,
  TestDevice,
  until,
} from './support.ts'

/** What the proxy says that the broker allows. */
const RECEIVE_MAX = 4

let broker: TestBroker
let proxy: MqttProxy
let uplink: MqttUplink
let sender: MqttClient

const pass: MqttProxy['watch'] = (packet) => {
  if (packet.cmd === 'connack') packet.properties = { ...packet.properties, receiveMaximum: RECEIVE_MAX }
  return 'pass'
}

beforeAll(async () => {
  broker = await startBroker()
  proxy = await MqttProxy.start(broker.port)
  proxy.watch = pass
  uplink = await startUplink(proxy.port, new MemoryWindowDb(), {
    sessions: 'aggregated',
    bridgeClientId: 'own-aggregated',
  })
  sender = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`)
})
beforeEach(() => {
  proxy.watch = pass
})
afterAll(async () => {
  sender.end(true)
  await uplink.close()
  await proxy.close()
  await broker.stop()
})

it('a device that began anew gets its new window, though something of the one before is on its way', async () => {
  const first = await uplink.connect(connectOf('anew', { isClean: true }))
  let isLost = false
  proxy.watch = (packet, isUp) => {
    if (packet.cmd !== 'pubrec' || isUp) return pass(packet, isUp)
    isLost = true
    return 'drop'
  }
  void first.publish(message('t/anew', 'old', { messageId: 7 }))
  await until(() => isLost)
  await uplink.connect(connectOf('anew', { isClean: true }))
  const third = await uplink.connect(connectOf('anew'))
  // the connection is lost only now: what is on its way was there all the while
  const told = third.publish(message('t/anew', 'new', { messageId: 8 }))
  proxy.watch = pass
  proxy.cut()
  await until(() => uplink.isUp)
  await told
  const again = () => third.publish(message('t/anew', 'new', { messageId: 8, isDup: true }))
  await until(() => uplink.isUp && uplink.status().inFlight === 0)
  expect((await again()).kind).not.toBe('congested')
  expect((await again()).kind).toBe('repeated')
  expect((await broker.records('t/anew')).map(({ payload }) => payload)).toEqual(['old', 'new'])
  await third.end('clean')
})
it('messages that devices give up while the broker takes no more keep nobody out', async () => {
  const busy = await Promise.all(
    ['a', 'b'].map((name) => uplink.connect(connectOf(`busy-${name}`, { isClean: true }))),
  )
  for (let round = 0; round < 4; round++) {
    const all = busy.flatMap((session) =>
      Array.from({ length: 16 }, (_, index) =>
        session.publish(message('t/busy', 'm', { messageId: round * 16 + index + 1 })),
      ),
    )
    expect((await Promise.all(all)).some(({ kind }) => kind === 'congested')).toBe(true)
  }
  await until(() => uplink.status().inFlight === 0)
  const quiet = await uplink.connect(connectOf('quiet', { isClean: true }))
  expect((await quiet.publish(message('t/quiet', 'm'))).kind).toBe('accepted')
  for (const session of [...busy, quiet]) await session.end('clean')
})
it('a shared subscription is refused: which of the devices it would be for is not known', async () => {
  const session = await uplink.connect(connectOf('sharing', { isClean: true }))
  expect(await session.subscribe('$share/group/jobs', 1)).toBeNull()
  await session.end('clean')
})

it.each(['unsubscribe', 'end'] as const)(
  '%s of one device takes nothing from another that subscribes meanwhile',
  async (how) => {
    const filter = `down/${how}`
    const listener = new TestDevice()
    const one = await uplink.connect(connectOf(`one-${how}`, { isClean: true }))
    const other = await uplink.connect(connectOf(`other-${how}`, { isClean: true, listener }))
    await one.subscribe(filter, 1)
    const [granted] = await Promise.all([
      other.subscribe(filter, 1),
      how === 'end' ? one.end('clean') : one.unsubscribe(filter),
    ])
    expect(granted).toBe(1)
    await sender.publishAsync(filter, 'for the other', { qos: 1 })
    await until(() => listener.messages.length === 1)
    await other.end('clean')
  },
)
