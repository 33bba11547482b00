/** What clients publish: acknowledged by its commit, in order, within the limits. */
import type { IPublishPacket } from 'mqtt-packet'
import { describe, expect, it } from 'vitest'
import { OPEN_ACCESS } from '../../../../broker/mqtt/connection/access.ts'
import { Reason } from '../../../../broker/mqtt/packets/protocol-error.ts'
import { acknowledged, startFront, storedMessages } from './support.ts'

const range = (count: number, from = 1) => Array.from({ length: count }, (_, i) => i + from)

describe('PUBACK', () => {
  it('comes once the commit is on disk, one for each message, in their order [MQTT-4.6.0-2]', async () => {
    const { connect, disk, values } = await startFront()
    const client = await connect()
    const gate = disk.hold('sync', '/log/')
    client.publish(1, 1, 'v1')
    await gate.reached
    for (const id of range(50, 2)) client.publish(1, id, `v${id}`)
    await client.handled()
    expect(client.received).toEqual([])
    gate.release()
    expect(await acknowledged(client, 51)).toEqual(range(51))
    expect(await values()).toEqual(range(51).map((id) => `v${id}`))
  })

  it('that needs no commit waits for those before it', async () => {
    const { connect, disk } = await startFront()
    const client = await connect()
    const gate = disk.hold('sync', '/log/')
    client.publish(1, 1, 'recorded')
    await gate.reached
    client.publish(1, 2, 'no stream takes it', { topic: 'other' })
    await client.handled()
    expect(client.received).toEqual([])
    gate.release()
    expect(await client.next('puback')).toMatchObject({ messageId: 1, reasonCode: Reason.success })
    expect(await client.next('puback')).toMatchObject({
      messageId: 2,
      reasonCode: Reason.noMatchingSubscribers,
    })
  })

  it('does not come where the commit fails: the connection ends, and MQTT 5 is told to come again', async () => {
    const { connect, disk, ingress } = await startFront()
    const five = await connect({ clientId: 'five' })
    const four = await connect({ clientId: 'four', version: 4 })
    disk.fail({ on: 'sync', path: '/log/' })
    five.publish(1, 1, 'v')
    four.publish(1, 1, 'v')
    expect(await five.disconnected()).toBe(Reason.serverBusy)
    await four.closed()
    expect(four.received).toEqual([])
    expect(ingress.status().failed).toBe(2)
  })
})

describe('the receive maximum', () => {
  it('is enforced: one message more ends the connection with 0x93 [MQTT-3.3.4-9]', async () => {
    const { connect, disk } = await startFront({ limits: { receiveMaximum: 3 } })
    const client = await connect()
    disk.hold('sync', '/log/')
    for (const id of range(4)) client.publish(1, id, 'v')
    expect(await client.disconnected()).toBe(Reason.receiveMaximumExceeded)
    disk.heal()
  })

  it('counts QoS 1 until PUBACK and QoS 2 until PUBCOMP, a repetition not, and QoS 0 not', async () => {
    const { connect } = await startFront({ limits: { receiveMaximum: 2 } })
    const client = await connect()
    for (const id of range(5)) {
      client.publish(1, id, 'v')
      await client.next('puback')
    }
    client.publish(2, 1, 'v')
    client.publish(2, 2, 'w')
    client.publish(2, 2, 'w', { dup: true })
    for (const _ of range(9)) client.publish(0, 0, 'v')
    for (const id of [1, 2, 2]) expect((await client.next('pubrec')).messageId).toBe(id)
    client.send({ cmd: 'pubrel', messageId: 1 })
    await client.next('pubcomp')
    client.publish(2, 3, 'x')
    await client.next('pubrec')
    client.publish(2, 4, 'y')
    expect(await client.disconnected()).toBe(Reason.receiveMaximumExceeded)
  })

  it('does not hold for MQTT 3, which does not know it', async () => {
    const { connect } = await startFront({ limits: { receiveMaximum: 2 } })
    const client = await connect({ version: 4 })
    for (const id of range(20)) client.publish(1, id, 'v')
    expect(await acknowledged(client, 20)).toEqual(range(20))
  })
})

