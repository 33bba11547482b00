/** At least one packet of every type, in each of its forms. */
import { type Packet, PROTOCOL_ID, Type } from '../../../firmware-bridge/packets/packet.ts'

const bytes = (text: string) => new Uint8Array(Buffer.from(text))
const long = 'x'.repeat(300)

export const SAMPLES: readonly Packet[] = [
  { type: Type.advertise, gatewayId: 7, duration: 900 },
  { type: Type.searchGateway, radius: 2 },
  { type: Type.gatewayInfo, gatewayId: 7, gatewayAddress: bytes('') },
  { type: Type.gatewayInfo, gatewayId: 7, gatewayAddress: bytes('\x01\x02') },
  { type: Type.connect, hasWill: false, isClean: true, protocolId: PROTOCOL_ID, duration: 60, clientId: 'a' },
  { type: Type.connect, hasWill: true, isClean: false, protocolId: 1, duration: 0xffff, clientId: 'pumpe-ö' },
  { type: Type.connack, returnCode: 0 },
  { type: Type.connack, returnCode: 3 },
  { type: Type.willTopicRequest },
  { type: Type.willTopic, will: { qos: 1, isRetained: true, topic: 'plant/1/state' } },
  { type: Type.willTopic, will: null },
  { type: Type.willMessageRequest },
  { type: Type.willMessage, message: bytes('lost') },
  { type: Type.register, topicId: 0, messageId: 5, topicName: 'plant/1/température' },
  { type: Type.register, topicId: 0x1234, messageId: 0xffff, topicName: long },
  { type: Type.regack, topicId: 0x1234, messageId: 5, returnCode: 0 },
  publish({ qos: 0, messageId: 0 }),
  publish({ qos: 1, isDup: true }),
  publish({ qos: 2, isRetained: true, topicIdType: 'predefined' }),
  publish({ qos: -1, messageId: 0, topicIdType: 'short', topicId: 0x6162 }),
  publish({ qos: 1, data: bytes('') }),
  publish({ qos: 1, data: bytes('y'.repeat(248)) }),
  publish({ qos: 1, data: bytes('y'.repeat(249)) }),
  { type: Type.puback, topicId: 9, messageId: 77, returnCode: 2 },
  { type: Type.pubcomp, messageId: 77 },
  { type: Type.pubrec, messageId: 77 },
  { type: Type.pubrel, messageId: 0xffff },
  {
    type: Type.subscribe,
    isDup: false,
    qos: 1,
    messageId: 3,
    topic: { kind: 'name', name: 'plant/+/set/#' },
  },
  { type: Type.subscribe, isDup: true, qos: 2, messageId: 3, topic: { kind: 'predefined', topicId: 12 } },
  { type: Type.subscribe, isDup: false, qos: 0, messageId: 3, topic: { kind: 'short', name: 'ab' } },
  { type: Type.suback, qos: 1, topicId: 4, messageId: 3, returnCode: 0 },
  { type: Type.unsubscribe, messageId: 3, topic: { kind: 'name', name: 'plant/+/set/#' } },
  { type: Type.unsubscribe, messageId: 3, topic: { kind: 'predefined', topicId: 12 } },
  { type: Type.unsubscribe, messageId: 3, topic: { kind: 'short', name: 'ab' } },
  { type: Type.unsuback, messageId: 3 },
  { type: Type.pingRequest, clientId: '' },
  { type: Type.pingRequest, clientId: 'pump-1' },
  { type: Type.pingResponse },
  { type: Type.disconnect, duration: null },
  { type: Type.disconnect, duration: 3600 },
  { type: Type.willTopicUpdate, will: { qos: 0, isRetained: false, topic: 'plant/1/state' } },
  { type: Type.willTopicUpdate, will: null },
  { type: Type.willTopicResponse, returnCode: 0 },
  { type: Type.willMessageUpdate, message: bytes('gone') },
  { type: Type.willMessageResponse, returnCode: 1 },
  { type: Type.encapsulated, radius: 3, nodeId: bytes('\x05\x06'), message: bytes('\x02\x17') },
]

function publish(fields: Partial<Extract<Packet, { type: typeof Type.publish }>>): Packet {
  return {
    type: Type.publish,
    isDup: false,
    qos: 0,
    isRetained: false,
    topicIdType: 'normal',
    topicId: 9,
    messageId: 77,
    data: bytes('21.5'),
    ...fields,
  }
}

/** Byte fields as plain lists: buffers and views of the same bytes are equal then. */
export function plain(packet: unknown): unknown {
  return JSON.parse(
    JSON.stringify(packet, (_, value) => (ArrayBuffer.isView(value) ? [...(value as Uint8Array)] : value)),
    (_, value) => (value?.type === 'Buffer' ? value.data : value),
  )
}

export function nameOfType(type: number): string {
  return Object.entries(Type).find(([, value]) => value === type)![0]
}
