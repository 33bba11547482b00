/** Text from outside (client ids, topics, answers of a cluster) made safe to print: it cannot begin a line or move the cursor. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, escapeControl)
}

/** The same for JSON, whose own escapes cover the first 32 alone. */
export function printableJson(text: string): string {
  return text.replace(/[\u007f-\u009f]/g, escapeControl)
}

function escapeControl(character: string): string {
  if (character === '\n') return '\\n'
  if (character === '\t') return '\\t'
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
