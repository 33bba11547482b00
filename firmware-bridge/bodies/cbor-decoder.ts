/** cbor-x, loaded when the first entry of the configuration needs it: it takes 7 to 10 MB. */
import { createRequire } from 'node:module'
import type { Decoder } from 'cbor-x'

const require = createRequire(import.meta.url)

export function cborDecoder(): Decoder {
  const library = require('cbor-x') as typeof import('cbor-x')
  return new library.Decoder({ mapsAsObjects: false, useRecords: false })
}
