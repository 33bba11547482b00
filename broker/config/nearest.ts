import { distance } from 'fastest-levenshtein'

/** More known words than this are not all told. */
const TOLD_MAX = 12

/** Shorter beginnings are those of too many. */
const BEGINNING_MIN = 3

/**
 * The known word that was probably meant, or null when none is near: a slip of the hand, the same words in another order, or the beginning of one
 * alone (`token` of `tokenFile`).
 */
export function nearest(word: string, known: readonly string[]): string | null {
  let best: string | null = null
  let bestDistance = Math.min(4, Math.floor(word.length / 2)) + 1
  for (const candidate of known) {
    const steps = distance(word.toLowerCase(), candidate.toLowerCase())
    if (steps < bestDistance) {
      best = candidate
      bestDistance = steps
    }
  }
  return best ?? known.find((candidate) => wordsOf(candidate) === wordsOf(word)) ?? onlyLonger(word, known)
}

function onlyLonger(word: string, known: readonly string[]): string | null {
  if (word.length < BEGINNING_MIN) return null
  const longer = known.filter((candidate) => candidate.toLowerCase().startsWith(word.toLowerCase()))
  return longer.length === 1 ? longer[0]! : null
}

/** `maxConnections` and `connections_max` are `connectionsMax`. */
function wordsOf(name: string): string {
  const words = name.split(/[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])/)
  return words
    .map((word) => word.toLowerCase())
    .toSorted()
    .join(' ')
}

/** A hint for a word that is not one of the known: the nearest, or all of them. */
export function suggestion(word: string, known: readonly string[]): string {
  const near = nearest(word, known)
  if (near !== null) return `did you mean "${near}"?`
  if (known.length === 1) return `the only one here is ${known[0]}`
  if (known.length <= TOLD_MAX) return `known here: ${known.join(', ')}`
  return `it is none of the ${known.length} keys here, which the file of init explains`
}
