/** A line of a device, fit for a log: it cannot begin a line there or move the cursor, and is not long. */
const CHARACTERS_MAX = 80

export function printable(line: string): string {
  const shown = line.slice(0, CHARACTERS_MAX).replace(/\p{Cc}|\p{Cs}/gu, escaped)
  return `"${shown}"${line.length > CHARACTERS_MAX ? ` and ${line.length - CHARACTERS_MAX} more` : ''}`
}

function escaped(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
}
