/**
 * The properties of MQTT 5 packets as they come from clients. Section 2.2.2.
 *
 *     properties = length property*            length: variable byte integer, bytes of what follows
 *     property   = id value                    id: variable byte integer; all that exist take one byte
 *     value      = byte | u16 | u32 | variable | binary | text | pair, by the id
 *     binary     = u16 length, bytes           text: binary of well-formed UTF-8
 *     pair       = text text
 *
 * Example: 07 26 00 01 61 00 01 62 is one user property, a = b.
 *
 * `PropertyView` is filled again for each packet and makes no objects while it is filled: a value is its number or its range in the bytes. A view is
 * not small: one serves many packets, one after the other.
 */
import type { UserProperties } from './packet.ts'
import { MqttProtocolError, malformed, Reason, violation } from './protocol-error.ts'
import { isText, textError } from './utf8.ts'
import { readVariable, VariableInteger } from './variable-integer.ts'

export const Property = {
  payloadFormat: 0x01,
  messageExpiry: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  subscriptionIdentifier: 0x0b,
  sessionExpiry: 0x11,
  assignedClientId: 0x12,
  serverKeepAlive: 0x13,
  authenticationMethod: 0x15,
  authenticationData: 0x16,
  requestProblemInformation: 0x17,
  willDelay: 0x18,
  requestResponseInformation: 0x19,
  responseInformation: 0x1a,
  serverReference: 0x1c,
  reasonString: 0x1f,
  receiveMaximum: 0x21,
  topicAliasMaximum: 0x22,
  topicAlias: 0x23,
  maximumQos: 0x24,
  retainAvailable: 0x25,
  userProperty: 0x26,
  maximumPacketSize: 0x27,
  wildcardAvailable: 0x28,
  identifierAvailable: 0x29,
  sharedAvailable: 0x2a,
} as const

export type PropertyId = (typeof Property)[keyof typeof Property]

/** Where properties of a client stand. A bit each. */
export const PropertyPlace = {
  connect: 1,
  will: 2,
  publish: 4,
  acknowledgement: 8,
  subscribe: 16,
  unsubscribe: 32,
  disconnect: 64,
  auth: 128,
} as const

const ValueType = { none: 0, byte: 1, u16: 2, u32: 3, variable: 4, binary: 5, text: 6, pair: 7 } as const

const IDS = 0x2b
const TYPES = new Uint8Array(IDS)
const PLACES = new Uint8Array(IDS)

/** Section 2.2.2.2, table 2-4. `places`: where a client may send it. */
function define(
  id: PropertyId,
  type: keyof typeof ValueType,
  ...places: (keyof typeof PropertyPlace)[]
): void {
  TYPES[id] = ValueType[type]
  for (const place of places) PLACES[id] |= PropertyPlace[place]
}

define(Property.payloadFormat, 'byte', 'publish', 'will')
define(Property.messageExpiry, 'u32', 'publish', 'will')
define(Property.contentType, 'text', 'publish', 'will')
define(Property.responseTopic, 'text', 'publish', 'will')
define(Property.correlationData, 'binary', 'publish', 'will')
define(Property.subscriptionIdentifier, 'variable', 'subscribe')
define(Property.sessionExpiry, 'u32', 'connect', 'disconnect')
define(Property.assignedClientId, 'text')
define(Property.serverKeepAlive, 'u16')
define(Property.authenticationMethod, 'text', 'connect', 'auth')
define(Property.authenticationData, 'binary', 'connect', 'auth')
define(Property.requestProblemInformation, 'byte', 'connect')
define(Property.willDelay, 'u32', 'will')
define(Property.requestResponseInformation, 'byte', 'connect')
define(Property.responseInformation, 'text')
define(Property.serverReference, 'text', 'disconnect')
define(Property.reasonString, 'text', 'acknowledgement', 'disconnect', 'auth')
define(Property.receiveMaximum, 'u16', 'connect')
define(Property.topicAliasMaximum, 'u16', 'connect')
define(Property.topicAlias, 'u16', 'publish')
define(Property.maximumQos, 'byte')
define(Property.retainAvailable, 'byte')
define(
  Property.userProperty,
  'pair',
  'connect',
  'will',
  'publish',
  'acknowledgement',
  'subscribe',
  'unsubscribe',
  'disconnect',
  'auth',
)
define(Property.maximumPacketSize, 'u32', 'connect')
define(Property.wildcardAvailable, 'byte')
define(Property.identifierAvailable, 'byte')
define(Property.sharedAvailable, 'byte')

const NAMES: readonly string[] = Object.entries(Property).reduce<string[]>((names, [name, id]) => {
  names[id] = name
  return names
}, [])

