/** Writes properties of MQTT 5; the grammar is in property-view.ts. Not for the hot path: a packet of its own buffers, joined at the end. */
import type { UserProperties } from './packet.ts'
import type { PropertyId } from './properties.ts'
import { Property } from './properties.ts'
import { variableBytes, writeVariable } from './variable-integer.ts'

const TEXT_BYTES_MAX = 65_535

export class PropertyWriter {
  private readonly parts: Buffer[] = []
  private bytes = 0

  /** Of the properties without their length. */
  get byteLength(): number {
    return this.bytes
  }

  byte(id: PropertyId, value: number | boolean | undefined): this {
    if (value !== undefined) this.add(Buffer.from([id, Number(value)]))
    return this
  }

  u16(id: PropertyId, value: number | undefined): this {
    if (value !== undefined) this.add(Buffer.from([id, value >> 8, value & 0xff]))
    return this
  }

  u32(id: PropertyId, value: number | undefined): this {
    if (value === undefined) return this
    const part = Buffer.alloc(5, id)
    part.writeUInt32BE(value, 1)
    this.add(part)
    return this
  }

  variable(id: PropertyId, value: number): this {
    const part = Buffer.alloc(1 + variableBytes(value), id)
    writeVariable(part, 1, value)
    this.add(part)
    return this
  }

  text(id: PropertyId, value: string | undefined): this {
    if (value !== undefined) this.add(Buffer.concat([Buffer.from([id]), lengthPrefixed(value)]))
    return this
  }

  binary(id: PropertyId, value: Uint8Array | undefined): this {
    if (value !== undefined) this.add(Buffer.concat([Buffer.from([id]), lengthPrefixed(value)]))
    return this
  }

  user(properties: UserProperties | undefined): this {
    for (const [name, value] of properties ?? []) {
      const id = Buffer.from([Property.userProperty])
      this.add(Buffer.concat([id, lengthPrefixed(name), lengthPrefixed(value)]))
    }
    return this
  }

  /** With their length. */
  finish(): Buffer {
    const length = Buffer.alloc(variableBytes(this.bytes))
    writeVariable(length, 0, this.bytes)
    return Buffer.concat([length, ...this.parts])
  }

  private add(part: Buffer): void {
    this.parts.push(part)
    this.bytes += part.length
  }
}

/** A text that does not fit its length is the broker's own mistake: what came from a client fitted. */
export function lengthPrefixed(value: string | Uint8Array): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
  if (bytes.length > TEXT_BYTES_MAX)
    throw new RangeError(`${bytes.length} bytes do not fit a length of 16 bits`)
  const prefixed = Buffer.allocUnsafe(2 + bytes.length)
  prefixed.writeUInt16BE(bytes.length, 0)
  prefixed.set(bytes, 2)
  return prefixed
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
