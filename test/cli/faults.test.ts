/** What goes wrong at a start: one line that says what to do, a code for scripts, and nothing changed. */
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { headwater, scratch, startBroker } from './headwater.ts'

const ANY_PORT = { HEADWATER_MQTT_LISTENERS: '127.0.0.1:0' }

test('a second process on one data directory', async () => {
  const home = scratch()
  const { broker } = await startBroker([], home)
  const second = await headwater(['start'], home, ANY_PORT)
  expect(second.code).toBe(4)
  expect(second.stderr).toMatch(
    /^headwater: HW_DATA_LOCKED: another process uses the data directory .* - stop it, or give this one its own directory with --data\n$/,
  )
  expect((await headwater(['status'], home)).code).toBe(0)
  await broker.end('SIGTERM')
})

test('a port in use, told by start and by check with its place', async () => {
  const home = scratch()
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as AddressInfo
  writeFileSync(
    join(home, 'headwater.yaml'),
    `edge: pi\nmqtt:\n  listeners:\n    - address: "127.0.0.1:${port}"\n`,
  )
  const reason = `cannot listen on 127.0.0.1:${port}: the port is in use - stop what uses it (\`ss -ltnp\`), or set another mqtt.listeners address\n`
  expect(await headwater(['start'], home)).toEqual({
    code: 6,
    stdout: '',
    stderr: `headwater: HW_LISTEN: ${reason}`,
  })
  expect(await headwater(['check'], home)).toEqual({
    code: 6,
    stdout: '',
    stderr: `headwater: HW_LISTEN: headwater.yaml:4:16: ${reason}`,
  })
  other.close()
})

test('a malformed configuration: all of its problems, from start, check and status alike', async () => {
  const home = scratch()
  writeFileSync(
    join(home, 'edge.yaml'),
    'edge: my edge\nmqtt:\n  listenrs: []\nstreams:\n  - name: a\n    topics: [x]\n    partitions: 0\n' +
      'upstreams:\n  - name: central\n    kind: kafka\n    bootstrap: [kafka]\n',
  )
  const lines = [
    'headwater: HW_CONFIG: edge.yaml:1:7: edge is "my edge" - it is 1 to 64 letters, digits, ".", "_" or "-"',
    'headwater: HW_CONFIG: edge.yaml:3:3: unknown key "listenrs" in mqtt - did you mean "listeners"?',
    'headwater: HW_CONFIG: edge.yaml:7:17: streams[0].partitions is 0 - it is a whole number from 1 to 1024',
    'headwater: HW_CONFIG: edge.yaml:11:17: upstreams[0].bootstrap[0] is "kafka" - it is host:port',
    '',
  ].join('\n')
  for (const args of [['start', '-c'], ['check'], ['status', '-c']]) {
    expect(await headwater([...args, 'edge.yaml'], home)).toEqual({ code: 2, stdout: '', stderr: lines })
  }
  const { code, stdout } = await headwater(['check', 'edge.yaml', '--json'], home)
  expect(code).toBe(2)
  const report = JSON.parse(stdout)
  expect(report).toMatchObject({ ok: false, file: 'edge.yaml' })
  expect(report.problems[1]).toEqual({
    code: 'HW_CONFIG',
    place: 'edge.yaml:3:3',
    message: 'unknown key "listenrs" in mqtt',
    hint: 'did you mean "listeners"?',
  })
  expect(readdirSync(home)).toEqual(['edge.yaml'])
})

test('a rule of sync is told with its line', async () => {
  const home = scratch()
  writeFileSync(
    join(home, 'headwater.yaml'),
    'upstreams:\n  - name: c\n    kind: kafka\n    bootstrap: ["k:9092"]\n    sasl: { username: u }\n',
  )
  expect((await headwater(['check'], home)).stderr).toBe(
    'headwater: HW_CONFIG: headwater.yaml:5:11: upstream "c": there is no password - give one of passwordFile, passwordEnv and password\n',
  )
})

test('a data directory below a file, and one of another program', async () => {
  const home = scratch()
  writeFileSync(join(home, 'file'), '')
  mkdirSync(join(home, 'photos'))
  writeFileSync(join(home, 'photos/cat.jpg'), '')
  const below = await headwater(['start', '--data', 'file/data'], home, ANY_PORT)
  expect(below).toEqual({
    code: 5,
    stdout: '',
    stderr: `headwater: HW_DATA_DIRECTORY: data directory ${home}/file/data: a part of the path is a file - choose another path with --data\n`,
  })
  for (const command of ['start', 'check']) {
    const foreign = await headwater([command, '--data', 'photos'], home, ANY_PORT)
    expect(foreign.code).toBe(5)
    expect(foreign.stderr).toContain('it holds files of another program (cat.jpg)')
  }
  expect(readdirSync(join(home, 'photos'))).toEqual(['cat.jpg'])
  const checked = await headwater(['check', '--data', 'file/data'], home, ANY_PORT)
  expect(checked.code).toBe(5)
  expect(checked.stderr).toBe(
    `headwater: HW_DATA_DIRECTORY: --data: data directory ${home}/file/data: ${home}/file is a file - choose another path\n`,
  )
})

