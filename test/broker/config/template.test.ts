import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from '../../../broker/config/load.ts'
import { CONFIG_VERSION } from '../../../broker/config/migrations.ts'
import { configTemplate } from '../../../broker/config/template.ts'
import { loaded, upstreamSchema } from './support.ts'

const template = configTemplate(upstreamSchema)

test('the template is the default configuration', () => {
  const defaults = loadConfig({ file: '', env: {}, upstreams: { schema: upstreamSchema } })
  if (!defaults.ok) throw defaults.problems[0]
  const { configVersion, data: _data, upstreams: _upstreams, ...rest } = loaded(template).config
  expect(configVersion).toBe(CONFIG_VERSION)
  expect(defaults.config).toMatchObject(rest)
  expect(parse(template).data).toBe('./data')
})

test('every key is explained', () => {
  const lines = template.split('\n')
  for (const [index, line] of lines.entries()) {
    if (!/^ *(- )?[a-zA-Z]+:/.test(line) || /^ *(- )?(name|kind):/.test(line)) continue
    expect(lines[index - 1], `the line above "${line}"`).toMatch(/^ *# /)
  }
})

test('the examples are valid where they stand', () => {
  const used = template
    .replaceAll(
      /^( *)# (- name|- address|- kind| {2}topics| {2}key:| {2}partitions| {2}table| {2}kind| {2}brokers)/gm,
      '$1$2',
    )
    .replace('0.0.0.0:1883', '0.0.0.0:1884')
  const { config } = loaded(used)
  expect(config.streams.map(({ name }) => name)).toEqual(['alarms', 'events'])
  expect(config.upstreams.map(({ kind }) => kind)).toEqual(['archive', 'kafka'])
  expect(config.mqtt.listeners).toHaveLength(2)
})

test('no line is wider than a terminal', () => {
  expect(template.split('\n').filter((line) => line.length > 100)).toEqual([])
})
