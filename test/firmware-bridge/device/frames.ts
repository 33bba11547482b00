/** The wire as headwater.h has it at its top, written a second time, so that two wrongs do not make a right. */

/** CRC-16/CCITT-FALSE, bit by bit. */
export function crc16(bytes: Uint8Array): number {
  let crc = 0xffff
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff
  }
  return crc
}

/** Up to 253 bytes: one block. */
function cobs(bytes: readonly number[]): number[] {
  const blocks: number[][] = [[]]
  for (const byte of bytes) {
    if (byte === 0) blocks.push([])
    else blocks.at(-1)!.push(byte)
  }
  return blocks.flatMap((block) => [block.length + 1, ...block])
}

export function frame(message: Uint8Array): Buffer {
  const crc = crc16(message)
  return Buffer.from([0, ...cobs([...message, crc >> 8, crc & 0xff]), 0])
}

/** @returns null when it is damaged */
export function unframe(encoded: Uint8Array): Buffer | null {
  const bytes: number[] = []
  for (let at = 0; at < encoded.length; ) {
    const code = encoded[at]!
    if (at + code > encoded.length) return null
    bytes.push(...encoded.subarray(at + 1, at + code))
    at += code
    if (at < encoded.length) bytes.push(0)
  }
  const all = Buffer.from(bytes)
  if (all.length < 4 || all[0] !== all.length - 2 || crc16(all) !== 0) return null
  return all.subarray(0, -2)
}

/** What comes in pieces, cut at delimiters. */
export class Deframer {
  #rest = Buffer.alloc(0)
  damaged = 0

  /** @returns messages, whole and good */
  push(bytes: Uint8Array): Buffer[] {
    this.#rest = Buffer.concat([this.#rest, bytes])
    const messages: Buffer[] = []
    for (;;) {
      const end = this.#rest.indexOf(0)
      if (end < 0) return messages
      const encoded = this.#rest.subarray(0, end)
      this.#rest = this.#rest.subarray(end + 1)
      if (encoded.length === 0) continue
      const message = unframe(encoded)
      if (message === null) this.damaged++
      else messages.push(message)
    }
  }
}

/** MQTT-SN 1.2, 5.2.2 */
export const Type = {
  advertise: 0x00,
  connect: 0x04,
  connack: 0x05,
  willTopicReq: 0x06,
  willTopic: 0x07,
  willMsgReq: 0x08,
  willMsg: 0x09,
  register: 0x0a,
  regack: 0x0b,
  publish: 0x0c,
  puback: 0x0d,
  subscribe: 0x12,
  suback: 0x13,
  unsubscribe: 0x14,
  unsuback: 0x15,
  pingreq: 0x16,
  pingresp: 0x17,
  disconnect: 0x18,
} as const

export const Flag = {
  dup: 0x80,
  qos1: 0x20,
  retain: 0x10,
  will: 0x08,
  clean: 0x04,
  predefined: 1,
  short: 2,
} as const

/** With its length in front. Numbers are bytes, `u16(...)` is two of them. */
export function message(type: number, ...fields: (number | Uint8Array | string)[]): Buffer {
  const parts = fields.map((field) =>
    typeof field === 'number' ? Buffer.from([field]) : Buffer.from(field as Uint8Array),
  )
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([body.length + 2, type]), body])
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}
