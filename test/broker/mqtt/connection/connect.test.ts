/** From the first byte to CONNACK, and what ends a connection. */
import type { IConnackPacket, IPublishPacket } from 'mqtt-packet'
import { describe, expect, it } from 'vitest'
import { OPEN_ACCESS, type Principal } from '../../../../broker/mqtt/connection/access.ts'
import { Reason } from '../../../../broker/mqtt/packets/protocol-error.ts'
import { until } from '../../log/support.ts'
import { startFront } from './support.ts'

describe('CONNECT', () => {
  it('is answered with what the broker grants [MQTT-3.2.2]', async () => {
    const { open } = await startFront({
      limits: { receiveMaximum: 7, packetBytesMax: 5000, topicAliasMaximum: 3 },
    })
    const connack = await open().connect()
    expect(connack).toMatchObject({
      reasonCode: 0,
      sessionPresent: false,
      properties: {
        receiveMaximum: 7,
        maximumPacketSize: 5000,
        topicAliasMaximum: 3,
        wildcardSubscriptionAvailable: true,
        subscriptionIdentifiersAvailable: true,
        sharedSubscriptionAvailable: true,
      },
    })
    expect(connack.properties).not.toHaveProperty('assignedClientIdentifier')
    expect(connack.properties).not.toHaveProperty('serverKeepAlive')
  })

  it('without a client id gets one of its own [MQTT-3.1.3-6, MQTT-3.2.2-16]', async () => {
    const { open, front } = await startFront()
    const ids = [await open().connect({ clientId: '' }), await open().connect({ clientId: '' })].map(
      ({ properties }) => properties?.assignedClientIdentifier,
    )
    expect(ids[0]).toMatch(/^hw-/)
    expect(ids[1]).not.toBe(ids[0])
    expect(front.clients().map(({ clientId }) => clientId)).toEqual(ids)
  })

  it('comes once: a second one is a protocol error [MQTT-3.1.0-2]', async () => {
    const { connect } = await startFront()
    const client = await connect()
    client.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 5,
      clientId: 'c1',
      clean: true,
      keepalive: 0,
    })
    expect(await client.disconnected()).toBe(Reason.protocolError)
  })

  it('comes first: anything else ends the connection without an answer [MQTT-3.1.0-1]', async () => {
    const { open, values } = await startFront()
    const client = open()
    client.publish(1, 1, 'v')
    await client.closed()
    expect(client.received).toEqual([])
    expect(await values()).toEqual([])
  })

  it('that is not whole in time ends the connection, however slowly its bytes come [MQTT-3.1.4]', async () => {
    const { open, seconds, sink } = await startFront({ limits: { connectSecondsMax: 10 } })
    const silent = open()
    const slow = open()
    const bytes = Buffer.from([0x10, 0x0d, 0x00, 0x04, 0x4d, 0x51, 0x54, 0x54, 0x04, 0x02])
    for (const byte of bytes.subarray(0, 9)) {
      slow.sendBytes(Buffer.from([byte]))
      await new Promise((resolve) => setImmediate(resolve))
      expect(slow.isClosed).toBe(false)
      seconds(1)
    }
    seconds(1)
    await Promise.all([silent.closed(), slow.closed()])
    expect(sink.matching('dropped a connection')[0]!.fields.reason).toMatch(/no CONNECT in time/)
  })

  it('with an authentication method is refused: none is known [MQTT-4.12.0-1]', async () => {
    const { open } = await startFront()
    const client = open()
    const connack = await client.connect({ properties: { authenticationMethod: 'SCRAM-SHA-1' } })
    expect(connack.reasonCode).toBe(Reason.badAuthenticationMethod)
    await client.closed()
  })

  it('that the door refuses is told the reason code, or the return code of 3.1.1', async () => {
    const access = {
      ...OPEN_ACCESS,
      canConnect: async () => ({ reasonCode: Reason.badCredentials, text: 'no' }),
    }
    const { open, front } = await startFront({ access })
    const [five, four] = [open(5), open(4)]
    expect((await five.connect()).reasonCode).toBe(Reason.badCredentials)
    expect((await four.connect()).returnCode).toBe(4)
    await Promise.all([five.closed(), four.closed()])
    expect(front.status()).toMatchObject({ clients: 0, refused: 2 })
  })

  it('that is being looked into waits without a time limit, and is refused where the rules changed meanwhile', async () => {
    let answer: ((principal: Principal) => void) | null = null
    const canConnect = () => new Promise<Principal>((resolve) => (answer = resolve))
    let isKnown = true
    const access = { ...OPEN_ACCESS, canConnect, knows: () => isKnown }
    const { open, front, seconds, sink } = await startFront({ access })
    const client = open()
    const connack = client.connect()
    await until(() => answer !== null, 'the question who it is')
    seconds(60)
    expect(client.isClosed).toBe(false)
    isKnown = false
    front.review()
    answer!({ name: 'gone', clientId: 'c1' })
    expect((await connack).reasonCode).toBe(0)
    expect(await client.disconnected()).toBe(Reason.notAuthorized)
    const reasons = sink.matching('dropped a connection').map(({ fields }) => fields.reason)
    expect(reasons).toEqual(['it is not let in any more'])
  })

  it('of a client that has gone meanwhile takes no session over', async () => {
    const principal = { name: null, clientId: 'c1' }
    const answers: ((principal: Principal) => void)[] = []
    let isSlow = false
    const canConnect = async () =>
      isSlow ? new Promise<Principal>((resolve) => answers.push(resolve)) : principal
    const { open, connect } = await startFront({ access: { ...OPEN_ACCESS, canConnect } })
    const here = await connect()
    isSlow = true
    const gone = open()
    gone.connect().catch(() => {})
    await until(() => answers.length === 1, 'the question who it is')
    gone.stream.destroy()
    await gone.closed()
    // the other end is closed an immediate later
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
    answers[0]!(principal)
    await here.handled()
    await here.handled()
    expect(here.isClosed).toBe(false)
  })

  it('whose will is larger than a record may be is refused with 0x95', async () => {
    const { open } = await startFront({ recordBytesMax: 1_000 })
    const will = { topic: 'a/will', payload: Buffer.alloc(500), qos: 1, retain: false }
    const userProperties = { name: 'x'.repeat(500) }
    expect((await open().connect({ will })).reasonCode).toBe(Reason.success)
    expect((await open().connect({ will: { ...will, properties: { userProperties } } })).reasonCode).toBe(
      Reason.packetTooLarge,
    )
    expect((await open().connect({ will: { ...will, payload: Buffer.alloc(1_000) } })).reasonCode).toBe(
      Reason.packetTooLarge,
    )
  })

  it('whose will goes where its client may not publish is refused', async () => {
    const access = { ...OPEN_ACCESS, mayPublish: (_: unknown, topic: string) => topic !== 'a/will' }
    const { open } = await startFront({ access })
    const will = { topic: 'a/will', payload: Buffer.from('gone'), qos: 1, retain: false }
    expect((await open().connect({ will })).reasonCode).toBe(Reason.notAuthorized)
    for (const topic of ['$SYS/broker/version', '$share/g/a', '$replay/events/earliest', '$SYS']) {
      const reserved = { ...will, topic }
      expect((await open().connect({ will: reserved })).reasonCode, topic).toBe(Reason.notAuthorized)
    }
    expect((await open().connect({ will: { ...will, topic: '$own/a' } })).reasonCode).toBe(Reason.success)
  })

  it('that was let in by rules that have changed meanwhile is told so [MQTT 5, section 3.14.2.1]', async () => {
    let isKnown = true
    const canConnect = async ({ clientId }: { clientId: string }) => {
      isKnown = false
      return { name: 'ann', clientId }
    }
    const { open, front } = await startFront({ access: { ...OPEN_ACCESS, canConnect, knows: () => isKnown } })
    const client = open()
    await client.connect()
    expect(await client.disconnected()).toBe(Reason.notAuthorized)
    expect(front.status()).toMatchObject({ clients: 0, dropped: 1 })
  })

  it('of a client that has a connection takes the session over: the older one is told [MQTT-3.1.4-3]', async () => {
    const { connect } = await startFront()
    const older = await connect({ clean: false, properties: { sessionExpiryInterval: 100 } })
    const newer = await connect({ clean: false, properties: { sessionExpiryInterval: 100 } })
    expect(await older.disconnected()).toBe(Reason.sessionTakenOver)
    await newer.handled()
  })

  it('packets behind it are handled once the session is there', async () => {
    const { open, values } = await startFront()
    const client = open(4)
    const connect = {
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clientId: 'c1',
      clean: false,
    } as const
    client.send({ ...connect, keepalive: 0 })
    client.publish(1, 1, 'v')
    client.publish(1, 2, 'w')
    expect((await client.next('puback')).messageId).toBe(1)
    expect((await client.next('puback')).messageId).toBe(2)
    expect(client.received.map(({ cmd }) => cmd)).toEqual(['connack'])
    expect(await values()).toEqual(['v', 'w'])
  })

  it('finds its session: present, and not after it has expired [MQTT-3.2.2-3]', async () => {
    const { connect, open } = await startFront()
    const properties = { sessionExpiryInterval: 100 }
    const client = await connect({ clean: false, properties })
    client.send({ cmd: 'disconnect', reasonCode: 0, properties: {} })
    await client.closed()
    const again = open()
    expect((await again.connect({ clean: false, properties })).sessionPresent).toBe(true)
    again.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 0 } })
    await again.closed()
    expect((await open().connect({ clean: false, properties })).sessionPresent).toBe(false)
  })
})

