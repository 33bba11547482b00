/**
 * Environment variables that override single keys: HEADWATER_ and the key's path in capitals, so `limits.recordBytesMax`
 * is HEADWATER_LIMITS_RECORD_BYTES_MAX. A list of one-key entries takes values separated by commas.
 */

import { resolve } from 'node:path'
import { Kind, type TObject, type TSchema } from '@sinclair/typebox'
import type { Path } from './document.ts'
import { suggestion } from './nearest.ts'

const PREFIX = 'HEADWATER_'

/** Read by other parts of the program, and therefore no keys of the configuration. */
const OTHER_VARIABLES = ['HEADWATER_CONFIG', 'HEADWATER_LOG', 'HEADWATER_DEBUG', 'HEADWATER_PROGRAM'] as const
const OTHER_FAMILIES = /^HEADWATER_(TEST|BENCH|BRIDGE)_/

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
export function environmentKeys(schema: TObject, path: Path = []): EnvironmentKey[] {
  const keys: EnvironmentKey[] = []
  for (const [name, property] of Object.entries(schema.properties)) {
    const at = [...path, name]
    if (property[Kind] === 'Object') keys.push(...environmentKeys(property as TObject, at))
    else if (isScalar(property) || typeof property.environment === 'string') {
      keys.push({ variable: variableName(at), path: at, schema: property })
    }
  }
  return keys
}

function isScalar(schema: TSchema): boolean {
  if (schema[Kind] === 'Union') return (schema.anyOf as TSchema[]).every((one) => one[Kind] === 'Literal')
  return ['String', 'Integer', 'Number', 'Boolean'].includes(schema[Kind])
}

function variableName(path: Path): string {
  const words = path.map((step) => String(step).replace(/[A-Z]/g, (letter) => `_${letter}`))
  return PREFIX + words.join('_').toUpperCase()
}

/** @returns the values given by the environment, and a warning for each variable that looks like ours and is not. */
export function readEnvironment(
  schema: TObject,
  env: NodeJS.ProcessEnv,
): { values: EnvironmentValue[]; warnings: string[] } {
  const keys = environmentKeys(schema)
  const values: EnvironmentValue[] = []
  for (const { variable, path, schema: keySchema } of keys) {
    const text = env[variable]
    if (text !== undefined && text !== '') values.push({ variable, path, value: parse(keySchema, text) })
  }
  const known = [...keys.map((key) => key.variable), ...OTHER_VARIABLES]
  const warnings = Object.keys(env)
    .filter((name) => name.startsWith(PREFIX) && !known.includes(name) && !OTHER_FAMILIES.test(name))
    .map((name) => `environment variable ${name} means nothing here - ${suggestion(name, known)}`)
  return { values, warnings }
}

function parse(schema: TSchema, text: string): unknown {
  if (typeof schema.environment === 'string') {
    const key = schema.environment
    return text.split(',').map((part) => ({ [key]: part.trim() }))
  }
  if (schema.path === true) return resolve(text)
  if (schema[Kind] === 'Boolean') return text === 'true' ? true : text === 'false' ? false : text
  if (schema[Kind] !== 'String' && /^-?[0-9]+(\.[0-9]+)?$/.test(text)) return Number(text)
  return text
}
