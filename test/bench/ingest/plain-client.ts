/** A client that connects and may subscribe, with nothing in a hurry. */
import { connect, type OnReadOpts, type Socket } from 'node:net'
import type { IConnackPacket } from 'mqtt-packet'
import type { Manner } from './manner.ts'
import { connectPacket, encoded, PacketReader, receiveMaximumOf } from './packets.ts'

const ANSWER_MS_MAX = 30_000
const READ_BYTES = 64 * 1024

export interface PlainClientOptions {
  readonly port: number
  readonly manner: Manner
  readonly clientId: string
  readonly filter: string
  readonly qos: 0 | 1
  /** Seconds; 0 is none. */
  readonly keepAlive: number
}

/** Connects and subscribes. @param onBytes gets what comes behind the SUBACK: a view that is written over */
export async function subscribed(
  { port, manner, clientId, filter, qos, keepAlive }: PlainClientOptions,
  onBytes: (bytes: Buffer, socket: Socket) => void = () => {},
): Promise<Socket> {
  const reader = new PacketReader(manner)
  let isSubscribed = false
  let socket!: Socket
  await new Promise<void>((resolve, reject) => {
    const take = (bytes: Buffer) => {
      if (isSubscribed) return onBytes(bytes, socket)
      for (const packet of reader.read(bytes)) {
        if (packet.cmd === 'connack') {
          receiveMaximumOf(packet as IConnackPacket)
          const subscriptions = [{ topic: filter, qos }]
          socket.write(encoded({ cmd: 'subscribe', messageId: 1, subscriptions }, manner))
        } else if (packet.cmd === 'suback' && packet.granted.every((granted) => Number(granted) <= qos)) {
          isSubscribed = true
          resolve()
        } else reject(new Error(`the server answered with ${packet.cmd}`))
      }
    }
    const onread: OnReadOpts = {
      buffer: Buffer.allocUnsafe(READ_BYTES),
      callback: (count, buffer) => {
        try {
          take(Buffer.from(buffer.buffer, buffer.byteOffset, count))
        } catch (error) {
          socket.destroy(error as Error)
        }
        return true
      },
    }
    socket = connect({ host: '127.0.0.1', port, noDelay: true, onread })
    const timer = setTimeout(() => reject(new Error('no SUBACK in time')), ANSWER_MS_MAX)
    socket.once('connect', () => socket.write(connectPacket(clientId, manner, keepAlive)))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the server closed a connection')))
    void Promise.resolve().then(() => timer.unref())
  })
  return socket
}
