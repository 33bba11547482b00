/**
 * Environment variables that override single keys: a program's prefix (HEADWATER_) and the key's path in capitals, so `limits.recordBytesMax`
 * is HEADWATER_LIMITS_RECORD_BYTES_MAX. A list of one-key entries takes values separated by commas.
 */

import { resolve } from 'node:path'
import { Kind, type TObject, type TSchema } from '@sinclair/typebox'
import type { Path } from './document.ts'
import { suggestion } from './nearest.ts'

export interface EnvironmentNames {
  readonly prefix: string
  /** Read by other parts of the program, and therefore no keys of the configuration. */
  readonly others: readonly string[]
  /** Names that are other programs' though they begin with the prefix. */
  readonly otherFamilies: RegExp | null
}

export const BROKER_NAMES: EnvironmentNames = {
  prefix: 'HEADWATER_',
  others: ['HEADWATER_CONFIG', 'HEADWATER_LOG', 'HEADWATER_DEBUG', 'HEADWATER_PROGRAM'],
  otherFamilies: /^HEADWATER_(TEST|BENCH|BRIDGE)_/,
}

export interface EnvironmentKey {
  readonly variable: string
  readonly path: Path
  readonly schema: TSchema
}

export interface EnvironmentValue {
  readonly variable: string
  readonly path: Path
  readonly value: unknown
}

/** All variables that the schema gives, in its order. */
export function environmentKeys(schema: TObject, prefix: string, path: Path = []): EnvironmentKey[] {
  const keys: EnvironmentKey[] = []
  for (const [name, property] of Object.entries(schema.properties)) {
    if (property.environment === false) continue
    const at = [...path, name]
    if (property[Kind] === 'Object') keys.push(...environmentKeys(property as TObject, prefix, at))
    else if (isScalar(property) || typeof property.environment === 'string') {
      keys.push({ variable: variableName(prefix, at), path: at, schema: property })
    }
  }
  return keys
}

function isScalar(schema: TSchema): boolean {
  if (schema[Kind] === 'Union') {
    return (schema.anyOf as TSchema[]).every(
      (one) => one[Kind] === 'Literal' || one[Kind] === 'Null' || isScalar(one),
    )
  }
  return ['String', 'Integer', 'Number', 'Boolean'].includes(schema[Kind])
}

function variableName(prefix: string, path: Path): string {
  const words = path.map((step) => String(step).replace(/[A-Z]/g, (letter) => `_${letter}`))
  return prefix + words.join('_').toUpperCase()
}

/** @returns the values given by the environment, and a warning for each variable that looks like ours and is not. */
export function readEnvironment(
  schema: TObject,
  env: NodeJS.ProcessEnv,
  { prefix, others, otherFamilies }: EnvironmentNames,
): { values: EnvironmentValue[]; warnings: string[] } {
  const keys = environmentKeys(schema, prefix)
  const values: EnvironmentValue[] = []
  for (const { variable, path, schema: keySchema } of keys) {
    const text = env[variable]
    if (text !== undefined && text !== '') values.push({ variable, path, value: parse(keySchema, text) })
  }
  const known = [...keys.map((key) => key.variable), ...others]
  const warnings = Object.keys(env)
    .filter((name) => name.startsWith(prefix) && !known.includes(name) && otherFamilies?.test(name) !== true)
    .map((name) => `environment variable ${name} means nothing here - ${suggestion(name, known)}`)
  return { values, warnings }
}

function parse(schema: TSchema, text: string): unknown {
  if (typeof schema.environment === 'string') {
    const key = schema.environment
    return text.split(',').map((part) => ({ [key]: part.trim() }))
  }
  if (schema[Kind] === 'Union' && (schema.anyOf as TSchema[]).some((one) => one[Kind] === 'Null')) {
    const value = (schema.anyOf as TSchema[]).find((one) => one[Kind] !== 'Null')
    return text === 'null' || value === undefined ? null : parse(value, text)
  }
  if (schema.path === true) return resolve(text)
  if (schema[Kind] === 'Boolean') return text === 'true' ? true : text === 'false' ? false : text
  if (schema[Kind] !== 'String' && /^-?[0-9]+(\.[0-9]+)?$/.test(text)) return Number(text)
  return text
}
