/**
 * JSON with line breaks. Its tokens stay as they were sent: a parser's numbers would lose digits, and keys that stand twice would be one.
 */

/** @returns null where the text is no JSON object or array */
export function indented(json: string): string | null {
  const start = json.trimStart()[0]
  if (start !== '{' && start !== '[') return null
  try {
    JSON.parse(json)
  } catch {
    return null
  }
  let out = ''
  let depth = 0
  const newLine = () => `\n${'  '.repeat(Math.min(depth, DEPTH_SHOWN_MAX))}`
  for (const [token] of json.matchAll(TOKEN)) {
    switch (token) {
      case '{':
      case '[':
        depth++
        out += token + newLine()
        break
      case '}':
      case ']':
        depth--
        out += newLine() + token
        break
      case ',':
        out += `,${newLine()}`
        break
      case ':':
        out += ': '
        break
      default:
        out += token
    }
  }
  // Nothing stands between the brackets of what is empty.
  return out.replace(EMPTY, '$1$2')
}

/** Deeper ones stand where this one does: indenting them would make a small payload large. */
const DEPTH_SHOWN_MAX = 40
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g
/** Inside of a string there is no line break. */
const EMPTY = /([{[])\n *\n *([}\]])/g
