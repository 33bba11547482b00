/** A running broker as a person at a terminal sees it, and as a pipe does: status --watch, top, clients. */
import { connectAsync, type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { noTerminal, Terminal } from '../support/terminal.ts'
import {
  CLI,
  headwater,
  publish,
  type Running,
  Running as RunningCommand,
  scratch,
  startBroker,
} from './headwater.ts'

const OWN_SCREEN = '\u001b[?1049h'
const GIVEN_BACK = '\u001b[?25h\u001b[?1049l'
const WAIT = { timeout: 20_000, interval: 100 }

const home = scratch()
let broker: Running
let port: number
let pump: MqttClient
beforeAll(async () => {
  ;({ broker, port } = await startBroker([], home))
  pump = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'pump-7', reconnectPeriod: 0 })
  await publish(port, [
    ['plant/1', 'a'],
    ['plant/2', 'b'],
  ])
}, 60_000)
afterAll(async () => {
  pump.end(true)
  await broker.end('SIGTERM')
})

const terminals: Terminal[] = []
afterEach(() => {
  for (const terminal of terminals.splice(0)) terminal.kill()
})
/** @param exec in the place of the shell, which Ctrl-C would end, too */
function onTerminal(args: string, exec = ''): Terminal {
  const terminal = new Terminal(`${exec}${process.execPath} ${CLI} ${args}`, home)
  terminals.push(terminal)
  return terminal
}

test('clients: who is connected, as a table and as JSON', async () => {
  const { code, stdout } = await headwater(['clients'], home)
  expect(code).toBe(0)
  expect(stdout).toMatch(/^CLIENT +USER +ADDRESS +MQTT +CONNECTED/)
  expect(stdout).toMatch(/^pump-7 +- +127\.0\.0\.1:\d+ +3\.1\.1 /m)
  const json = JSON.parse((await headwater(['clients', '--json', '--sort', 'queued'], home)).stdout)
  expect(json.clients).toMatchObject([{ clientId: 'pump-7', version: 4, queued: 0 }])
})

test('clients disconnect: not without a word, and not one that is not there', async () => {
  const asked = await headwater(['clients', 'disconnect', 'pump-7'], home)
  expect(asked.code).toBe(2)
  expect(asked.stderr).toContain('say it with --yes')
  const unknown = await headwater(['clients', 'disconnect', 'nobody', '--yes'], home)
  expect(unknown).toMatchObject({ code: 1, stdout: '' })
  expect(unknown.stderr).toContain('HW_UNKNOWN_CLIENT')
  const victim = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'victim', reconnectPeriod: 0 })
  const left = new Promise<void>((resolve) => victim.once('close', () => resolve()))
  expect(await headwater(['clients', 'disconnect', 'victim', '--yes', '--json'], home)).toMatchObject({
    code: 0,
    stdout: '{"disconnected":true,"clientId":"victim"}\n',
  })
  await left
})

test('top in a pipe: a report after the other, without a control character', async () => {
  const { code, stdout } = await headwater(['top', '--count', '2', '--interval', '0.3'], home)
  expect(code).toBe(0)
  expect(stdout.match(/^headwater \d/gm)).toHaveLength(2)
  expect(stdout).toMatch(/^events +\d/m)
  expect(stdout).toMatch(/^pump-7 /m)
  expect(stdout).not.toContain('\u001b')
  const lines = (await headwater(['top', '--json', '--count', '2', '--interval', '0.3'], home)).stdout
    .trim()
    .split('\n')
  expect(lines.map((line) => Object.keys(JSON.parse(line)))).toEqual(
    [0, 1].map(() => expect.arrayContaining(['messagesPerSecond', 'streams', 'clients', 'upstreams'])),
  )
})