describe('a topic alias', () => {
  it('stands for the topic it came with, until it comes with another one [MQTT-3.3.2-8]', async () => {
    const test = await startFront()
    const client = await test.connect()
    const alias = (topicAlias: number) => ({ properties: { topicAlias } })
    client.publish(1, 1, 'v1', { topic: 'a/one', ...alias(1) })
    client.publish(1, 2, 'v2', { topic: '', ...alias(1) })
    client.publish(1, 3, 'v3', { topic: 'a/two', ...alias(1) })
    client.publish(1, 4, 'v4', { topic: '', ...alias(1) })
    await acknowledged(client, 4)
    expect((await storedMessages(test)).map(({ topic }) => topic)).toEqual([
      'a/one',
      'a/one',
      'a/two',
      'a/two',
    ])
  })

  it('above the maximum, or that stands for nothing, ends the connection [MQTT-3.3.2-9]', async () => {
    const { connect } = await startFront({ limits: { topicAliasMaximum: 5 } })
    const above = await connect({ clientId: 'above' })
    above.publish(1, 1, 'v', { properties: { topicAlias: 6 } })
    expect(await above.disconnected()).toBe(Reason.invalidTopicAlias)
    const unknown = await connect({ clientId: 'unknown' })
    unknown.publish(1, 1, 'v', { topic: '', properties: { topicAlias: 5 } })
    expect(await unknown.disconnected()).toBe(Reason.protocolError)
  })

  it('ends with its connection [MQTT-3.3.2-7]', async () => {
    const { connect } = await startFront()
    const client = await connect()
    client.publish(1, 1, 'v', { properties: { topicAlias: 1 } })
    await client.next('puback')
    const again = await connect()
    again.publish(1, 1, 'v', { topic: '', properties: { topicAlias: 1 } })
    expect(await again.disconnected()).toBe(Reason.protocolError)
  })
})

describe('a message', () => {
  it('has its MQTT 5 properties and its retain flag in its record, and they come out again', async () => {
    const test = await startFront()
    const client = await test.connect()
    const properties = {
      payloadFormatIndicator: true,
      messageExpiryInterval: 60,
      contentType: 'text/plain',
      responseTopic: 'a/answer',
      correlationData: Buffer.from([1, 2, 3]),
      userProperties: { traceparent: '00-1', topic: 'not the topic' },
    }
    client.publish(1, 1, 'v', { retain: true, properties })
    client.publish(1, 2, 'w')
    await acknowledged(client, 2)
    const [first, second] = await storedMessages(test)
    expect(first).toMatchObject({
      topic: 'a/b',
      isRetained: true,
      timestamp: test.time.now,
      properties: {
        payloadFormat: true,
        messageExpiry: 60,
        contentType: 'text/plain',
        responseTopic: 'a/answer',
        correlationData: Buffer.from([1, 2, 3]),
        userProperties: [
          ['traceparent', '00-1'],
          ['topic', 'not the topic'],
        ],
      },
    })
    expect(second).toMatchObject({ isRetained: false, properties: null })
  })

  it('reaches subscribers with its properties, its place known, after its commit', async () => {
    const { connect, disk } = await startFront()
    const subscriber = await connect({ clientId: 'sub' })
    await subscriber.subscribe('a/#', 1)
    const client = await connect()
    const gate = disk.hold('sync', '/log/')
    client.publish(1, 1, 'v', { properties: { contentType: 'x', userProperties: { k: 'v' } } })
    client.publish(0, 0, 'w')
    await gate.reached
    await subscriber.handled()
    expect(subscriber.received).toEqual([])
    gate.release()
    expect(await subscriber.next<IPublishPacket>('publish')).toMatchObject({
      qos: 1,
      properties: { contentType: 'x', userProperties: { k: 'v' } },
    })
    expect(await subscriber.next<IPublishPacket>('publish')).toMatchObject({
      qos: 0,
      payload: Buffer.from('w'),
    })
  })

  it('that its client may not publish is refused: PUBACK 0x87, with QoS 0 nothing, with MQTT 3 the end', async () => {
    const access = { ...OPEN_ACCESS, mayPublish: (_: unknown, topic: string) => topic !== 'a/no' }
    const { connect, values, front } = await startFront({ access })
    const five = await connect({ clientId: 'five' })
    five.publish(0, 0, 'v', { topic: 'a/no' })
    five.publish(1, 1, 'v', { topic: 'a/no' })
    five.publish(2, 2, 'v', { topic: 'a/no' })
    five.publish(1, 3, 'yes', { topic: 'a/yes' })
    expect(await five.next('puback')).toMatchObject({ messageId: 1, reasonCode: Reason.notAuthorized })
    expect(await five.next('pubrec')).toMatchObject({ messageId: 2, reasonCode: Reason.notAuthorized })
    expect(await five.next('puback')).toMatchObject({ messageId: 3, reasonCode: Reason.success })
    const four = await connect({ clientId: 'four', version: 4 })
    four.publish(1, 1, 'v', { topic: 'a/no' })
    await four.closed()
    expect(four.received).toEqual([])
    expect(await values()).toEqual(['yes'])
    expect(front.status().refusedMessages).toBe(4)
  })

  it('is looked at anew when the rules have changed', async () => {
    const rules = { ...OPEN_ACCESS, isOpen: true, generation: 0, mayPublish: () => rules.isOpen }
    const { connect } = await startFront({ access: rules })
    const client = await connect()
    const answers: (number | undefined)[] = []
    for (const [id, isOpen] of [true, false, true].entries()) {
      rules.isOpen = isOpen
      rules.generation++
      client.publish(1, id + 1, 'v')
      answers.push((await client.next('puback')).reasonCode)
    }
    expect(answers).toEqual([Reason.success, Reason.notAuthorized, Reason.success])
  })

  it('larger than a record may be ends the connection with 0x95', async () => {
    const { connect, values } = await startFront({ recordBytesMax: 500 })
    const client = await connect()
    client.publish(1, 1, 'x'.repeat(500))
    expect(await client.disconnected()).toBe(Reason.packetTooLarge)
    expect(await values()).toEqual([])
  })

  it('below $SYS is refused, below another $ it is not', async () => {
    const { connect } = await startFront()
    const client = await connect()
    client.publish(1, 1, 'v', { topic: '$SYS/x' })
    client.publish(1, 2, 'v', { topic: '$things/x' })
    expect((await client.next('puback')).reasonCode).toBe(Reason.notAuthorized)
    expect((await client.next('puback')).reasonCode).toBe(Reason.noMatchingSubscribers)
  })
})

