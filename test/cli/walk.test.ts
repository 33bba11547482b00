/** The way of a new user: init, check, start, publish, look at everything, stop, look again. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test, vi } from 'vitest'
import { besidesFileSystem, headwater, publish, Running, scratch, startBroker } from './headwater.ts'

const home = scratch()
let broker: Running
let port: number

const json = async (...args: string[]) => {
  const { code, stdout, stderr } = await headwater([...args, '--json'], home)
  return { code, stderr, value: JSON.parse(stdout) }
}
const records = (ndjson: string) =>
  ndjson
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

beforeAll(async () => {
  expect(await headwater(['init'], home)).toEqual({
    code: 0,
    stdout:
      'wrote headwater.yaml, and headwater.schema.json by which editors complete it\n' +
      'edit it, then: headwater check headwater.yaml && headwater start --config headwater.yaml\n',
    stderr: '',
  })
  const checked = await headwater(['check'], home, { HEADWATER_MQTT_LISTENERS: '127.0.0.1:0' })
  expect(checked.code).toBe(0)
  expect(besidesFileSystem(checked.stderr)).toBe('')
  expect(checked.stdout).toMatch(/^ok {2}headwater\.yaml\n/)
  expect(existsSync(join(home, 'data'))).toBe(false)
  ;({ broker, port } = await startBroker([], home))
  await publish(port, [
    ['plant/1/temperature', '21.5'],
    ['plant/1/temperature', '21.6'],
    ['plant/2/raw', Buffer.from([0xff, 0x00])],
  ])
}, 60_000)

test('the banner says where everything is and what to do next', () => {
  expect(broker.stdout).toContain(`data      ${home}/data`)
  expect(broker.stdout).toContain('streams   events <- # (4 partitions)')
  expect(broker.stdout).toContain(`npx mqtt pub -p ${port} -q 1 -t plant/1/temperature -m 21.5`)
  expect(broker.stdout).toMatch(/^read .* read events --follow$/m)
  expect(besidesFileSystem(broker.stderr)).toBe('')
})

test('the data directory and the socket are for their owner alone', () => {
  expect(statSync(join(home, 'data')).mode & 0o777).toBe(0o700)
  expect(statSync(join(home, 'data/headwater.sock')).mode & 0o777).toBe(0o600)
})

test('status', async () => {
  const { code, stdout, stderr } = await headwater(['status'], home)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/^headwater [0-9.]+ is running \(pid [0-9]+, up [0-9]+ s\)\n/)
  expect(stdout).toMatch(/^taken +3 messages/m)
  expect(stdout).toMatch(/^events +4 +3 +202 B$/m)
  expect(stdout).toMatch(/^archive +archive /m)
  const { value } = await json('status')
  expect(value).toMatchObject({
    running: true,
    broker: { pid: broker.child.pid, ingress: { appended: 3 }, log: { condition: 'open', records: 3 } },
    streams: [{ stream: 'events', records: 3 }],
    upstreams: [{ name: 'archive', kind: 'archive' }],
  })
})

test('streams', async () => {
  const { code, stdout } = await headwater(['streams'], home)
  expect(code).toBe(0)
  expect(stdout.split('\n')[0]).toBe('STREAM  PARTITION  LOG START  DURABLE  RECORDS')
  expect(stdout.trimEnd().split('\n')).toHaveLength(5)
  const { value } = await json('streams')
  expect(value.streams[0].partitions).toHaveLength(4)
})

test('read', async () => {
  const all = await headwater(['read', 'events'], home)
  expect(all).toMatchObject({ code: 0, stderr: '' })
  const found = records(all.stdout)
  expect(found.map(({ topic, value }) => [topic, value])).toEqual([
    ['plant/1/temperature', '21.5'],
    ['plant/1/temperature', '21.6'],
    ['plant/2/raw', { base64: '/wA=' }],
  ])
  const { partition, timestamp } = found[0]
  const from = ['read', 'events', '--partition', String(partition), '--from']
  expect(records((await headwater([...from, '1', '--count', '1'], home)).stdout)[0].value).toBe('21.6')
  expect(records((await headwater([...from, timestamp], home)).stdout)[0].value).toBe('21.5')
  expect((await headwater([...from, 'latest'], home)).stdout).toBe('')
  expect((await headwater([...from, 'earliest', '--format', 'raw'], home)).stdout).toMatch(/^21\.5\n21\.6\n/)
})

test('read --follow shows what comes, and Ctrl-C ends it', async () => {
  const reader = new Running(['read', 'events', '--from', 'latest', '--follow', '--format', 'raw'], home)
  await vi.waitFor(
    async () => {
      await publish(port, [['plant/9/late', 'late']])
      expect(reader.stdout).toContain('late\n')
    },
    { timeout: 10_000, interval: 100 },
  )
  expect(await reader.end('SIGINT')).toBe(0)
  expect(reader.stderr).toBe('')
})

test('a reader of the pipe that has seen enough is no error', async () => {
  const reader = new Running(['read', 'events', '--follow'], home)
  await reader.until('\n')
  reader.child.stdout!.destroy()
  await publish(port, [['plant/9/late', 'x'.repeat(100)]])
  await vi.waitFor(() => expect(reader.child.exitCode).toBe(0), { timeout: 10_000 })
  expect(reader.stderr).toBe('')
})

test('sync status reaches the archive, and pause and resume are obeyed', async () => {
  await vi.waitFor(
    async () => {
      const { value } = await json('sync', 'status')
      expect(value.upstreams[0]).toMatchObject({
        name: 'archive',
        state: 'idle',
        lagRecords: 0,
        lastError: null,
      })
    },
    { timeout: 15_000, interval: 200 },
  )
  const { code, stdout } = await headwater(['sync', 'status'], home)
  expect(code).toBe(0)
  expect(stdout).toMatch(/^archive +archive +idle +0 /m)
  expect(stdout).toMatch(/^archive +events +[0-3] +[0-9]+ +[0-9]+ +0$/m)
  expect((await json('sync', 'pause', 'archive')).value.upstreams[0].state).toBe('paused')
  expect((await json('sync', 'resume')).value.upstreams[0].state).not.toBe('paused')
})

test('log verify on the running broker', async () => {
  const { code, stdout } = await headwater(['log', 'verify'], home)
  expect(code).toBe(0)
  expect(stdout).toMatch(/^whole: [0-9]+ records in /m)
  expect((await json('log', 'verify')).value).toMatchObject({ isWhole: true, problems: [] })
})

test('check on the running broker does not mistake it for a stranger', async () => {
  const { code, stdout } = await headwater(['check'], home)
  expect(code).toBe(0)
  expect(stdout).toContain(`in use by the running broker, pid ${broker.child.pid}`)
})

test('check names the edge that the running broker has, where the configuration says another', async () => {
  const { code, stderr } = await headwater(['check'], home, { HEADWATER_EDGE: 'line-9' })
  expect(code).not.toBe(0)
  expect(stderr).toMatch(/HEADWATER_EDGE: .*it belongs to the edge "[^"]+", the configuration says "line-9"/)
})

test('what cannot be answered is one line and a code', async () => {
  expect(await headwater(['read', 'nope'], home)).toEqual({
    code: 1,
    stdout: '',
    stderr: 'headwater: HW_UNKNOWN_STREAM: there is no stream "nope" - streams here: events\n',
  })
  expect(await headwater(['read', 'events', '-p', '7'], home)).toMatchObject({
    code: 1,
    stderr:
      'headwater: HW_UNKNOWN_PARTITION: stream "events" has no partition 7 - its partitions are 0 to 3\n',
  })
  expect(await headwater(['sync', 'pause', 'nope'], home)).toMatchObject({
    code: 1,
    stderr: 'headwater: HW_UNKNOWN_UPSTREAM: there is no upstream "nope" - upstreams here: archive\n',
  })
})

test('after SIGKILL it starts again on what was acknowledged, and its old socket is no obstacle', async () => {
  await broker.end('SIGKILL')
  expect(existsSync(join(home, 'data/headwater.sock'))).toBe(true)
  expect((await headwater(['sync', 'status'], home)).code).toBe(3)
  const before = records((await headwater(['read', 'events'], home)).stdout)
  ;({ broker, port } = await startBroker([], home))
  expect(records((await headwater(['read', 'events'], home)).stdout)).toEqual(before)
})

test('SIGTERM stops it cleanly, and the data directory can be read without it', async () => {
  const running = (await headwater(['read', 'events'], home)).stdout
  expect(await broker.end('SIGTERM')).toBe(0)
  expect(broker.stderr).toMatch(/info stopping\n.*info stopped; all that was acknowledged is on disk\n$/s)
  expect(existsSync(join(home, 'data/headwater.sock'))).toBe(false)

  expect((await headwater(['read', 'events'], home)).stdout).toBe(running)
  expect((await json('streams')).value.streams[0].stream).toBe('events')
  expect(await json('log', 'verify')).toMatchObject({ code: 0, value: { isWhole: true } })
  const status = await headwater(['status'], home)
  expect(status.code).toBe(3)
  expect(status.stdout).toMatch(new RegExp(`^headwater is not running on ${home}/data\n`))
  expect(await json('status')).toMatchObject({ code: 3, value: { running: false, broker: null } })
  for (const args of [
    ['sync', 'status'],
    ['read', 'events', '--follow'],
  ]) {
    expect(await headwater(args, home)).toEqual({
      code: 3,
      stdout: '',
      stderr: `headwater: HW_NOT_RUNNING: no broker runs on the data directory ${home}/data - start it with \`headwater start\`, or name its directory with --data\n`,
    })
  }
})

test('the log of one run is the archive of it', () => {
  const files = readFileSync(join(home, 'data/upstream/manifest.json'), 'utf8')
  expect(JSON.parse(files)).toBeTruthy()
})