/** Clauses of what must not be; by the id. */
const ZERO_REFUSED: Readonly<Record<number, string>> = {
  [Property.receiveMaximum]: 'section 3.1.2.11.3',
  [Property.maximumPacketSize]: 'section 3.1.2.11.4',
  [Property.subscriptionIdentifier]: 'section 3.8.2.1.2',
}
const ONE_AT_MOST: Readonly<Record<number, string>> = {
  [Property.payloadFormat]: 'section 3.3.2.3.2',
  [Property.requestProblemInformation]: 'section 3.1.2.11.7',
  [Property.requestResponseInformation]: 'section 3.1.2.11.6',
}

export class PropertyView {
  private readonly length = new VariableInteger()
  private bytes: Buffer = Buffer.alloc(0)
  private start = 0
  private end = 0
  /** A bit an id. */
  private seenLow = 0
  private seenHigh = 0
  private readonly numbers = new Float64Array(IDS)
  private readonly from = new Uint32Array(IDS)
  private readonly to = new Uint32Array(IDS)
  private place = 0
  private userPropertiesMax = 0
  /** How many user properties there are. */
  userCount = 0

  /** No properties at all: as in MQTT 3. */
  clear(): void {
    this.seenLow = 0
    this.seenHigh = 0
    this.userCount = 0
    this.start = 0
    this.end = 0
  }

  get isEmpty(): boolean {
    return this.start === this.end
  }

  /**
   * Reads the properties that begin at `at`, with their length. @param to where the packet ends @param place of PropertyPlace
   * @returns Where they end.
   * @throws MqttProtocolError
   */
  read(bytes: Buffer, at: number, to: number, place: number, userPropertiesMax: number): number {
    this.seenLow = 0
    this.seenHigh = 0
    this.userCount = 0
    this.bytes = bytes
    this.place = place
    this.userPropertiesMax = userPropertiesMax
    if (at < to && bytes[at] === 0) {
      this.start = at + 1
      this.end = at + 1
      return at + 1
    }
    readVariable(bytes, at, to, this.length)
    this.start = this.length.end
    this.end = this.start + this.length.value
    if (this.end > to) throw malformed('section 2.2.2.1', 'properties that are longer than their packet')
    for (let next = this.start; next < this.end; ) next = this.readOne(next)
    return this.end
  }

  has(id: PropertyId): boolean {
    return id < 32 ? (this.seenLow & (1 << id)) !== 0 : (this.seenHigh & (1 << (id - 32))) !== 0
  }

  number(id: PropertyId, otherwise: number): number {
    return this.has(id) ? this.numbers[id] : otherwise
  }

  text(id: PropertyId): string | null {
    return this.has(id) ? this.bytes.toString('utf8', this.from[id], this.to[id]) : null
  }

  /** A view. */
  binary(id: PropertyId): Buffer | null {
    return this.has(id) ? this.bytes.subarray(this.from[id], this.to[id]) : null
  }

  /** @throws MqttProtocolError where there is a response topic that is no topic name. Of a PUBLISH or a will. */
  checkResponseTopic(): void {
    if (!this.has(Property.responseTopic)) return
    const from = this.from[Property.responseTopic]
    const to = this.to[Property.responseTopic]
    if (from === to) throw violation('MQTT-4.7.3-1', 'an empty response topic')
    for (let at = from; at < to; at++) {
      const byte = this.bytes[at]
      if (byte === 0x23 || byte === 0x2b) throw violation('MQTT-3.3.2-14', 'a wildcard in a response topic')
    }
  }

  /** In their order, which matters. MQTT-3.3.2-18. */
  userProperties(): UserProperties {
    const all: [string, string][] = []
    const { bytes } = this
    for (let at = this.start; all.length < this.userCount; ) {
      const id = bytes[at] as PropertyId
      if (id !== Property.userProperty) {
        at = this.valueEnd(id, at + 1)
        continue
      }
      const nameEnd = at + 3 + bytes.readUInt16BE(at + 1)
      const valueEnd = nameEnd + 2 + bytes.readUInt16BE(nameEnd)
      all.push([bytes.toString('utf8', at + 3, nameEnd), bytes.toString('utf8', nameEnd + 2, valueEnd)])
      at = valueEnd
    }
    return all
  }

