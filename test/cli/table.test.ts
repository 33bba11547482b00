/** `headwater table` as a person runs it: with a broker, without one, and with nothing there. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test, vi } from 'vitest'
import { headwater, publish, Running, scratch, startBroker } from './headwater.ts'

const home = scratch()
let broker: Running
let port: number
const table = (...args: string[]) => headwater(['table', ...args], home)
const records = (ndjson: string) =>
  ndjson
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

beforeAll(async () => {
  writeFileSync(
    join(home, 'headwater.yaml'),
    `streams:
  - { name: machines, topics: ["plant/+/state"], key: { levels: [0, 1] }, partitions: 2, cleanup: compact, table: true }
  - { name: events, topics: ["#"] }
`,
  )
  ;({ broker, port } = await startBroker([], home))
  // one after another: their order is what is looked at
  for (const [topic, payload] of [
    ['plant/1/state', 'running'],
    ['plant/2/state', 'running'],
    ['plant/3/state', 'idle'],
    ['plant/2/state', 'stopped\u001b[2J'],
    ['plant/3/state', ''],
    ['weather', 'sun'],
  ] as const) {
    await publish(port, [[topic, payload]])
  }
}, 60_000)

test('the table, one key, and the keys with a beginning', async () => {
  const all = await table('machines')
  expect(all).toMatchObject({ code: 0, stderr: '' })
  expect(all.stdout.split('\n').map((line) => line.replace(/\d{4}-\S+Z$/, 'T'))).toEqual([
    expect.stringMatching(/^KEY {6}VALUE +OFFSET {2}TIME$/),
    expect.stringMatching(/^plant\/1 {2}running +[01]\/\d {2}T$/),
    expect.stringMatching(/^plant\/2 {2}stopped\\u001b\[2J +[01]\/\d {2}T$/),
    '',
  ])
  expect(await table('machines', 'plant/1')).toEqual({ code: 0, stdout: 'running\n', stderr: '' })
  // in a pipe a value is the bytes that were published
  expect((await table('machines', 'plant/2')).stdout).toBe('stopped\u001b[2J\n')
  const found = records((await table('machines', '--prefix', 'plant/2', '--json')).stdout)
  expect(found).toMatchObject([
    { stream: 'machines', topic: 'plant/2/state', key: 'plant/2', value: 'stopped\u001b[2J', headers: [] },
  ])
  const read = records((await headwater(['read', 'machines'], home)).stdout)
  expect(read).toContainEqual(found[0])
  expect((await table('machines', '--prefix', 'x')).stdout).toBe('no key begins with "x"\n')
  expect(records((await table('machines', '--json', '-n', '1')).stdout)).toHaveLength(1)
})

test('changes, and what is not there', async () => {
  const changes = records((await table('machines', '--from', 'earliest', '--json')).stdout)
  expect(changes).toHaveLength(5)
  expect(changes.filter(({ value }) => value === null)).toMatchObject([{ key: 'plant/3' }])
  expect(await table('machines', 'plant/3')).toEqual({
    code: 1,
    stdout: '',
    stderr:
      'headwater: HW_UNKNOWN_KEY: the table of stream "machines" has no key "plant/3" - `headwater table machines` shows its keys\n',
  })
  expect(await table('events')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^headwater: HW_NO_TABLE: stream "events" has no table - set table: true/),
  })
  expect(await table('machines', '--from', '0')).toMatchObject({ code: 2, stdout: '' })
  expect(await table('machines', 'a', '--prefix', 'b')).toMatchObject({ code: 2, stdout: '' })
})

test('--follow shows the table and then what changes it', async () => {
  const reader = new Running(['table', 'machines', '--follow', '--json'], home)
  await reader.until('"plant/2"')
  await publish(port, [['plant/1/state', 'broken']])
  await reader.until('"broken"')
  expect(await reader.end('SIGINT')).toBe(0)
  expect(reader.stderr).toBe('')
  expect(records(reader.stdout).map(({ key, value }) => [key, value])).toEqual([
    ['plant/1', 'running'],
    ['plant/2', 'stopped\u001b[2J'],
    ['plant/1', 'broken'],
  ])
})

test('status, streams and log verify know the table', async () => {
  for (const command of ['status', 'streams']) {
    const { code, stdout } = await headwater([command], home)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^TABLE +STATE +KEYS +LAG +BYTES +REBUILDS$/m)
    expect(stdout).toMatch(/^machines +current +[0-9]+ +[0-9]+ /m)
  }
  const verified = await headwater(['log', 'verify'], home)
  expect(verified.code).toBe(0)
  expect(verified.stdout).toMatch(/^whole: .*; 1 table of 2 keys$/m)
})

test('without a broker the table is read from its directory, also after a kill', async () => {
  const before = (await table('machines', '--json')).stdout
  await broker.end('SIGKILL')
  expect((await table('machines', '--json')).stdout).toBe(before)
  expect(await table('machines', 'plant/1')).toEqual({ code: 0, stdout: 'broken\n', stderr: '' })
  expect(await table('machines', '--follow')).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/HW_NOT_RUNNING/),
  })
  expect((await headwater(['streams'], home)).stdout).toMatch(/^machines +current +2 +0 /m)
  expect((await headwater(['log', 'verify'], home)).stdout).toMatch(/; 1 table of 2 keys$/m)
})

test('a table that the configuration does not name any more is removed, and built again when it does', async () => {
  const yaml = join(home, 'headwater.yaml')
  const stream = (isTable: boolean) =>
    `streams:\n  - { name: machines, topics: ["plant/+/state"], key: { levels: [0, 1] }, partitions: 2, cleanup: compact, table: ${isTable} }\n  - { name: events, topics: ["#"] }\n`
  writeFileSync(yaml, stream(false))
  ;({ broker, port } = await startBroker([], home))
  expect((await table('machines')).stderr).toMatch(/HW_NO_TABLE/)
  await broker.end('SIGTERM')
  expect((await table('machines')).stderr).toMatch(/HW_NO_TABLE/)
  writeFileSync(yaml, stream(true))
  ;({ broker, port } = await startBroker([], home))
  await vi.waitFor(async () => expect((await table('machines', 'plant/1')).stdout).toBe('broken\n'), {
    timeout: 20_000,
    interval: 200,
  })
  await broker.end('SIGTERM')
})
