/** How many columns of a terminal a text takes, and a text cut to fit: wide characters are two, marks on others none, colours none. */

const ESCAPE = '\u001b'
/** Escape sequences that only paint (SGR). */
const PAINT = new RegExp(`${ESCAPE}\\[[0-9;]*m`, 'y')
const ELLIPSIS = '…'
/** East Asian Wide and Fullwidth (UAX 11), by the blocks that have them. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u
/** Marks that sit on the character before, and what joins characters or says how they look. */
const WITHOUT_WIDTH = /\p{Mn}|\p{Me}|\p{Cf}/u

/** In columns. */
export function textWidth(text: string): number {
  // names, numbers and units, nearly always
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let width = 0
  for (const { columns } of parts(text)) width += columns
  return width
}

/** The text, or its beginning with an ellipsis, in at most so many columns; what paints it stays whole. */
export function cutTo(text: string, columnsMax: number): string {
  if (textWidth(text) <= columnsMax) return text
  let room = columnsMax - 1
  let isCut = false
  let cut = ''
  for (const { part, columns } of parts(text)) {
    if (part.startsWith(ESCAPE)) cut += part
    else if (isCut) continue
    else if (columns <= room) {
      cut += part
      room -= columns
    } else {
      cut += columnsMax > 0 ? ELLIPSIS : ''
      isCut = true
    }
  }
  return cut
}

export function padTo(text: string, columns: number, align: 'left' | 'right' = 'left'): string {
  const space = ' '.repeat(Math.max(0, columns - textWidth(text)))
  return align === 'right' ? space + text : text + space
}

/** Characters with their columns; an escape sequence is one part without any. */
function* parts(text: string): Generator<{ part: string; columns: number }, void, void> {
  for (let at = 0; at < text.length; ) {
    PAINT.lastIndex = at
    const paint = text[at] === ESCAPE ? PAINT.exec(text)?.[0] : undefined
    const part = paint ?? String.fromCodePoint(text.codePointAt(at)!)
    at += part.length
    yield { part, columns: paint === undefined ? characterWidth(part) : 0 }
  }
}

function characterWidth(character: string): number {
  if (WITHOUT_WIDTH.test(character)) return 0
  return WIDE.test(character) ? 2 : 1
}
