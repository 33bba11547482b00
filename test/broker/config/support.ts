import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Type } from '@sinclair/typebox'
import { afterAll } from 'vitest'
import { type LoadedConfig, type LoadOptions, loadConfig } from '../../../broker/config/load.ts'

const directory = mkdtempSync(join(tmpdir(), 'headwater-config-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** A stand-in for sync's schema: the configuration must work with any. */
export const upstreamSchema = Type.Union([
  Type.Object(
    {
      name: Type.String({ pattern: '^[a-z-]+$', shape: 'small letters' }),
      kind: Type.Literal('archive'),
      directory: Type.String({ path: true, description: 'Where the files go.' }),
    },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      name: Type.String({ examples: ['central'] }),
      kind: Type.Literal('kafka'),
      brokers: Type.Array(Type.String(), { minItems: 1, examples: [['kafka.example.com:9092']] }),
      tls: Type.Optional(
        Type.Object({ caFile: Type.String({ path: true }) }, { additionalProperties: false }),
      ),
    },
    { additionalProperties: false },
  ),
])

export const fileName = 'edge.yaml'
export const directoryName = directory

/** Writes the text to a file and loads it. */
export function load(text: string | Buffer, options: Partial<LoadOptions> = {}) {
  writeFileSync(join(directory, fileName), text)
  return loadConfig({
    file: join(directory, fileName),
    env: {},
    upstreams: { schema: upstreamSchema },
    ...options,
  })
}

/** The problems of a file, one line each, with the place shortened to `line:column`. */
export function problems(text: string | Buffer, options: Partial<LoadOptions> = {}): string[] {
  const loaded = load(text, options)
  if (loaded.ok) return []
  return loaded.problems.map((problem) =>
    problem.line.replace('HW_CONFIG: ', '').replace(`${join(directory, fileName)}:`, ''),
  )
}

export function loaded(text: string, options: Partial<LoadOptions> = {}): LoadedConfig {
  const result = load(text, options)
  if (!result.ok) throw result.problems[0]
  return result
}
