/** What helps with the device and with the shell, by the real program: doctor, bench, completion, man. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createAuthority, createCertificate } from '../support/certificates.ts'
import { noTerminal, Terminal } from '../support/terminal.ts'
import { CLI, headwater, publish, type Running, scratch, startBroker } from './headwater.ts'

interface Finding {
  readonly item: string
  readonly level: string
  readonly what: string
  readonly todo: string
}

const ANY_PORT = { HEADWATER_MQTT_LISTENERS: '127.0.0.1:0' }
const home = scratch()
let broker: Running
beforeAll(async () => {
  const started = await startBroker([], home)
  broker = started.broker
  await publish(started.port, [['plant/1', 'a']])
}, 60_000)
afterAll(() => broker.end('SIGTERM'))

async function doctor(cwd: string, env: NodeJS.ProcessEnv = ANY_PORT, args: string[] = []) {
  const { code, stdout, stderr } = await headwater(['doctor', '--json', ...args], cwd, env)
  expect(stderr).toBe('')
  const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: Finding[] }
  const of = (item: string) => findings.filter((finding) => finding.item === item)
  return { code, ok, findings, of }
}

const ITEMS = [
  'broker',
  'clock',
  'disk',
  'file system',
  'fsync',
  'card',
  'permissions',
  'port',
  'upstream archive',
  'memory',
  'swap',
  'open files',
  'node',
  'native modules',
  'page size',
  'power',
  'watchdog',
]

test('doctor without a broker: every item has its finding, and nothing is left behind', async () => {
  const directory = scratch()
  const { code, ok, findings, of } = await doctor(directory)
  expect(findings.filter(({ level }) => level === 'fault')).toEqual([])
  expect({ code, ok }).toEqual({ code: 0, ok: true })
  for (const item of ITEMS) expect(of(item).length, item).toBeGreaterThan(0)
  for (const { item, level, what, todo } of findings) {
    expect(what, item).not.toBe('')
    expect(todo !== '', `${item}: ${what}`).toBe(level === 'warning' || level === 'fault')
  }
  expect(readdirSync(directory)).toEqual([])
})

test('doctor beside a running broker: its own ports and limits, and the log goes on', async () => {
  const { code, of } = await doctor(home)
  expect(code).toBe(0)
  expect(of('broker')).toMatchObject([
    { level: 'ok', what: expect.stringContaining(`pid ${broker.child.pid}`) },
  ])
  expect(of('fsync')).toMatchObject([{ what: expect.stringMatching(/^p50 .* of 30/) }])
  expect(readdirSync(join(home, 'data')).filter((name) => name.startsWith('.'))).toEqual([])
  expect((await headwater(['log', 'verify'], home)).code).toBe(0)
})

test('doctor finds what is wrong, says what to do, and exits with 1', async () => {
  const directory = scratch()
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as AddressInfo
  const authority = createAuthority('plant')
  const expired = createCertificate({
    name: 'pi',
    names: ['pi.local'],
    issuer: authority,
    from: new Date(Date.now() - 2 * 86_400_000),
    until: new Date(Date.now() - 86_400_000),
  })
  writeFileSync(join(directory, 'cert.pem'), expired.cert)
  writeFileSync(join(directory, 'key.pem'), expired.key)
  chmodSync(join(directory, 'key.pem'), 0o644)
  mkdirSync(join(directory, 'data'), { mode: 0o700 })
  writeFileSync(
    join(directory, 'headwater.yaml'),
    `mqtt:
  listeners:
    - address: "127.0.0.1:${port}"
      tls: { certFile: cert.pem, keyFile: key.pem }
upstreams:
  - { name: central, kind: kafka, bootstrap: ["no-such-host.invalid:9092"] }
downlinks:
  - { name: commands, topic: commands, connection: { bootstrap: ["none.invalid:9092"] } }
`,
  )
  const { code, ok, of } = await doctor(directory, {})
  taken.close()
  expect({ code, ok }).toEqual({ code: 1, ok: false })
  expect(of('port')).toMatchObject([
    { level: 'fault', what: expect.stringContaining(`(pid ${process.pid})`) },
  ])
  expect(of('certificate')).toMatchObject([{ level: 'fault', what: expect.stringContaining('expired on') }])
  expect(of('permissions')).toMatchObject([
    { level: 'fault', todo: `chmod o-rwx ${join(directory, 'key.pem')}` },
  ])
  expect(of('downlink commands')).toMatchObject([
    { level: 'fault', what: expect.stringContaining('none.invalid') },
  ])
  expect(of('upstream central')).toMatchObject([
    { level: 'fault', what: expect.stringContaining('is not known') },
  ])
})

test('doctor names every problem of a configuration that is refused', async () => {
  const directory = scratch()
  writeFileSync(join(directory, 'headwater.yaml'), 'edge: my edge\nlog: { segmentByts: 1 }\n')
  const { code, findings } = await doctor(directory, {})
  expect(code).toBe(1)
  expect(findings.map(({ item, level }) => `${item} ${level}`)).toEqual([
    'configuration fault',
    'configuration fault',
  ])
  expect(findings.map(({ what }) => what).join('\n')).toContain('headwater.yaml:2:8')
})

test('doctor for people: a line each, what to do below it, and the sum', async () => {
  const { stdout } = await headwater(['doctor'], scratch(), ANY_PORT)
  expect(stdout).toMatch(/^ok {7}node {14}Node\.js \d/m)
  expect(stdout).toMatch(/\n\d+ faults?, \d+ warnings?, \d+ ok\n$/)
  expect(stdout).not.toContain('\u001b')
  const coloured = await headwater(['doctor'], scratch(), { ...ANY_PORT, FORCE_COLOR: '1' })
  expect(coloured.stdout).toContain('\u001b[32mok')
})

test('bench measures the disk and, with a topic, the broker, and leaves its records alone', async () => {
  const { code, stdout, stderr } = await headwater(
    ['bench', '--json', '--topic', 'bench/try', '--connections', '2', '--in-flight', '2', '--seconds', '1'],
    home,
  )
  expect(stderr).toBe('')
  expect(code).toBe(0)
  const report = JSON.parse(stdout)
  expect(report.fsyncMs.count).toBe(200)
  expect(report.append.map((each: { recordsPerCommit: number }) => each.recordsPerCommit)).toEqual([
    1, 10, 100, 1000,
  ])
  for (const { records, recordsPerSecond, commitMs } of report.append) {
    expect(records).toBeGreaterThan(0)
    expect(recordsPerSecond).toBeGreaterThan(0)
    expect(commitMs.p99).toBeGreaterThanOrEqual(commitMs.p50)
  }
  const read = await headwater(['read', 'events'], home)
  const own = read.stdout.split('\n').filter((line) => line.includes('"bench/try"'))
  expect(report.publish.messages).toBe(own.length)
  expect(own.length).toBeGreaterThan(0)
  expect(readdirSync(join(home, 'data')).filter((name) => name.startsWith('.'))).toEqual([])
}, 60_000)

test('bench with a topic and no broker writes nothing', async () => {
  const directory = scratch()
  const { code, stderr } = await headwater(['bench', '--topic', 'x'], directory)
  expect(code).toBe(3)
  expect(stderr).toContain('HW_NOT_RUNNING')
  expect(readdirSync(directory)).toEqual([])
})

test.skipIf(noTerminal)('bench asks on a terminal, and does nothing without a yes', async () => {
  const directory = scratch()
  const terminal = new Terminal(`${process.execPath} ${CLI} bench --data ${directory}/data`, directory)
  await terminal.until('a card wears a little with each time')
  await terminal.until('Begin? [y/N]')
  terminal.type('n\n')
  expect(await terminal.ended()).toBe(1)
  expect(terminal.output).toContain('nothing was done')
  expect(readdirSync(directory)).toEqual([])
})

const has = (shell: string) => spawnSync(shell, ['-c', 'exit 0']).status === 0
const BIN = fileURLToPath(new URL('../../bin', import.meta.url))

/** What a shell says once the script is loaded and a line is to be completed. */
function inShell(shell: string, args: readonly string[], script: string): string {
  const env = {
    ...process.env,
    PATH: `${BIN}${delimiter}${process.env.PATH}`,
    HEADWATER_CLOCK_TRUST: 'always',
  }
  const { stdout, stderr } = spawnSync(shell, [...args, '-c', script], { cwd: home, env, encoding: 'utf8' })
  expect(stderr).toBe('')
  return stdout
}

