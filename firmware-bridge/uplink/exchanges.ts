/**
 * The exchanges of QoS 1 and 2 that begin on a connection: PUBLISH, PUBREC, PUBREL, PUBCOMP (MQTT 5.0 section 4.3). mqtt.js would keep and copy each
 * packet once more for itself; it does those that an earlier connection began, and reads the packets of all.
 */

import type { OutgoingPackets } from './outgoing-packets.ts'
import type { PacketIds } from './packet-ids.ts'
import { encodePublish } from './packet-writer.ts'
import type { OutgoingMessage } from './session-parts.ts'
import type { QoS } from './uplink.ts'
import type { WaitingPubrels } from './waiting-pubrels.ts'

/** The only reason code besides 0 with which a broker takes a message: nobody subscribes to it. */
const NO_SUBSCRIBERS = 0x10

export type AcknowledgementKind = 'puback' | 'pubrec' | 'pubcomp'

export class Exchanges {
  readonly #packets: OutgoingPackets
  readonly #ids: PacketIds
  readonly #pubrels: WaitingPubrels

  constructor(packets: OutgoingPackets, ids: PacketIds, pubrels: WaitingPubrels) {
    this.#packets = packets
    this.#ids = ids
    this.#pubrels = pubrels
  }

  /** @param version of MQTT @returns what is to be written: PUBRELs that wait are the first of it */
  publish(packetId: number, message: OutgoingMessage, qos: QoS, isDup: boolean, version: 4 | 5): Buffer {
    const { topic, payload, isRetained, properties } = message
    if (qos > 0) {
      this.#ids.use(packetId)
      const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
      const userProperties = version === 5 && hasAny(properties) ? { ...properties } : null
      this.#packets.begin({
        cmd: 'publish',
        topic,
        payload: bytes,
        qos,
        dup: isDup,
        retain: isRetained,
        messageId: packetId,
        ...(userProperties === null ? {} : { properties: { userProperties } }),
      })
    }
    const written = version === 5 ? properties : null
    const parts = { topic, payload, qos, isRetained, isDup, packetId, properties: written }
    const bytes = encodePublish(parts, this.#pubrels.bytes)
    this.#pubrels.takeTo(bytes)
    return bytes
  }

  /** @param release PUBREL may leave now, on the connection that the packet came from, if it is still there */
  onAcknowledgement(
    kind: AcknowledgementKind,
    packetId: number,
    reasonCode: number,
    release: (packetId: number) => void,
  ): void {
    // those of an earlier connection are mqtt.js', and what is there no more is nobody's
    if (!this.#packets.isFirstSent(packetId)) return
    if (kind !== 'pubrec' || (reasonCode !== 0 && reasonCode !== NO_SUBSCRIBERS)) {
      this.#packets.finish(packetId)
      this.#ids.deallocate(packetId)
      return
    }
    this.#packets.received(packetId).then(
      () => release(packetId),
      // whoever refused has dropped the connection
      () => {},
    )
  }
}

function hasAny(properties: Readonly<Record<string, string>>): boolean {
  for (const _ in properties) return true
  return false
}