test('a check before the first start leaves a directory as it is, users in it or not', async () => {
  const home = scratch()
  mkdirSync(join(home, 'data'))
  writeFileSync(join(home, 'data/users.json'), '{"format":1,"users":{}}')
  expect(await headwater(['check'], home, ANY_PORT)).toMatchObject({ code: 0, stderr: '' })
  expect(readdirSync(join(home, 'data'))).toEqual(['users.json'])
})

test.runIf(process.geteuid?.() === 0)(
  'a check by root leaves nothing in the directory of another user that this one could not write',
  async () => {
    const home = scratch()
    const { broker } = await startBroker([], home)
    await broker.end('SIGTERM')
    const NOBODY = 65_534
    const data = join(home, 'data')
    const names = () => readdirSync(data, { recursive: true, encoding: 'utf8' })
    for (const path of [data, ...names().map((name) => join(data, name))]) chownSync(path, NOBODY, NOBODY)
    const { code, stderr } = await headwater(['check'], home, ANY_PORT)
    expect(code).toBe(5)
    expect(stderr).toMatch(/it belongs to nobody, .* - run the same as that user: sudo -u nobody headwater/)
    expect(names().filter((name) => statSync(join(data, name)).uid !== NOBODY)).toEqual([])
  },
)

test('a stream that exists keeps its partitions', async () => {
  const home = scratch()
  const { broker } = await startBroker([], home)
  await broker.end('SIGTERM')
  writeFileSync(
    join(home, 'headwater.yaml'),
    'streams:\n  - name: events\n    topics: ["#"]\n    partitions: 8\n',
  )
  const reason =
    'stream "events": it has 4 partitions, the configuration says 8 - set partitions: 4, or give the new layout another name\n'
  expect(await headwater(['start'], home, ANY_PORT)).toMatchObject({
    code: 2,
    stderr: `headwater: HW_STREAM_DEFINITION: ${reason}`,
  })
  expect(await headwater(['check'], home, ANY_PORT)).toMatchObject({
    code: 2,
    stderr: `headwater: HW_STREAM_DEFINITION: headwater.yaml:4:17: ${reason}`,
  })
})

test('an edge keeps its name', async () => {
  const home = scratch()
  const { broker } = await startBroker([], home)
  await broker.end('SIGTERM')
  const renamed = await headwater(['start'], home, { ...ANY_PORT, HEADWATER_EDGE: 'another-name' })
  expect(renamed.code).toBe(5)
  expect(renamed.stderr).toMatch(/it belongs to the edge ".*", the configuration says "another-name"/)
})

test('reading where nothing is makes nothing', async () => {
  const home = scratch()
  for (const args of [['streams'], ['read', 'events'], ['log', 'verify']]) {
    const { code, stdout, stderr } = await headwater(args, home)
    expect({ code, stdout }).toEqual({ code: 5, stdout: '' })
    expect(stderr).toContain('it holds no log')
  }
  expect(await headwater(['status'], home)).toMatchObject({ code: 3, stderr: '' })
  expect(existsSync(join(home, 'data'))).toBe(false)
})

test('a broken configuration does not keep anyone from the data, when --data names it', async () => {
  const home = scratch()
  const { broker } = await startBroker([], home)
  writeFileSync(join(home, 'headwater.yaml'), 'edge: [')
  expect((await headwater(['status'], home)).code).toBe(2)
  expect((await headwater(['status', '--data', 'data'], home)).code).toBe(0)
  await broker.end('SIGTERM')
  expect((await headwater(['streams', '--data', 'data'], home)).code).toBe(0)
})

test.runIf(existsSync('/dev/shm'))(
  'a data directory in memory: told by start, check and status, and not refused',
  async () => {
    const home = scratch()
    const data = mkdtempSync('/dev/shm/headwater-cli-')
    try {
      const said =
        /the data directory's file system: tmpfs is in memory: all of it is lost at power off - put the data directory on/
      const checked = await headwater(['check', '--data', join(data, 'data')], home, ANY_PORT)
      expect(checked.code).toBe(0)
      expect(checked.stderr).toMatch(said)
      const { broker } = await startBroker(['--data', join(data, 'data')], home)
      expect(broker.stderr).toMatch(said)
      const status = await headwater(['status', '--data', join(data, 'data')], home)
      expect(status.code).toBe(0)
      expect(status.stdout).toMatch(/^disk +tmpfs is in memory/m)
      const report = JSON.parse(
        (await headwater(['status', '--json', '--data', join(data, 'data')], home)).stdout,
      )
      expect(report.broker.fileSystem).toMatchObject({
        kind: 'volatile',
        type: 'tmpfs',
        mountPoint: '/dev/shm',
      })
      await broker.end('SIGTERM')
    } finally {
      rmSync(data, { recursive: true, force: true })
    }
  },
)
