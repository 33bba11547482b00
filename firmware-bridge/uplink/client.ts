/** One connection: a client of mqtt.js, which does nothing of its own about when to connect, and how it is ended. */
import type { MqttClient as Client, IStream } from 'mqtt'
import type { AcknowledgementSieve } from './acknowledgement-sieve.ts'
import type { BrokerConfig } from './config.ts'
import { MqttClient } from './mqtt-parts.ts'
import type { OutgoingPackets } from './outgoing-packets.ts'
import type { PacketIds } from './packet-ids.ts'
import { readPassword, type Transport } from './transport.ts'
import type { Will } from './uplink.ts'

const CLOSE_MS_MAX = 1000

export const DISCONNECT = Buffer.of(0xe0, 0)
/** MQTT 5: with a Session Expiry Interval of 0, which ends the session. */
const DISCONNECT_AND_FORGET = Buffer.of(0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0)
/** As an error it keeps mqtt.js from acknowledging by itself. */
const HELD = new Error('acknowledged when the device has it')

export interface ClientParts {
  readonly clientId: string
  readonly isClean: boolean
  readonly will: Will | null
  readonly version: 4 | 5
  readonly transport: Transport
  readonly broker: BrokerConfig
  readonly packets: OutgoingPackets
  readonly ids: PacketIds
  readonly sieve?: AcknowledgementSieve
}

/** It connects at once. @throws BridgeSecretError */
export function newClient({
  clientId,
  isClean,
  version,
  transport,
  broker,
  will,
  packets,
  ids,
  sieve,
}: ClientParts): Client {
  const { user, passwordFile, keepAliveSeconds, connectSeconds, sessionExpirySeconds, receiveMax } = broker
  const password = readPassword(passwordFile)
  const client = new MqttClient(() => transport.connect(sieve) as unknown as IStream, {
    protocolVersion: version,
    clientId,
    clean: isClean,
    keepalive: keepAliveSeconds,
    connectTimeout: connectSeconds * 1000,
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password }),
    ...(will === null ? {} : { will: willOf(will) }),
    ...(version === 5
      ? { properties: { sessionExpiryInterval: sessionExpirySeconds, receiveMaximum: receiveMax } }
      : {}),
    outgoingStore: packets,
    messageIdProvider: ids,
    reconnectPeriod: 0,
    resubscribe: false,
    // else each acknowledgement sets a timer anew
    reschedulePings: false,
    queueQoSZero: false,
    // 65,536 buffers of two bytes, 10 MB, so that a packet id need not be written into a new one
    writeCache: false,
    log: () => {},
  })
  client.handleMessage = (packet, done) => done(packet.qos === 0 ? undefined : HELD)
  return client
}

function willOf({ topic, payload, qos, isRetained }: Will) {
  return { topic, payload: Buffer.from(payload), qos, retain: isRetained }
}

/** What is written last. */
export function goodbye(isForgotten: boolean, version: 4 | 5): Buffer {
  return isForgotten && version === 5 ? DISCONNECT_AND_FORGET : DISCONNECT
}

/** @param last what is written last; null: the connection breaks off, and the broker publishes the will */
export function closed(client: Client, last: Buffer | null): Promise<void> {
  const { stream } = client
  if (stream.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const limit = setTimeout(() => stream.destroy(), CLOSE_MS_MAX)
    client.once('close', () => {
      clearTimeout(limit)
      resolve()
    })
    if (last === null) stream.destroy()
    else stream.end(last)
  })
}

/** MQTT 3.1.1 ends a session by beginning it clean. Nothing comes of it when the broker is away. */
export async function forget(parts: ClientParts): Promise<void> {
  let client: Client
  try {
    client = newClient(parts)
  } catch {
    return
  }
  client.on('error', () => {})
  await new Promise<void>((resolve) => {
    client.on('packetreceive', () => resolve())
    client.on('close', () => resolve())
  })
  await closed(client, DISCONNECT)
}
