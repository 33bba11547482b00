/** Reads the body of a packet from its beginning to its end. Not for the hot path: `readPublish` and `readAcknowledgement` are. */
import type { Frame } from './frame-scanner.ts'
import type { PacketLimits } from './limits.ts'
import type { PropertyView } from './property-view.ts'
import { malformed } from './protocol-error.ts'
import { isName, textError } from './utf8.ts'

export class BodyReader {
  readonly bytes: Buffer
  at: number
  readonly to: number

  constructor(frame: Frame) {
    this.bytes = frame.bytes
    this.at = frame.from
    this.to = frame.to
  }

  get isAtEnd(): boolean {
    return this.at === this.to
  }

  byte(clause: string, what: string): number {
    this.need(1, clause, what)
    return this.bytes[this.at++]
  }

  u16(clause: string, what: string): number {
    this.need(2, clause, what)
    this.at += 2
    return this.bytes.readUInt16BE(this.at - 2)
  }

  /** A length and so many bytes: a view. */
  binary(clause: string, what: string): Buffer {
    const length = this.u16(clause, what)
    this.need(length, clause, what)
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  /** A text that names something: without control characters too. */
  name(clause: string, what: string): string {
    const bytes = this.binary(clause, what)
    if (!isName(bytes, 0, bytes.length)) throw textError(bytes, 0, bytes.length, what)
    return bytes.toString('utf8')
  }

  properties(view: PropertyView, place: number, limits: PacketLimits): void {
    this.at = view.read(this.bytes, this.at, this.to, place, limits.userPropertiesMax)
  }

  private need(count: number, clause: string, what: string): void {
    if (this.at + count > this.to) throw malformed(clause, `${what} is missing or cut short`)
  }
}