  private readOne(at: number): number {
    const id = this.bytes[at]
    const type = id < IDS ? TYPES[id] : ValueType.none
    if (type === ValueType.none)
      throw malformed('section 2.2.2.2', `an unknown property 0x${id.toString(16)}`)
    const next = this.valueEnd(id as PropertyId, at + 1)
    if ((PLACES[id] & this.place) === 0) throw this.misplaced(id)
    if (id === Property.userProperty) {
      this.userCount++
      if (this.userCount > this.userPropertiesMax) {
        const text = `more than ${this.userPropertiesMax} user properties`
        throw new MqttProtocolError(Reason.quotaExceeded, 'limit: userPropertiesMax', text)
      }
      return next
    }
    if (this.has(id as PropertyId)) {
      throw violation(sectionOf(id, this.place), `the property ${NAMES[id]} more than once`)
    }
    if (id < 32) this.seenLow |= 1 << id
    else this.seenHigh |= 1 << (id - 32)
    return next
  }

  /** Reads a value, checks what holds wherever it stands, and notes where it is. @returns where it ends */
  private valueEnd(id: PropertyId, at: number): number {
    const { bytes, end } = this
    switch (TYPES[id]) {
      case ValueType.byte:
        if (at + 1 > end) throw truncated(id)
        this.numbers[id] = bytes[at]
        if (bytes[at] > 1 && ONE_AT_MOST[id] !== undefined) {
          throw violation(ONE_AT_MOST[id], `the property ${NAMES[id]} is ${bytes[at]}`)
        }
        return at + 1
      case ValueType.u16:
        if (at + 2 > end) throw truncated(id)
        return this.noteNumber(id, bytes.readUInt16BE(at), at + 2)
      case ValueType.u32:
        if (at + 4 > end) throw truncated(id)
        return this.noteNumber(id, bytes.readUInt32BE(at), at + 4)
      case ValueType.variable:
        readVariable(bytes, at, end, this.length)
        return this.noteNumber(id, this.length.value, this.length.end)
      case ValueType.pair:
        return this.textEnd(id, this.textEnd(id, at))
      case ValueType.binary:
        return this.noteRange(id, at, false)
      default:
        return this.noteRange(id, at, true)
    }
  }

  private noteNumber(id: PropertyId, value: number, next: number): number {
    if (value === 0 && ZERO_REFUSED[id] !== undefined && (PLACES[id] & this.place) !== 0) {
      throw violation(ZERO_REFUSED[id], `the property ${NAMES[id]} is 0`)
    }
    this.numbers[id] = value
    return next
  }

  private noteRange(id: PropertyId, at: number, isUtf8: boolean): number {
    const next = isUtf8 ? this.textEnd(id, at) : this.binaryEnd(id, at)
    this.from[id] = at + 2
    this.to[id] = next
    return next
  }

  private textEnd(id: PropertyId, at: number): number {
    const next = this.binaryEnd(id, at)
    if (!isText(this.bytes, at + 2, next)) {
      throw textError(this.bytes, at + 2, next, `the property ${NAMES[id]}`)
    }
    return next
  }

  private binaryEnd(id: PropertyId, at: number): number {
    if (at + 2 > this.end) throw truncated(id)
    const next = at + 2 + this.bytes.readUInt16BE(at)
    if (next > this.end) throw truncated(id)
    return next
  }

  /**
   * A property that exists but not here. Section 2.2.2.2 says malformed packet; CONNECT and what follows a PUBLISH are answered with protocol
   * error, as mosquitto does: clients' test suites know it so.
   */
  private misplaced(id: number): MqttProtocolError {
    const { subscribe, unsubscribe, publish } = PropertyPlace
    if ((this.place & (subscribe | unsubscribe)) !== 0) {
      return malformed('section 2.2.2.2', `the property ${NAMES[id]} where it cannot be`)
    }
    const isIdentifier = this.place === publish && id === Property.subscriptionIdentifier
    const clause = isIdentifier ? 'MQTT-3.3.4-6' : 'section 2.2.2.2'
    return violation(clause, `the property ${NAMES[id]} where it cannot be`)
  }
}

function truncated(id: number): MqttProtocolError {
  return malformed('section 2.2.2.2', `the property ${NAMES[id]} is cut short`)
}

/** Of the statement that it is a protocol error to have a property twice. */
function sectionOf(_id: number, place: number): string {
  if (place === PropertyPlace.connect) return 'section 3.1.2.11'
  if (place === PropertyPlace.will) return 'section 3.1.3.2'
  if (place === PropertyPlace.publish) return 'section 3.3.2.3'
  if (place === PropertyPlace.subscribe) return 'section 3.8.2.1'
  if (place === PropertyPlace.disconnect) return 'section 3.14.2.2'
  if (place === PropertyPlace.auth) return 'section 3.15.2.2'
  return 'section 3.4.2.2'
}