describe('keep alive', () => {
  it('ends a connection that was silent for one and a half times as long; with MQTT 5 it is told [MQTT-3.1.2-22]', async () => {
    const { connect, seconds } = await startFront()
    const five = await connect({ clientId: 'five', keepalive: 10 })
    const four = await connect({ clientId: 'four', version: 4, keepalive: 10 })
    const none = await connect({ clientId: 'none', keepalive: 0 })
    seconds(14)
    await Promise.all([five.handled(), none.handled()])
    expect(four.isClosed).toBe(false)
    seconds(2)
    await four.closed()
    expect(four.received).toEqual([])
    await five.handled()
    seconds(16)
    expect(await five.disconnected()).toBe(Reason.keepAliveTimeout)
    await none.handled()
  })

  it('is not kept by a packet whose bytes trickle in', async () => {
    const { connect, seconds } = await startFront()
    const client = await connect({ keepalive: 10 })
    const bytes = Buffer.from([0x32, 0x7f, 0x00, 0x03, 0x61, 0x2f, 0x62, 0x00, 0x01, 0x00])
    for (const byte of bytes.subarray(0, 8)) {
      client.sendBytes(Buffer.from([byte]))
      await new Promise((resolve) => setImmediate(resolve))
      seconds(2)
    }
    expect(await client.disconnected()).toBe(Reason.keepAliveTimeout)
  })

  it('is the broker’s where the client wants a longer one, or none [MQTT-3.1.2-21, MQTT-3.2.2-21]', async () => {
    const { open, seconds } = await startFront({ limits: { keepAliveSecondsMax: 20 } })
    const asked = [0, 21, 20, 5]
    const told: unknown[] = []
    for (const keepalive of asked) {
      const client = open()
      const { properties } = await client.connect({ clientId: `k${keepalive}`, keepalive })
      told.push(properties?.serverKeepAlive)
      if (keepalive === 0) {
        seconds(31)
        expect(await client.disconnected()).toBe(Reason.keepAliveTimeout)
      }
    }
    expect(told).toEqual([20, 20, undefined, undefined])
  })
})

