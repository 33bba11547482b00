/** The command line itself: help, mistakes, init, the demo. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { createAuthority } from '../support/certificates.ts'
import { CLI, headwater, scratch, startBroker } from './headwater.ts'

const home = scratch()

test.each([
  ['start'],
  ['init'],
  ['check'],
  ['status'],
  ['streams'],
  ['read'],
  ['table'],
  ['sync', 'status'],
  ['sync', 'pause'],
  ['sync', 'resume'],
  ['sync', 'now'],
  ['sync', 'verify'],
  ['sync', 'rewind'],
  ['log', 'verify'],
  ['log', 'dump'],
  ['backup'],
  ['restore'],
])('headwater %s %s --help has an example', async (...command) => {
  const words = command.filter((word) => word !== undefined)
  const { code, stdout } = await headwater([...words, '--help'], home)
  expect(code).toBe(0)
  expect(stdout).toMatch(new RegExp(`Examples?:\n  headwater ${words.join(' ')}`))
})

test('the exit codes of the help are those of docs/operate.md', async () => {
  const { stdout } = await headwater(['--help'], home)
  const page = readFileSync(new URL('../../docs/operate.md', import.meta.url), 'utf8')
  const codes = (text: string, row: RegExp) =>
    [...text.matchAll(row)].map(([, code, meaning]) => `${code} ${meaning}`)
  const documented = codes(page, /^\| *([0-9]) *\| *(.*?) *\|$/gm)
  expect(documented).toHaveLength(7)
  expect(codes(stdout, /^ {2}([0-9]) {2}(.*)$/gm)).toEqual(documented)
})

test.each([
  [['frob'], "headwater: unknown command 'frob' - see headwater --help\n"],
  [['stats'], "headwater: unknown command 'stats' (Did you mean status?) - see headwater --help\n"],
  [
    ['sync', 'puase'],
    "headwater: unknown command 'puase' (Did you mean pause?) - see headwater sync --help\n",
  ],
  [
    ['streams', 'compct'],
    "headwater: unknown command 'compct' (Did you mean compact?) - see headwater streams --help\n",
  ],
  [['streams', 'xyz'], "headwater: unknown command 'xyz' - see headwater streams --help\n"],
  [
    ['clients', 'disconect', 'x'],
    "headwater: unknown command 'disconect' (Did you mean disconnect?) - see headwater clients --help\n",
  ],
  [['help', 'frob'], "headwater: unknown command 'frob' - see headwater --help\n"],
  [['frob', '--help'], "headwater: unknown command 'frob' - see headwater --help\n"],
  [['sync', 'frob', '-h'], "headwater: unknown command 'frob' - see headwater sync --help\n"],
  [
    ['tail'],
    "headwater: unknown command 'tail' - `headwater read STREAM --from latest --follow` prints what comes from now on; `headwater streams` has the names\n",
  ],
  [
    ['start', '--dmo'],
    "headwater: unknown option '--dmo' (Did you mean --demo?) - see headwater start --help\n",
  ],
  [
    ['--config', 'edge.yaml', 'status'],
    "headwater: unknown option '--config' - write it behind the command, as in headwater status --config\n",
  ],
  [['--frob'], "headwater: unknown option '--frob' - see headwater --help\n"],
  [['read'], "headwater: missing required argument 'stream' - see headwater read --help\n"],
  [
    ['read', 'events', '--count', 'two'],
    "headwater: option '-n, --count <n>' argument 'two' is invalid. It is a whole number. - see headwater read --help\n",
  ],
  [
    ['read', 'events', '--from', 'yesterday'],
    'headwater: HW_USAGE: --from yesterday is no place to read from - write earliest, latest, an offset such as 1200, or a time such as 2026-03-01T12:00:00Z\n',
  ],
  [
    ['check', 'nope.yaml'],
    'headwater: HW_CONFIG: nope.yaml: there is no such file - write one with `headwater init nope.yaml`\n',
  ],
])('headwater %j', async (args, stderr) => {
  expect(await headwater(args, home)).toEqual({ code: 2, stdout: '', stderr })
})

test('help prints the help of a command at any depth, and of what stands behind it nothing', async () => {
  const asked = await headwater(['help', 'sync', 'verify'], home)
  expect(asked).toEqual({
    code: 0,
    stderr: '',
    stdout: expect.stringContaining('headwater sync verify [options]'),
  })
  expect(await headwater(['sync', 'verify', 'central', '--help'], home)).toEqual(asked)
  expect((await headwater(['help'], home)).stdout).toBe((await headwater(['--help'], home)).stdout)
})

test('no command prints the help, as a mistake', async () => {
  const { code, stdout, stderr } = await headwater([], home)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain('Usage: headwater')
})

test('a group without a command prints its help, as a mistake', async () => {
  const { code, stdout, stderr } = await headwater(['sync'], home)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain('Usage: headwater sync')
})

test('status on a directory without a log says what to do', async () => {
  const { code, stdout } = await headwater(['status', '--data', 'none'], home)
  expect(code).toBe(3)
  expect(stdout).toBe(
    `headwater is not running on ${join(home, 'none')}\n` +
      'there is no log in it: `headwater start` makes one; another directory is named with --data or --config\n',
  )
})

test.skipIf(process.getuid?.() !== 0)(
  'status of a log that is not running and another user’s says so, not that there is none',
  async () => {
    const others = scratch()
    const { broker } = await startBroker([], others)
    await broker.end('SIGTERM')
    const data = join(others, 'data')
    chownSync(data, 65_534, 65_534)
    const { code, stdout } = await headwater(['status', '--data', data], home)
    expect(code).toBe(3)
    expect(stdout).toContain(
      `what it holds is not shown: HW_DATA_DIRECTORY: data directory ${data}: it belongs to`,
    )
    expect(stdout).not.toContain('there is no log')
    const report = JSON.parse((await headwater(['status', '--data', data, '--json'], home)).stdout)
    expect(report).toMatchObject({ running: false, streams: [] })
  },
)

test('a full disk under its standard output does not end a broker, and is told by a command', async () => {
  const directory = scratch()
  const cli = `'${process.execPath}' '${CLI}'`
  const env = { ...process.env, HEADWATER_HTTP_ADDRESS: 'null', HEADWATER_MQTT_LISTENERS: '127.0.0.1:0' }
  const options = { cwd: directory, env }
  const broker = spawn('sh', ['-c', `exec ${cli} start >/dev/full`], options)
  const ended = once(broker, 'exit')
  await vi.waitFor(
    async () => expect((await headwater(['status'], directory)).stdout).toContain('is running'),
    { timeout: 20_000, interval: 100 },
  )
  const reading = spawn('sh', ['-c', `exec ${cli} status >/dev/full`], options)
  let told = ''
  reading.stderr.on('data', (chunk: Buffer) => {
    told += chunk.toString()
  })
  expect((await once(reading, 'close'))[0]).toBe(1)
  expect(told).toMatch(/^headwater: standard output: ENOSPC: no space left on device/)
  broker.kill('SIGTERM')
  expect((await ended)[0]).toBe(0)
}, 60_000)

test('--version', async () => {
  expect((await headwater(['--version'], home)).stdout).toMatch(/^[0-9]+\.[0-9]+\.[0-9]+\n$/)
})

test('init replaces nothing without --force, and writes to standard output for -', async () => {
  const directory = scratch()
  expect((await headwater(['init', 'a.yaml'], directory)).code).toBe(0)
  writeFileSync(join(directory, 'a.yaml'), 'mine')
  expect(await headwater(['init', 'a.yaml'], directory)).toMatchObject({
    code: 2,
    stderr: 'headwater: HW_USAGE: a.yaml exists already - choose another name, or replace it with --force\n',
  })
  expect(readFileSync(join(directory, 'a.yaml'), 'utf8')).toBe('mine')
  expect((await headwater(['init', 'a.yaml', '--force'], directory)).code).toBe(0)
  const printed = await headwater(['init', '-'], directory)
  // the schema is written beside a file alone
  const modeline = '# yaml-language-server: $schema=./a.schema.json\n'
  expect(modeline + printed.stdout).toBe(readFileSync(join(directory, 'a.yaml'), 'utf8'))
  expect(readdirSync(directory).toSorted()).toEqual(['a.schema.json', 'a.yaml'])
})

test('what init writes is the default configuration, also with its examples switched on', async () => {
  const directory = scratch()
  const any = { HEADWATER_MQTT_LISTENERS: '127.0.0.1:0' }
  await headwater(['init'], directory)
  expect((await headwater(['check'], directory, any)).code).toBe(0)
  const text = readFileSync(join(directory, 'headwater.yaml'), 'utf8')
  const switched = text.replace(/^ {2}# ( *# .*| *[a-zA-Z]+:.*|- .*)$/gm, '  $1')
  writeFileSync(join(directory, 'headwater.yaml'), switched)
  const { code, stdout, stderr } = await headwater(['check'], directory, any)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/^upstreams +archive \(archive\), central \(kafka\), jetstream \(nats\)$/m)
  expect(stdout).toMatch(/^alarms /m)
})

test('--demo publishes, and its process ends with the broker, however that ends', async () => {
  const directory = scratch()
  const { broker } = await startBroker(['--demo'], directory)
  const demo = Number(/\(pid ([0-9]+), seed/.exec(broker.stdout)?.[1])
  await vi.waitFor(
    async () => {
      const { stdout } = await headwater(['read', 'events'], directory)
      const topics = new Set(
        stdout
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line).topic),
      )
      expect([...topics].filter((topic) => topic.startsWith('demo/sensors/'))).toHaveLength(20)
      expect([...topics].some((topic) => /^demo\/host\/.*\/disk$/.test(topic))).toBe(true)
    },
    { timeout: 20_000, interval: 300 },
  )
  await broker.end('SIGKILL')
  await vi.waitFor(() => expect(() => process.kill(demo, 0)).toThrow('ESRCH'), { timeout: 5000 })
  expect(broker.stderr).toBe('')
}, 60_000)

test('--demo publishes to a broker that has users and permissions, which it needs none of', async () => {
  const directory = scratch()
  writeFileSync(join(directory, 'password'), 'correct horse')
  await headwater(['users', 'add', 'ann', '--password-file', 'password'], directory)
  const { broker } = await startBroker(['--demo'], directory)
  await vi.waitFor(
    async () => {
      const { stdout } = await headwater(['read', 'events', '--count', '1'], directory)
      expect(JSON.parse(stdout).topic).toMatch(/^demo\//)
    },
    { timeout: 20_000, interval: 300 },
  )
  await broker.end('SIGTERM')
  expect(broker.stderr).not.toContain('refused')
}, 60_000)

/** As examples name them. */
function certificates(directory: string): void {
  mkdirSync(directory)
  const { cert, key } = createAuthority('plant')
  for (const name of ['broker.crt', 'devices.crt']) writeFileSync(join(directory, name), cert)
  writeFileSync(join(directory, 'broker.key'), key)
}

test.each(readdirSync(new URL('../../examples', import.meta.url)))(
  'examples/%s is a good configuration',
  async (name) => {
    const directory = scratch()
    const text = readFileSync(new URL(`../../examples/${name}`, import.meta.url), 'utf8')
    writeFileSync(join(directory, name), text.replace('/mnt/usb', directory))
    certificates(join(directory, 'tls'))
    const result = await headwater(['check', name], directory, { HEADWATER_MQTT_LISTENERS: '127.0.0.1:0' })
    expect(result).toMatchObject({ code: 0, stderr: '' })
  },
)
