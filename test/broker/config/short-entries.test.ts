/** `listeners: ["host:port"]`, as people write it at first. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fileSchema } from '../../../broker/config/json-schema.ts'
import { loadConfig } from '../../../broker/config/load.ts'
import { configSchema } from '../../../broker/config/schema.ts'
import { shownValues } from '../../../broker/config/show.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'headwater-short-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function load(text: string) {
  const file = join(directory, 'headwater.yaml')
  writeFileSync(file, text)
  return loadConfig({ file, env: {} })
}

function loaded(text: string) {
  const found = load(text)
  if (!found.ok) throw found.problems[0]
  return found
}

/** Without the file's name. */
function problems(text: string): string[] {
  const found = load(text)
  return found.ok ? [] : found.problems.map(({ line }) => line.replace(/^.*headwater\.yaml:/, ''))
}

describe('a listener that is plain text', () => {
  it('is one with that address, beside those that are written whole', () => {
    const text = 'mqtt:\n  listeners: ["127.0.0.1:1883", { address: "[::1]:1884" }, "1885"]\n'
    expect(loaded(text).config.mqtt.listeners).toEqual([
      { address: '127.0.0.1:1883' },
      { address: '[::1]:1884' },
      { address: '1885' },
    ])
  })

  it('is shown whole, with its line', () => {
    const found = loaded('mqtt:\n  listeners:\n    - 127.0.0.1:1883\n')
    const shown = shownValues(configSchema(), found).find(({ key }) => key.startsWith('mqtt.listeners'))
    expect(shown).toMatchObject({ key: 'mqtt.listeners[0].address', value: '127.0.0.1:1883' })
    expect(shown!.source).toMatch(/headwater\.yaml:3:7$/)
  })

  it('has what is wrong with it told at its place', () => {
    expect(problems('mqtt:\n  listeners:\n    - 127.0.0.1:1883\n    - 127.0.0.1:abc\n')[0]).toMatch(
      /^4:7: "127\.0\.0\.1:abc" is no address/,
    )
    expect(problems('mqtt:\n  listeners:\n    - 127.0.0.1:1883\n    - 127.0.0.1:1883\n')[0]).toMatch(/^4:7: /)
  })

  it('is no number and no list, and the line says what it is', () => {
    expect(problems('mqtt:\n  listeners: [1883]\n')).toEqual([
      '2:15: mqtt.listeners[0] is 1883 - it is host:port, or { address: host:port } with tls and webSocket where they are wanted',
    ])
    expect(problems('mqtt:\n  listeners: 127.0.0.1:1883\n')).toEqual([
      '2:14: mqtt.listeners is "127.0.0.1:1883", not a list - write it as a list: ["127.0.0.1:1883"]',
    ])
  })

  it('is known to editors', () => {
    const schema = JSON.parse(JSON.stringify(fileSchema(configSchema(), 'x')))
    const { items } = schema.properties.mqtt.properties.listeners
    expect(items.anyOf.map(({ type }: { type: string }) => type)).toEqual(['string', 'object'])
  })
})
