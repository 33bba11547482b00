/** WILLTOPICUPD and WILLMSGUPD: a device changes its will while it is connected. MQTT-SN 1.2, section 6.4. */
import { type Packet, ReturnCode, Type, type WillMessage, type WillTopic } from '../packets/packet.ts'
import type { Will } from '../uplink/uplink.ts'
import type { DevicePort } from './device-port.ts'
import { isTopicName } from './topic-names.ts'
import type { UplinkSide, WillChange } from './uplink-side.ts'

const NO_MESSAGE = new Uint8Array(0)
const RETURN_CODES: Readonly<Record<WillChange, ReturnCode>> = {
  changed: ReturnCode.accepted,
  busy: ReturnCode.congestion,
  impossible: ReturnCode.notSupported,
}

/** @returns false: it is another packet */
export function updateWill(packet: Packet, port: DevicePort, uplink: UplinkSide): boolean {
  if (packet.type !== Type.willTopicUpdate && packet.type !== Type.willMessageUpdate) return false
  const type = packet.type === Type.willTopicUpdate ? Type.willTopicResponse : Type.willMessageResponse
  const answer = (returnCode: ReturnCode) => void port.send({ type, returnCode })
  const change = (before: Will | null) =>
    'message' in packet ? withMessage(packet, before) : withTopic(packet, before)
  uplink.setWill(change).then(
    (became) => answer(RETURN_CODES[became]),
    () => answer(ReturnCode.congestion),
  )
  return true
}

/** @returns null: no will any more; undefined: it is no topic */
function withTopic({ will }: WillTopic, before: Will | null): Will | null | undefined {
  if (will === null) return null
  return isTopicName(will.topic) ? { ...will, payload: before?.payload ?? NO_MESSAGE } : undefined
}

/** @returns undefined: there is no will that it could belong to */
function withMessage({ message }: WillMessage, before: Will | null): Will | undefined {
  return before === null ? undefined : { ...before, payload: Buffer.from(message) }
}
