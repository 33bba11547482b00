/**
 * The properties of an MQTT 5 packet that came from a client. Section 2.2.2.
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
import {
  PROPERTY_IDS,
  PROPERTY_NAMES,
  PROPERTY_PLACES,
  PROPERTY_TYPES,
  Property,
  type PropertyId,
  PropertyPlace,
  ValueType,
} from './properties.ts'
import { MqttProtocolError, malformed, Reason, violation } from './protocol-error.ts'
import { isText, textError } from './utf8.ts'
import { readVariable, VariableInteger } from './variable-integer.ts'

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
  private readonly numbers = new Float64Array(PROPERTY_IDS)
  private readonly from = new Uint32Array(PROPERTY_IDS)
  private readonly to = new Uint32Array(PROPERTY_IDS)
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
    const type = id < PROPERTY_IDS ? PROPERTY_TYPES[id] : ValueType.none
    if (type === ValueType.none)
      throw malformed('section 2.2.2.2', `an unknown property 0x${id.toString(16)}`)
    const next = this.valueEnd(id as PropertyId, at + 1)
    if ((PROPERTY_PLACES[id] & this.place) === 0) throw this.misplaced(id)
    if (id === Property.userProperty) {
      this.userCount++
      if (this.userCount > this.userPropertiesMax) {
        const text = `more than ${this.userPropertiesMax} user properties`
        throw new MqttProtocolError(Reason.quotaExceeded, 'limit: userPropertiesMax', text)
      }
      return next
    }
    if (this.has(id as PropertyId)) {
      throw violation(sectionOf(this.place), `the property ${PROPERTY_NAMES[id]} more than once`)
    }
    if (id < 32) this.seenLow |= 1 << id
    else this.seenHigh |= 1 << (id - 32)
    return next
  }

  /** Reads a value, checks what holds wherever it stands, and notes where it is. @returns where it ends */
  private valueEnd(id: PropertyId, at: number): number {
    const { bytes, end } = this
    switch (PROPERTY_TYPES[id]) {
      case ValueType.byte:
        if (at + 1 > end) throw truncated(id)
        this.numbers[id] = bytes[at]
        if (bytes[at] > 1 && ONE_AT_MOST[id] !== undefined) {
          throw violation(ONE_AT_MOST[id], `the property ${PROPERTY_NAMES[id]} is ${bytes[at]}`)
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
    if (value === 0 && ZERO_REFUSED[id] !== undefined && (PROPERTY_PLACES[id] & this.place) !== 0) {
      throw violation(ZERO_REFUSED[id], `the property ${PROPERTY_NAMES[id]} is 0`)
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
      throw textError(this.bytes, at + 2, next, `the property ${PROPERTY_NAMES[id]}`)
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
   * A property that exists, but not in this packet. Section 2.2.2.2 calls it a malformed packet. mosquitto, by which others measure themselves, does so of
   * SUBSCRIBE and UNSUBSCRIBE, and says protocol error of all others. Either ends the connection; this is its way.
   */
  private misplaced(id: number): MqttProtocolError {
    const { subscribe, unsubscribe, publish } = PropertyPlace
    if ((this.place & (subscribe | unsubscribe)) !== 0) {
      return malformed('section 2.2.2.2', `the property ${PROPERTY_NAMES[id]} where it cannot be`)
    }
    const isIdentifier = this.place === publish && id === Property.subscriptionIdentifier
    const clause = isIdentifier ? 'MQTT-3.3.4-6' : 'section 2.2.2.2'
    return violation(clause, `the property ${PROPERTY_NAMES[id]} where it cannot be`)
  }
}

function truncated(id: number): MqttProtocolError {
  return malformed('section 2.2.2.2', `the property ${PROPERTY_NAMES[id]} is cut short`)
}

/** Of the statement that it is a protocol error to have a property twice. */
function sectionOf(place: number): string {
  if (place === PropertyPlace.connect) return 'section 3.1.2.11'
  if (place === PropertyPlace.will) return 'section 3.1.3.2'
  if (place === PropertyPlace.publish) return 'section 3.3.2.3'
  if (place === PropertyPlace.subscribe) return 'section 3.8.2.1'
  if (place === PropertyPlace.disconnect) return 'section 3.14.2.2'
  if (place === PropertyPlace.auth) return 'section 3.15.2.2'
  return 'section 3.4.2.2'
}
