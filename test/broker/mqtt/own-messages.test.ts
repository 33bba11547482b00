import { describe, expect, it } from 'vitest'
import { type ForwardingBroker, OwnMessages } from '../../../broker/mqtt/own-messages.ts'

/** Forwards each message to one client, as aedes does, and never hears of it again. */
function setUp(acknowledgeMsMax: number) {
  const client = { _nextId: 65_535, subscriptions: { '#': { qos: 1 } } }
  const messageIds: unknown[] = []
  const broker: ForwardingBroker = {
    id: 'b',
    clients: { c: client },
    persistence: { subscriptionsByTopic: async () => [], outgoingClearMessageId: async () => undefined },
    authorizeForward: (_client, packet) => packet,
    on: () => undefined,
    publish(packet, done) {
      const forwarded = broker.authorizeForward(client, packet as never) as { messageId?: number }
      messageIds.push(forwarded.messageId)
      done()
    },
  }
  return { broker, client, messageIds, own: new OwnMessages(broker, acknowledgeMsMax) }
}

const MESSAGE = { topic: 't', payload: Buffer.from('v'), isRetained: false }

describe('a subscriber', () => {
  it('that does not acknowledge is not waited for for ever', async () => {
    const { own } = setUp(1)
    const { subscribers, acknowledged } = await own.publish(MESSAGE)
    expect(subscribers).toBe(1)
    expect(await acknowledged).toBe(false)
  })

  it('is not waited for once the broker ends', async () => {
    const { own } = setUp(3_600_000)
    const { acknowledged } = await own.publish(MESSAGE)
    own.close()
    expect(await acknowledged).toBe(false)
    await expect(own.publish(MESSAGE)).rejects.toThrow('the broker ends')
  })

  it('gets packet ids that aedes would have given, and that it does not give again', async () => {
    const { broker, own, client, messageIds } = setUp(3_600_000)
    await own.publish(MESSAGE)
    await own.publish(MESSAGE)
    expect(messageIds).toEqual([65_535, 1])
    expect(client._nextId).toBe(2)
    const others = { topic: 't', brokerId: 'b', brokerCounter: 1 }
    expect(broker.authorizeForward(client, others)).toBe(others)
    own.close()
  })
})
