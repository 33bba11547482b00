/**
 * UTF-8 Encoded Strings, checked by the bytes. MQTT 5, section 1.5.4: what is not well formed (overlong forms, encoded surrogates, code points
 * above U+10FFFF, truncated sequences) and U+0000 must be refused. Control characters (U+0001 to U+001F, U+007F to U+009F) and
 * non-characters (U+FDD0 to U+FDEF, U+xxFFFE and U+xxFFFF) may be refused: they are in what names something (topics, filters, client ids,
 * user names), and not in free text (a user property may hold a line break).
 */
import { malformed } from './protocol-error.ts'

/** Whether bytes[from, to) are a name: well formed, without U+0000, control characters and non-characters. */
export function isName(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; ) {
    const byte = bytes[at]
    if (byte < 0x80) {
      if (byte < 0x20 || byte === 0x7f) return false
      at++
      continue
    }
    const codePoint = codePointAt(bytes, at, to)
    if (codePoint < 0xa0 || isNonCharacter(codePoint)) return false
    at += codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4
  }
  return true
}

/** Whether bytes[from, to) are well formed and without U+0000. */
export function isText(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; ) {
    const byte = bytes[at]
    if (byte < 0x80) {
      if (byte === 0) return false
      at++
      continue
    }
    const codePoint = codePointAt(bytes, at, to)
    if (codePoint < 0) return false
    at += codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4
  }
  return true
}

/** Why `isName` or `isText` said no. */
export function textError(bytes: Uint8Array, from: number, to: number, what: string): Error {
  for (let at = from; at < to; ) {
    const codePoint = bytes[at] < 0x80 ? bytes[at] : codePointAt(bytes, at, to)
    if (codePoint < 0) return malformed('MQTT-1.5.4-1', `${what} is not well-formed UTF-8`)
    if (codePoint === 0) return malformed('MQTT-1.5.4-2', `${what} has U+0000 in it`)
    at += codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4
  }
  return malformed('section 1.5.4', `${what} has a control character or a non-character in it`)
}

function isNonCharacter(codePoint: number): boolean {
  return (codePoint & 0xfffe) === 0xfffe || (codePoint >= 0xfdd0 && codePoint <= 0xfdef)
}

/** Of a sequence of two to four bytes; -1 where it is not well formed. RFC 3629, section 4. */
function codePointAt(bytes: Uint8Array, at: number, to: number): number {
  const first = bytes[at]
  if (first < 0xc2 || first > 0xf4 || at + 1 >= to) return -1
  const second = bytes[at + 1]
  if ((second & 0xc0) !== 0x80) return -1
  if (first < 0xe0) return ((first & 0x1f) << 6) | (second & 0x3f)
  if (at + 2 >= to) return -1
  const third = bytes[at + 2]
  if ((third & 0xc0) !== 0x80) return -1
  if (first < 0xf0) {
    const codePoint = ((first & 0x0f) << 12) | ((second & 0x3f) << 6) | (third & 0x3f)
    return codePoint < 0x800 || (codePoint >= 0xd800 && codePoint <= 0xdfff) ? -1 : codePoint
  }
  if (at + 3 >= to) return -1
  const fourth = bytes[at + 3]
  if ((fourth & 0xc0) !== 0x80) return -1
  const codePoint = ((first & 0x07) << 18) | ((second & 0x3f) << 12) | ((third & 0x3f) << 6) | (fourth & 0x3f)
  return codePoint < 0x10000 || codePoint > 0x10ffff ? -1 : codePoint
}
