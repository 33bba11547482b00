/**
 * CONNECT. MQTT 5, section 3.1; MQTT 3.1.1, section 3.1; MQTT 3.1, section 3.1.
 *
 *     connect = name level flags keepAlive [properties] clientId [will] [username] [password]
 *     name    = u16 length, "MQTT" (levels 4 and 5) or "MQIsdp" (level 3)
 *     flags   = username(0x80) password(0x40) willRetain(0x20) willQos(0x18) will(0x04) cleanStart(0x02) reserved(0x01)
 *     will    = [properties] topic payload
 *
 * Example: 10 0d 00 04 4d 51 54 54 04 02 00 0a 00 01 70 is client "p" with MQTT 3.1.1, a clean session and 10 s of keep alive.
 */
import { BodyReader } from './body-reader.ts'
import type { Frame } from './frame-scanner.ts'
import type { PacketLimits } from './limits.ts'
import type { Connect, ProtocolVersion, QoS, Will } from './packet.ts'
import { Property, PropertyPlace } from './properties.ts'
import { PropertyView } from './property-view.ts'
import { MqttProtocolError, malformed, Reason, violation } from './protocol-error.ts'
import { messageProperties } from './publish-view.ts'
import { validateTopicName } from './topics.ts'
import { isName, textError } from './utf8.ts'

const Flag = {
  reserved: 0x01,
  cleanStart: 0x02,
  will: 0x04,
  willRetain: 0x20,
  password: 0x40,
  username: 0x80,
}
const NEVER = 0xffffffff
const RECEIVE_MAXIMUM = 65_535
const SECTION = 'MQTT-3.1.4-1'
/** Filled again for each CONNECT, and then for its will. */
const properties = new PropertyView()

/** @throws MqttProtocolError whose `answerVersion` says in which version CONNACK tells it, if at all. */
export function decodeConnect(frame: Frame, limits: PacketLimits): Connect {
  const reader = new BodyReader(frame)
  let version: ProtocolVersion | null = null
  try {
    version = readVersion(reader)
    checkFixedHeader(frame, version)
    return readConnect(reader, version, limits)
  } catch (error) {
    if (error instanceof MqttProtocolError && error.answerVersion === undefined) error.answerVersion = version
    throw error
  }
}

/**
 * A client that speaks a version unknown here is answered in the nearest it can be expected to know. MQTT-3.1.2-2: version 5 answers with 0x84, 3.1.1
 * with return code 1.
 */
function readVersion(reader: BodyReader): ProtocolVersion {
  const name = reader.binary('MQTT-3.1.2-1', 'the protocol name').toString('latin1')
  const isOld = name === 'MQIsdp'
  if (!isOld && name !== 'MQTT') throw malformed('MQTT-3.1.2-1', 'a protocol name that is not MQTT')
  const level = reader.byte('MQTT-3.1.2-2', 'the protocol version')
  if (isOld ? level === 3 : level === 4 || level === 5) return level as ProtocolVersion
  const error = new MqttProtocolError(
    Reason.unsupportedVersion,
    'MQTT-3.1.2-2',
    `protocol ${name} with version ${level}`,
  )
  // 0x80 is how mosquitto's bridges introduce themselves; refused in their own version they come again without it.
  const known = level & 0x7f
  error.answerVersion = known === 3 || known === 4 ? known : 5
  throw error
}

function checkFixedHeader(frame: Frame, version: ProtocolVersion): void {
  // MQTT 3.1, section 3.1: the flags of a CONNECT are not used.
  if (version !== 3 && (frame.first & 0x0f) !== 0) {
    throw malformed('MQTT-2.1.3-1', 'reserved flags of a CONNECT are set')
  }
  if (version === 5 && !frame.isLengthMinimal) {
    throw malformed('MQTT-1.5.5-1', 'a remaining length longer than it need be')
  }
}

function readConnect(reader: BodyReader, version: ProtocolVersion, limits: PacketLimits): Connect {
  const flags = reader.byte(SECTION, 'the connect flags')
  checkFlags(flags, version)
  const keepAliveSeconds = reader.u16(SECTION, 'the keep alive')
  const cleanStart = (flags & Flag.cleanStart) !== 0
  if (version === 5) reader.properties(properties, PropertyPlace.connect, limits)
  else properties.clear()
  const wishes = connectProperties(version, cleanStart)
  const clientId = readClientId(reader, version, cleanStart, limits)
  const will = (flags & Flag.will) === 0 ? null : readWill(reader, flags, version, limits)
  // MQTT 3.1, section 3.1: where the remaining length says so, user name and password are not there whatever the flags say.
  const isCut = version === 3 && reader.isAtEnd
  const username =
    (flags & Flag.username) === 0 || isCut ? null : reader.name('MQTT-3.1.2-19', 'the user name')
  const isPasswordCut = version === 3 && reader.isAtEnd
  const password =
    (flags & Flag.password) === 0 || isPasswordCut ? null : reader.binary('MQTT-3.1.2-21', 'the password')
  if (!reader.isAtEnd) throw extraBytes(flags)
  return {
    type: 'connect',
    version,
    clientId,
    cleanStart,
    keepAliveSeconds,
    username,
    password: password === null ? null : Buffer.from(password),
    will,
    ...wishes,
  }
}

