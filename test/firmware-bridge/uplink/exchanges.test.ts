import { beforeEach, describe, expect, test } from 'vitest'
import { Exchanges } from '../../../firmware-bridge/uplink/exchanges.ts'
import { OutgoingPackets } from '../../../firmware-bridge/uplink/outgoing-packets.ts'
import { PacketIds } from '../../../firmware-bridge/uplink/packet-ids.ts'
import { PubrelTimes, WaitingPubrels } from '../../../firmware-bridge/uplink/waiting-pubrels.ts'

const ID = 7
const message = { topic: 'a', payload: Buffer.from('x'), isRetained: false, properties: { b: 'c' } }

/** What the owner of the window is told, and when it lets PUBREL leave. */
let received: { resolve: () => void; reject: (error: Error) => void }[]
let finished: { packetId: number; wasReleased: boolean }[]
let released: number[]
let waiting: WaitingPubrels
let packets: OutgoingPackets
let ids: PacketIds
let exchanges: Exchanges

beforeEach(() => {
  received = []
  finished = []
  released = []
  packets = new OutgoingPackets({
    onReceived: () => new Promise((resolve, reject) => received.push({ resolve, reject })),
    onFinished: (packetId, wasReleased) => finished.push({ packetId, wasReleased }),
  })
  ids = new PacketIds()
  waiting = new WaitingPubrels(new PubrelTimes(() => 0), () => {})
  exchanges = new Exchanges(packets, ids, waiting)
})

const release = (packetId: number) => void released.push(packetId)
const tell = (kind: 'puback' | 'pubrec' | 'pubcomp', reasonCode = 0) =>
  exchanges.onAcknowledgement(kind, ID, reasonCode, release)
/** All promises that are settled have been seen to. */
const seen = () => new Promise((resolve) => setImmediate(resolve))

/** What a new connection's mqtt.js sends again. */
async function sentAgain(): Promise<{ cmd: string; messageId?: number; dup?: boolean }[]> {
  const again: { cmd: string; messageId?: number; dup?: boolean }[] = []
  for await (const packet of packets.createStream()) again.push(packet)
  return again
}

describe('an exchange', () => {
  test('is PUBLISH in one piece, and has its id until it is over', () => {
    const bytes = exchanges.publish(ID, message, 2, false, 5)
    expect(bytes.toString('hex')).toBe('340e0001610007072600016200016378')
    expect(ids.isUsed(ID)).toBe(true)
    expect(packets.size).toBe(1)
  })

  test('has no properties with MQTT 3.1.1, then or when it is sent again', async () => {
    expect(exchanges.publish(ID, message, 2, false, 4).toString('hex')).toBe('3406000161000778')
    expect((await sentAgain())[0]).not.toHaveProperty('properties')
  })

  test('takes the PUBREL that waits along, before PUBLISH', () => {
    exchanges.publish(4, message, 2, false, 5)
    exchanges.publish(5, message, 2, false, 5)
    waiting.add(6, false)
    const bytes = exchanges.publish(ID, message, 2, false, 5)
    expect(bytes.toString('hex')).toBe('62020006' + '340e0001610007072600016200016378')
    expect(exchanges.publish(ID + 1, message, 2, false, 4).toString('hex')).toBe('3406000161000878')
  })

  test('of QoS 0 is none', () => {
    expect(exchanges.publish(0, message, 0, false, 4).toString('hex')).toBe('300400016178')
    expect(packets.size).toBe(0)
  })

  test('has its PUBREL when the window has the message, and not before; PUBCOMP ends it', async () => {
    exchanges.publish(ID, message, 2, false, 5)
    tell('pubrec')
    await seen()
    expect(released).toEqual([])
    received[0]!.resolve()
    await seen()
    expect(released).toEqual([ID])
    expect(ids.isUsed(ID)).toBe(true)
    tell('pubcomp')
    expect(finished).toEqual([{ packetId: ID, wasReleased: true }])
    expect(ids.isUsed(ID)).toBe(false)
    expect(packets.size).toBe(0)
  })

  test('has none where the window refuses, and stays to be sent again as a message', async () => {
    exchanges.publish(ID, message, 2, false, 5)
    tell('pubrec')
    received[0]!.reject(new Error('disk'))
    await seen()
    expect(released).toEqual([])
    expect(await sentAgain()).toMatchObject([{ cmd: 'publish', messageId: ID, dup: true }])
  })

  test('that the broker refuses ends without PUBREL; nobody subscribing is no refusal', async () => {
    exchanges.publish(ID, message, 2, false, 5)
    tell('pubrec', 0x87)
    expect(finished).toEqual([{ packetId: ID, wasReleased: false }])
    expect(ids.isUsed(ID)).toBe(false)
    exchanges.publish(ID, message, 2, false, 5)
    tell('pubrec', 0x10)
    received[0]!.resolve()
    await seen()
    expect(released).toEqual([ID])
  })

  test('of QoS 1 ends with PUBACK', () => {
    exchanges.publish(ID, message, 1, false, 5)
    tell('puback')
    expect(finished).toEqual([{ packetId: ID, wasReleased: false }])
  })

  test('that an earlier connection began is sent again by mqtt.js, as a repetition, and answered to it', async () => {
    exchanges.publish(ID, message, 2, false, 5)
    const [again] = await sentAgain()
    expect(again).toMatchObject({ cmd: 'publish', messageId: ID, dup: true, payload: message.payload })
    tell('pubrec')
    tell('pubcomp')
    await seen()
    expect(received).toEqual([])
    expect(finished).toEqual([])
    // mqtt.js: PUBREL when the window has it, then PUBCOMP
    const put = new Promise<void>((resolve) => {
      packets.put({ cmd: 'pubrel', messageId: ID } as never, () => resolve())
    })
    received[0]!.resolve()
    await put
    packets.del({ messageId: ID }, () => {})
    expect(finished).toEqual([{ packetId: ID, wasReleased: true }])
    // the id's next message is this connection's own
    exchanges.publish(ID, message, 2, false, 5)
    expect(packets.isFirstSent(ID)).toBe(true)
  })

  test('whose connection is lost after PUBREC goes on with PUBREL', async () => {
    exchanges.publish(ID, message, 2, false, 5)
    tell('pubrec')
    received[0]!.resolve()
    await seen()
    expect(await sentAgain()).toMatchObject([{ cmd: 'pubrel', messageId: ID }])
  })

  test('that is over is sent no more', async () => {
    exchanges.publish(ID, message, 2, false, 5)
    exchanges.publish(ID + 1, message, 2, false, 5)
    exchanges.publish(ID + 2, message, 2, false, 5)
    tell('pubcomp')
    expect((await sentAgain()).map(({ messageId }) => messageId)).toEqual([ID + 1, ID + 2])
    expect((await sentAgain()).map(({ messageId }) => messageId)).toEqual([ID + 1, ID + 2])
  })
})
