/** Text from outside (client ids, topics, answers of a cluster) made safe to print: it cannot begin a line, move the cursor, or turn what stands beside it. */

/**
 * What ends lines without being a control character, what orders text from right to left (a name could look like another one), and tags,
 * which nobody sees.
 */
const UNSEEN = '\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff\\u{e0000}-\\u{e007f}'
const UNSAFE = new RegExp(`[\\p{Cc}${UNSEEN}]`, 'gu')
const UNSAFE_IN_JSON = new RegExp(`[\\u007f-\\u009f${UNSEEN}]`, 'gu')

export function printable(text: string): string {
  return text.replace(UNSAFE, escapeCharacter)
}

/** The same for JSON, whose own escapes cover the first 32 alone; it stays the same JSON. */
export function printableJson(text: string): string {
  return text.replace(UNSAFE_IN_JSON, escapeCharacter)
}

/** The same for a text of several lines. */
export function printableLines(text: string): string {
  return text.replace(UNSAFE, (character) =>
    /[\n\t]/.test(character) ? character : escapeCharacter(character),
  )
}

function escapeCharacter(character: string): string {
  if (character === '\n') return '\\n'
  if (character === '\t') return '\\t'
  // by UTF-16 units, as JSON has them
  return Array.from({ length: character.length }, (_, at) => unitEscape(character.charCodeAt(at))).join('')
}

function unitEscape(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`
}