function checkFlags(flags: number, version: ProtocolVersion): void {
  // MQTT 3.1 does not use the lowest bit.
  if (version !== 3 && (flags & Flag.reserved) !== 0) {
    throw malformed('MQTT-3.1.2-3', 'the reserved flag of a CONNECT is set')
  }
  const willQos = (flags >> 3) & 3
  if (willQos === 3) throw malformed('MQTT-3.1.2-14', 'a will with QoS 3')
  if ((flags & Flag.will) === 0 && version !== 3) {
    if (willQos !== 0) throw malformed('MQTT-3.1.2-13', 'a will QoS without a will')
    if ((flags & Flag.willRetain) !== 0) throw malformed('MQTT-3.1.2-15', 'a will retain flag without a will')
  }
  if (version === 4 && (flags & Flag.username) === 0 && (flags & Flag.password) !== 0) {
    throw malformed('3.1.1: MQTT-3.1.2-22', 'a password without a user name')
  }
}

function readClientId(
  reader: BodyReader,
  version: ProtocolVersion,
  cleanStart: boolean,
  limits: PacketLimits,
): string {
  const bytes = reader.binary('MQTT-3.1.3-3', 'the client identifier')
  if (bytes.length === 0) {
    if (version === 3) throw invalidClientId('3.1: section 3.1', 'an empty client identifier')
    if (version === 4 && !cleanStart) {
      throw invalidClientId('3.1.1: MQTT-3.1.3-8', 'an empty client identifier without a clean session')
    }
  }
  if (!isName(bytes, 0, bytes.length)) {
    throw invalidClientId('MQTT-3.1.3-4', textError(bytes, 0, bytes.length, 'the client identifier').message)
  }
  if (bytes.length > limits.clientIdBytesMax) {
    const text = `a client identifier of ${bytes.length} bytes, the maximum is ${limits.clientIdBytesMax}`
    throw invalidClientId('MQTT-3.1.3-8', text)
  }
  return bytes.toString('utf8')
}

function readWill(reader: BodyReader, flags: number, version: ProtocolVersion, limits: PacketLimits): Will {
  // In MQTT 3 the properties are clear since the beginning of the CONNECT.
  if (version === 5) reader.properties(properties, PropertyPlace.will, limits)
  properties.checkResponseTopic()
  const topic = reader.binary('MQTT-3.1.2-9', 'the will topic')
  const payload = reader.binary('MQTT-3.1.2-9', 'the will payload')
  validateTopicName(topic, 0, topic.length, limits, 'MQTT-4.7.0-1')
  const message = messageProperties(properties)
  const { correlationData } = message ?? {}
  return {
    topic: topic.toString('utf8'),
    payload: Buffer.from(payload),
    qos: ((flags >> 3) & 3) as QoS,
    isRetained: (flags & Flag.willRetain) !== 0,
    delaySeconds: properties.number(Property.willDelay, 0),
    properties:
      correlationData === undefined ? message : { ...message, correlationData: Buffer.from(correlationData) },
  }
}

type ConnectProperties = Pick<
  Connect,
  | 'sessionExpirySeconds'
  | 'receiveMaximum'
  | 'maximumPacketBytes'
  | 'topicAliasMaximum'
  | 'requestsProblemInformation'
  | 'requestsResponseInformation'
  | 'authenticationMethod'
>

function connectProperties(version: ProtocolVersion, cleanStart: boolean): ConnectProperties {
  const authenticationMethod = properties.text(Property.authenticationMethod)
  if (authenticationMethod === null && properties.has(Property.authenticationData)) {
    throw violation('section 3.1.2.11.10', 'authentication data without an authentication method')
  }
  const ofOld = cleanStart ? 0 : NEVER
  return {
    sessionExpirySeconds: version === 5 ? properties.number(Property.sessionExpiry, 0) : ofOld,
    receiveMaximum: properties.number(Property.receiveMaximum, RECEIVE_MAXIMUM),
    maximumPacketBytes: properties.has(Property.maximumPacketSize)
      ? properties.number(Property.maximumPacketSize, 0)
      : null,
    topicAliasMaximum: properties.number(Property.topicAliasMaximum, 0),
    requestsProblemInformation: properties.number(Property.requestProblemInformation, 1) === 1,
    requestsResponseInformation: properties.number(Property.requestResponseInformation, 0) === 1,
    authenticationMethod,
  }
}

/** Bytes after the last field: of a field whose flag is not set, or of none. */
function extraBytes(flags: number): MqttProtocolError {
  const text = 'bytes after the last field of a CONNECT'
  if ((flags & Flag.username) === 0) return malformed('MQTT-3.1.2-18', text)
  if ((flags & Flag.password) === 0) return malformed('MQTT-3.1.2-20', text)
  return malformed(SECTION, text)
}

function invalidClientId(clause: string, text: string): MqttProtocolError {
  return new MqttProtocolError(Reason.invalidClientId, clause, text)
}