const LINES: readonly [line: string, words: string[]][] = [
  ['headwater sta', ['start', 'status']],
  ['headwater sync re', ['resume', 'rewind']],
  ['headwater read ', ['events']],
  ['headwater sync pause ', ['archive']],
  ['headwater top --so', ['--sort']],
  ['headwater read events --format ', ['ndjson', 'raw']],
  ['headwater nonsense ', []],
]

test.runIf(has('bash')).each(LINES)('bash completes "%s" with %j', (line, words) => {
  const script = `source <(headwater completion bash)
    COMP_LINE='${line}'; COMP_POINT=\${#COMP_LINE}; COMPREPLY=()
    _headwater headwater
    printf '%s\\n' "\${COMPREPLY[@]}"`
  const completed = inShell('bash', ['--norc'], script).split('\n').filter(Boolean)
  expect(completed).toEqual(words)
})

test.runIf(has('fish')).each(LINES.filter(([, words]) => words.length > 0))(
  'fish completes "%s" with %j',
  (line, words) => {
    const script = `headwater completion fish | source; complete -C "${line}"`
    const completed = inShell('fish', ['--no-config'], script)
      .split('\n')
      .filter(Boolean)
      .map((answer) => answer.split('\t')[0])
    expect(completed).toEqual(words)
  },
)