describe('a message that no stream takes', () => {
  it('is read as fast as the disk takes them: what waits is bounded', async () => {
    const { connect, disk, ingress } = await startFront()
    const client = await connect()
    const gate = disk.hold('sync', 'mqtt')
    const payload = Buffer.alloc(50_000)
    for (const id of range(100))
      client.publish(id % 2 === 0 ? 1 : 0, id, payload, { topic: `other/${id}`, retain: true })
    await gate.reached
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(ingress.status().received).toBeLessThan(30)
    gate.release()
    expect(await acknowledged(client, 50)).toEqual(range(50).map((i) => 2 * i))
    expect(ingress.status().received).toBe(100)
  })

  it('reaches subscribers at once, and is on disk before PUBACK where a session stays', async () => {
    const { connect, disk } = await startFront()
    const stays = await connect({ clientId: 's', clean: false, properties: { sessionExpiryInterval: 1000 } })
    await stays.subscribe('other', 1)
    const client = await connect()
    const gate = disk.hold('sync')
    client.publish(1, 1, 'v', { topic: 'other' })
    expect(await stays.next<IPublishPacket>('publish')).toMatchObject({ payload: Buffer.from('v') })
    await gate.reached
    await client.handled()
    expect(client.received).toEqual([])
    gate.release()
    expect(await client.next('puback')).toMatchObject({ messageId: 1, reasonCode: Reason.success })
  })

  it('with QoS 2 comes once, also when it is sent again', async () => {
    const { connect } = await startFront()
    const subscriber = await connect({ clientId: 'sub' })
    await subscriber.subscribe('other', 1)
    const client = await connect()
    for (const dup of [false, true]) {
      client.publish(2, 1, 'v', { topic: 'other', dup })
      await client.next('pubrec')
    }
    client.send({ cmd: 'pubrel', messageId: 1 })
    expect((await client.next('pubcomp')).reasonCode).toBe(Reason.success)
    await subscriber.next('publish')
    await subscriber.handled()
    expect(subscriber.received).toEqual([])
  })
})
