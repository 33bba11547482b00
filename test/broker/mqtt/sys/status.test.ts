import { expect, it } from 'vitest'
import { sysStatus } from '../../../../broker/mqtt/sys/status.ts'
import { startFront } from '../connection/support.ts'

it("retained messages count the broker's own for $SYS, as mosquitto does, and not for the limit of clients", async () => {
  const { connect, front, ingress } = await startFront({ sessionLimits: { retainedMessagesMax: 1 } })
  for (const topic of ['$SYS/a', '$SYS/b', '$SYS/a']) front.publishSys(topic, Buffer.from('1'))
  const { retainedBytes } = front.status().sessions
  expect(retainedBytes).toBe(0)
  const client = await connect()
  for (const [id, topic] of ['a/1', 'a/2'].entries()) {
    client.publish(1, id + 1, 'x', { topic, retain: true })
    await client.next('puback')
  }
  const status = front.status()
  expect(status.sessions).toMatchObject({ retained: 1, retainedOwn: 2, dropped: { retainedFull: 1 } })
  expect(sysStatus('1', 0, status, ingress.status())).toMatchObject({
    retainedMessages: 3,
    storedMessages: 3,
    storedBytes: status.sessions.retainedBytes,
  })
})
