import { createHash } from 'node:crypto'

/** SHA-256: of equal length for all texts. */
export function digestOf(text: string | Buffer): Buffer {
  return createHash('sha256').update(text).digest()
}