test.runIf(has('zsh') && noTerminal === null)('zsh completes commands and names', async () => {
  const terminal = new Terminal('zsh -f -i', home, {
    PATH: `${BIN}${delimiter}${process.env.PATH}`,
    PS1: 'ready> ',
  })
  try {
    terminal.type('autoload -U compinit; compinit -u -D; source <(headwater completion zsh); echo loa""ded\n')
    await terminal.until('loaded')
    terminal.type('headwater read e\t')
    await terminal.until('headwater read events')
    terminal.type('\u0015headwater sta\t')
    await terminal.until('run the broker until Ctrl-C or SIGTERM')
  } finally {
    terminal.kill()
  }
})

test('completion says nothing where nothing can be asked', async () => {
  const away = scratch()
  expect(await headwater(['complete-words', 'read', ''], away)).toEqual({
    code: 0,
    stdout: ':words\n',
    stderr: '',
  })
  writeFileSync(join(away, 'headwater.yaml'), 'nonsense: 1\n')
  expect(await headwater(['complete-words', 'read', ''], away)).toEqual({
    code: 0,
    stdout: ':words\n',
    stderr: '',
  })
})

test('man and completion are printed without a broker and without a configuration', async () => {
  const away = scratch()
  writeFileSync(join(away, 'headwater.yaml'), 'nonsense: 1\n')
  expect((await headwater(['man'], away)).stdout).toMatch(/^\.TH HEADWATER 1 /)
  expect((await headwater(['man', '--markdown'], away)).stdout).toMatch(/^# headwater\n/)
  expect((await headwater(['completion', 'bash'], away)).stdout).toContain('complete -F _headwater headwater')
  const wrong = await headwater(['completion', 'tcsh'], away)
  expect(wrong.code).toBe(2)
  expect(wrong.stderr).toContain('Allowed choices are bash, zsh, fish')
})
