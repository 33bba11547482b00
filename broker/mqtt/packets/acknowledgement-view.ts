/**
 * PUBACK, PUBREC, PUBREL and PUBCOMP of a client, read where they lie. MQTT 5, sections 3.4 to 3.7.
 *
 *     acknowledgement = packetId [reasonCode [properties]]       what is in brackets: MQTT 5; a reason code that is not there is 0
 *
 * Example: 40 02 00 07 is PUBACK of packet id 7; 50 03 00 07 91 is PUBREC with packet identifier in use.
 */
import { type Frame, PacketType } from './frame-scanner.ts'
import { DEFAULT_PACKET_LIMITS, type PacketLimits } from './limits.ts'
import type { Acknowledgement, ProtocolVersion } from './packet.ts'
import { PropertyPlace } from './properties.ts'
import { PropertyView } from './property-view.ts'
import { malformed, violation } from './protocol-error.ts'

/** One object for all connections, filled again for each packet. */
export class AcknowledgementView {
  /** Of PacketType. */
  type: number = PacketType.puback
  packetId = 0
  reasonCode = 0
  readonly properties = new PropertyView()
  userPropertiesMax: number

  constructor(limits: Pick<PacketLimits, 'userPropertiesMax'> = DEFAULT_PACKET_LIMITS) {
    this.userPropertiesMax = limits.userPropertiesMax
  }
}

/** Of PUBACK and PUBREC; of PUBREL and PUBCOMP. Sections 3.4.2.1 to 3.7.2.1. */
const PUBLISH_REASONS = new Set([0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
const RELEASE_REASONS = new Set([0x00, 0x92])
const NAMES = ['PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP']
const TYPES: readonly Acknowledgement['type'][] = ['puback', 'pubrec', 'pubrel', 'pubcomp']
const REASON_CLAUSES = ['MQTT-3.4.2-1', 'MQTT-3.5.2-1', 'MQTT-3.6.2-1', 'MQTT-3.7.2-1']

/**
 * Fills the view from one of the four packets. No object is made.
 * @throws MqttProtocolError
 */
export function readAcknowledgement(frame: Frame, version: ProtocolVersion, view: AcknowledgementView): void {
  const { first, bytes, from, to } = frame
  const type = first >> 4
  const kind = type - PacketType.puback
  if ((first & 0x0f) !== (type === PacketType.pubrel ? 2 : 0) && version !== 3) {
    const clause = type === PacketType.pubrel ? 'MQTT-3.6.1-1' : 'MQTT-2.1.3-1'
    throw malformed(clause, `reserved flags of a ${NAMES[kind]}`)
  }
  if (from + 2 > to) throw malformed('section 2.2.1', `a ${NAMES[kind]} without a packet identifier`)
  const packetId = (bytes[from] << 8) | bytes[from + 1]
  if (packetId === 0) throw violation('MQTT-2.2.1-5', `a ${NAMES[kind]} with packet identifier 0`)
  view.type = type
  view.packetId = packetId
  view.reasonCode = 0
  if (version === 5) {
    if (!frame.isLengthMinimal) throw malformed('MQTT-1.5.5-1', 'a remaining length longer than it need be')
    if (to > from + 2) readReason(frame, kind, view)
  } else if (to > from + 2) {
    throw malformed('section 2.1.4', `bytes after the packet identifier of a ${NAMES[kind]}`)
  }
}

export function acknowledgementOf(view: AcknowledgementView): Acknowledgement {
  const type = TYPES[view.type - PacketType.puback]
  return { type, packetId: view.packetId, reasonCode: view.reasonCode }
}

function readReason(frame: Frame, kind: number, view: AcknowledgementView): void {
  const { bytes, from, to } = frame
  const reasonCode = bytes[from + 2]
  view.reasonCode = reasonCode
  if (reasonCode !== 0 && !(kind < 2 ? PUBLISH_REASONS : RELEASE_REASONS).has(reasonCode)) {
    throw violation(REASON_CLAUSES[kind], `a ${NAMES[kind]} with reason code 0x${reasonCode.toString(16)}`)
  }
  if (to === from + 3) return
  const { properties, userPropertiesMax } = view
  const end = properties.read(bytes, from + 3, to, PropertyPlace.acknowledgement, userPropertiesMax)
  if (end !== to) throw malformed('section 2.1.4', `bytes after the properties of a ${NAMES[kind]}`)
}
