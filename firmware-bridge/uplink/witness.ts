/** A connection to the broker that sends nothing but PINGREQ: while it is answered, the broker that it was made to lives. */
import type { MqttClient as Client } from 'mqtt'
import { type ClientParts, newClient } from './client.ts'
import { OutgoingPackets } from './outgoing-packets.ts'
import { PacketIds } from './packet-ids.ts'

const PINGREQ = Buffer.of(0xc0, 0)
/** For CONNACK, and for PINGRESP. */
const ANSWER_MS_MAX = 5000

export interface Witness {
  /** The broker answers on this same connection. */
  isAlive(): Promise<boolean>
  close(): void
}

/** @returns null: the broker does not take the connection now, or at all */
export async function openWitness(
  parts: Omit<ClientParts, 'packets' | 'ids' | 'isClean' | 'will'>,
): Promise<Witness | null> {
  const packets = new OutgoingPackets({ onReceived: async () => {}, onFinished: () => {} })
  let client: Client
  try {
    client = newClient({ ...parts, isClean: true, will: null, packets, ids: new PacketIds() })
  } catch {
    return null
  }
  client.on('error', () => {})
  const witness: Witness = {
    async isAlive() {
      if (!client.connected || client.stream.destroyed) return false
      client.stream.write(PINGREQ)
      return hears(client, 'pingresp')
    },
    close: () => client.stream.destroy(),
  }
  if ((await connected(client)) && (await witness.isAlive())) return witness
  witness.close()
  return null
}

function connected(client: Client): Promise<boolean> {
  return new Promise((resolve) => {
    const limit = setTimeout(() => resolve(false), ANSWER_MS_MAX)
    const settle = (isConnected: boolean) => {
      clearTimeout(limit)
      resolve(isConnected)
    }
    client.once('connect', () => settle(true))
    client.once('close', () => settle(false))
  })
}

function hears(client: Client, cmd: string): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (isHeard: boolean) => {
      clearTimeout(limit)
      client.off('packetreceive', onPacket)
      client.off('close', onClose)
      resolve(isHeard)
    }
    const limit = setTimeout(() => settle(false), ANSWER_MS_MAX)
    const onPacket = (packet: { cmd?: string }) => {
      if (packet.cmd === cmd) settle(true)
    }
    const onClose = () => settle(false)
    client.on('packetreceive', onPacket)
    client.on('close', onClose)
  })
}
