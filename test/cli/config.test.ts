/** `headwater config` and `headwater-bridge config`, as a person runs them. */
import { execFile } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { headwater, scratch } from './headwater.ts'

const BRIDGE = fileURLToPath(new URL('../../dist/bridge.js', import.meta.url))
const bridge = async (args: string[], cwd: string) =>
  (await promisify(execFile)(process.execPath, [BRIDGE, ...args], { cwd })).stdout

test('init writes a file that names its schema, which is there, and check takes it', async () => {
  const home = scratch()
  const written = await headwater(['init'], home)
  expect(written.stdout).toMatch(/^wrote headwater\.yaml, and headwater\.schema\.json by which editors/)
  const [first] = readFileSync(join(home, 'headwater.yaml'), 'utf8').split('\n')
  expect(first).toBe('# yaml-language-server: $schema=./headwater.schema.json')
  const schema = readFileSync(join(home, 'headwater.schema.json'), 'utf8')
  expect((await headwater(['config', 'schema'], home)).stdout).toBe(schema)
  expect(statSync(join(home, 'headwater.schema.json')).mode & 0o777).toBe(0o644)
  writeFileSync(join(home, 'headwater.yaml'), 'mqtt: { listeners: [{ address: "127.0.0.1:0" }] }\n')
  expect(await headwater(['config', 'check'], home)).toMatchObject({ code: 0 })
})

test('config show has what is set with its place, a key with its default, and everything in JSON', async () => {
  const home = scratch()
  writeFileSync(join(home, 'headwater.yaml'), 'edge: line-7\nlimits:\n  connectionsMax: 5\n')
  const env = { HEADWATER_LIMITS_CONNECTIONS_MAX: '7' }
  const shown = await headwater(['config', 'show'], home, env)
  expect(shown.stdout).toMatch(/^KEY +VALUE +FROM$/m)
  expect(shown.stdout).toMatch(/^edge +line-7 +headwater\.yaml:1:7$/m)
  expect(shown.stdout).toMatch(
    /^limits\.connectionsMax +7 +environment variable HEADWATER_LIMITS_CONNECTIONS_MAX$/m,
  )
  expect(shown.stdout).not.toContain('default')
  const one = await headwater(['config', 'show', 'log.segmentBytes'], home)
  expect(one.stdout).toMatch(/^log\.segmentBytes +33554432 +default$/m)
  const all = JSON.parse((await headwater(['config', 'show', '--effective', '--json'], home)).stdout)
  expect(all).toMatchObject({
    file: 'headwater.yaml',
    config: { edge: 'line-7', limits: { connectionsMax: 5 } },
  })
  const none = await headwater(['config', 'show', 'limits.conectionsMax'], home)
  expect(none).toMatchObject({ code: 2, stdout: '' })
  expect(none.stderr).toContain('did you mean "limits.connectionsMax"?')
})

test('config migrate has nothing to do for a file of the newest version, and says so; a newer one stops every command', async () => {
  const home = scratch()
  const file = join(home, 'headwater.yaml')
  writeFileSync(file, 'edge: a\n')
  const done = await headwater(['config', 'migrate'], home)
  expect(done).toMatchObject({ code: 0, stdout: 'headwater.yaml has version 1, the newest: nothing to do\n' })
  expect(readFileSync(file, 'utf8')).toBe('edge: a\n')
  writeFileSync(file, 'configVersion: 99\nedge: a\n')
  for (const command of [['start'], ['config', 'migrate'], ['config', 'show']]) {
    const refused = await headwater(command, home)
    expect(refused.code).toBe(2)
    expect(refused.stderr).toMatch(
      /^headwater: HW_CONFIG: headwater\.yaml:1:16: the file has configVersion 99, [^\n]*\n$/,
    )
  }
  const without = await headwater(['config', 'migrate'], scratch())
  expect(without.stderr).toContain('there is no configuration file')
})

test('the bridge has the same commands', async () => {
  const home = scratch()
  await bridge(['init'], home)
  expect(readFileSync(join(home, 'headwater-bridge.yaml'), 'utf8')).toMatch(
    /^# yaml-language-server: \$schema=\.\/headwater-bridge\.schema\.json\n/,
  )
  expect(await bridge(['config', 'check'], home)).toContain('ok')
  expect(await bridge(['config', 'show', 'broker.url'], home)).toMatch(
    /^broker\.url +mqtt:\/\/127\.0\.0\.1:1883 +headwater-bridge\.yaml:\d+:\d+$/m,
  )
  expect(JSON.parse(await bridge(['config', 'schema'], home)).title).toContain('bridge')
  expect(await bridge(['config', 'migrate', '--dry-run'], home)).toContain('nothing to do')
})
