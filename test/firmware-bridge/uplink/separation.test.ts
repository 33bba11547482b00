/** What one device does, or is refused, is not felt by the others. */
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
  until,
} from './support.ts'

/** One level more than the broker allows: it ends the connection of who publishes there. */
const TOO_DEEP = `deep${'/a'.repeat(101)}`

let broker: TestBroker
let proxy: MqttProxy
let uplink: MqttUplink
let connects: string[] = []

beforeAll(async () => {
  broker = await startBroker()
  proxy = await MqttProxy.start(broker.port)
  proxy.watch = (packet) => {
    if (packet.cmd === 'connect') connects.push(packet.clientId)
    return 'pass'
  }
  uplink = await startUplink(proxy.port, new MemoryWindowDb(), { bridgeClientId: 'own-separation' })
})
beforeEach(() => {
  connects = []
})
afterAll(async () => {
  await uplink.close()
  await proxy.close()
  await broker.stop()
})

it('a message upon which the broker ends the connection again and again keeps no other device out', async () => {
  const session = await uplink.connect(connectOf('poisoned', { isClean: true }))
  void session.publish(message(TOO_DEEP, 'm'))
  await until(() => connects.filter((clientId) => clientId === 'poisoned').length >= 3)
  expect(uplink.status().brokerLosses).toBe(0)
  const other = await uplink.connect(connectOf('healthy', { isClean: true }))
  expect((await other.publish(message('t/healthy', 'm'))).kind).toBe('accepted')
  await other.end('clean')
  await session.end('clean')
})

it('a device that leaves while its session connects anew does not make the broker away for the others', async () => {
  const session = await uplink.connect(connectOf('leaving', { isClean: true }))
  const { watch } = proxy
  let isConnecting = false
  proxy.watch = (packet, isUp) => {
    if (packet.cmd !== 'connack') return watch(packet, isUp)
    isConnecting = true
    return 'drop'
  }
  proxy.cut()
  await until(() => isConnecting && connects.includes('leaving'))
  const { brokerLosses } = uplink.status()
  await session.end('lost')
  expect(uplink.status().brokerLosses).toBe(brokerLosses)
  proxy.watch = watch
  proxy.cut()
  await until(() => uplink.isUp)
})

it('a will that is the same already costs no connection', async () => {
  const will = { topic: 'will/same', payload: Buffer.from('gone'), qos: 1, isRetained: false } as const
  const session = await uplink.connect(connectOf('same-will', { isClean: true, will }))
  await session.setWill({ ...will, payload: Buffer.from('gone') })
  expect(connects).toEqual(['same-will'])
  await session.setWill({ ...will, payload: Buffer.from('gone for good') })
  expect(connects).toEqual(['same-will', 'same-will'])
  await session.end('clean')
})

it('a will that the broker never takes is refused, not put off', async () => {
  const will = { topic: TOO_DEEP, payload: Buffer.from('gone'), qos: 1, isRetained: false } as const
  await expect(uplink.connect(connectOf('deep-will', { isClean: true, will }))).rejects.toMatchObject({
    code: 'HW_BRIDGE_BROKER_REFUSED',
    retryable: false,
  })
})
