/** A key or a value for people: JSON with line breaks, text, or bytes in hex. */
import type { Base64 } from '../api/types.ts'
import { indented } from './json-lines.ts'
import { visible, visibleLines } from './visible.ts'

export interface Payload {
  readonly kind: 'none' | 'json' | 'text' | 'bytes'
  readonly bytes: number
  readonly text: string
}

/** A larger one is shown as it is. */
const INDENT_CHARS_MAX = 262_144
const ONE_LINE_CHARS_MAX = 240
const HEX_LINE_BYTES = 16

export function payloadOf(value: string | Base64 | null): Payload {
  if (value === null) return { kind: 'none', bytes: 0, text: '' }
  if (typeof value !== 'string') {
    const bytes = bytesOf(value)
    return { kind: 'bytes', bytes: bytes.length, text: hexLines(bytes) }
  }
  const bytes = new TextEncoder().encode(value).length
  const json = value.length <= INDENT_CHARS_MAX ? indented(value) : null
  if (json !== null) return { kind: 'json', bytes, text: visibleLines(json) }
  return { kind: 'text', bytes, text: visibleLines(value) }
}

/** Its beginning, on one line. */
export function oneLine(value: string | Base64 | null): string {
  if (value === null) return ''
  if (typeof value === 'string') {
    const start = visible(value.slice(0, ONE_LINE_CHARS_MAX))
    return value.length > ONE_LINE_CHARS_MAX ? `${start}\u2026` : start
  }
  const bytes = bytesOf({ base64: value.base64.slice(0, 64) })
  const start = [...bytes.subarray(0, 32)].map(hex).join(' ')
  return value.base64.length > 44 ? `${start} \u2026` : start
}

/** The shown part of a long text, cut where a character ends. @returns null where all of it is shown */
export function truncated(text: string, charsMax: number): string | null {
  if (text.length <= charsMax) return null
  const end = /[\ud800-\udbff]/.test(text[charsMax - 1]!) ? charsMax - 1 : charsMax
  return text.slice(0, end)
}

/** 00000010  7b 22 61 22 3a 31 7d 00  00 00 00 00 00 00 00 00  {"a":1}......... */
export function hexLines(bytes: Uint8Array): string {
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += HEX_LINE_BYTES) {
    const row = [...bytes.subarray(at, at + HEX_LINE_BYTES)]
    const cells = row.map(hex)
    const left = cells.slice(0, 8).join(' ').padEnd(23)
    const right = cells.slice(8).join(' ').padEnd(23)
    const plain = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`${at.toString(16).padStart(8, '0')}  ${left}  ${right}  ${plain}`)
  }
  return lines.join('\n')
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0')
}

function bytesOf({ base64 }: Base64): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
}
