/** The whole log into one file while the broker runs, and out of it again: what a person types, and what upstream makes of it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { beforeAll, expect, test, vi } from 'vitest'
import { headwater, publish, type Running, scratch, startBroker } from './headwater.ts'

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))
const home = scratch()
let broker: Running
let port: number

const CONFIG = (edge: string, archive: string) => `
edge: ${edge}
streams: [{ name: events, topics: ["#"], partitions: 2 }]
upstreams: [{ name: usb, kind: archive, directory: ./${archive} }]
`
const configure = (edge: string, archive: string) =>
  writeFileSync(join(home, 'headwater.yaml'), CONFIG(edge, archive))

const json = async (...args: string[]) => {
  const { code, stdout, stderr } = await headwater([...args, '--json'], home)
  return { code, stderr, value: JSON.parse(stdout) }
}
const read = async (...args: string[]) => (await headwater(['read', 'events', ...args], home)).stdout

beforeAll(async () => {
  configure('line-7', 'usb')
  ;({ broker, port } = await startBroker([], home))
  await publish(
    port,
    Array.from({ length: 50 }, (_, i) => [`plant/${i}`, `value ${i}`] as const).map(([topic, payload]) => [
      topic,
      payload,
    ]),
  )
}, 60_000)

test('backup of the running broker: one line, one file', async () => {
  const { code, stdout, stderr } = await headwater(['backup', 'day1.hwb'], home)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(
    /^day1\.hwb, [0-9.]+ kB, whole: 50 records of 1 stream in 1 segment, [0-9.]+ kB, of edge "line-7" at 20[0-9T:.-]+Z\n$/,
  )
  const { value } = await json('backup', 'day1.hwb.gz')
  expect(value).toMatchObject({ file: 'day1.hwb.gz', records: 50, isWhole: true, edge: 'line-7' })
  expect(value.fileBytes).toBe(readFileSync(join(home, 'day1.hwb.gz')).length)
  expect(
    gunzipSync(readFileSync(join(home, 'day1.hwb.gz')))
      .subarray(0, 8)
      .toString(),
  ).toBe('HWBACKUP')
})

test('backup into a pipe: the file is standard output, the line is not in it', async () => {
  const child = spawn(process.execPath, [CLI, 'backup', '-'], {
    cwd: home,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  await once(child, 'close')
  expect(Buffer.concat(err).toString()).toMatch(/^-, [0-9.]+ kB, whole: 50 records /)
  writeFileSync(join(home, 'piped'), Buffer.concat(out))
  expect((await headwater(['backup', '--verify', 'piped'], home)).code).toBe(0)
})

test('backup --verify and restore --check tell what a file holds', async () => {
  for (const args of [
    ['backup', '--verify'],
    ['restore', '--check'],
  ]) {
    const { code, stdout } = await headwater([...args, 'day1.hwb.gz'], home)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^day1\.hwb\.gz, [0-9.]+ kB, whole: 50 records of 1 stream/)
  }
  const { value } = await json('backup', '--verify', 'day1.hwb')
  expect(value.partitions).toHaveLength(2)
  expect(value.partitions[0]).toMatchObject({ stream: 'events', partition: 0, fromOffset: 0 })
})

test('log dump of the running broker', async () => {
  const { code, stdout, stderr } = await headwater(['log', 'dump'], home)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(
    /^segment main\/00000001 {2}commits 1 to [0-9]+, [0-9.]+ kB, active, index in memory\n/,
  )
  expect(stdout).toMatch(/^ {2}commit +1 {2}note .* head: next nothing yet/m)
  expect(stdout).toMatch(
    /^ {2}commit +[0-9]+ {2}events\/[01] .* ok {2}offsets 0 to [0-9]+, [0-9]+ records?, 20/m,
  )
  const records = await headwater(['log', 'dump', '--stream', 'events', '--records', '--json'], home)
  const lines = records.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines.filter(({ type }) => type === 'record')).toHaveLength(50)
  const one = ['log', 'dump', '--stream', 'events', '-p', '0', '--from', '3', '--to', '4', '--records']
  expect((await headwater(one, home)).stdout.match(/^ {4}offset /gm)).toEqual(['    offset '])
})

test('log dump says what it is not asked well', async () => {
  const line = async (...args: string[]) => (await headwater(['log', 'dump', ...args], home)).stderr
  expect(await line('--stream', 'nope')).toMatch(/^headwater: HW_UNKNOWN_STREAM: /)
  expect(await line('-p', '0')).toBe('headwater: HW_USAGE: --partition is of one stream - add --stream\n')
  expect(await line('--segment', '0000000f')).toMatch(/^headwater: HW_USAGE: there is no segment 0000000f - /)
})

test('what is no backup, cut short, changed or newer is one line each, and nothing is made', async () => {
  const whole = readFileSync(join(home, 'day1.hwb'))
  const changed = Buffer.from(whole)
  changed[Math.floor(whole.length / 2)]! ^= 1
  const newer = Buffer.from(whole)
  newer.writeUInt32BE(7, 8)
  const cases: [name: string, bytes: Buffer, line: RegExp][] = [
    ['foreign', Buffer.from('%PDF-1.7'), /HW_BACKUP_FOREIGN: foreign: it is no backup of Headwater - /],
    ['empty', Buffer.alloc(0), /HW_BACKUP_FOREIGN: empty: it is empty - /],
    ['cut', whole.subarray(0, -5), /HW_BACKUP_DAMAGED: cut: it was cut short: it ends at byte [0-9]+ - /],
    [
      'changed',
      changed,
      /HW_BACKUP_DAMAGED: changed: a frame's CRC does not match its bytes, at byte [0-9]+ - /,
    ],
    ['newer', newer, /HW_BACKUP_FOREIGN: newer: it has version 7, this Headwater reads up to 1 - /],
  ]
  for (const [name, bytes, line] of cases) {
    writeFileSync(join(home, name), bytes)
    for (const command of [
      ['backup', '--verify', name],
      ['restore', name, '--data', 'never'],
    ]) {
      const { code, stdout, stderr } = await headwater(command, home)
      expect({ code, stdout }, name).toEqual({ code: 1, stdout: '' })
      expect(stderr).toMatch(line)
      expect(stderr.trimEnd().split('\n')).toHaveLength(1)
    }
  }
  expect(await headwater(['restore', 'none', '--data', 'never'], home)).toMatchObject({
    code: 1,
    stderr: 'headwater: HW_BACKUP_FILE: none: there is no such file or directory - check the path\n',
  })
  expect(existsSync(join(home, 'never'))).toBe(false)
})

test('restore is refused where a broker runs or a log is, with the way out', async () => {
  const running = await headwater(['restore', 'day1.hwb'], home)
  expect(running.code).toBe(5)
  expect(running.stderr).toMatch(
    /^headwater: HW_DATA_DIRECTORY: data directory .*\/data: it holds a log - restore into an empty or new directory with --data; nothing was changed\n$/,
  )
  expect((await headwater(['restore', 'day1.hwb', '--edge', 'line 7', '--data', 'never'], home)).code).toBe(2)
  expect(existsSync(join(home, 'never'))).toBe(false)
})

test('a restored log reads as the first did, under a new incarnation', async () => {
  const before = await read()
  const { value } = await json('restore', 'day1.hwb.gz', '--data', 'copy')
  expect(value).toMatchObject({ edge: 'line-7', backup: { records: 50, isWhole: true } })
  expect(value.incarnation).not.toBe((await json('status')).value.broker.incarnation)
  expect(await read('--data', 'copy')).toBe(before)
  expect(await json('log', 'verify', '--data', 'copy')).toMatchObject({ code: 0, value: { records: 50 } })
  const dumped = await headwater(['log', 'dump', '--data', 'copy'], home)
  expect(dumped.stdout).toMatch(/^segment main\/00000001 .* sealed.*, index whole\n/)
  // backed up offline, it is the same again
  expect((await json('backup', 'again.hwb', '--data', 'copy')).value).toMatchObject({ records: 50 })
})

test('upstream does not take a restored log for the first one, and takes it under another name elsewhere', async () => {
  await vi.waitFor(async () => expect((await json('sync', 'status')).value.upstreams[0].lagRecords).toBe(0), {
    timeout: 15_000,
    interval: 200,
  })
  await broker.end('SIGTERM')
  const restored = await headwater(['restore', 'day1.hwb', '--data', 'data2'], home)
  expect(restored.stdout).toMatch(
    /^restored 50 records .*\ninto .*data2, edge "line-7", with the new incarnation /,
  )
  expect(restored.stdout).toContain('HW_CHECKPOINT_MISMATCH')
  expect(restored.stdout).toContain('An archive that has records of "line-7" refuses this log')
  ;({ broker, port } = await startBroker(['--data', 'data2'], home))
  const upstream = async () => (await json('sync', 'status', '--data', 'data2')).value.upstreams[0]
  await vi.waitFor(async () => expect((await upstream()).state).toBe('stopped'), {
    timeout: 15_000,
    interval: 200,
  })
  expect((await upstream()).lastError).toMatchObject({
    code: 'HW_CHECKPOINT_MISMATCH',
    message: expect.stringContaining('belongs to incarnation'),
  })
  await broker.end('SIGTERM')

  configure('line-7-b', 'usb2')
  const named = await headwater(['restore', 'day1.hwb', '--data', 'data3', '--edge', 'line-7-b'], home)
  expect(named.stdout).toContain('Kafka gets the whole log that is here under the name "line-7-b"')
  ;({ broker, port } = await startBroker(['--data', 'data3'], home))
  await vi.waitFor(
    async () => {
      const { value } = await json('sync', 'status', '--data', 'data3')
      expect(value.upstreams[0]).toMatchObject({ state: 'idle', lagRecords: 0, sentRecords: 50 })
    },
    { timeout: 15_000, interval: 200 },
  )
  await broker.end('SIGTERM')
})

test('a restore that is interrupted leaves nothing, and one that is killed is cleared away by the next', async () => {
  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    const child = spawn(process.execPath, [CLI, 'restore', '-', '--data', 'half'], {
      cwd: home,
      stdio: ['pipe', 'ignore', 'pipe'],
    })
    let stderr = ''
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    const whole = readFileSync(join(home, 'day1.hwb'))
    child.stdin.write(whole.subarray(0, -20))
    await vi.waitFor(
      () => expect(existsSync(join(home, 'half', 'log', 'main', '00000001'))).toBe(true),
      10_000,
    )
    const ended = once(child, 'close')
    child.kill(signal)
    child.stdin.end()
    child.stdin.on('error', () => {})
    await ended
    if (signal === 'SIGINT') {
      expect(stderr).toMatch(/^headwater: interrupted; .*half is as it was\n$/)
      expect(existsSync(join(home, 'half'))).toBe(false)
    } else expect(readdirSync(join(home, 'half'))).toContain('.restoring')
  }
  expect((await headwater(['read', 'events', '--data', 'half'], home)).stderr).toMatch(/it holds no log/)
  expect((await headwater(['restore', 'day1.hwb', '--data', 'half'], home)).code).toBe(0)
  expect((await headwater(['log', 'verify', '--data', 'half'], home)).code).toBe(0)
})