describe('a client that breaks the protocol', () => {
  it('with AUTH, where no method was agreed on, is told so [MQTT-4.12.0-6]', async () => {
    const { connect } = await startFront()
    const client = await connect()
    client.sendBytes(Buffer.from([0xf0, 0x09, 0x18, 0x07, 0x15, 0x00, 0x04, 0x61, 0x62, 0x63, 0x64]))
    expect(await client.disconnected()).toBe(Reason.protocolError)
  })

  it('with a packet that is too large is told 0x95, and nothing of it is kept [MQTT-3.2.2-15]', async () => {
    const { connect, values } = await startFront({ limits: { packetBytesMax: 1000 } })
    const client = await connect()
    client.publish(1, 1, 'x'.repeat(1000))
    expect(await client.disconnected()).toBe(Reason.packetTooLarge)
    expect(await values()).toEqual([])
  })

  it('gets a reason string, unless it does not want any [MQTT-3.1.2-29]', async () => {
    const { connect } = await startFront()
    for (const isWanted of [true, false]) {
      const client = await connect({
        clientId: `c${isWanted}`,
        properties: { requestProblemInformation: isWanted },
      })
      client.sendBytes(Buffer.from([0xf0, 0x09, 0x18, 0x07, 0x15, 0x00, 0x04, 0x61, 0x62, 0x63, 0x64]))
      const packet = await client.next<IConnackPacket>('disconnect')
      expect(packet.properties?.reasonString !== undefined).toBe(isWanted)
    }
  })

  it('with a session expiry in DISCONNECT that CONNECT did not have is told so [3.14.2.2.2]', async () => {
    const { connect } = await startFront()
    const client = await connect()
    client.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 10 } })
    expect(await client.disconnected()).toBe(Reason.protocolError)
  })

  it('with PUBACK for a QoS 2 message is told so [MQTT-4.3.3]', async () => {
    const { connect } = await startFront()
    const client = await connect()
    await client.subscribe('a/#', 2)
    client.publish(2, 1, 'v')
    const { messageId } = await client.next<IPublishPacket>('publish')
    client.send({ cmd: 'puback', messageId: messageId! })
    expect(await client.disconnected()).toBe(Reason.protocolError)
  })
})

