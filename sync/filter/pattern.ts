/**
 * A name with wildcards, over bytes:
 *
 *   pattern := (text | "*")*        "*" stands for any run of bytes, also none and also "/"
 *
 * "alarms" is that name alone, "site/1/*" all that begin so. Matching is linear: the pieces between the stars are looked for in turn,
 * each behind the one before, so that no pattern and no key makes it slow.
 */
export class Pattern {
  readonly #first: Buffer
  readonly #middle: readonly Buffer[]
  /** null where the pattern has no star. */
  readonly #last: Buffer | null

  constructor(text: string) {
    const pieces = text.split('*').map((piece) => Buffer.from(piece, 'utf8'))
    this.#first = pieces[0]!
    this.#last = pieces.length > 1 ? pieces.at(-1)! : null
    this.#middle = pieces.slice(1, -1).filter((piece) => piece.length > 0)
  }

  /** @param bytes holds the text, `length` bytes from `at` */
  matches(bytes: Buffer, at: number, length: number): boolean {
    const end = at + length
    const first = this.#first
    if (!standsAt(bytes, at, end, first)) return false
    if (this.#last === null) return length === first.length
    let from = at + first.length
    const to = end - this.#last.length
    if (to < from || !standsAt(bytes, to, end, this.#last)) return false
    if (this.#middle.length === 0) return true
    const between = bytes.subarray(from, to)
    from = 0
    for (const piece of this.#middle) {
      const found = between.indexOf(piece, from)
      if (found < 0) return false
      from = found + piece.length
    }
    return true
  }
}

function standsAt(bytes: Buffer, at: number, end: number, piece: Buffer): boolean {
  if (piece.length === 0) return true
  return at + piece.length <= end && bytes.compare(piece, 0, piece.length, at, at + piece.length) === 0
}

/** True for texts that one of the patterns matches. */
export function textMatcher(patterns: readonly string[]): (text: string) => boolean {
  const compiled = patterns.map((pattern) => new Pattern(pattern))
  return (text) => {
    const bytes = Buffer.from(text, 'utf8')
    return compiled.some((pattern) => pattern.matches(bytes, 0, bytes.length))
  }
}
