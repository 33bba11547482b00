import type { IPublishPacket } from 'mqtt'
import { expect, it } from 'vitest'
import { HeldDeliveries } from '../../../firmware-bridge/uplink/held-deliveries.ts'
import { filterMatches } from '../../../firmware-bridge/uplink/topic-match.ts'
import type { DownMessage } from '../../../firmware-bridge/uplink/uplink.ts'

function make() {
  const messages: DownMessage[] = []
  const written: string[] = []
  const finish: (() => void)[] = []
  const state = { isConnected: true }
  const held = new HeldDeliveries(
    (message) => {
      messages.push(message)
      return new Promise((resolve) => finish.push(resolve))
    },
    (bytes) => {
      if (state.isConnected) written.push(bytes.toString('hex'))
      return state.isConnected
    },
    () => 1000,
  )
  return { held, messages, written, finish, state }
}

const packet = (more: Partial<IPublishPacket> = {}): IPublishPacket =>
  ({
    cmd: 'publish',
    topic: 't',
    payload: Buffer.from('p'),
    qos: 1,
    dup: false,
    retain: false,
    messageId: 0x0102,
    ...more,
  }) as IPublishPacket

const settled = () => new Promise((resolve) => setImmediate(resolve))

it('a message is acknowledged when the device has it, QoS 1 with PUBACK and QoS 2 with PUBREC', async () => {
  const { held, written, finish } = make()
  held.onPublish(packet())
  held.onPublish(packet({ qos: 2, messageId: 3 }))
  await settled()
  expect(written).toEqual([])
  for (const done of finish) done()
  await settled()
  expect(written).toEqual(['40020102', '50020003'])
  expect(held.size).toBe(0)
})

it('what comes again on the next connection is not given to the device twice', async () => {
  const { held, written, finish, state, messages } = make()
  held.onPublish(packet())
  state.isConnected = false
  finish[0]!()
  await settled()
  state.isConnected = true
  held.onConnected(true)
  held.onPublish(packet({ dup: true }))
  expect(messages).toHaveLength(1)
  expect(written).toEqual(['40020102'])
})

it('an id of a session that has ended means another message', async () => {
  const { held, messages, finish, written } = make()
  held.onPublish(packet())
  held.onConnected(false)
  held.onPublish(packet({ dup: true }))
  expect(messages).toHaveLength(2)
  finish[0]!()
  await settled()
  expect(written).toEqual([])
})

it('expiry is told as a time, and none as none', () => {
  const { held, messages } = make()
  held.onPublish(packet({ properties: { messageExpiryInterval: 5 } }))
  held.onPublish(packet({ messageId: 2 }))
  expect(messages.map(({ expiresAt }) => expiresAt)).toEqual([6000, null])
})

it('a broker that sends without end is told apart', () => {
  const { held } = make()
  let taken = 0
  for (let id = 1; id <= 2000 && held.onPublish(packet({ messageId: id })); id++) taken++
  expect(taken).toBe(1000)
})

it.each([
  ['a/b', 'a/b', true],
  ['a/+', 'a/b', true],
  ['a/+', 'a', false],
  ['a/+', 'a/b/c', false],
  ['a/#', 'a', true],
  ['a/#', 'a/b/c', true],
  ['#', 'a', true],
  ['#', '$SYS/x', false],
  ['+/x', '$SYS/x', false],
  ['$SYS/#', '$SYS/x', true],
  ['a', 'b', false],
])('filter %s and topic %s: %s', (filter, topic, matches) => {
  expect(filterMatches(filter, topic)).toBe(matches)
})