describe('a connection', () => {
  it('is refused beyond connectionsMax, and there is room again when one has ended', async () => {
    const { open, connect, front } = await startFront({ connectionsMax: 1 })
    const first = await connect()
    const second = open()
    await second.closed()
    first.send({ cmd: 'disconnect' })
    await first.closed()
    await new Promise((resolve) => setImmediate(resolve))
    await connect({ clientId: 'c2' })
    expect(front.status()).toMatchObject({ clients: 1, refused: 1 })
  })

  it('counts as connecting until its client has logged in, and not while it takes its leave', async () => {
    const { open, connect, front } = await startFront()
    const silent = open()
    const client = await connect()
    expect(front.status()).toMatchObject({ clients: 1, connecting: 1 })
    front.disconnect('c1')
    expect(front.status()).toMatchObject({ clients: 0, connecting: 1 })
    await client.disconnected()
    silent.stream.destroy()
  })

  it('is told when the broker ends', async () => {
    const { connect, close } = await startFront()
    const client = await connect()
    const closed = close()
    expect(await client.disconnected()).toBe(Reason.serverShuttingDown)
    await closed
  })

  it('that does not end after its DISCONNECT is destroyed', async () => {
    const { connect, seconds, front } = await startFront()
    const client = await connect({ version: 4 })
    client.stream.removeAllListeners('end')
    client.sendBytes(Buffer.from([0xf0, 0x00]))
    await new Promise((resolve) => setImmediate(resolve))
    seconds(3)
    await client.closed()
    expect(front.status().clients).toBe(0)
  })
})