test('status --watch in a pipe goes on until SIGINT, and ends as status does', async () => {
  const watching = new RunningCommand(['status', '--watch', '0.3', '--json'], home)
  await vi.waitFor(() => expect(watching.stdout.split('\n').length).toBeGreaterThan(2), WAIT)
  expect(await watching.end('SIGINT')).toBe(0)
  const reports = watching.stdout.trim().split('\n')
  expect(reports.every((line) => JSON.parse(line).running === true)).toBe(true)
})

test('without a broker: clients and top say so, status --watch waits for one', async () => {
  const empty = scratch()
  for (const command of ['clients', 'top']) {
    const { code, stderr } = await headwater([command], empty)
    expect(code).toBe(3)
    expect(stderr).toMatch(
      /^headwater: HW_NOT_RUNNING: no broker runs on the data directory .* - start it with/,
    )
  }
  const watching = new RunningCommand(['status', '--watch', '0.3'], empty)
  await watching.until('is not running')
  const started = await startBroker([], empty)
  await watching.until('is running (pid')
  await started.broker.end('SIGTERM')
  expect(await watching.end('SIGINT')).not.toBe(null)
}, 60_000)

test.skipIf(noTerminal)('top on a terminal: s sorts, q quits, and the terminal is as it was', async () => {
  const terminal = onTerminal('top --interval 0.3 && stty -a')
  await terminal.until('by rate: s')
  expect(terminal.output).toContain(OWN_SCREEN)
  terminal.type('s')
  await terminal.until('by bytes: s')
  terminal.type('q')
  expect(await terminal.ended()).toBe(0)
  const after = terminal.output.slice(terminal.output.indexOf(GIVEN_BACK))
  expect(after).toMatch(/ icanon/)
  expect(after).toMatch(/ echo /)
})

test.skipIf(noTerminal).each([
  ['Ctrl-C', '\u0003', 'top'],
  ['Ctrl-C', '\u0003', 'status --watch 0.3'],
])('%s gives the terminal back (%j, %s)', async (_, key, command) => {
  const terminal = onTerminal(command, 'exec ')
  await terminal.until(OWN_SCREEN)
  await terminal.until('headwater 0')
  terminal.type(key)
  expect(await terminal.ended()).toBe(0)
  expect(terminal.output).toContain(GIVEN_BACK)
})

test.skipIf(noTerminal).each([['top --count 2 --interval 0.3'], ['log verify'], ['status']])(
  'a terminal that takes no escape sequences gets none from %s',
  async (command) => {
    const terminal = new Terminal(`${process.execPath} ${CLI} ${command}`, home, { TERM: 'dumb' })
    terminals.push(terminal)
    expect(await terminal.ended()).toBe(0)
    expect(terminal.output).toMatch(/events/)
    expect(terminal.output).not.toContain('\u001b')
  },
)

test.skipIf(noTerminal)(
  'a broker that ends under top: the terminal comes back before the word about it',
  async () => {
    const directory = scratch()
    const { broker: ending } = await startBroker([], directory)
    const terminal = new Terminal(
      `exec ${process.execPath} ${CLI} top --interval 0.3 --data ${directory}/data`,
      home,
    )
    terminals.push(terminal)
    await terminal.until('by rate: s')
    await ending.end('SIGKILL')
    expect(await terminal.ended()).toBe(3)
    expect(terminal.output.indexOf('HW_NOT_RUNNING')).toBeGreaterThan(terminal.output.indexOf(GIVEN_BACK))
  },
  60_000,
)

test.skipIf(noTerminal)('on a terminal a client is disconnected after a yes, and only then', async () => {
  const other = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'other', reconnectPeriod: 0 })
  const no = onTerminal('clients disconnect other')
  await no.until('end its connection? [y/N]')
  no.type('\n')
  expect(await no.ended()).toBe(1)
  expect(other.connected).toBe(true)
  const yes = onTerminal('clients disconnect other')
  await yes.until('[y/N]')
  yes.type('y\n')
  expect(await yes.ended()).toBe(0)
  await vi.waitFor(() => expect(other.connected).toBe(false), WAIT)
})
