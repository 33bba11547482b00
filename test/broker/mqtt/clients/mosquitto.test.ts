/** Eclipse Mosquitto's command line clients, as users have them; not run where they are not installed (`apt install mosquitto-clients`). */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../../log/support.ts'
import { dataDirectory, recordsIn, startBroker } from '../support.ts'

const run = promisify(execFile)
const children = new Set<ReturnType<typeof spawn>>()
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
})

function isInstalled(): boolean {
  try {
    execFileSync('mosquitto_sub', ['--help'], { stdio: 'ignore' })
    return true
  } catch (error) {
    return (error as { code?: string }).code !== 'ENOENT'
  }
}

const INSTALLED = isInstalled()
if (!INSTALLED) console.warn('mosquitto_pub and mosquitto_sub are not installed: their tests are not run')

const publish = (port: number, ...options: string[]) => run('mosquitto_pub', ['-p', String(port), ...options])

/** Its lines as they come, once the broker has its subscription. */
async function subscribe({ broker, port }: Awaited<ReturnType<typeof startBroker>>, ...options: string[]) {
  const { connected } = broker.status().mqtt.sessions
  const child = spawn('mosquitto_sub', ['-p', String(port), ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  const ended = once(child, 'close')
  await until(() => broker.status().mqtt.sessions.connected > connected, 'it is connected')
  await until(() => broker.status().mqtt.sessions.subscriptions > 0, 'it has subscribed')
  return { child, lines, ended }
}

describe.runIf(INSTALLED)('mosquitto_pub and mosquitto_sub', () => {
  for (const version of ['mqttv31', 'mqttv311', 'mqttv5']) {
    it(`send and receive with every QoS (${version})`, async () => {
      const test = await startBroker()
      const { broker, port } = test
      const { lines } = await subscribe(test, '-V', version, '-t', 'a/#', '-q', '2', '-F', '%q %t %p')
      for (const qos of ['0', '1', '2']) {
        await publish(port, '-V', version, '-q', qos, '-t', `a/${qos}`, '-m', `v${qos}`)
      }
      await until(() => lines.length >= 3, 'all have come')
      expect(lines).toEqual(['0 a/0 v0', '1 a/1 v1', '2 a/2 v2'])
      expect((await recordsIn(broker)).map(({ value }) => value).toSorted()).toEqual(['v0', 'v1', 'v2'])
    })
  }

  it('properties of MQTT 5 come as they were sent', async () => {
    const test = await startBroker()
    const { port } = test
    const { lines } = await subscribe(test, '-V', 'mqttv5', '-t', '#', '-F', '%C|%R|%D|%P|%E|%p')
    const properties = [
      ['content-type', 'text/plain'],
      ['response-topic', 'answers'],
      ['correlation-data', 'abc'],
      ['message-expiry-interval', '60'],
    ].flatMap(([name, value]) => ['-D', 'publish', name!, value!])
    const user = ['-D', 'publish', 'user-property', 'unit', 'C']
    await publish(port, '-V', 'mqttv5', '-q', '1', '-t', 'a', '-m', 'v', ...properties, ...user)
    await until(() => lines.length >= 1, 'it has come')
    expect(lines[0]).toMatch(/^text\/plain\|answers\|abc\|unit:C\|(60|59|58)\|v$/)
  })

  it('a session that stays gets in order what came while it was away and the broker started anew', async () => {
    const data = dataDirectory()
    const first = await startBroker({ data })
    const session = ['-i', 'stays', '-c', '-q', '1', '-t', 'a/#', '-F', '%p']
    const { child, ended } = await subscribe(first, ...session)
    child.kill('SIGTERM')
    await ended
    for (const value of ['1', '2', '3']) await publish(first.port, '-q', '1', '-t', 'a/b', '-m', value)
    await first.broker.close()
    const second = await startBroker({ data })
    await publish(second.port, '-q', '1', '-t', 'a/b', '-m', '4')
    const again = await subscribe(second, ...session)
    await until(() => again.lines.length >= 4, 'all have come')
    expect(again.lines).toEqual(['1', '2', '3', '4'])
  })

  it('members of a shared subscription share messages', async () => {
    const test = await startBroker()
    const { broker, port } = test
    const member = () => subscribe(test, '-V', 'mqttv5', '-q', '1', '-t', '$share/g/a/#', '-F', '%p')
    const members = [await member(), await member()]
    await until(() => broker.status().mqtt.sessions.subscriptions === 2, 'both have subscribed')
    for (let i = 0; i < 6; i++) await publish(port, '-q', '1', '-t', 'a/b', '-m', String(i))
    const all = () => members.flatMap(({ lines }) => lines)
    await until(() => all().length >= 6, 'all have come')
    expect(all().toSorted()).toEqual(['0', '1', '2', '3', '4', '5'])
    expect(members.every(({ lines }) => lines.length > 0)).toBe(true)
  })

  it('a retained message is given to who comes later, and -C 1 ends with it', async () => {
    const { port } = await startBroker()
    await publish(port, '-r', '-q', '1', '-t', 'state', '-m', 'on')
    const { stdout } = await run('mosquitto_sub', [
      '-p',
      String(port),
      '-t',
      'state',
      '-C',
      '1',
      '-F',
      '%r %p',
    ])
    expect(stdout.trim()).toBe('1 on')
  })

  it('the will of a client that is killed is published', async () => {
    const test = await startBroker()
    const { lines } = await subscribe(test, '-t', 'wills/#', '-F', '%p')
    const will = ['--will-topic', 'wills/x', '--will-payload', 'gone', '--will-qos', '1']
    const { child } = await subscribe(test, '-t', 'nothing', ...will)
    child.kill('SIGKILL')
    await until(() => lines.length > 0, 'the will has come')
    expect(lines).toEqual(['gone'])
  })
})
