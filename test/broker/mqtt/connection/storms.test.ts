/** A thousand of the same at one moment: each is done once, and those who have nothing to do with it go on. */
import { expect, it } from 'vitest'
import { until } from '../../log/support.ts'
import { startFront, storedMessages } from './support.ts'

const COUNT = 1000

it('a thousand clients with wills that die at once leave a thousand records, and subscribers have each once', async () => {
  const test = await startFront({ connectionsMax: COUNT + 10 })
  const watcher = await test.connect({ clientId: 'watcher' })
  await watcher.subscribe('a/#', 1)
  watcher.stream.on('data', () => {
    for (const packet of watcher.received.splice(0)) {
      if (packet.cmd !== 'publish') continue
      seen.push(String(packet.payload))
      watcher.send({ cmd: 'puback', messageId: packet.messageId! })
    }
  })
  const seen: string[] = []
  const clients = await Promise.all(
    Array.from({ length: COUNT }, (_, n) => {
      const will = { topic: `a/${n % 7}`, payload: Buffer.from(`${n}`), qos: 1, retain: false }
      const client = test.open()
      return client.connect({ clientId: `c${n}`, will }).then(() => client)
    }),
  )
  expect(test.front.status().sessions.wills).toBe(COUNT)
  for (const { stream } of clients) stream.destroy()
  await until(() => seen.length >= COUNT, 'all wills have come', 60_000)
  expect(new Set(seen).size).toBe(COUNT)
  expect(await storedMessages(test)).toHaveLength(COUNT)
  expect(test.front.status().sessions).toMatchObject({ wills: 0, willsPublished: COUNT, willsFailed: 0 })
}, 90_000)

it('of hundreds of connections that want one session one has it, and the others are ended', async () => {
  const test = await startFront({ connectionsMax: COUNT })
  const clients = Array.from({ length: 300 }, () => test.open())
  for (const client of clients) client.connect({ clientId: 'wanted' }).catch(() => undefined)
  const honest = await test.connect({ clientId: 'honest' })
  honest.publish(1, 1, 'v')
  await honest.next('puback')
  await until(
    () => clients.filter(({ isClosed }) => !isClosed).length <= 2,
    'all but one, and who waits for it',
    60_000,
  )
  expect(test.front.clients().filter(({ clientId }) => clientId === 'wanted')).toHaveLength(1)
}, 90_000)
