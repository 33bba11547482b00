/**
 * What the writers send: a payload says who sent it and which one it is, and its bytes follow from that, so that a record is checked
 * to its last byte.
 *
 *   payload := writer ' ' sequence ' ' filling      of 16 to 131,072 bytes, mostly small
 */
import { type Random, seededRandom } from '../support/random.ts'

/** One class of sizes in each hundred messages. */
const SIZES = [
  { of100: 80, low: 16, high: 300 },
  { of100: 14, low: 1_000, high: 5_000 },
  { of100: 5, low: 5_000, high: 20_000 },
  { of100: 1, low: 65_536, high: 131_072 },
] as const

const FILLING_BYTES = 61
const ALPHABET = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_'

export function payloadOf(writer: string, sequence: number, seed: number): Buffer {
  const random = seededRandom(hash(`${seed} ${writer} ${sequence}`))
  const head = `${writer} ${sequence} `
  const payload = Buffer.alloc(Math.max(head.length, sizeOf(random)), fillingOf(random))
  payload.write(head, 'latin1')
  return payload
}

/** @returns null where the bytes are none of a writer's. */
export function originOf(payload: string): { writer: string; sequence: number } | null {
  const found = /^([a-z0-9-]+) ([0-9]+) /.exec(payload.slice(0, 80))
  return found === null ? null : { writer: found[1]!, sequence: Number(found[2]) }
}

function sizeOf(random: Random): number {
  let left = random.between(0, 99)
  for (const { of100, low, high } of SIZES) {
    if (left < of100) return random.between(low, high)
    left -= of100
  }
  throw new Error('the classes of sizes make a hundred')
}

function fillingOf(random: Random): string {
  return Array.from({ length: FILLING_BYTES }, () => ALPHABET[random.between(0, 63)]).join('')
}

/** FNV-1a */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0
  return value
}
