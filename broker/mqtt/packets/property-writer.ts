/** Writes properties of MQTT 5; the grammar is in property-view.ts. */
import type { UserProperties } from './packet.ts'
import type { PropertyId } from './properties.ts'
import { Property } from './properties.ts'
import { variableBytes, writeVariable } from './variable-integer.ts'

const TEXT_BYTES_MAX = 65_535
/** Room at first; doubled as it fills. */
const FIRST_BYTES = 128

export class PropertyWriter {
  private bytes = Buffer.allocUnsafe(FIRST_BYTES)
  private length = 0

  /** Of the properties without their length. */
  get byteLength(): number {
    return this.length
  }

  byte(id: PropertyId, value: number | boolean | undefined): this {
    if (value === undefined) return this
    const at = this.room(id, 1)
    this.bytes[at] = Number(value)
    return this
  }

  u16(id: PropertyId, value: number | undefined): this {
    if (value === undefined) return this
    const at = this.room(id, 2)
    this.bytes.writeUInt16BE(value, at)
    return this
  }

  u32(id: PropertyId, value: number | undefined): this {
    if (value === undefined) return this
    const at = this.room(id, 4)
    this.bytes.writeUInt32BE(value, at)
    return this
  }

  variable(id: PropertyId, value: number): this {
    const at = this.room(id, variableBytes(value))
    writeVariable(this.bytes, at, value)
    return this
  }

  text(id: PropertyId, value: string | undefined): this {
    if (value === undefined) return this
    const length = textBytes(value)
    this.writeText(value, length, this.room(id, 2 + length))
    return this
  }

  binary(id: PropertyId, value: Uint8Array | undefined): this {
    if (value === undefined) return this
    checkLength(value.length)
    const at = this.room(id, 2 + value.length)
    this.bytes.writeUInt16BE(value.length, at)
    this.bytes.set(value, at + 2)
    return this
  }

  user(properties: UserProperties | undefined): this {
    if (properties === undefined) return this
    for (const [name, value] of properties) {
      const nameBytes = textBytes(name)
      const valueBytes = textBytes(value)
      const at = this.room(Property.userProperty, 4 + nameBytes + valueBytes)
      this.writeText(name, nameBytes, at)
      this.writeText(value, valueBytes, at + 2 + nameBytes)
    }
    return this
  }

  /** With their length. */
  finish(): Buffer {
    const lengthBytes = variableBytes(this.length)
    const properties = Buffer.allocUnsafe(lengthBytes + this.length)
    writeVariable(properties, 0, this.length)
    this.bytes.copy(properties, lengthBytes, 0, this.length)
    return properties
  }

  /** Writes the id. @returns where a value of so many bytes goes */
  private room(id: PropertyId, valueBytes: number): number {
    const at = this.length
    this.length += 1 + valueBytes
    if (this.length > this.bytes.length) {
      const grown = Buffer.allocUnsafe(2 * this.length)
      this.bytes.copy(grown, 0, 0, at)
      this.bytes = grown
    }
    this.bytes[at] = id
    return at + 1
  }

  private writeText(value: string, length: number, at: number): void {
    this.bytes.writeUInt16BE(length, at)
    this.bytes.write(value, at + 2, length, 'utf8')
  }
}

function textBytes(value: string): number {
  const length = Buffer.byteLength(value)
  checkLength(length)
  return length
}

/** A text that does not fit its length is the broker's own mistake: what came from a client fitted. */
function checkLength(length: number): void {
  if (length > TEXT_BYTES_MAX) throw new RangeError(`${length} bytes do not fit a length of 16 bits`)
}

/** A whole packet. */
export function framed(first: number, ...parts: readonly Uint8Array[]): Buffer {
  let body = 0
  for (const part of parts) body += part.length
  const packet = Buffer.allocUnsafe(1 + variableBytes(body) + body)
  packet[0] = first
  let at = writeVariable(packet, 1, body)
  for (const part of parts) {
    packet.set(part, at)
    at += part.length
  }
  return packet
}
