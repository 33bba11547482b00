/**
 * Variable byte integers: 1 to 4 bytes, 7 bits each, least significant first; 0x80 says that another one follows. MQTT 5, section 1.5.5.
 * Example: 80 01 is 128.
 */
import { malformed } from './protocol-error.ts'

const BYTES_MAX = 4
export const VARIABLE_MAX = 0x0fffffff

/** Filled by `readVariable`: a value and where it ends, without an object a call. */
export class VariableInteger {
  value = 0
  end = 0
}

/** @throws MqttProtocolError where it is cut short by `to`, longer than four bytes or longer than it need be. */
export function readVariable(bytes: Uint8Array, at: number, to: number, into: VariableInteger): void {
  let value = 0
  for (let count = 0; count < BYTES_MAX; count++) {
    if (at + count >= to) throw malformed('section 1.5.5', 'a variable byte integer is cut short')
    const byte = bytes[at + count]
    value |= (byte & 0x7f) << (7 * count)
    if (byte >= 0x80) continue
    if (byte === 0 && count > 0)
      throw malformed('MQTT-1.5.5-1', 'a variable byte integer is longer than it need be')
    into.value = value
    into.end = at + count + 1
    return
  }
  throw malformed('section 1.5.5', 'a variable byte integer of more than four bytes')
}

export function variableBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : 4
}

/** @returns Where it ends. */
export function writeVariable(target: Uint8Array, at: number, value: number): number {
  let left = value
  let next = at
  while (left >= 0x80) {
    target[next++] = (left & 0x7f) | 0x80
    left >>>= 7
  }
  target[next++] = left
  return next
}
