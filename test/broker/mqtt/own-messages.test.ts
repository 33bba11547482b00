import { describe, expect, it } from 'vitest'
import type { Message } from '../../../broker/mqtt/hub/message.ts'
import { OwnMessages } from '../../../broker/mqtt/own-messages.ts'

/** Delivers to one subscriber, which is never done with a message unless a test says so. */
function setUp(acknowledgeMsMax: number) {
  const delivered: Message[] = []
  const deliver = (message: Message) => {
    delivered.push(message)
    message.receipt!.expect()
  }
  return { delivered, own: new OwnMessages({ deliver, now: () => 5, acknowledgeMsMax }) }
}

const MESSAGE = { topic: 't', payload: Buffer.from('v'), isRetained: false, properties: null, place: null }
const HOUR_MS = 3_600_000

describe('a subscriber', () => {
  it('that does not acknowledge is not waited for for ever', async () => {
    const { own } = setUp(1)
    const { subscribers, acknowledged } = await own.publish(MESSAGE)
    expect(subscribers).toBe(1)
    expect(await acknowledged).toBe(false)
  })

  it('is not waited for once the broker ends', async () => {
    const { own } = setUp(HOUR_MS)
    const { acknowledged } = await own.publish(MESSAGE)
    own.close()
    expect(await acknowledged).toBe(false)
    await expect(own.publish(MESSAGE)).rejects.toThrow('the broker ends')
  })

  it('is waited for until it is done', async () => {
    const { own, delivered } = setUp(HOUR_MS)
    const { acknowledged } = await own.publish(MESSAGE)
    expect(delivered).toMatchObject([{ topic: 't', qos: 1, clientId: null, timestamp: 5 }])
    let isSettled = false
    acknowledged.then(() => {
      isSettled = true
    })
    await Promise.resolve()
    expect(isSettled).toBe(false)
    delivered[0]!.receipt!.came()
    expect(await acknowledged).toBe(true)
  })
})

it('a message that could not be delivered is an error, and the next one goes out', async () => {
  let isBroken = true
  const deliver = async () => {
    if (isBroken) throw new Error('the disk is away')
  }
  const own = new OwnMessages({ deliver, now: () => 5 })
  await expect(own.publish(MESSAGE)).rejects.toThrow('the disk is away')
  isBroken = false
  expect((await own.publish(MESSAGE)).subscribers).toBe(0)
})
