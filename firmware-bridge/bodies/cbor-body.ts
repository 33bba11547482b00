/**
 * From a CBOR map with small whole numbers as keys to a JSON object with names, as an entry of the configuration says.
 *
 * In JSON: bytes are base64, whole numbers beyond 2^53 are text, NaN, infinities and undefined are null. Scaled numbers have 12 digits,
 * so that 2150 times 0.01 is 21.5. The same body always gives the same bytes: a device that repeats it is recognised.
 */
import type { Decoder } from 'cbor-x'
import { checkCborMap } from './cbor-check.ts'
import { cborDecoder } from './cbor-decoder.ts'
import type { BodyConfig, FieldConfig } from './config.ts'

export type CborResult =
  | { readonly kind: 'object'; readonly json: string; readonly deviceTimeMs: number | null }
  | { readonly kind: 'malformed'; readonly reason: string }

export type CborBodyConfig = Pick<BodyConfig, 'schema' | 'time' | 'timeKey' | 'unknownKeys' | 'withUnits'>

const DIGITS = 12

export class CborBody {
  readonly #decoder: Decoder = cborDecoder()
  readonly #config: CborBodyConfig
  readonly #fields: ReadonlyMap<string, FieldConfig>

  constructor(config: CborBodyConfig) {
    this.#config = config
    this.#fields = new Map(Object.entries(config.schema))
  }

  decode(bytes: Uint8Array): CborResult {
    const pairs = checkCborMap(bytes)
    if (typeof pairs === 'string') return malformed(`it is no CBOR map: ${pairs}`)
    let map: Map<unknown, unknown>
    try {
      map = this.#decoder.decode(bytes) as Map<unknown, unknown>
    } catch (error) {
      return malformed(`it is no CBOR map: ${(error as Error).message}`)
    }
    if (pairsOf(map) !== pairs) return malformed('a key is there twice')
    try {
      return this.#object(map)
    } catch (error) {
      if (error instanceof SameNameError) return malformed(error.message)
      throw error
    }
  }

  #object(map: ReadonlyMap<unknown, unknown>): CborResult {
    const { time, timeKey, unknownKeys } = this.#config
    const object = new Map<string, unknown>()
    let deviceTimeMs: number | null = null
    for (const [rawKey, rawValue] of map) {
      const key = narrowed(rawKey)
      const value = narrowed(rawValue)
      if (typeof key !== 'number' && typeof key !== 'bigint' && typeof key !== 'string') {
        return malformed('a key is neither a number nor text')
      }
      if (time === 'key' && key === timeKey) {
        if (!isTime(value)) return malformed(`key ${timeKey} is no Unix time in ms`)
        deviceTimeMs = value
        continue
      }
      const field = typeof key === 'string' ? undefined : this.#fields.get(String(key))
      if (field === undefined && unknownKeys === 'drop') continue
      const name = field?.name ?? String(key)
      if (object.has(name)) throw new SameNameError(name)
      const type = field?.type ?? 'any'
      if (!isOfType(value, type)) return malformed(`key ${key} (${name}) is not ${type}`)
      object.set(name, this.#value(value, field))
    }
    return { kind: 'object', json: JSON.stringify(Object.fromEntries(object)), deviceTimeMs }
  }

  #value(value: unknown, field: FieldConfig | undefined): unknown {
    const plain = plainValue(value, field?.scale ?? 1)
    const hasUnit = this.#config.withUnits && field?.unit !== undefined
    return hasUnit ? { value: plain, unit: field.unit } : plain
  }
}

/** cbor-x gives a bigint for every whole number of 8 bytes, however small it is. */
function narrowed(value: unknown): unknown {
  const isSafe = typeof value === 'bigint' && Number.isSafeInteger(Number(value))
  return isSafe ? Number(value) : value
}

/** With those of maps within it: a key that is there twice is one here. */
function pairsOf(value: unknown): number {
  if (Array.isArray(value)) return value.reduce<number>((sum, each) => sum + pairsOf(each), 0)
  if (!(value instanceof Map)) return 0
  return [...value].reduce((sum, [key, each]) => sum + pairsOf(key) + pairsOf(each), value.size)
}

function malformed(reason: string): CborResult {
  return { kind: 'malformed', reason }
}

export function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isOfType(value: unknown, type: NonNullable<FieldConfig['type']>): boolean {
  if (value === null || value === undefined) return true
  if (Array.isArray(value) && type !== 'any') {
    return value.every((each) => !Array.isArray(each) && isOfType(each, type))
  }
  switch (type) {
    case 'any':
      return true
    case 'number':
      return typeof value === 'number' || typeof value === 'bigint'
    case 'integer':
      return typeof value === 'bigint' || Number.isInteger(value)
    case 'boolean':
      return typeof value === 'boolean'
    case 'text':
      return typeof value === 'string'
    case 'bytes':
      return value instanceof Uint8Array
  }
}

function plainValue(value: unknown, scale: number): unknown {
  if (typeof value === 'number') return scaled(value, scale)
  if (typeof value === 'bigint') {
    const number = narrowed(value)
    return scale === 1 && typeof number === 'bigint' ? String(value) : scaled(Number(value), scale)
  }
  if (value instanceof Uint8Array) {
    return Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64')
  }
  if (Array.isArray(value)) return value.map((each) => plainValue(each, scale))
  if (value instanceof Map) return plainMap(value)
  return value ?? null
}

/** @throws SameNameError */
function plainMap(map: ReadonlyMap<unknown, unknown>): object {
  const names = new Set<string>()
  const entries = [...map].map(([key, value]) => {
    const name = nameOf(key)
    if (names.has(name)) throw new SameNameError(name)
    names.add(name)
    return [name, plainValue(value, 1)] as const
  })
  return Object.fromEntries(entries)
}

/** Thrown and caught within this file. */
class SameNameError extends Error {
  constructor(name: string) {
    super(`two keys are called ${JSON.stringify(name)}`)
  }
}

/** Keys of maps within the map have no schema. */
function nameOf(key: unknown): string {
  const plain = plainValue(key, 1)
  return typeof plain === 'string' ? plain : JSON.stringify(plain)
}

function scaled(value: number, scale: number): number | null {
  if (!Number.isFinite(value)) return null
  return scale === 1 ? value : Number((value * scale).toPrecision(DIGITS))
}
